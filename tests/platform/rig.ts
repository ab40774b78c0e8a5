/** A real Postgres behind the faulty stand-in, and an invocation that remembers what was reported and what it was left waiting for. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeEach, expect } from 'vitest';
import type { DbInvocation, DbLimits } from '../../lib/db-session.ts';
import { useLocalEndpoint, withDb, type Db } from '../../lib/db.ts';
import type { ReportContext } from '../../lib/deps.ts';
import { DbError, type ErrorType } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { startNeonProxy, type NeonProxy } from '../../local/neon-proxy.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

export interface Reported {
  type: ErrorType;
  error: unknown;
  context: ReportContext;
}
export interface Rig {
  database: TestDatabase;
  proxy: NeonProxy;
  /** As a plain role that owns nothing but the tables of this test. */
  url: string;
  role: string;
  reports: Reported[];
  logs: Record<string, unknown>[];
  /** `withDb` on the stand-in, patient unless told otherwise. */
  run<T>(work: (db: Db) => Promise<T>, options?: { limits?: Partial<DbLimits>; url?: string; slowQueryMs?: number }): Promise<T>;
  /** Everything handed to `waitUntil` has ended, and no backend of ours is left. */
  settled(): Promise<void>;
  /** Ends every backend of ours, as Neon does. */
  terminate(): Promise<void>;
  count(table: string): Promise<number>;
}

const PATIENCE: DbLimits = { connectMs: 10_000, queryMs: 15_000, endMs: 2000, retryMs: 20_000, queueMs: 30_000 };
/** For what is never to succeed. */
export const IMPATIENCE: Partial<DbLimits> = { connectMs: 1000, queryMs: 1500, endMs: 500, retryMs: 2500 };

/** Real milliseconds: a busy machine may stand still for seconds. */
const PATIENT_MS = 30_000;

/** Waits until `condition` holds; fails when it never does. */
export const until = async (what: string, condition: () => boolean | Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + PATIENT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${PATIENT_MS} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
};

/** Waits until `backends` says 0, and keeps the longest wait of the calling file, which is printed at its end. */
export const watchBackends = (runtime: string, backends: () => Promise<number>): (() => Promise<void>) => {
  let waits = 0;
  let longest = 0;
  afterAll(() =>
    console.log(`${runtime}: no backend of ours left within ${longest.toFixed(0)} ms, the longest of ${waits} waits`),
  );
  return async () => {
    const began = performance.now();
    await until('no backend of ours is left', async () => (await backends()) === 0);
    waits += 1;
    longest = Math.max(longest, performance.now() - began);
  };
};

/** The error that `promise` ends with, which must be ours. */
export const failure = async (promise: Promise<unknown>): Promise<DbError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(DbError);
  return error as DbError;
};

/** One per test file: `const rig = await startRig()` at its top. */
export const startRig = async (): Promise<Rig> => {
  const database = await testDatabase();
  const proxy = await startNeonProxy({ postgres: { socketPath: database.socketPath } });
  useLocalEndpoint(proxy.wsProxy);
  const role = `probe_${randomUUID().slice(0, 8)}`;
  const password = `pw-${randomUUID()}`;
  await database.pool.query(`create role ${role} login password '${password}'`);
  await database.pool.query(`create schema probe authorization ${role}`);
  await database.pool.query('create table probe.rows (id text primary key, n int not null default 0)');
  await database.pool.query(`alter table probe.rows owner to ${role}`);
  const there = new URL(database.url);
  there.username = role;
  there.password = password;

  const reports: Reported[] = [];
  const logs: Record<string, unknown>[] = [];
  let left: Promise<unknown>[] = [];
  const uncaught: unknown[] = [];
  const onUncaught = (error: unknown): void => void uncaught.push(error);
  process.on('uncaughtExceptionMonitor', onUncaught);
  const log = createLog((line) => logs.push(JSON.parse(line) as Record<string, unknown>));
  const invocation = (url: string, slowQueryMs: number): DbInvocation => ({
    config: { databaseUrl: url, slowQueryMs },
    report: (type, error, context = {}) => void reports.push({ type, error, context }),
    ctx: { waitUntil: (promise) => void left.push(promise) },
  });
  const backends = async (): Promise<number> => {
    const found = await database.pool.query<{ n: number }>('select count(*)::int n from pg_stat_activity where usename = $1', [
      role,
    ]);
    return found.rows[0].n;
  };

  const noBackendLeft = watchBackends('Node', backends);

  beforeEach(() => {
    proxy.faults.clear();
    reports.length = 0;
    logs.length = 0;
    left = [];
  });
  afterAll(async () => {
    process.off('uncaughtExceptionMonitor', onUncaught);
    await proxy.stop();
    await database.pool.query(`drop schema probe cascade`);
    await database.pool.query(`drop owned by ${role}`);
    await database.pool.query(`drop role ${role}`);
  });

  return {
    database,
    proxy,
    url: there.href,
    role,
    reports,
    logs,
    run: (work, options = {}) =>
      withDb(invocation(options.url ?? there.href, options.slowQueryMs ?? 60_000), work, {
        limits: { ...PATIENCE, ...options.limits },
        log,
      }),
    settled: async () => {
      await Promise.all([...left, noBackendLeft()]);
      expect(uncaught).toEqual([]);
    },
    terminate: async () => {
      await database.pool.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role]);
    },
    count: async (table) => {
      const found = await database.pool.query<{ n: number }>(`select count(*)::int n from ${table}`);
      return found.rows[0].n;
    },
  };
};

/** A read, sent again when its answer is lost. */
export const read = (db: Pick<Db, 'query'>, text = 'select 1 as one', verb = 'read_it'): ReturnType<Db['query']> =>
  db.query(text, [], { verb, retry: 'idempotent' });
/** A plain insert, which must not be sent twice. */
export const insertOnce = (
  db: Pick<Db, 'query'>,
  id: string,
  text = 'insert into probe.rows (id) values ($1)',
): ReturnType<Db['query']> => db.query(text, [id], { verb: 'insert_once', retry: 'once' });
