/**
 * A real Postgres for the tests: one server per run (vitest's globalSetup), the schema applied once to a template, and a
 * database of its own for each test file in some 15 ms.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Client, Pool } from 'pg';
import { afterAll, inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { APP_ROLE, migrate, schemaFile } from '../../local/migrate.ts';
import { startPostgres } from '../../local/postgres.ts';
import { sweep, testDirectory } from './directory.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser, database `postgres`. */
    postgresUrl: string;
    postgresSocket: string;
    appPassword: string;
  }
}

const TEMPLATE = 'ringleader_template';

const run = async (url: string, ...statements: string[]): Promise<void> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
};

const onDatabase = (url: string, name: string): string => {
  const there = new URL(url);
  there.pathname = name;
  return there.href;
};

/** vitest's globalSetup: starts the server, prepares the template; the answer takes everything down. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  sweep();
  const directory = testDirectory('postgres');
  const postgres = await startPostgres({ dataDir: path.join(directory, 'data'), fast: true });
  const teardown = async (): Promise<void> => {
    await postgres.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  };
  try {
    const appPassword = randomUUID();
    await run(postgres.url, `create database ${TEMPLATE}`);
    if (fs.existsSync(schemaFile)) await migrate({ ownerUrl: onDatabase(postgres.url, TEMPLATE), appPassword });
    await run(postgres.url, `alter database ${TEMPLATE} is_template true allow_connections false`);
    project.provide('postgresUrl', postgres.url);
    project.provide('postgresSocket', postgres.socketPath);
    project.provide('appPassword', appPassword);
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}

export interface TestDatabase {
  name: string;
  /** Superuser. */
  url: string;
  /** As the worker signs in. */
  appUrl: string;
  /** The server's unix socket, for the Neon stand-in. */
  socketPath: string;
  /** Superuser; ends with the database. */
  pool: Pool;
  /** Ends the pool and every other session, and removes the database. */
  drop(): Promise<void>;
}

/** A new database with the schema in it. Whoever calls this drops it; most want {@link testDatabase}. */
export const createTestDatabase = async (): Promise<TestDatabase> => {
  const admin = inject('postgresUrl');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await run(admin, `create database ${name} template ${TEMPLATE} strategy file_copy`);
  const url = onDatabase(admin, name);
  const app = new URL(url);
  app.username = APP_ROLE;
  app.password = inject('appPassword');
  const pool = new Pool({ connectionString: url, max: 10 });
  pool.on('error', () => undefined); // tests terminate sessions on purpose; a query under way rejects all the same
  const drop = async (): Promise<void> => {
    await pool.end();
    await run(admin, `drop database ${name} with (force)`);
  };
  return { name, url, appUrl: app.href, socketPath: inject('postgresSocket'), pool, drop };
};

/** A database of its own for the calling test file, removed after its last test. Call it at the top: `const db = await testDatabase()`. */
export const testDatabase = async (): Promise<TestDatabase> => {
  const database = await createTestDatabase();
  afterAll(() => database.drop());
  return database;
};
