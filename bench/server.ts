/** A durable Postgres on disk for one run of the benchmarks, and a database of its own for each round. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client, Pool } from 'pg';
import { APP_ROLE, migrate } from '../local/migrate.ts';
import { startPostgres } from '../local/postgres.ts';

/**
 * Every commit is flushed, autovacuum is on. Sized so that a checkpoint does not fall into one round and not the other; ours and
 * the peers' are served alike.
 */
export const SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '512MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '30min',
};

export interface BenchDatabase {
  /** Superuser: for peers, preparation and checks. */
  url: string;
  /** As the worker signs in: what we measure of ours goes through it. */
  appUrl: string;
  pool: Pool;
  drop(): Promise<void>;
}
export interface Server {
  /** A new database, with our schema in it. */
  database(): Promise<BenchDatabase>;
  version: string;
  /** The postmaster's process id. */
  pid: number;
  /** Its unix socket, for the Neon stand-in. */
  socketPath: string;
  stop(): Promise<void>;
}

/** Starts the server in a new temporary directory, which {@link Server.stop} removes. `settings` go on top of {@link SETTINGS}. */
export const startServer = async (settings: Readonly<Record<string, string>> = {}): Promise<Server> => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ringleader-bench-'));
  fs.chmodSync(directory, 0o755);
  const postgres = await startPostgres({ dataDir: path.join(directory, 'data'), settings: { ...SETTINGS, ...settings } });
  const admin = async (statement: string): Promise<string> => {
    const client = new Client({ connectionString: postgres.url });
    await client.connect();
    try {
      const { rows } = await client.query<{ server_version?: string }>(statement);
      return rows[0]?.server_version ?? '';
    } finally {
      await client.end();
    }
  };
  const appPassword = randomUUID();
  return {
    version: await admin('show server_version'),
    pid: postgres.pid,
    socketPath: postgres.socketPath,
    async database() {
      const name = `bench_${randomUUID().replaceAll('-', '')}`;
      await admin(`create database ${name}`);
      const url = new URL(postgres.url);
      url.pathname = name;
      await migrate({ ownerUrl: url.href, appPassword });
      const app = new URL(url);
      app.username = APP_ROLE;
      app.password = appPassword;
      const pool = new Pool({ connectionString: url.href, max: 4 });
      pool.on('error', () => undefined); // a query under way rejects all the same
      const drop = async (): Promise<void> => {
        await pool.end();
        await admin(`drop database ${name} with (force)`);
      };
      return { url: url.href, appUrl: app.href, pool, drop };
    },
    async stop() {
      await postgres.stop();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
};
