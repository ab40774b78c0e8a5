/** What stands in wrangler.toml reaches both environments, as wrangler itself reads it; and `npm run deploy` does as it says. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { unstable_readConfig as readConfig } from 'wrangler';
import { testDirectory } from '../support/directory.ts';

/** Each run of a command takes a second or two, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const root = path.resolve(import.meta.dirname, '..', '..');
const config = path.join(root, 'wrangler.toml');
const out = testDirectory('dry-run');
afterAll(() => fs.rmSync(out, { recursive: true }));

const ENVIRONMENTS = ['staging', 'production'] as const;

/** Durable Objects with a binding, of a configuration as wrangler reads it. */
type Read = ReturnType<typeof readConfig>;
const boundClasses = ({ durable_objects }: Read): string[] =>
  durable_objects.bindings.map(({ class_name }: { class_name: string }) => class_name);

describe.each(ENVIRONMENTS)('[env.%s] of wrangler.toml', (env) => {
  const read = readConfig({ config, env }, { hideWarnings: true });

  test('is the top level under another name: wrangler inherits neither bindings nor variables, so a forgotten one is found here', () => {
    const top = readConfig({ config }, { hideWarnings: true });
    const names = { name: expect.any(String) as string, targetEnvironment: env };
    expect(read).toEqual({ ...top, ...names });
    expect(read.name).toBe(`ringleader-${env}`);
  });

  test('fires both crons, and has the mail switch on, as its only variable: no secret stands there', () => {
    expect(read.triggers.crons).toEqual(['* * * * *', '*/5 * * * *']);
    expect(read.vars).toEqual({ EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true' });
  });

  test('runs near the database, and has the object that keeps the next due instant', () => {
    expect(read.placement).toMatchObject({ mode: 'smart' });
    expect(read.durable_objects.bindings).toContainEqual(expect.objectContaining({ name: 'SLEEPER', class_name: 'Sleeper' }));
  });

  test('makes each class that is bound by a migration of its own release: what was deployed is never rewritten', () => {
    expect(read.migrations[0]).toEqual({ tag: 'v1', new_sqlite_classes: ['Sleeper'] });
    expect(read.migrations.flatMap(({ new_sqlite_classes = [] }) => new_sqlite_classes).sort()).toEqual(
      boundClasses(read).sort(),
    );
    expect(new Set(read.migrations.map(({ tag }: { tag: string }) => tag)).size).toBe(read.migrations.length);
  });

  test('keeps our log lines, but not the platform’s: those hold the addresses of webhooks and links, which are secrets', () => {
    expect(read.observability).toEqual({ enabled: true, logs: { invocation_logs: false } });
  });
});

describe('npm run deploy', () => {
  /** A copy of the script among stand-ins that write down that they ran. */
  const copy = path.join(out, 'copy');
  const log = path.join(copy, 'ran');
  const standIn = (file: string, name: string): void => {
    fs.mkdirSync(path.join(copy, path.dirname(file)), { recursive: true });
    const text = `import fs from 'node:fs';
      fs.appendFileSync(${JSON.stringify(log)}, ${JSON.stringify(name)} + ' ' + process.argv.slice(2).join(' ') + '\\n');
      if (process.argv[2] === 'whoami') console.log(process.env.WHOAMI);
      process.exit(process.env.FAILS === ${JSON.stringify(name)} && process.argv[2] !== 'whoami' ? 1 : 0);`;
    fs.writeFileSync(path.join(copy, file), text);
  };
  fs.mkdirSync(path.join(copy, 'scripts'), { recursive: true });
  for (const file of ['deploy.ts', 'command-line.ts'])
    fs.copyFileSync(path.join(root, 'scripts', file), path.join(copy, 'scripts', file));
  fs.writeFileSync(path.join(copy, 'package.json'), '{"type":"module"}');
  fs.writeFileSync(path.join(copy, 'staging.env'), 'MIGRATE_DATABASE_URL=postgres://o:p@h/d\n');
  standIn('scripts/check.mjs', 'check');
  standIn('scripts/migrate.ts', 'migrate');
  standIn('node_modules/wrangler/bin/wrangler.js', 'wrangler');
  const deploy = (
    args: string[],
    fails = '',
    whoami = '{"loggedIn":true}',
  ): { status: number | null; ran: string[]; says: string } => {
    fs.rmSync(log, { force: true });
    const env = { PATH: process.env['PATH'] ?? '', FAILS: fails, WHOAMI: whoami };
    const run = spawnSync(process.execPath, ['scripts/deploy.ts', ...args], { cwd: copy, encoding: 'utf8', env });
    const ran = fs.existsSync(log)
      ? fs
          .readFileSync(log, 'utf8')
          .trim()
          .split('\n')
          .map((line) => line.trim())
      : [];
    return { status: run.status, ran, says: run.stderr.trim() };
  };

  test('checks, migrates and deploys, in that order, and hands on what stands after --', () => {
    expect(deploy(['--env', 'staging', '--', '--tag', 'v7'])).toEqual({
      status: 0,
      ran: ['wrangler whoami --json', 'check', 'migrate', 'wrangler deploy --env staging --tag v7'],
      says: '',
    });
  });

  test('the migration reads the env file that is named, so that no environment gets the other’s schema by accident', () => {
    const file = path.join(copy, 'staging.env');
    expect(deploy(['--env', 'staging', '--env-file', file]).ran[2]).toMatch(`migrate --env-file ${file}`);
  });

  test('a dry run migrates nothing', () => {
    expect(deploy(['--env', 'production', '--dry-run']).ran).toEqual(['check', 'wrangler deploy --env production --dry-run']);
  });

  test('whoever is not signed in to Cloudflare is told how before the database is touched', () => {
    const run = deploy(['--env', 'staging'], '', '{"loggedIn":false}');
    expect(run).toMatchObject({ status: 1, ran: ['wrangler whoami --json'] });
    expect(run.says).toMatch(
      /^deploy: nobody is signed in to Cloudflare, .*as they were\n +→ npx wrangler login.*CLOUDFLARE_API_TOKEN/,
    );
    // No network, or a token that may not tell whose it is: the deploy itself says more.
    expect(deploy(['--env', 'staging'], '', 'no answer').status).toBe(0);
  });

  const failures: [fails: string, ran: number, says: RegExp][] = [
    ['check', 2, /^deploy: check failed, so it ends here; database and worker are as they were$/],
    ['migrate', 3, /^deploy: migrate failed, so it ends here; database and worker are as they were$/],
    [
      'wrangler',
      4,
      /^deploy: wrangler deploy --env staging failed, so it ends here; the worker is as it was, the database has the new schema/,
    ],
  ];
  test('the first failure ends it, and says what holds now', () => {
    for (const [fails, ran, says] of failures) {
      const run = deploy(['--env', 'staging'], fails);
      expect(run.status).toBe(1);
      expect(run.ran).toHaveLength(ran);
      expect(run.says).toMatch(says);
    }
    expect(failures).toHaveLength(3);
  });

  const misuses: [args: string[], says: RegExp][] = [
    [[], /say where to: --env staging or --env production/],
    [['--env', 'prod'], /say where to/],
    [['--env'], /Option '--env <value>' argument missing/],
    [['--env', 'staging', '--force'], /Unknown option '--force'/],
  ];
  test('a wrong command line runs nothing and says how it is written', () => {
    for (const [args, says] of misuses) {
      const run = deploy(args);
      expect(run).toMatchObject({ status: 2, ran: [] });
      expect(run.says).toMatch(says);
      expect(run.says).toContain('usage: npm run deploy -- --env staging|production');
    }
    expect(misuses).toHaveLength(4);
  });
});
