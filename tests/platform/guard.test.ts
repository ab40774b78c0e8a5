/** The driver stays in its file, what is only for the local worker stays out of a deployment, and the linter says so. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Client, Pool } from '@neondatabase/serverless';
import { afterAll, expect, test } from 'vitest';
import * as db from '../../lib/db.ts';
import { testDirectory } from '../support/directory.ts';

const root = path.join(import.meta.dirname, '../..');
const bin = (name: string): string => path.join(root, 'node_modules/.bin', name);
const directory = testDirectory('guard');
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

test('the wrapper exports two functions, and nothing that is or holds a Pool or Client (class 2)', () => {
  expect(Object.keys(db).toSorted()).toEqual(['useLocalEndpoint', 'withDb']);
  for (const exported of Object.values(db)) {
    expect(exported).toBeTypeOf('function');
    expect(exported.prototype instanceof Pool || exported.prototype instanceof Client).toBe(false);
    expect(Object.values(exported)).toEqual([]);
  }
});

test('what the work is given holds no Pool or Client either (class 2)', async () => {
  const ctx = { waitUntil: () => undefined };
  const invocation = {
    config: { databaseUrl: 'postgres://u:canary@localhost/d', slowQueryMs: 1000 },
    report: () => undefined,
    ctx,
  };
  const given = await db.withDb(invocation, (db) => Promise.resolve(db));
  const seen = new Set<unknown>();
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    expect(value).not.toBeInstanceOf(Pool);
    expect(value).not.toBeInstanceOf(Client);
    Object.values(value).forEach(walk);
  };
  walk(given);
  expect(Object.keys(given).toSorted()).toEqual(['query', 'stats', 'transaction']);
});

test('the linter refuses the driver and Sentry anywhere else, and says what to use', () => {
  const offender = path.join(directory, 'offender.ts');
  const imports = ['@neondatabase/serverless', '@sentry/serverless', '@sentry/utils', '@sentry/node', 'pg'];
  fs.writeFileSync(
    offender,
    imports.map((name, i) => `import * as p${i} from '${name}';\nexport const q${i} = p${i};\n`).join(''),
  );
  fs.copyFileSync(path.join(root, '.oxlintrc.json'), path.join(directory, '.oxlintrc.json'));
  const { stdout, status } = spawnSync(
    bin('oxlint'),
    ['--format', 'json', '-c', path.join(directory, '.oxlintrc.json'), offender],
    {
      encoding: 'utf8',
      cwd: directory,
    },
  );
  expect(status).not.toBe(0);
  expect(stdout.match(/Use withDb from lib\/db\.ts/g)).toHaveLength(1);
  expect(stdout.match(/Use report from lib\/sentry\.ts/g)).toHaveLength(3);
  expect(stdout.match(/through withDb from lib\/db\.ts/g)).toHaveLength(1);
});

test('the way to the stand-in is compiled out of what is deployed', () => {
  const out = path.join(directory, 'bundle');
  const { status, stderr } = spawnSync(bin('wrangler'), ['deploy', '--dry-run', '--outdir', out], {
    encoding: 'utf8',
    cwd: root,
    env: {
      ...process.env,
      CI: '1',
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_SEND_ERROR_REPORTS: 'false',
      WRANGLER_LOG_PATH: directory,
    },
  });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const bundle = fs
    .readdirSync(out)
    .filter((name) => name.endsWith('.js'))
    .map((name) => fs.readFileSync(path.join(out, name), 'utf8'))
    .join('\n');
  expect(bundle).toContain('cannot connect to the database'); // the wrapper is in it
  // The driver has the switch itself; nothing in the bundle turns it off.
  expect(bundle).not.toMatch(/useSecureWebSocket\s*=\s*(false|!1)/);
}, 60_000);
