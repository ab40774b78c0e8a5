/** Brings a database to `schema.sql`: all of it in one transaction, safe to run again. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { Client, type ClientConfig } from 'pg';
import { catalogueOf, type Difference, differenceOf } from './catalogue.ts';

/** The role that the worker signs in as; `schema.sql` makes it, its password is set here. */
export const APP_ROLE = 'ringleader_app';

export interface MigrateOptions {
  /** The owner's direct connection. */
  ownerUrl: string;
  /** What {@link APP_ROLE} shall sign in with; left as it is when absent. */
  appPassword?: string | undefined;
  /** The SQL to apply; the project's `schema.sql` when absent. */
  schema?: string;
  /** Milliseconds to wait for a table that somebody works on; 3000 when absent. */
  lockMs?: number;
}

/** By name, e.g. `column ringleader.leads.phone`: what was made, changed or dropped. */
export interface MigrateReport extends Difference {
  passwordSet: boolean;
}

export const schemaFile = new URL('../schema.sql', import.meta.url);

/** What a database that this SQL was applied to carries as the comment of its schema: it says which `schema.sql` that was. */
export const schemaMark = (sql: string): string => `schema.sql ${createHash('sha256').update(sql).digest('hex').slice(0, 16)}`;

/** Leaves the mark; SQL that makes no schema of ours leaves none. */
const leaveMark = async (client: Client, sql: string): Promise<void> => {
  const { rowCount } = await client.query("select from pg_namespace where nspname = 'ringleader'");
  if (rowCount) await client.query(`comment on schema ringleader is ${client.escapeLiteral(schemaMark(sql))}`);
};

/**
 * A client for such a URL. What Neon's strings say as `sslmode=require` the driver already does as `verify-full`, and says so at length:
 * so it is told that.
 */
export const clientOf = (connectionString: string, more: ClientConfig = {}): Client =>
  new Client({ ...more, connectionString: connectionString.replace('sslmode=require', 'sslmode=verify-full') });

/** True when the app role can already sign in with this password: then it is not set again. */
const signsIn = async (ownerUrl: string, appPassword: string): Promise<boolean> => {
  const url = new URL(ownerUrl);
  url.username = APP_ROLE;
  url.password = encodeURIComponent(appPassword);
  const client = clientOf(url.href, { connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    return true;
  } catch {
    return false; // no such role yet, no login, another password: all mended by setting it
  } finally {
    await client.end();
  }
};

/** An error of the server with the line of the schema that it is about. */
const withLine = (error: unknown, schema: string): Error => {
  const { message, position } = error as { message: string; position?: string };
  if (position === undefined) return new Error(`schema.sql: ${message}`, { cause: error });
  return new Error(`schema.sql line ${schema.slice(0, Number(position)).split('\n').length}: ${message}`, { cause: error });
};

/**
 * Roles belong to the whole server, and the lock that migrations of one database wait for does not reach another database. So two
 * databases migrated at once can meet in a role: the later one fails with one of these.
 */
const MET_IN_A_ROLE = /tuple concurrently (updated|deleted)|pg_authid_rolname_index|role "ringleader_\w+" already exists/;
/** A lock did not come in time, or waited for one that waited for us. */
const MET_IN_A_LOCK = ['55P03', '40P01'];
const goesAgain = (error: unknown): boolean => {
  const { message, code } = ((error as Error).cause ?? error) as { message: string; code?: string };
  return MET_IN_A_ROLE.test(message) || MET_IN_A_LOCK.includes(code ?? '');
};
const TRIES = 10;
const PAUSE_MS = 1000;

/**
 * Applies the schema in one transaction, then gives the app role its password. Two at once wait for each other. A running system goes on:
 * whoever waits for a table waits behind us for {@link MigrateOptions.lockMs} at most, and then we let go and try again.
 * @throws {Error} naming the line of `schema.sql` that the server refused, or what the connection met (with its `code`); then nothing was changed
 */
export async function migrate(options: MigrateOptions): Promise<MigrateReport> {
  for (let left = TRIES; ; left--) {
    try {
      return await migrateOnce(options);
    } catch (error) {
      if (left === 1 || !goesAgain(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

async function migrateOnce({ ownerUrl, appPassword, schema, lockMs = 3000 }: MigrateOptions): Promise<MigrateReport> {
  const sql = schema ?? fs.readFileSync(schemaFile, 'utf8');
  const client = clientOf(ownerUrl, { connectionTimeoutMillis: 10_000 });
  let lost: Error | undefined;
  client.on('error', (error) => (lost = error)); // the query under way rejects with it too
  try {
    await client.connect();
    await client.query("begin; select pg_advisory_xact_lock(hashtext('ringleader schema'))");
    await client.query(`set local lock_timeout = ${lockMs}`);
    const before = await catalogueOf(client);
    await client.query(sql).catch((error: unknown) => {
      throw withLine(error, sql);
    });
    const difference = differenceOf(before, await catalogueOf(client));
    await leaveMark(client, sql);
    await client.query('commit');
    const passwordSet = appPassword !== undefined && !(await signsIn(ownerUrl, appPassword));
    if (passwordSet) await client.query(`alter role ${APP_ROLE} login password ${client.escapeLiteral(appPassword)}`);
    if (lost) throw lost;
    return { ...difference, passwordSet };
  } finally {
    await client.end();
  }
}
