/** Starts a Postgres on the directory given, says where, and lives until it is killed. */
import { startPostgres } from '../../local/postgres.ts';

const notes: string[] = [];
const { url, pid, socketDir, dataDir } = await startPostgres({
  dataDir: process.argv[2] ?? '',
  fast: true,
  say: (line) => notes.push(line),
});
console.log(JSON.stringify({ url, pid, socketDir, dataDir, notes }));
setInterval(() => undefined, 60_000);
