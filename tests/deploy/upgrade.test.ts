/** One `schema.sql` for every database: an empty one, its own, an earlier release's full of rows; and for every kind of owner. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Catalogue, catalogueOf, migrate, schemaFile } from '../../local/migrate.ts';
import { type Postgres, startPostgres } from '../../local/postgres.ts';
import { testDirectory } from '../support/directory.ts';

const TODAY = fs.readFileSync(schemaFile, 'utf8');
const LEADS = 100_000;

/** Schemas of earlier releases, kept from the first one on; none before it. */
const releases = ((): { name: string; sql: string }[] => {
  const folder = path.join(import.meta.dirname, 'fixtures');
  if (!fs.existsSync(folder)) return [];
  const files = fs.readdirSync(folder).filter((file) => file.endsWith('.sql'));
  return files.map((name) => ({ name, sql: fs.readFileSync(path.join(folder, name), 'utf8') }));
})();

const once = (text: string, from: string, to: string): string => {
  expect(text.split(from)).toHaveLength(2);
  return text.replace(from, () => to);
};

/** The release after today's, changed as `schema.sql` says a release changes it: a column, its check and its index. */
const tomorrow = (): string => {
  const column = "language text not null default 'en'";
  const rule = 'constraint leads_language check (length(language) = 2)';
  const added = [
    `alter table ringleader.leads add column if not exists ${column};`,
    `alter table ringleader.leads drop constraint if exists leads_language, add ${rule};`,
    'create index if not exists leads_language on ringleader.leads (campaign_id, language);',
  ].join('\n');
  const above = once(TODAY, '  import_row int,\n', `  import_row int,\n  ${column},\n`);
  const heading = '-- Hot tables are vacuumed early';
  return once(above, heading, `${added}\n\n${heading}`);
};

const admin = new Client({ connectionString: inject('postgresUrl') });
const made: string[] = [];
const emptyDatabase = async (): Promise<string> => {
  const name = `upgrade_${randomUUID().replaceAll('-', '')}`;
  await admin.query(`create database ${name}`);
  made.push(name);
  const url = new URL(inject('postgresUrl'));
  url.pathname = name;
  return url.href;
};

const connected = async <T>(url: string, work: (client: Client) => Promise<T>): Promise<T> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
};
const catalogue = (url: string): Promise<Catalogue> => connected(url, catalogueOf);
const sorted = (found: Catalogue): string[] => [...found].map(([name, digest]) => `${name} ${digest}`).sort();

/** Rows in the tables that grow, `LEADS` of them leads. */
const fill = (url: string): Promise<void> =>
  connected(url, async (client) => {
    await client.query(`
      insert into ringleader.accounts (id, name, email, timezone, max_concurrent_calls, created_at)
        select md5('account' || n)::uuid, 'Account ' || n, 'a@example.com', 'UTC', 10, '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.agents (id, account_id, name, provider, provider_agent_id, credentials_sealed, created_at)
        select md5('agent' || n)::uuid, md5('account' || n)::uuid, 'Ann', 'bolna', 'x', 'v1.sealed', '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.campaigns (id, account_id, agent_id, name, window_days, window_start, window_end, created_at)
        select md5('campaign' || n)::uuid, md5('account' || n)::uuid, md5('agent' || n)::uuid, 'Spring', '{1,2}', '09:00', '18:00', '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.leads (id, account_id, campaign_id, phone, name, variables, status, created_at)
        select md5('lead' || n)::uuid, md5('account' || n % 10 + 1)::uuid, md5('campaign' || n % 10 + 1)::uuid, '+1415' || 1000000 + n, 'Lead ' || n,
          jsonb_build_object('n', n), 'waiting', '2026-01-01' from generate_series(1, ${LEADS}) n;
      insert into ringleader.calls (id, account_id, kind, campaign_id, lead_id, agent_id, phone, status, attempt, provider, created_at, ended_at)
        select md5('call' || n)::uuid, md5('account' || n % 10 + 1)::uuid, 'campaign', md5('campaign' || n % 10 + 1)::uuid, md5('lead' || n)::uuid,
          md5('agent' || n % 10 + 1)::uuid, '+1415' || 1000000 + n, 'completed', 1, 'bolna', '2026-01-01', '2026-01-01' from generate_series(1, 5000) n;`);
  });

/** The columns of a table as they are now: those of a later release are not looked at. */
const columnsOf = (client: Client, table: string): Promise<string[]> =>
  client
    .query<{ name: string }>(
      'select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attname',
      [`ringleader.${table}`],
    )
    .then(({ rows }) => rows.map(({ name }) => name));

const TABLES = ['accounts', 'agents', 'campaigns', 'leads', 'calls'];
interface Held {
  table: string;
  columns: string[];
  rows: number;
  digest: string;
}
/** Every row of every filled table in one digest each, over the columns given. */
const contents = (url: string, over?: readonly Held[]): Promise<Held[]> =>
  connected(url, async (client) => {
    const held: Held[] = [];
    for (const table of TABLES) {
      const columns = over?.find((known) => known.table === table)?.columns ?? (await columnsOf(client, table));
      const list = columns.map((column) => `x."${column}"`).join(', ');
      const { rows } = await client.query<{ n: number; digest: string }>(
        `select count(*)::int as n, md5(string_agg(md5(row(${list})::text), '' order by x.id)) as digest from ringleader.${table} x`,
      );
      held.push({ table, columns, rows: rows[0].n, digest: rows[0].digest });
    }
    return held;
  });

