import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { migrate } from '../../local/migrate.ts';
import { testDirectory } from '../support/directory.ts';

const name = `migrate_${randomUUID().replaceAll('-', '')}`;
/** Each run of the command takes a second, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const directory = testDirectory('migrate');
const admin = new Client({ connectionString: inject('postgresUrl') });
const ownerUrl = ((): string => {
  const url = new URL(inject('postgresUrl'));
  url.pathname = name;
  return url.href;
})();
const appUrl = (password: string): string => {
  const url = new URL(ownerUrl);
  url.username = 'ringleader_app';
  url.password = password;
  return url.href;
};
const script = (env: Record<string, string>, ...args: string[]): { status: number | null; out: string } => {
  const run = spawnSync(process.execPath, [path.resolve(import.meta.dirname, '../../scripts/migrate.ts'), ...args], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  return { status: run.status, out: run.stdout + run.stderr };
};

beforeAll(async () => {
  await admin.connect();
  await admin.query(`create database ${name}`);
});
afterAll(async () => {
  await admin.query(`drop database ${name} with (force)`);
  await admin.end();
  fs.rmSync(directory, { recursive: true });
});

describe('npm run migrate', () => {
  const password = inject('appPassword');

  test('makes everything in an empty database; the second run changes nothing', async () => {
    const first = script({ MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: appUrl(password) });
    expect(first.out).toMatch(/^Schema: made .*\b1 schema\b.*\b\d+ functions\b/);
    expect(first.status).toBe(0);
    const second = script({ MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: appUrl(password) });
    expect(second).toEqual({
      status: 0,
      out: 'Schema: up to date, nothing changed.\nRole ringleader_app: already signs in as DATABASE_URL says.\n',
    });
  });

  test('leaves the app role a role without rights of its own', async () => {
    const { rows } = await admin.query(
      "select rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = 'ringleader_app'",
    );
    expect(rows).toEqual([{ rolcanlogin: true, rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolcreatedb: false }]);
  });

  test('run by many at once, each finds the database whole', async () => {
    const reports = await Promise.all(Array.from({ length: 5 }, () => migrate({ ownerUrl, appPassword: password })));
    expect(reports).toEqual(Array.from({ length: 5 }, () => ({ made: [], changed: [], dropped: [], passwordSet: false })));
  });

  test('a statement that fails leaves nothing behind, and its line is named', async () => {
    const schema = 'create table public.half (id int);\n\nselect 1;\nselect * from nowhere;\n';
    await expect(migrate({ ownerUrl, schema })).rejects.toThrow('schema.sql line 4: relation "nowhere" does not exist');
    const client = new Client({ connectionString: ownerUrl });
    await client.connect();
    expect((await client.query("select to_regclass('public.half') as half")).rows).toEqual([{ half: null }]);
    await client.end();
  });

  const bad: [env: Record<string, string>, says: RegExp][] = [
    [{}, /^FAIL {2}MIGRATE_DATABASE_URL: is missing\n.*Neon console.*--env-file/],
    [{ MIGRATE_DATABASE_URL: 'nonsense' }, /^FAIL {2}MIGRATE_DATABASE_URL: must be a postgres:\/\/ URL\n/],
    [{ MIGRATE_DATABASE_URL: appUrl('secret') }, /^FAIL {2}MIGRATE_DATABASE_URL: signs in as the app role/],
    [{ MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: 'nonsense' }, /^FAIL {2}DATABASE_URL: must be a postgres:\/\/ URL\n/],
    [
      { MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: ownerUrl },
      /^FAIL {2}DATABASE_URL: signs in as another role than ringleader_app/,
    ],
    [
      { MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: appUrl('') },
      /^FAIL {2}DATABASE_URL: must name a host, a user and a password\n/,
    ],
    [
      { MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: appUrl('100%') },
      /^FAIL {2}DATABASE_URL: must have each % of its password written as %25\n/,
    ],
    [{ MIGRATE_DATABASE_URL: ownerUrl.replace(name, 'no_such') }, /^FAIL {2}MIGRATE_DATABASE_URL: there is no such database\n/],
    [
      { MIGRATE_DATABASE_URL: ownerUrl.replace(/:[^:@]+@/, ':another@') },
      /^FAIL {2}MIGRATE_DATABASE_URL: the password is not accepted\n.*Neon console/,
    ],
  ];
  test('what cannot be done is said in one line, with how to mend it in another, without the password', () => {
    for (const [env, says] of bad) {
      const { status, out } = script(env);
      expect(status).toBe(1);
      expect(out).toMatch(says);
      expect(out.trim().split('\n')).toHaveLength(2);
      expect(out).not.toContain(new URL(ownerUrl).password);
    }
    expect(bad).toHaveLength(9);
  });

  test('an option that it does not know changes nothing', () => {
    const { status, out } = script({ MIGRATE_DATABASE_URL: ownerUrl }, '--dry-run');
    expect(status).toBe(2);
    expect(out).toBe("migrate: Unknown option '--dry-run'\nusage: npm run migrate [-- --env-file FILE]\n");
  });

  test('reads the env file that is named; what the environment sets wins', () => {
    const file = path.join(directory, 'staging.env');
    fs.writeFileSync(file, `MIGRATE_DATABASE_URL=${ownerUrl}\nDATABASE_URL=${appUrl(password)}\n`);
    expect(script({}, '--env-file', file).out).toMatch(/^Schema: up to date[^]*already signs in as DATABASE_URL says/);
    expect(script({ MIGRATE_DATABASE_URL: 'nonsense' }, '--env-file', file).status).toBe(1);
  });

  test('names what it made, changed and dropped, when that is little', async () => {
    const client = new Client({ connectionString: ownerUrl });
    await client.connect();
    await client.query(`drop index ringleader.leads_phone; drop function ringleader.minutes(numeric);
      create function ringleader.minutes(p_n int) returns interval language sql as 'select null::interval';
      alter table ringleader.leads set (autovacuum_vacuum_threshold = 7)`);
    await client.end();
    expect(script({ MIGRATE_DATABASE_URL: ownerUrl }).out).toBe(
      [
        'Schema: made 1 function, 1 index.',
        '  made function ringleader.minutes(numeric)',
        '  made index ringleader.leads_phone',
        'Schema: changed 1 table.',
        '  changed table ringleader.leads',
        'Schema: dropped 1 function.',
        '  dropped function ringleader.minutes(integer)',
        'Role ringleader_app: password left as it is (DATABASE_URL is not set).\n',
      ].join('\n'),
    );
  });

  test('waits for no table longer than it is told, so that the system behind it goes on, and comes through when the table is free', async () => {
    const holder = new Client({ connectionString: ownerUrl });
    const looker = new Client({ connectionString: ownerUrl });
    await Promise.all([holder.connect(), looker.connect()]);
    await holder.query('begin; lock table ringleader.leads in row exclusive mode');
    const migrating = migrate({ ownerUrl, lockMs: 2000 });
    const refusals = async (): Promise<number> =>
      (await looker.query<{ n: number }>('select xact_rollback::int as n from pg_stat_database where datname = $1', [name]))
        .rows[0]?.n ?? 0;
    const before = await refusals();
    await vi.waitUntil(async () => (await refusals()) > before, { timeout: 30_000, interval: 50 });
    await holder.query('rollback');
    expect(await migrating).toMatchObject({ made: [], changed: [], dropped: [] });
    await Promise.all([holder.end(), looker.end()]);
  });
});
