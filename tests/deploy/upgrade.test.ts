/** One `schema.sql` for every database: an empty one, its own, an earlier release's full of rows; and for every kind of owner. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { type Catalogue, catalogueOf, differenceOf } from '../../local/catalogue.ts';
import { migrate, schemaFile } from '../../local/migrate.ts';
import { type Postgres, startPostgres } from '../../local/postgres.ts';
import { testDirectory } from '../support/directory.ts';

/** Some hundred thousand rows are written and read, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000 });

const TODAY = fs.readFileSync(schemaFile, 'utf8');
const LEADS = 100_000;
const SAME = { made: [], changed: [], dropped: [] };

/** The `schema.sql` of each earlier release, as it was. */
const folder = path.join(import.meta.dirname, 'fixtures');
const releases = fs
  .readdirSync(folder)
  .filter((file) => file.endsWith('.sql'))
  .map((file) => ({ version: file.replace(/\.sql$/, ''), sql: fs.readFileSync(path.join(folder, file), 'utf8') }));
const first = releases.find(({ version }) => version === '0.1.0')?.sql ?? '';

const firstTables = [...first.matchAll(/^create table if not exists ringleader\.(\w+)/gm)].map(([, name]) => name);

const once = (text: string, from: string, to: string): string => {
  expect(text.split(from)).toHaveLength(2);
  return text.replace(from, () => to);
};

/** `sql` with a column that stands in `create table` alone, as somebody in a hurry adds it. */
const careless = (sql: string): string =>
  once(sql, '  import_row int,\n', "  import_row int,\n  language text not null default 'en',\n");

