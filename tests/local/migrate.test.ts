import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { migrate } from '../../local/migrate.ts';

const name = `migrate_${randomUUID().replaceAll('-', '')}`;
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
const script = (env: Record<string, string>): { status: number | null; out: string } => {
  const run = spawnSync(process.execPath, [path.resolve(import.meta.dirname, '../../scripts/migrate.ts')], {
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
    [{}, /^MIGRATE_DATABASE_URL is missing/],
    [{ MIGRATE_DATABASE_URL: 'nonsense' }, /^MIGRATE_DATABASE_URL must be a URL/],
    [{ MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: 'nonsense' }, /^DATABASE_URL must be a URL/],
    [{ MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: ownerUrl }, /^DATABASE_URL must sign in as ringleader_app/],
    [{ MIGRATE_DATABASE_URL: ownerUrl, DATABASE_URL: 'postgres://ringleader_app@127.0.0.1/x' }, /^DATABASE_URL has no password/],
    [{ MIGRATE_DATABASE_URL: ownerUrl.replace(name, 'no_such') }, /^database "no_such" does not exist/],
  ];
  test('what cannot be done is said in one line, without the password', () => {
    for (const [env, says] of bad) {
      const { status, out } = script(env);
      expect(status).toBe(1);
      expect(out).toMatch(says);
      expect(out.trim()).not.toContain('\n');
      expect(out).not.toContain(new URL(ownerUrl).password);
    }
    expect(bad).toHaveLength(6);
  });
});
