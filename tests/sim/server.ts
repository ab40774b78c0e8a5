/** A Postgres for simulations outside of vitest, with the schema in a template. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { APP_ROLE, migrate, schemaFile } from '../../local/migrate.ts';
import { startPostgres } from '../../local/postgres.ts';
import { sweep, testDirectory } from '../support/directory.ts';
import { openSimDatabase, type SimDatabase } from './database.ts';

/** Where simulations may make databases: the superuser's URL, and the app role's password. */
export interface Server {
  url: string;
  /** Directory of its unix socket. */
  socketDir: string;
  appPassword: string;
}

const run = async (url: string, ...statements: string[]): Promise<void> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
};

/** Starts a server of our own; `stop` removes it with all its data. */
export const startServer = async (): Promise<Server & { stop(): Promise<void> }> => {
  sweep();
  const directory = testDirectory('sim');
  const postgres = await startPostgres({ dataDir: path.join(directory, 'data'), fast: true });
  return {
    url: postgres.url,
    socketDir: postgres.socketDir,
    appPassword: randomUUID(),
    async stop() {
      await postgres.stop();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
};

/** A database of its own for one process of simulations. `schema` replaces the project's. */
export const createSimDatabase = async (server: Server, schema = fs.readFileSync(schemaFile, 'utf8')): Promise<SimDatabase> => {
  const name = `sim_${randomUUID().replaceAll('-', '')}`;
  await run(server.url, `create database ${name}`);
  const url = new URL(server.url);
  url.pathname = name;
  await migrate({ ownerUrl: url.href, appPassword: server.appPassword, schema });
  const port = Number(url.port);
  const database = await openSimDatabase(url.href, {
    host: server.socketDir,
    port,
    database: name,
    user: APP_ROLE,
    password: server.appPassword,
  });
  return {
    ...database,
    async close() {
      await database.close();
      await run(server.url, `drop database ${name} with (force)`);
    },
  };
};