/** `later` over a database of `earlier` with rows: the catalogue of an empty one that `later` was applied to, and the same rows. */
const upgrades = async (earlier: string, later: string): Promise<void> => {
  const [fresh, old] = [await emptyDatabase(), await emptyDatabase()];
  await migrate({ ownerUrl: fresh, schema: later });
  await migrate({ ownerUrl: old, schema: earlier });
  await fill(old);
  const before = await contents(old);
  expect(before.map(({ rows }) => rows)).toEqual([10, 10, 10, LEADS, 5000]);
  await migrate({ ownerUrl: old, schema: later });
  expect(sorted(await catalogue(old))).toEqual(sorted(await catalogue(fresh)));
  expect(await contents(old, before)).toEqual(before);
  expect(await migrate({ ownerUrl: old, schema: later })).toMatchObject({ made: 0, changed: 0, dropped: 0 });
};

beforeAll(() => admin.connect());
afterAll(async () => {
  for (const name of made) await admin.query(`drop database ${name} with (force)`);
  await admin.end();
});

describe('schema.sql', () => {
  test('applied to an empty database and to itself gives the same catalogue', async () => {
    const url = await emptyDatabase();
    await migrate({ ownerUrl: url });
    const first = await catalogue(url);
    expect(first.size).toBeGreaterThan(300);
    await migrate({ ownerUrl: url });
    expect(sorted(await catalogue(url))).toEqual(sorted(first));
  });

  test(
    'applied over itself with 100,000 leads in it changes no row and nothing of the catalogue',
    () => upgrades(TODAY, TODAY),
    60_000,
  );

  test('two databases of one server migrated at once, whose roles are the same ones: both come out whole', async () => {
    const urls = [await emptyDatabase(), await emptyDatabase(), await emptyDatabase()];
    const reports = await Promise.all(urls.map((ownerUrl) => migrate({ ownerUrl })));
    expect(reports.map(({ made }) => made > 300)).toEqual([true, true, true]);
  });

  test('a column added as it says reaches a database that has the table already, with 100,000 leads in it, without loss', async () => {
    const next = tomorrow();
    await upgrades(TODAY, next);
    // The section is what does it: without its lines the column never comes.
    const forgotten = await emptyDatabase();
    await migrate({ ownerUrl: forgotten, schema: TODAY });
    const careless = next.replace(
      /^alter table ringleader\.leads .*leads_language.*\n|^alter table .* language text.*\n|^create index .*leads_language.*\n/gm,
      '',
    );
    await migrate({ ownerUrl: forgotten, schema: careless });
    expect([...(await catalogue(forgotten)).keys()]).not.toContain('column ringleader.leads.language');
  }, 60_000);

  test('the schema of every release so far upgrades to this one without loss', async () => {
    for (const { sql } of releases) await upgrades(sql, TODAY);
    const { version } = JSON.parse(fs.readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    // The first release has none before it; each later one keeps that of the one before as fixtures/<version>.sql.
    if (version !== '0.1.0') expect(releases.length).toBeGreaterThan(0);
    else expect(releases).toEqual([]);
  }, 120_000);
});

describe('an owner as Neon gives it: no superuser, may create roles, owns the database', () => {
  const directory = testDirectory('owner');
  let server: Postgres;
  let ownerUrl: string;
  beforeAll(async () => {
    server = await startPostgres({ dataDir: path.join(directory, 'data'), fast: true });
    await connected(server.url, async (client) => {
      await client.query("create role neondb_owner login createrole createdb password 'owner'");
      await client.query('create database neondb owner neondb_owner');
    });
    ownerUrl = `postgres://neondb_owner:owner@127.0.0.1:${server.port}/neondb`;
  });
  afterAll(async () => {
    await server.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  test('can apply the schema, and again, and set the password; the app role then works within its account alone', async () => {
    expect((await migrate({ ownerUrl, appPassword: 'first' })).passwordSet).toBe(true);
    expect(await migrate({ ownerUrl, appPassword: 'first' })).toEqual({ made: 0, changed: 0, dropped: 0, passwordSet: false });
    expect(await migrate({ ownerUrl, appPassword: 'second' })).toEqual({ made: 0, changed: 0, dropped: 0, passwordSet: true });
    const appUrl = `postgres://ringleader_app:second@127.0.0.1:${server.port}/neondb`;
    await connected(appUrl, async (client) => {
      const account = randomUUID();
      const text = "select ringleader.create_account($1, '2026-01-01', 'A', 'a@example.com', 'UTC', 1, $2, 'hash')";
      await client.query(text, [account, randomUUID()]);
      expect((await client.query('select from ringleader.accounts')).rowCount).toBe(0);
      await client.query(`select set_config('ringleader.account', $1, false)`, [account]);
      expect((await client.query('select from ringleader.accounts')).rowCount).toBe(1);
      const { rows } = await client.query('show statement_timeout');
      expect(rows).toEqual([{ statement_timeout: '8s' }]);
    });
  });
});
