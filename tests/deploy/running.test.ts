/** Doctor and smoke against a running instance: the real worker, database, phone network and inbox. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { parseEnv as parseFile } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Stack, startStack } from '../../local/stack.ts';
import { Unwind } from '../../local/unwind.ts';
import { testDirectory } from '../support/directory.ts';

/** Many processes at once, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000 });

const dataDir = testDirectory('running');
const unwind = new Unwind();
const MAIL_SECRET = 'password-of-the-mail-webhook';
let stack: Stack;
/** What the worker was started with, as a deployer has it in his env file. */
let env: Record<string, string>;

beforeAll(async () => {
  const options = {
    dataDir,
    fresh: false,
    port: 0,
    speed: 60,
    now: undefined,
    cron: true,
    callingRules: false,
    fastPostgres: true,
  };
  stack = await startStack({ ...options, variables: { POSTMARK_WEBHOOK_SECRET: MAIL_SECRET }, say: () => undefined }, unwind);
  const file = parseFile(fs.readFileSync(path.join(dataDir, 'worker.env'), 'utf8')) as Record<string, string>;
  env = Object.fromEntries(Object.entries(file).filter(([name]) => !/^(LOCAL_|NEON_)/.test(name)));
});
afterAll(async () => {
  await unwind.run();
  fs.rmSync(dataDir, { recursive: true, force: true });
});

