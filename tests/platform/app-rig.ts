/** The whole application on a database of the calling test file, behind a Neon stand-in and before a Sentry sink of its own. */
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { afterAll } from 'vitest';
import { startNeonProxy, type NeonProxy } from '../../local/neon-proxy.ts';
import { freePort } from '../../local/postgres.ts';
import { startSentrySink, type SinkEvent } from '../../local/sentry-sink.ts';
import { Unwind } from '../../local/unwind.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testDirectory } from '../support/directory.ts';

export interface AppRig {
  database: TestDatabase;
  proxy: NeonProxy;
  url: string;
  adminKey: string;
  secretsKey: string;
  /** An account's. */
  apiKey: string;
  send(
    method: string,
    path: string,
    options?: { key?: string; body?: unknown; raw?: BodyInit; headers?: Record<string, string> },
  ): Promise<Response>;
  /** How many reports there are. */
  reported(): number;
  events(): Promise<SinkEvent[]>;
  envelopes(): Promise<string[]>;
  forgetEvents(): Promise<void>;
  /** Everything that the worker and its runtime printed. */
  output(): string;
  /** What tells of an error nobody caught, or of a promise nobody awaited. */
  uncaught(): string[];
  /** Sessions of the worker's role at the server. */
  backends(): Promise<number>;
  /** Ends every session of the worker's role, as Neon does. */
  terminate(): Promise<void>;
}

/** The application where it runs. */
export interface Running {
  url: string;
  output(): string;
  uncaught(): string[];
}
export interface Place {
  port: number;
  /** What the worker's environment holds. */
  variables: Readonly<Record<string, string>>;
  /** For what the runtime writes. */
  directory: string;
  unwind: Unwind;
}

/** Starts the application in the runtime that `run` is, with an account. One per test file. */
export const startAppRig = async <R extends Running>(
  run: (place: Place, proxy: NeonProxy) => Promise<R>,
  variables: Readonly<Record<string, string>>,
): Promise<AppRig & R> => {
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
  const port = await freePort();
  const environment = {
    DATABASE_URL: database.appUrl,
    ADMIN_KEY: randomUUID(),
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    SECRETS_KEY: randomBytes(32).toString('base64'),
    POSTMARK_SERVER_TOKEN: randomUUID(),
    MAIL_FROM: 'campaigns@ringleader.example',
    SENTRY_DSN: sentry.dsn,
    POSTMARK_BASE_URL: 'http://127.0.0.1:9',
    BOLNA_BASE_URL: 'http://127.0.0.1:9',
    ...variables,
  };
  const running = await run({ port, variables: environment, directory, unwind }, proxy);
  const send: AppRig['send'] = (method, path, { key = '', body, raw, headers = {} } = {}) =>
    fetch(running.url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(raw === undefined ? {} : { body: raw }),
    });
  const read = async <T>(path: string): Promise<T> => (await fetch(sentry.url + path)).json() as Promise<T>;
  const role = new URL(database.appUrl).username;
  const made = await send('POST', '/v1/accounts', {
    key: environment.ADMIN_KEY,
    body: { name: 'Acme', email: 'owner@example.com' },
  });
  const { api_key } = (await made.json()) as { api_key: string };

  return {
    ...running,
    database,
    proxy,
    adminKey: environment.ADMIN_KEY,
    secretsKey: environment.SECRETS_KEY,
    apiKey: api_key,
    send,
    reported: () => sentry.count(),
    events: () => read('/events'),
    envelopes: () => read('/envelopes'),
    forgetEvents: async () => void (await fetch(`${sentry.url}/events`, { method: 'DELETE' })),
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
  };
};
