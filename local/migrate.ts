/** Brings a database to `schema.sql`: all of it in one transaction, safe to run again. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { Client } from 'pg';

/** The role that the worker signs in as; `schema.sql` makes it, its password is set here. */
export const APP_ROLE = 'ringleader_app';

export interface MigrateOptions {
  /** The owner's direct connection. */
  ownerUrl: string;
  /** What {@link APP_ROLE} shall sign in with; left as it is when absent. */
  appPassword?: string | undefined;
  /** The SQL to apply; the project's `schema.sql` when absent. */
  schema?: string;
}

export interface MigrateReport {
  /** Named things (tables, columns, functions …) that were made, changed or dropped. */
  made: number;
  changed: number;
  dropped: number;
  passwordSet: boolean;
}

export const schemaFile = new URL('../schema.sql', import.meta.url);

/** Every named thing of ours with a digest of its definition. */
const CATALOGUE = `
  select 'function ' || p.oid::regprocedure as name, md5(pg_get_functiondef(p.oid)) as digest
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'ringleader' and p.prokind = 'f'
  union all
  select 'column ' || c.oid::regclass || '.' || a.attname,
         md5(concat(format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
   where n.nspname = 'ringleader' and c.relkind in ('r', 'v', 'p') and a.attnum > 0 and not a.attisdropped
  union all
  select 'table ' || c.oid::regclass, md5(concat(c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relacl))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'ringleader' and c.relkind in ('r', 'v', 'p')
  union all
  select 'index ' || c.oid::regclass, md5(pg_get_indexdef(c.oid))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'ringleader' and c.relkind = 'i'
  union all
  select 'constraint ' || k.conrelid::regclass || '.' || k.conname, md5(pg_get_constraintdef(k.oid))
    from pg_constraint k join pg_namespace n on n.oid = k.connamespace where n.nspname = 'ringleader'
  union all
  select 'policy ' || polrelid::regclass || '.' || polname,
         md5(concat(polcmd, polroles::text, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)))
    from pg_policy
  union all
  select 'role ' || rolname, md5(concat(rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolconfig))
    from pg_roles where rolname like 'ringleader%'`;

export type Catalogue = Map<string, string>;

/** What stands in the schema now: names with digests, comparable between two databases of one server. */
export const catalogueOf = async (client: Client): Promise<Catalogue> => {
  const { rows } = await client.query<{ name: string; digest: string }>(CATALOGUE);
  return new Map(rows.map(({ name, digest }) => [name, digest]));
};

const compare = (before: Catalogue, after: Catalogue): Omit<MigrateReport, 'passwordSet'> => ({
  made: [...after.keys()].filter((name) => !before.has(name)).length,
  changed: [...after].filter(([name, digest]) => before.has(name) && before.get(name) !== digest).length,
  dropped: [...before.keys()].filter((name) => !after.has(name)).length,
});

/** What a database that this SQL was applied to carries as the comment of its schema: it says which `schema.sql` that was. */
export const schemaMark = (sql: string): string => `schema.sql ${createHash('sha256').update(sql).digest('hex').slice(0, 16)}`;

/** Leaves the mark; SQL that makes no schema of ours leaves none. */
const leaveMark = async (client: Client, sql: string): Promise<void> => {
  const { rowCount } = await client.query("select from pg_namespace where nspname = 'ringleader'");
  if (rowCount) await client.query(`comment on schema ringleader is ${client.escapeLiteral(schemaMark(sql))}`);
};

/** True when the app role can already sign in with this password: then it is not set again. */
const signsIn = async (ownerUrl: string, appPassword: string): Promise<boolean> => {
  const url = new URL(ownerUrl);
  url.username = APP_ROLE;
  url.password = encodeURIComponent(appPassword);
  const client = new Client({ connectionString: url.href, connectionTimeoutMillis: 10_000 });
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
 * databases migrated at once can meet in a role: the later one fails with one of these, has changed nothing, and goes again.
 */
const MET_IN_A_ROLE = /tuple concurrently (updated|deleted)|pg_authid_rolname_index|role "ringleader_\w+" already exists/;
const TRIES = 5;

/**
 * Applies the schema in one transaction, then gives the app role its password. Two at once wait for each other.
 * @throws {Error} naming the line of `schema.sql` that the server refused; then nothing was changed
 */
export async function migrate(options: MigrateOptions): Promise<MigrateReport> {
  for (let left = TRIES; ; left--) {
    try {
      return await migrateOnce(options);
    } catch (error) {
      if (left === 1 || !(error instanceof Error && MET_IN_A_ROLE.test(error.message))) throw error;
    }
  }
}

async function migrateOnce({ ownerUrl, appPassword, schema }: MigrateOptions): Promise<MigrateReport> {
  const sql = schema ?? fs.readFileSync(schemaFile, 'utf8');
  const client = new Client({ connectionString: ownerUrl, connectionTimeoutMillis: 10_000 });
  let lost: Error | undefined;
  client.on('error', (error) => (lost = error)); // the query under way rejects with it too
  try {
    await client.connect();
    await client.query("begin; select pg_advisory_xact_lock(hashtext('ringleader schema'))");
    const before = await catalogueOf(client);
    await client.query(sql).catch((error: unknown) => {
      throw withLine(error, sql);
    });
    const report = compare(before, await catalogueOf(client));
    await leaveMark(client, sql);
    await client.query('commit');
    const passwordSet = appPassword !== undefined && !(await signsIn(ownerUrl, appPassword));
    if (passwordSet) await client.query(`alter role ${APP_ROLE} login password ${client.escapeLiteral(appPassword)}`);
    if (lost) throw lost;
    return { ...report, passwordSet };
  } finally {
    await client.end();
  }
}
