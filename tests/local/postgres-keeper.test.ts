import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { type Postgres, startPostgres } from '../../local/postgres.ts';
import { type KeptPostgres, keepPostgres } from '../../local/postgres-keeper.ts';
import { isAlive, waitUntil } from '../../local/process-table.ts';
import { testDirectory } from '../support/directory.ts';

const base = testDirectory('kept postgres');
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

const ask = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

/** A kept Postgres with a row in it; it ends with the test. */
const keep = async (name: string): Promise<{ kept: KeptPostgres; started: Postgres[]; said: string[] }> => {
  const started: Postgres[] = [];
  const said: string[] = [];
  const kept = await keepPostgres({
    dataDir: path.join(base, name),
    started: (postgres) => void started.push(postgres),
    say: (line) => void said.push(line),
  });
  onTestFinished(() => kept.stop());
  await ask(kept.current.url, 'create table kept as select 7 as n');
  return { kept, started, said };
};

/** A session that does not notice anything any more: not even that its server is gone. */
const frozenSession = async (url: string): Promise<number> => {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined); // it is going to be killed
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const [{ pid }] = rows as [{ pid: number }];
  process.kill(pid, 'SIGSTOP');
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    return client.end();
  });
  return pid;
};

test('a Postgres that was killed comes back at the same address with what was committed, and stays away once it is stopped', async () => {
  const { kept, started, said } = await keep('killed');
  const first = kept.current;
  process.kill(first.pid, 'SIGKILL');
  expect(await waitUntil(() => started.length === 2, 60_000)).toBe(true);
  expect(kept.current).toMatchObject({ url: first.url, port: first.port });
  expect(kept.current.pid).not.toBe(first.pid);
  expect(await ask(first.url, 'select n from kept')).toEqual([{ n: 7 }]);
  await kept.stop();
  expect(isAlive(kept.current.pid)).toBe(false);
  expect(started).toHaveLength(2);
  expect(said).toEqual([]);
});

test('what outlives its killed postmaster is ended, and nothing else that works in the directory or is a Postgres', async () => {
  const { kept, started } = await keep('orphaned');
  const { dataDir, pid, url } = kept.current;
  const other = await startPostgres({ dataDir: path.join(base, 'another'), fast: true });
  onTestFinished(() => other.stop());
  const sleeper = (argv0: string) => {
    const child = spawn('sleep', ['600'], { argv0, cwd: dataDir, stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };
  const bystander = sleeper('sleep');
  // As a session is called in the moment in which it is forked: by the name of its postmaster.
  const newborn = sleeper('/usr/bin/postgres');
  const orphan = await frozenSession(url);
  process.kill(pid, 'SIGKILL');
  expect(await waitUntil(() => started.length === 2, 60_000)).toBe(true);
  expect(isAlive(orphan)).toBe(false);
  expect(isAlive(newborn.pid ?? 0)).toBe(false);
  expect(await ask(url, 'select n from kept')).toEqual([{ n: 7 }]);
  expect(await ask(other.url, 'select 1 as n')).toEqual([{ n: 1 }]);
  expect(bystander.exitCode ?? bystander.signalCode).toBe(null);
});

test('what keeps it from coming back is said, and when it is gone Postgres comes back', async () => {
  const { kept, started, said } = await keep('hindered');
  const { dataDir, pid, url } = kept.current;
  const settings = path.join(dataDir, 'postgresql.auto.conf');
  const before = fs.readFileSync(settings);
  fs.appendFileSync(settings, "shared_buffers = 'none'\n");
  process.kill(pid, 'SIGKILL');
  expect(await waitUntil(() => said.length > 0, 60_000)).toBe(true);
  expect(started).toHaveLength(1);
  fs.writeFileSync(settings, before);
  expect(await waitUntil(() => started.length === 2, 60_000)).toBe(true);
  expect(said).toEqual([
    expect.stringMatching(/^Postgres does not come back, and is tried again: configuration file .* contains errors$/),
  ]);
  expect(await ask(url, 'select n from kept')).toEqual([{ n: 7 }]);
});
