/** The real worker in workerd, on a database of the calling test file, behind a Neon stand-in and before a Sentry sink of its own. */
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll } from 'vitest';
import { createClock } from '../../local/clock.ts';
import { startNeonProxy, type NeonProxy } from '../../local/neon-proxy.ts';
import { freePort } from '../../local/postgres.ts';
import { allProcesses } from '../../local/process-table.ts';
import { startSentrySink, type SinkEvent } from '../../local/sentry-sink.ts';
import { Unwind } from '../../local/unwind.ts';
import { startWorker } from '../../local/worker-process.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testDirectory } from '../support/directory.ts';
import { until } from './rig.ts';

export interface WorkerRig {
  database: TestDatabase;
  proxy: NeonProxy;
  url: string;
  adminKey: string;
  /** An account's. */
  apiKey: string;
  send(
    method: string,
    path: string,
    options?: { key?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<Response>;
  events(): Promise<SinkEvent[]>;
  envelopes(): Promise<string[]>;
  forgetEvents(): Promise<void>;
  /** Everything that the worker and workerd printed. */
  output(): string;
  /** Lines that tell of an error nobody caught. */
  uncaught(): string[];
  /** Sessions of the worker's role at the server. */
  backends(): Promise<number>;
  /** Ends every session of the worker's role, as Neon does. */
  terminate(): Promise<void>;
  /** SIGKILLs every workerd, and waits until another answers. */
  kill(): Promise<void>;
}

/** One per test file: `const rig = await startWorkerRig()` at its top. */
export const startWorkerRig = async (variables: Readonly<Record<string, string>> = {}): Promise<WorkerRig> => {
  const database = await testDatabase();
  const directory = testDirectory('worker');
  const unwind = new Unwind();
  afterAll(async () => {
    await unwind.run();
    fs.rmSync(directory, { recursive: true, force: true });
  });
  const proxy = await startNeonProxy({ postgres: { socketPath: database.socketPath } });
  await unwind.add(() => proxy.stop());
  const sentry = await startSentrySink({});
  await unwind.add(() => sentry.stop());
  const adminKey = randomUUID();
  const port = await freePort();
  let output = '';
  let group = 0;
  const now = Date.now();
  const url = await startWorker({
    port,
    variables: {
      DATABASE_URL: database.appUrl,
      ADMIN_KEY: adminKey,
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      SECRETS_KEY: randomBytes(32).toString('base64'),
      POSTMARK_SERVER_TOKEN: randomUUID(),
      MAIL_FROM: 'campaigns@ringleader.example',
      SENTRY_DSN: sentry.dsn,
      POSTMARK_BASE_URL: 'http://127.0.0.1:9',
      BOLNA_BASE_URL: 'http://127.0.0.1:9',
      ...variables,
      LOCAL_CLOCK: JSON.stringify(createClock({ speed: 1, virtualStart: now, realStart: now }).setting),
      NEON_WS_PROXY: proxy.wsProxy,
    },
    stateDir: path.join(directory, 'wrangler'),
    variablesFile: path.join(directory, 'worker.env'),
    log: (text) => void (output += text),
    started: (pid) => void (group = pid),
    gaveUp: (reason) => void (output += `gave up: ${reason}\n`),
    unwind,
  });
  const send: WorkerRig['send'] = (method, path, { key = '', body, headers = {} } = {}) =>
    fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const read = async <T>(path: string): Promise<T> => (await fetch(sentry.url + path)).json() as Promise<T>;
  const role = new URL(database.appUrl).username;
  const bootId = async (): Promise<string | null> => {
    const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
    return answer?.headers.get('x-boot-id') ?? null;
  };
  const made = await send('POST', '/v1/accounts', { key: adminKey, body: { name: 'Acme', email: 'owner@example.com' } });
  const { api_key } = (await made.json()) as { api_key: string };

  return {
    database,
    proxy,
    url,
    adminKey,
    apiKey: api_key,
    send,
    events: () => read('/events'),
    envelopes: () => read('/envelopes'),
    forgetEvents: async () => void (await fetch(`${sentry.url}/events`, { method: 'DELETE' })),
    output: () => output,
    uncaught: () => output.split('\n').filter((line) => /uncaught|unhandled|promise will never/i.test(line)),
    backends: async () => {
      const found = await database.pool.query<{ n: number }>(
        'select count(*)::int n from pg_stat_activity where usename = $1 and datname = $2',
        [role, database.name],
      );
      return found.rows[0].n;
    },
    terminate: async () => {
      await database.pool.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and datname = $2', [
        role,
        database.name,
      ]);
    },
    kill: async () => {
      const before = await bootId();
      const family = new Set([group]);
      const all = allProcesses();
      for (const parent of family) for (const one of all) if (one.parent === parent) family.add(one.pid);
      const workerds = all.filter(
        ({ pid }) => family.has(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('workerd'),
      );
      for (const { pid } of workerds) process.kill(pid, 'SIGKILL');
      await until('another worker answers', async () => {
        const now = await bootId();
        return now !== null && now !== before;
      });
    },
  };
};
