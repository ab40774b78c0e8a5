/** Asks the database who we are there, and which schema it has. */
import fs from 'node:fs';
import type { Client } from 'pg';
import { APP_ROLE, clientOf, schemaFile, schemaMark } from '../../local/migrate.ts';
import { fail, type Line, ok, warn } from './line.ts';

const OLDEST = 150_000;
const MIGRATE = 'npm run migrate';

/** What a failed connection means, by SQLSTATE or by the system's word. */
const REFUSALS: Readonly<Record<string, readonly [says: string, remedy: string]>> = {
  '28P01': [
    'the password is not accepted',
    `${MIGRATE} gives ${APP_ROLE} the password of DATABASE_URL; the owner's stands in the Neon console`,
  ],
  '28000': ['the role may not sign in', `${MIGRATE} makes ${APP_ROLE} and lets it sign in`],
  '3D000': ['there is no such database', 'look at the name after the last slash: the Neon console lists the databases'],
  '53300': ['too many connections', 'use the pooled host (-pooler), and end what else holds connections'],
  ENOTFOUND: ['there is no such host', 'copy the host from the Neon console, Connect'],
  ECONNREFUSED: ['nobody answers at that host and port', 'look at host and port; Neon listens on 5432'],
  ETIMEDOUT: ['no answer in time', 'look at host and port, and whether this network lets 5432 out'],
};

export const connect = async (connectionString: string): Promise<Client> => {
  const client = clientOf(connectionString, { connectionTimeoutMillis: 15_000, query_timeout: 15_000 });
  client.on('error', () => undefined); // the query under way rejects with it too
  try {
    await client.connect();
  } catch (error) {
    await client.end();
    throw error;
  }
  return client;
};

/** The line about a connection or query that failed; never the server's whole text, which may repeat what it was sent. */
export const refused = (about: string, error: unknown): Line => {
  const { code, message } = error as { code?: string; message?: string };
  const known = REFUSALS[code ?? ''] ?? (/timeout/i.test(message ?? '') ? REFUSALS['ETIMEDOUT'] : undefined);
  if (known) return fail(about, known[0], known[1]);
  return fail(
    about,
    `could not be asked (${code ?? message ?? 'unknown error'})`,
    'look at host, port, user and sslmode in the URL',
  );
};

interface Self {
  version: number;
  shown: string;
  role: string;
  superuser: boolean;
  bypasses: boolean;
  owns: boolean;
  mark: string | null;
  made: boolean;
  statement_timeout: string;
}
const SELF = `select current_setting('server_version_num')::int as version, current_setting('server_version') as shown, session_user as role,
    r.rolsuper as superuser, r.rolbypassrls as bypasses, to_regclass('ringleader.accounts') is not null as made,
    exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'ringleader' and c.relowner = r.oid) as owns,
    (select obj_description(n.oid, 'pg_namespace') from pg_namespace n where n.nspname = 'ringleader') as mark,
    current_setting('statement_timeout') as statement_timeout
  from pg_roles r where r.rolname = session_user`;

const roleLine = ({ role, superuser, bypasses, owns }: Self): Line => {
  const about = 'database role';
  const remedy = `sign in as ${APP_ROLE}, made by ${MIGRATE}: roles made in the Neon console bypass row-level security, and the worker refuses them`;
  if (superuser) return fail(about, `${role} is a superuser`, remedy);
  if (bypasses) return fail(about, `${role} bypasses row-level security`, remedy);
  if (owns) return fail(about, `${role} owns the tables`, remedy);
  return role === APP_ROLE ? ok(about, `${role}, without rights of its own`) : fail(about, `${role} is not ${APP_ROLE}`, remedy);
};

const schemaLine = ({ made, mark }: Self): Line => {
  const wanted = schemaMark(fs.readFileSync(schemaFile, 'utf8'));
  if (!made) return fail('database schema', 'is not there', MIGRATE);
  if (mark === wanted) return ok('database schema', `is that of this checkout (${wanted})`);
  return fail(
    'database schema',
    `is not that of this checkout (${mark ?? 'unmarked'}, not ${wanted})`,
    `${MIGRATE}, from the checkout that is deployed`,
  );
};

/** Everything about the database as the worker sees it. */
export const checkDatabase = async (url: string): Promise<Line[]> => {
  let client: Client;
  try {
    client = await connect(url);
  } catch (error) {
    return [refused('database', error)];
  }
  try {
    const { rows } = await client.query<Self>(SELF);
    const self = rows[0];
    if (!self) return [fail('database', 'knows no such role', MIGRATE)];
    return [
      self.version >= OLDEST
        ? ok('database', `answers, Postgres ${self.shown}`)
        : fail('database', `is Postgres ${self.shown}`, 'take a Neon project with Postgres 15 or later (17 is tested)'),
      roleLine(self),
      schemaLine(self),
      ...(self.made && self.statement_timeout === '0'
        ? [warn('database time-outs', 'a statement may run for ever', `${MIGRATE} sets 8 s for ${APP_ROLE}`)]
        : []),
    ];
  } catch (error) {
    return [refused('database', error)];
  } finally {
    await client.end();
  }
};

/** Whether the owner's connection can migrate. */
export const checkOwner = async (url: string): Promise<Line[]> => {
  const about = 'database owner';
  let client: Client;
  try {
    client = await connect(url);
  } catch (error) {
    return [refused(about, error)];
  }
  try {
    const { rows } = await client.query<{ role: string; may: boolean; owns: boolean }>(
      `select session_user as role, r.rolsuper or r.rolcreaterole as may,
         r.rolsuper or (select pg_has_role(d.datdba, 'member') from pg_database d where d.datname = current_database()) as owns
       from pg_roles r where r.rolname = session_user`,
    );
    const [self] = rows;
    if (!self) return [fail(about, 'knows no such role', 'take the role that the Neon console shows as owner')];
    const { role, may, owns } = self;
    if (!owns) return [fail(about, `${role} does not own the database`, 'take the role that the Neon console shows as owner')];
    if (!may) return [fail(about, `${role} may not create roles`, 'take the role that Neon made with the project')];
    return [ok(about, `${role} owns the database and may create roles`)];
  } catch (error) {
    return [refused(about, error)];
  } finally {
    await client.end();
  }
};
