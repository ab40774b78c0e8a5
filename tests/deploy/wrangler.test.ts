/** What stands in wrangler.toml reaches both environments, as wrangler itself reads it; and `npm run deploy` does as it says. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
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
const LIMIT = 350 * 1024;

describe.each(ENVIRONMENTS)('[env.%s] of wrangler.toml', (env) => {
  const read = readConfig({ config, env }, { hideWarnings: true });

  test('fires both crons, and has the mail switch on: neither is inherited by itself', () => {
    expect(read.triggers.crons).toEqual(['* * * * *', '*/5 * * * *']);
    expect(read.vars).toEqual({ EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true' });
  });

  test('runs near the database, and has the object that keeps the next due instant', () => {
    expect(read.placement).toMatchObject({ mode: 'smart' });
    expect(read.durable_objects.bindings).toEqual([expect.objectContaining({ name: 'SLEEPER', class_name: 'Sleeper' })]);
    expect(read.migrations).toEqual([{ tag: 'v1', new_sqlite_classes: ['Sleeper'] }]);
  });

  test('keeps our log lines, but not the platform’s: those hold the addresses of webhooks and links, which are secrets', () => {
    expect(read.observability).toEqual({ enabled: true, logs: { invocation_logs: false } });
  });

  test('has a name of its own, and holds no secret', () => {
    expect(read.name).toBe(`ringleader-${env}`);
    expect(Object.keys(read.vars)).toHaveLength(1);
  });

  test('is accepted by wrangler deploy --dry-run, below 350 KiB gzipped', () => {
    const outdir = path.join(out, env);
    const args = [
      path.join(root, 'node_modules/wrangler/bin/wrangler.js'),
      'deploy',
      '--dry-run',
      '--env',
      env,
      '--outdir',
      outdir,
      '--config',
      config,
    ];
    const environment = {
      ...process.env,
      CI: '1',
      NO_COLOR: '1',
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_LOG_PATH: path.join(out, 'log'),
    };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', env: environment });
    expect(status, stdout + stderr).toBe(0);
    expect(stdout).toContain('env.SLEEPER (Sleeper)');
    expect(stdout).toContain('env.EMAIL_CAMPAIGN_SUMMARY_ENABLED ("true")');
    const code = fs.readdirSync(outdir).filter((name) => /\.m?js$/.test(name));
    const gzipped = code.reduce((sum, name) => sum + gzipSync(fs.readFileSync(path.join(outdir, name))).length, 0);
    console.log(`bundle of ${env}: ${(gzipped / 1024).toFixed(0)} KiB gzipped, at most ${LIMIT / 1024}`);
    expect(gzipped).toBeGreaterThan(100 * 1024);
    expect(gzipped).toBeLessThanOrEqual(LIMIT);
  });
});

describe('npm run deploy', () => {
  /** A copy of the script among stand-ins that write down that they ran. */
  const copy = path.join(out, 'copy');
  const log = path.join(copy, 'ran');
  const standIn = (file: string, name: string): void => {
    fs.mkdirSync(path.join(copy, path.dirname(file)), { recursive: true });
    const text = `import fs from 'node:fs';
      fs.appendFileSync(${JSON.stringify(log)}, ${JSON.stringify(name)} + ' ' + process.argv.slice(2).join(' ') + ' ' + (process.env.WHERE ?? '') + '\\n');
      process.exit(process.env.FAILS === ${JSON.stringify(name)} ? 1 : 0);`;
    fs.writeFileSync(path.join(copy, file), text);
  };
  fs.mkdirSync(path.join(copy, 'scripts'), { recursive: true });
  fs.copyFileSync(path.join(root, 'scripts', 'deploy.ts'), path.join(copy, 'scripts', 'deploy.ts'));
  fs.writeFileSync(path.join(copy, 'package.json'), '{"type":"module"}');
  fs.writeFileSync(path.join(copy, 'staging.env'), 'WHERE=from-file\n');
  standIn('scripts/check.mjs', 'check');
  standIn('scripts/migrate.ts', 'migrate');
  standIn('node_modules/wrangler/bin/wrangler.js', 'wrangler');
  const deploy = (args: string[], fails = ''): { status: number | null; ran: string[]; says: string } => {
    fs.rmSync(log, { force: true });
    const env = { PATH: process.env['PATH'] ?? '', FAILS: fails };
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
      ran: ['check', 'migrate', 'wrangler deploy --env staging --tag v7'],
      says: '',
    });
  });

  test('the migration reads the env file that is named, so that no environment gets the other’s schema by accident', () => {
    expect(deploy(['--env', 'staging', '--env-file', path.join(copy, 'staging.env')]).ran[1]).toBe('migrate  from-file');
  });

  test('a dry run migrates nothing', () => {
    expect(deploy(['--env', 'production', '--dry-run']).ran).toEqual(['check', 'wrangler deploy --env production --dry-run']);
  });

  const failures: [fails: string, ran: number, says: RegExp][] = [
    ['check', 1, /^deploy: check failed, so it ends here; database and worker are as they were$/],
    ['migrate', 2, /^deploy: migrate failed, so it ends here; database and worker are as they were$/],
    [
      'wrangler',
      3,
      /^deploy: wrangler deploy --env staging failed, so it ends here; the worker is as it was, the database is not/,
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