const run = async (
  script: string,
  args: string[],
  variables: Record<string, string> = {},
): Promise<{ status: unknown; out: string }> => {
  const child = spawn(process.execPath, [path.resolve(import.meta.dirname, '../../scripts', script), ...args], {
    cwd: dataDir,
    env: { PATH: process.env['PATH'] ?? '', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += String(chunk)));
  const [status] = (await once(child, 'close')) as unknown[];
  return { status, out };
};

describe('npm run doctor against a running instance', () => {
  test('finds nothing wrong, tries the key that the agent has, and prints no secret', async () => {
    const { status, out } = await run('doctor.ts', [], {
      ...env,
      MIGRATE_DATABASE_URL: stack.databaseUrl,
      BOLNA_API_KEY: 'bn-of-the-deployer',
    });
    expect(out).not.toMatch(/^FAIL/m);
    expect(status).toBe(0);
    for (const line of [
      /ok {4}database role: ringleader_app, without rights of its own/,
      /ok {4}database schema: is that of this checkout/,
      /ok {4}Postmark sender: MAIL_FROM may send/,
      /ok {4}bolna \(BOLNA_API_KEY\): the key is accepted/,
      new RegExp(`ok {4}agent ${stack.agentId} \\(bolna\\): the key is accepted`),
      /ok {4}worker: answers at PUBLIC_URL/,
      /ok {4}worker and database: the worker reaches its database/,
      /ok {4}provider webhooks: signed addresses are let in, forged ones refused/,
      /ok {4}mail webhook: lets Postmark in/,
    ])
      expect(out).toMatch(line);
    const secrets = [stack.adminKey, MAIL_SECRET, env['SECRETS_KEY'], env['POSTMARK_SERVER_TOKEN'], 'bn-of-the-deployer'];
    const passwords = [stack.databaseUrl, env['DATABASE_URL'] ?? ''].map((url) => new URL(url).password);
    for (const secret of [...secrets, ...passwords]) expect(out).not.toContain(secret);
  });

  const differing: [name: string, value: string, says: RegExp][] = [
    [
      'ADMIN_KEY',
      'another-admin-key-than-the-deployed',
      /FAIL {2}worker ADMIN_KEY: is not the one that stands here\n.*wrangler secret put ADMIN_KEY/,
    ],
    [
      'SECRETS_KEY',
      Buffer.alloc(32, 9).toString('base64'),
      /FAIL {2}worker SECRETS_KEY: is not the one that stands here\n.*wrangler secret put SECRETS_KEY/,
    ],
    [
      'POSTMARK_WEBHOOK_SECRET',
      'another-password',
      /FAIL {2}mail webhook: does not let Postmark in[\s\S]*wrangler secret put POSTMARK_WEBHOOK_SECRET/,
    ],
    ['POSTMARK_SERVER_TOKEN', 'bad-token', /FAIL {2}Postmark token: is not accepted\n {6}→ Postmark, your server, API Tokens/],
    [
      'MIGRATE_DATABASE_URL',
      'postgres://postgres:wrong@127.0.0.1:1/postgres',
      /FAIL {2}database owner: nobody answers at that host and port/,
    ],
    ['BOLNA_API_KEY', 'bad-key', /FAIL {2}bolna \(BOLNA_API_KEY\): the key is not accepted/],
  ];
  test('tells each value that differs from what is deployed, or that the other end refuses', async () => {
    const runs = await Promise.all(
      differing.map(async ([name, value, says]) => ({
        name,
        says,
        ...(await run('doctor.ts', ['--no-test-mail'], { ...env, [name]: value })),
      })),
    );
    for (const { name, says, status, out } of runs) {
      expect(out, name).toMatch(says);
      expect(status, name).toBe(1);
    }
    expect(runs).toHaveLength(6);
  });
});

describe('npm run smoke against a running instance', () => {
  const smoke = (...args: string[]) => run('smoke.ts', ['--url', stack.url, '--api-key', stack.apiKey, '--yes', ...args]);

  test('makes the call, follows it to its end, and tells of the mail', async () => {
    const { status, out } = await smoke('--phone', '+14155550110');
    expect(out).toMatch(/^health: ok\naccount: .*\nmails: all switched on\ncampaign: .*\ncampaign: started\n/);
    expect(out).toMatch(
      /outcome: completed, 30 s, lead reached, score 80.*\nmail: sent to you@example\.com \(.*\)\nsmoke: it works\n$/,
    );
    expect(status).toBe(0);
    expect(out).not.toContain(stack.apiKey);
  });

  test('a call that nobody answers is an outcome too; one that fails is a failure, with the provider’s word', async () => {
    const [unanswered, failed] = await Promise.all([smoke('--phone', '+14155550155'), smoke('--phone', '+14155550188')]);
    expect(unanswered).toMatchObject({ status: 0, out: expect.stringMatching(/outcome: no_answer/) as string });
    expect(failed).toMatchObject({
      status: 1,
      out: expect.stringMatching(/smoke: the call ended as failed: .*; look it up there\n$/) as string,
    });
  });

  const wrong: [args: () => string[], status: number, says: RegExp][] = [
    [() => [], 2, /--url is missing/],
    [() => ['--url', 'ringleader.example.com'], 2, /--url must be an https URL/],
    [() => ['--url', stack.url], 2, /--api-key is missing/],
    [() => ['--url', stack.url, '--api-key', 'rl_x', '--phone', '0123', '--yes'], 2, /the number must be \+ and country code/],
    [() => ['--url', stack.url, '--api-key', 'rl_x'], 2, /give --phone and --yes/],
    [() => ['--url', stack.url, '--api-key', 'rl_x', '--phone', '+14155550110', '--yes'], 1, /the API key is not accepted/],
    [() => ['--url', 'http://127.0.0.1:9', '--api-key', 'rl_x', '--phone', '+14155550110', '--yes'], 1, /nobody answers at http/],
    [
      () => ['--url', stack.url, '--api-key', stack.apiKey, '--agent', 'none', '--phone', '+14155550110', '--yes'],
      1,
      /the account has no agent none/,
    ],
    [() => ['--url', stack.url, '--api-key', stack.apiKey, '--phone', '+99999999999', '--yes'], 1, /the number is refused/],
    [() => ['--url', stack.url, '--call-minutes', '0', '--api-key', 'x'], 2, /must be a whole number from 1/],
  ];
  test('what is wrong is said in one line, with what to do, and nobody is called', async () => {
    const before = await fetch(`${stack.phoneNetworkUrl}/stats`).then(
      (response) => response.json() as Promise<{ calls_created: number }>,
    );
    const runs = await Promise.all(
      wrong.map(async ([args, status, says]) => ({ says, wanted: status, ...(await run('smoke.ts', args())) })),
    );
    for (const { says, wanted, status, out } of runs) {
      expect(out).toMatch(says);
      expect(status, out).toBe(wanted);
    }
    const after = await fetch(`${stack.phoneNetworkUrl}/stats`).then(
      (response) => response.json() as Promise<{ calls_created: number }>,
    );
    expect(after.calls_created).toBe(before.calls_created);
    expect(runs).toHaveLength(10);
  });
});
