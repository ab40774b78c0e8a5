/** A Postgres of its own with the schema in it, which forgets nothing that it has committed, and which can be killed. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Pool } from 'pg';
import { APP_ROLE, migrate } from '../../local/migrate.ts';
import type { Postgres } from '../../local/postgres.ts';
import { keepPostgres } from '../../local/postgres-keeper.ts';
import { waitUntil } from '../../local/process-table.ts';
import { testDirectory } from '../support/directory.ts';

export interface MortalPostgres {
  /** Superuser; survives its server. */
  pool: Pool;
  appUrl: string;
  /** SIGKILLs the postmaster, and resolves when another serves the same data. @throws when none does within a minute */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** Whoever starts it stops it. */
export const startMortalPostgres = async (): Promise<MortalPostgres> => {
  const directory = testDirectory('mortal');
  const started: Postgres[] = [];
  const kept = await keepPostgres({
    dataDir: path.join(directory, 'data'),
    fast: true,
    // What was answered is written: the files of a killed server are whole as long as the machine lives.
    settings: { synchronous_commit: 'on' },
    started: (postgres) => void started.push(postgres),
  });
  const pool = new Pool({ connectionString: kept.current.url, max: 4 });
  pool.on('error', () => undefined); // killed with its server; a query under way rejects all the same
  const stop = async (): Promise<void> => {
    await pool.end();
    await kept.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  };
  try {
    const appPassword = randomUUID();
    await migrate({ ownerUrl: kept.current.url, appPassword });
    const app = new URL(kept.current.url);
    app.username = APP_ROLE;
    app.password = appPassword;
    return {
      pool,
      appUrl: app.href,
      async kill() {
        const servers = started.length;
        process.kill(kept.current.pid, 'SIGKILL');
        if (!(await waitUntil(() => started.length > servers, 60_000))) throw new Error('Postgres did not come back');
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