/** `sql` with that column, its check and its index, changed as `schema.sql` says a release changes it. */
const careful = (sql: string): string => {
  const added = [
    "alter table ringleader.leads add column if not exists language text not null default 'en';",
    'alter table ringleader.leads drop constraint if exists leads_language, add constraint leads_language check (length(language) = 2);',
    'create index if not exists leads_language on ringleader.leads (campaign_id, language);',
  ].join('\n');
  const heading = '-- Hot tables are vacuumed early';
  return once(careless(sql), heading, `${added}\n\n${heading}`);
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
const emptyDatabase = async (server: string): Promise<string> => {
  const name = `upgrade_${randomUUID().replaceAll('-', '')}`;
  await connected(server, (client) => client.query(`create database ${name}`));
  const url = new URL(server);
  url.pathname = name;
  return url.href;
};
const catalogue = (url: string): Promise<Catalogue> => connected(url, catalogueOf);

/** Rows in every table of 0.1.0, `leads` of them leads; each later release has added columns that are null or have a default. */
const fill = (url: string, leads: number): Promise<unknown> =>
  connected(url, (client) =>
    client.query(`
      create function pg_temp.id(kind text, n int) returns uuid language sql immutable as $$ select md5(kind || n)::uuid $$;
      insert into ringleader.accounts (id, name, email, timezone, max_concurrent_calls, created_at)
        select pg_temp.id('account', n), 'Account ' || n, 'a@example.com', 'UTC', 10, '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.api_keys (id, account_id, name, key_hash, created_at)
        select pg_temp.id('key', n), pg_temp.id('account', n), 'first', md5(n::text), '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.notification_preferences (account_id, hot_lead_emails)
        select pg_temp.id('account', n), n % 2 = 0 from generate_series(1, 10) n;
      insert into ringleader.agents (id, account_id, name, provider, provider_agent_id, credentials_sealed, created_at)
        select pg_temp.id('agent', n), pg_temp.id('account', n), 'Ann', 'bolna', 'x', 'v1.sealed', '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.campaigns (id, account_id, agent_id, name, window_days, window_start, window_end, created_at)
        select pg_temp.id('campaign', n), pg_temp.id('account', n), pg_temp.id('agent', n), 'Spring', '{1,2}', '09:00', '18:00', '2026-01-01'
          from generate_series(1, 10) n;
      insert into ringleader.campaign_zones (account_id, campaign_id, zone, opens_at, closes_at, next_due_at)
        select pg_temp.id('account', n), pg_temp.id('campaign', n), '', '2026-01-05 09:00', '2026-01-05 18:00', 'infinity' from generate_series(1, 10) n;
      insert into ringleader.imports (id, account_id, campaign_id, lease_until, created_at)
        select pg_temp.id('import', n), pg_temp.id('account', n), pg_temp.id('campaign', n), '2026-01-01', '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.import_errors (account_id, campaign_id, import_id, row, code, message, cells)
        select pg_temp.id('account', n % 10 + 1), pg_temp.id('campaign', n % 10 + 1), pg_temp.id('import', n % 10 + 1), n, 'bad', 'Bad', '["1"]'
          from generate_series(1, 1000) n;
      insert into ringleader.leads (id, account_id, campaign_id, phone, name, variables, status, next_attempt_at, created_at)
        select pg_temp.id('lead', n), pg_temp.id('account', n % 10 + 1), pg_temp.id('campaign', n % 10 + 1), '+1415' || 1000000 + n, 'Lead ' || n,
          jsonb_build_object('n', n), 'waiting', '2026-01-01', '2026-01-01' from generate_series(1, ${leads}) n;
      insert into ringleader.calls (id, account_id, kind, campaign_id, lead_id, agent_id, phone, status, attempt, provider, created_at, ended_at)
        select pg_temp.id('call', n), pg_temp.id('account', n % 10 + 1), 'campaign', pg_temp.id('campaign', n % 10 + 1), pg_temp.id('lead', n),
          pg_temp.id('agent', n % 10 + 1), '+1415' || 1000000 + n, 'completed', 1, 'bolna', '2026-01-01', '2026-01-01' from generate_series(1, 5000) n;
      insert into ringleader.call_results (call_id, account_id, transcript)
        select pg_temp.id('call', n), pg_temp.id('account', n % 10 + 1), 'Hello ' || n from generate_series(1, 5000) n;
      insert into ringleader.call_events (id, account_id, agent_id, call_id, event_key, fate, fact, received_at)
        select pg_temp.id('event', n), pg_temp.id('account', n % 10 + 1), pg_temp.id('agent', n % 10 + 1), pg_temp.id('call', n), n::text, 'applied', '{}',
          '2026-01-01' from generate_series(1, 5000) n;
      insert into ringleader.suppressions (account_id, phone, created_at)
        select pg_temp.id('account', n % 10 + 1), '+1415' || 2000000 + n, '2026-01-01' from generate_series(1, 1000) n;
      insert into ringleader.notifications (id, account_id, type, campaign_id, idempotency_key, status, recipient, created_at)
        select pg_temp.id('mail', n), pg_temp.id('account', n), 'campaign_summary', pg_temp.id('campaign', n), 'key ' || n, 'pending', 'a@example.com',
          '2026-01-01' from generate_series(1, 10) n;
      insert into ringleader.idempotency_keys (account_id, route, key, body_hash, created_at)
        select pg_temp.id('account', n), 'POST /v1/calls', 'k', 'h', '2026-01-01' from generate_series(1, 10) n;`),
  );

interface Held {
  table: string;
  columns: string;
  rows: number;
  digest: string;
}
/** Every row of every table in one digest each; over the columns of `earlier`, when that is given. */
const contents = (url: string, earlier?: readonly Held[]): Promise<Held[]> =>
  connected(url, async (client) => {
    const { rows: tables } = await client.query<{ table: string; columns: string }>(
      `select c.relname as table, string_agg(format('x.%I', a.attname), ', ' order by a.attname) as columns
         from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'ringleader'::regnamespace and c.relkind = 'r' group by 1 order by 1`,
    );
    const held: Held[] = [];
    for (const { table, columns } of earlier ?? tables) {
      const { rows } = await client.query<{ n: number; digest: string }>(
        `select count(*)::int as n, md5(string_agg(md5(row(${columns})::text), '' order by md5(row(${columns})::text))) as digest from ringleader.${table} x`,
      );
      held.push({ table, columns, rows: rows[0].n, digest: rows[0].digest });
    }
    return held;
  });

/** The server of the other tests, where nothing but today's schema ever was. */
const todays = inject('postgresUrl');
const directory = testDirectory('upgrade');
/** A server where the first release was the first to make the roles. */
let old: Postgres;
beforeAll(async () => {
  old = await startPostgres({ dataDir: path.join(directory, 'data'), fast: true });
  await migrate({ ownerUrl: await emptyDatabase(old.url), schema: first, appPassword: 'old' });
});
afterAll(async () => {
  await old.stop();
  fs.rmSync(directory, { recursive: true, force: true });
});

/** `later` in a database of its own on the server of the other tests, removed at once. */
const freshCatalogue = async (later: string): Promise<Catalogue> => {
  const url = await emptyDatabase(todays);
  try {
    await migrate({ ownerUrl: url, schema: later });
    return await catalogue(url);
  } finally {
    await connected(todays, (client) => client.query(`drop database ${new URL(url).pathname.slice(1)} with (force)`));
  }
};

/** `later` over a database of `earlier` with rows: the catalogue of an empty one that `later` was applied to, and the same rows. */
const upgrades = async (earlier: string, later: string, leads = LEADS): Promise<void> => {
  const ownerUrl = await emptyDatabase(old.url);
  await migrate({ ownerUrl, schema: earlier });
  await fill(ownerUrl, leads);
  const before = await contents(ownerUrl);
  expect(before.filter(({ rows, table }) => rows === 0 && firstTables.includes(table))).toEqual([]);
  expect(firstTables).toHaveLength(15);
  expect(before.find(({ table }) => table === 'leads')?.rows).toBe(leads);
  await migrate({ ownerUrl, schema: later });
  const fresh = await freshCatalogue(later);
  expect(fresh.size).toBeGreaterThan(300);
  expect(differenceOf(fresh, await catalogue(ownerUrl))).toEqual(SAME);
  expect(await contents(ownerUrl, before)).toEqual(before);
  expect(await migrate({ ownerUrl, schema: later })).toMatchObject(SAME);
};

describe('schema.sql', () => {
  test('applied to an empty database and to itself gives the same catalogue', async () => {
    const ownerUrl = await emptyDatabase(old.url);
    const { made } = await migrate({ ownerUrl });
    expect(made.length).toBeGreaterThan(300);
    const applied = await catalogue(ownerUrl);
    expect(await migrate({ ownerUrl })).toMatchObject(SAME);
    expect(differenceOf(applied, await catalogue(ownerUrl))).toEqual(SAME);
  });

  test('applied over itself with 100,000 leads in it changes no row and nothing of the catalogue', () => upgrades(TODAY, TODAY));

  test.each(releases)('upgrades a database of $version with 100,000 leads in it to the same catalogue, without loss', ({ sql }) =>
    upgrades(sql, TODAY),
  );

  test('the schema of every release is kept: each that the changelog dates, from the first on', () => {
    const changelog = fs.readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
    const dated = [...changelog.matchAll(/^## (\d+\.\d+\.\d+) — \d{4}-\d\d-\d\d$/gm)].map(([, version]) => version);
    expect(dated).toContain('0.1.0');
    expect(releases.map(({ version }) => version).sort()).toEqual(dated.sort());
  });

  test('a column, a check and an index added as it says reach a database that has the table already', () =>
    upgrades(TODAY, careful(TODAY), 5000));

  test('a column that stands in "create table" alone is found out: it never reaches a database that has the table', async () => {
    const ownerUrl = await emptyDatabase(old.url);
    await migrate({ ownerUrl, schema: TODAY });
    await migrate({ ownerUrl, schema: careless(TODAY) });
    expect(differenceOf(await freshCatalogue(careless(TODAY)), await catalogue(ownerUrl))).toEqual({
      ...SAME,
      dropped: ['column ringleader.leads.language'],
    });
  });

  test('three databases of one server migrated at once, whose roles are the same ones: all come out whole', async () => {
    const urls = [await emptyDatabase(old.url), await emptyDatabase(old.url), await emptyDatabase(old.url)];
    const reports = await Promise.all(urls.map((ownerUrl) => migrate({ ownerUrl })));
    expect(reports.map(({ made }) => made.length > 300)).toEqual([true, true, true]);
  });
});

describe('the comparison', () => {
  const changes: [what: string, sql: string, sees: RegExp][] = [
    ['a table', 'create table ringleader.more (id int)', /^made table ringleader\.more$/m],
    ['a column', 'alter table ringleader.leads add column more int', /^made column ringleader\.leads\.more$/m],
    ['a type', 'alter table ringleader.leads alter name type varchar(80)', /^changed column ringleader\.leads\.name$/m],
    ['a default', 'alter table ringleader.leads alter attempts set default 1', /^changed column ringleader\.leads\.attempts$/m],
    ['a not null', 'alter table ringleader.leads alter name set not null', /^changed column ringleader\.leads\.name$/m],
    ['an identity', 'alter table ringleader.leads alter seq drop identity', /^changed column ringleader\.leads\.seq$/m],
    [
      'a check',
      'alter table ringleader.leads add constraint more check (attempts >= 0)',
      /^made constraint ringleader\.leads\.more$/m,
    ],
    [
      'a constraint that is gone',
      'alter table ringleader.leads drop constraint leads_queue',
      /^dropped constraint .*leads_queue$/m,
    ],
    ['an index', 'create index more on ringleader.leads (name)', /^made index ringleader\.more$/m],
    [
      'an index of another kind',
      'drop index ringleader.leads_phone; create index leads_phone on ringleader.leads (phone)',
      /^changed index ringleader\.leads_phone$/m,
    ],
    ['a storage setting', 'alter table ringleader.leads set (fillfactor = 33)', /^changed table ringleader\.leads$/m],
    ['row-level security', 'alter table ringleader.leads no force row level security', /^changed table ringleader\.leads$/m],
    ['an owner', 'alter table ringleader.leads owner to ringleader_system', /^changed table ringleader\.leads$/m],
    ['a right on a table', 'grant truncate on ringleader.leads to ringleader_app', /^changed table ringleader\.leads$/m],
    ['a right on a column', 'grant update (name) on ringleader.leads to public', /^changed column ringleader\.leads\.name$/m],
    ['a right on the schema', 'grant create on schema ringleader to ringleader_app', /^changed schema ringleader$/m],
    [
      'a function',
      'create or replace function ringleader.minutes(p_n numeric) returns interval language sql immutable as $$ select null::interval $$',
      /^changed function ringleader\.minutes\(numeric\)$/m,
    ],
    [
      'a right on a function',
      'grant execute on function ringleader.minutes to public',
      /^changed function ringleader\.minutes\(numeric\)$/m,
    ],
    [
      'the owner of a function',
      'alter function ringleader.minutes owner to ringleader_system',
      /^changed function ringleader\.minutes\(numeric\)$/m,
    ],
    ['a policy', 'alter policy account on ringleader.leads using (true)', /^changed policy ringleader\.leads\.account$/m],
    [
      'whom a policy is for',
      'alter policy account on ringleader.leads to public',
      /^changed policy ringleader\.leads\.account$/m,
    ],
    [
      'a trigger',
      'create trigger more before update on ringleader.leads for each row execute function suppress_redundant_updates_trigger()',
      /^made trigger ringleader\.leads\.more$/m,
    ],
    ['a type of its own', "create type ringleader.more as enum ('a')", /^made type ringleader\.more$/m],
    ['a view', 'create view ringleader.more as select 1 as one', /^made view ringleader\.more$/m],
    ['a sequence', 'alter sequence ringleader.leads_seq_seq increment 2', /^changed sequence ringleader\.leads_seq_seq$/m],
    ['a comment', "comment on column ringleader.leads.name is 'more'", /^made comment on table column ringleader\.leads\.name$/m],
    ['a setting of a role', "alter role ringleader_app set work_mem = '5MB'", /^changed role ringleader_app$/m],
    ['a right of a role', 'alter role ringleader_system bypassrls', /^changed role ringleader_system$/m],
    ['the membership of a role', 'grant ringleader_system to ringleader_app', /^changed role ringleader_app$/m],
  ];
  test('sees whatever differs between two databases: each kind of thing, and each part of it', async () => {
    const ownerUrl = await emptyDatabase(old.url);
    await migrate({ ownerUrl });
    await connected(ownerUrl, async (client) => {
      const before = await catalogueOf(client);
      for (const [what, sql, sees] of changes) {
        await client.query('begin');
        await client.query(sql);
        const found = Object.entries(differenceOf(before, await catalogueOf(client)));
        expect(found.flatMap(([verb, names]) => (names as string[]).map((name) => `${verb} ${name}`)).join('\n'), what).toMatch(
          sees,
        );
        await client.query('rollback');
        expect(differenceOf(before, await catalogueOf(client)), what).toEqual(SAME);
      }
    });
    expect(changes).toHaveLength(29);
  });
});

describe('an owner as Neon gives it: no superuser, may create roles, owns the database', () => {
  const place = testDirectory('owner');
  let server: Postgres;
  let ownerUrl: string;
  beforeAll(async () => {
    server = await startPostgres({ dataDir: path.join(place, 'data'), fast: true });
    await connected(server.url, async (client) => {
      await client.query("create role neondb_owner login createrole createdb password 'owner'");
      await client.query('create database neondb owner neondb_owner');
    });
    ownerUrl = `postgres://neondb_owner:owner@127.0.0.1:${server.port}/neondb`;
  });
  afterAll(async () => {
    await server.stop();
    fs.rmSync(place, { recursive: true, force: true });
  });

  test('can apply the schema, and again, and set the password; the app role then works within its account alone', async () => {
    expect((await migrate({ ownerUrl, appPassword: 'first' })).passwordSet).toBe(true);
    expect(await migrate({ ownerUrl, appPassword: 'first' })).toEqual({ ...SAME, passwordSet: false });
    expect(await migrate({ ownerUrl, appPassword: 'second' })).toEqual({ ...SAME, passwordSet: true });
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

  test('upgrades 0.1.0 with calls under way: their slots, the provider’s ids and what failed are where today’s verbs look', async () => {
    await connected(server.url, (client) => client.query('create database earlier owner neondb_owner'));
    const [owner, admin] = [ownerUrl, server.url].map((url) => Object.assign(new URL(url), { pathname: 'earlier' }).href);
    await migrate({ ownerUrl: owner, schema: first, appPassword: 'first' });
    // Reserved, on the line, hung up but not ended, failed; a direct call that waits.
    await connected(admin, (client) =>
      client.query(`
      create function pg_temp.id(n int) returns uuid language sql immutable as $$ select md5(n::text)::uuid $$;
      insert into ringleader.leads (id, account_id, campaign_id, phone, status, attempts, next_attempt_at, call_id, timezone, created_at)
        select pg_temp.id(10 + n), pg_temp.id(0), pg_temp.id(0), '+1' || n, case n when 4 then 'unreached' else 'calling' end, (n > 1)::int, '2026-01-01',
          pg_temp.id(n), 'Asia/Kolkata', '2026-01-01' from generate_series(1, 4) n;
      insert into ringleader.calls (id, account_id, kind, campaign_id, lead_id, agent_id, phone, status, disposition, attempt, claim_id, provider, provider_call_id,
          due_at, reserved_at, released_at, ended_at, created_at)
        select pg_temp.id(n), pg_temp.id(0), case n when 5 then 'direct' else 'campaign' end, case when n < 5 then pg_temp.id(0) end, case when n < 5 then pg_temp.id(10 + n) end,
          pg_temp.id(0), '+1' || n, (array['reserved', 'in_progress', 'in_progress', 'failed', 'waiting'])[n], case n when 4 then 'failed' end, 1, pg_temp.id(20), 'bolna',
          case when n in (2, 3, 4) then 'p' || n end, case n when 5 then timestamptz '2026-01-01' end, case when n < 5 then timestamptz '2026-01-01' end,
          case when n in (3, 4) then timestamptz '2026-01-01' end, case n when 4 then timestamptz '2026-01-01' end, '2026-01-01' from generate_series(1, 5) n;`),
    );
    await migrate({ ownerUrl: owner });
    const of = (text: string): Promise<unknown[]> => connected(admin, async (client) => (await client.query(text)).rows);
    expect(await of('select phone, slot from ringleader.open_calls order by 1')).toEqual([
      { phone: '+11', slot: true },
      { phone: '+12', slot: true },
      { phone: '+13', slot: false },
    ]);
    expect(await of('select provider_call_id as id from ringleader.provider_calls order by 1')).toEqual([
      { id: 'p2' },
      { id: 'p3' },
      { id: 'p4' },
    ]);
    expect(await of('select c.phone from ringleader.failed_calls f join ringleader.calls c on c.id = f.call_id')).toEqual([
      { phone: '+14' },
    ]);
    expect(await of('select distinct zone, attempts, next_attempt_at from ringleader.leads')).toEqual([
      { zone: 'Asia/Kolkata', attempts: 1, next_attempt_at: null },
    ]);
    expect(await migrate({ ownerUrl: owner })).toMatchObject(SAME);
  });

  test('upgrades 0.1.0 with a pace that no claim survives to the slowest of today', async () => {
    await connected(server.url, (client) => client.query('create database slow owner neondb_owner'));
    const [owner, admin] = [ownerUrl, server.url].map((url) => Object.assign(new URL(url), { pathname: 'slow' }).href);
    await migrate({ ownerUrl: owner, schema: first, appPassword: 'first' });
    await fill(admin, 10);
    await connected(admin, (client) =>
      client.query(
        'update ringleader.accounts set calls_per_second = 1e-320; update ringleader.campaigns set calls_per_second = 1e-13',
      ),
    );
    await migrate({ ownerUrl: owner });
    const paces =
      'select calls_per_second as pace from ringleader.accounts union select calls_per_second from ringleader.campaigns';
    expect(await connected(admin, async (client) => (await client.query(paces)).rows)).toEqual([{ pace: 0.00001 }]);
  });
});
