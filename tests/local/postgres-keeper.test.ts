import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import type { Postgres } from '../../local/postgres.ts';
import { keepPostgres } from '../../local/postgres-keeper.ts';
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

test('a Postgres that was killed comes back at the same address with what was committed, and stays away once it is stopped', async () => {
  const started: Postgres[] = [];
  const given: string[] = [];
  const kept = await keepPostgres({
    dataDir: path.join(base, 'data'),
    started: (postgres) => void started.push(postgres),
    gaveUp: (reason) => void given.push(reason),
  });
  const first = kept.current;
  await ask(first.url, 'create table kept as select 7 as n');
  process.kill(first.pid, 'SIGKILL');
  expect(await waitUntil(() => started.length === 2, 60_000)).toBe(true);
  expect(kept.current).toMatchObject({ url: first.url, port: first.port });
  expect(kept.current.pid).not.toBe(first.pid);
  expect(await ask(first.url, 'select n from kept')).toEqual([{ n: 7 }]);
  await kept.stop();
  expect(isAlive(kept.current.pid)).toBe(false);
  expect(started).toHaveLength(2);
  expect(given).toEqual([]);
});
