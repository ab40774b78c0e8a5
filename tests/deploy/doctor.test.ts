/** A wrong value in every variable gets an answer that says how to mend it, and no answer holds a secret. */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { createSealer } from '../../lib/seal.ts';
import { createClock } from '../../local/clock.ts';
import { startInbox } from '../../local/inbox.ts';
import { migrate } from '../../local/migrate.ts';
import { startPhoneNetwork } from '../../local/phone-network.ts';
import { freePort } from '../../local/postgres.ts';
import { checkConfiguration, checkNames } from '../../scripts/doctor/configuration.ts';
import { checkDatabase, checkOwner } from '../../scripts/doctor/database.ts';
import { print, type Line, secretsIn } from '../../scripts/doctor/line.ts';
import { checkMail } from '../../scripts/doctor/mail.ts';
import { checkGivenKeys, checkStoredKeys } from '../../scripts/doctor/providers.ts';
import { OURS, WORKER } from '../../scripts/doctor/variables.ts';
import { checkWorker } from '../../scripts/doctor/worker.ts';
import { parseEnv } from '../../lib/env.ts';
import { testDatabase } from '../support/database.ts';
import { testDirectory } from '../support/directory.ts';

/** Each run of a command takes a second or two, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const NAMES = [...WORKER, ...OURS].map(({ name }) => name);
const RIGHT: Readonly<Record<string, string>> = {
  DATABASE_URL: 'postgres://ringleader_app:app-password@ep-blue-1-pooler.eu-central-1.aws.neon.tech/ringleader?sslmode=require',
  ADMIN_KEY: 'admin-key-of-thirty-two-characters',
  PUBLIC_URL: 'https://ringleader.example.workers.dev',
  SECRETS_KEY: Buffer.alloc(32, 7).toString('base64'),
  POSTMARK_SERVER_TOKEN: '6f1f9d2c-token',
  MAIL_FROM: 'Ringleader <campaigns@example.com>',
  EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true',
  SENTRY_DSN: 'https://dsn-public-key@o1.ingest.sentry.io/1',
  SYSTEM_MAX_CONCURRENT_CALLS: '100',
  POSTMARK_WEBHOOK_SECRET: 'webhook-password',
  SLOW_QUERY_MS: '1000',
  MIGRATE_DATABASE_URL: 'postgres://neondb_owner:owner-password@ep-blue-1.eu-central-1.aws.neon.tech/ringleader?sslmode=require',
};
const lineOf = (lines: readonly Line[], about: string): Line | undefined => lines.find((line) => line.about === about);

describe('the configuration', () => {
  test('that is right gets no warning', () => {
    expect(checkConfiguration(RIGHT).filter(({ verdict }) => verdict !== 'OK')).toEqual([]);
  });

  const wrong: [name: string, value: string | undefined, verdict: 'FAIL' | 'WARN', says: RegExp][] = [
    ['DATABASE_URL', undefined, 'FAIL', /is missing/],
    ['DATABASE_URL', 'mysql://a:b@c/d', 'FAIL', /must be a postgres:\/\/ URL/],
    ['DATABASE_URL', 'postgres://ringleader_app@host/db', 'FAIL', /a host, a user and a password/],
    ['DATABASE_URL', 'postgres://ringleader_app:pass-word@ep-1-pooler.aws.neon.tech', 'FAIL', /must name a database/],
    [
      'DATABASE_URL',
      'postgres://neondb_owner:pass-word@ep-1-pooler.aws.neon.tech/ringleader',
      'FAIL',
      /another role than ringleader_app/,
    ],
    [
      'DATABASE_URL',
      'postgres://ringleader_app:pass-word@ep-blue-1.eu-central-1.aws.neon.tech/ringleader',
      'WARN',
      /is not pooled/,
    ],
    ['DATABASE_URL', 'postgres://ringleader_app:pass-word@db.example.com/ringleader', 'WARN', /not Neon/],
    ['DATABASE_URL', 'postgres://ringleader_app:pass-word@127.0.0.1/ringleader', 'WARN', /names this machine/],
    ['DATABASE_URL', 'postgres://ringleader_app:100%right@127.0.0.1/ringleader', 'FAIL', /each % of its password written as %25/],
    ['ADMIN_KEY', undefined, 'FAIL', /is missing/],
    ['ADMIN_KEY', 'short', 'FAIL', /at least 16 characters/],
    ['ADMIN_KEY', 'with spaces in it and long', 'FAIL', /without spaces/],
    ['ADMIN_KEY', RIGHT['SECRETS_KEY'], 'FAIL', /is the same as SECRETS_KEY/],
    ['PUBLIC_URL', undefined, 'FAIL', /is missing/],
    ['PUBLIC_URL', 'ringleader.example.com', 'FAIL', /must be an https URL/],
    ['PUBLIC_URL', 'http://ringleader.example.com', 'FAIL', /must be an https URL/],
    ['PUBLIC_URL', 'https://ringleader.example.com/?a=1', 'FAIL', /without user, query or fragment/],
    ['PUBLIC_URL', 'https://ringleader.example.com/webhooks', 'FAIL', /has a path/],
    ['PUBLIC_URL', 'http://127.0.0.1:8787', 'WARN', /names this machine/],
    ['SECRETS_KEY', undefined, 'FAIL', /is missing/],
    ['SECRETS_KEY', 'c2hvcnQtYnV0LWJhc2U2NA==', 'FAIL', /must be 32 bytes/],
    ['POSTMARK_SERVER_TOKEN', undefined, 'FAIL', /is missing/],
    ['POSTMARK_SERVER_TOKEN', 'with a space in it', 'FAIL', /without spaces/],
    ['MAIL_FROM', undefined, 'FAIL', /is missing/],
    ['MAIL_FROM', 'campaigns', 'FAIL', /must be an address/],
    ['MAIL_FROM', 'Us <us@gmail.com>', 'FAIL', /public mail service/],
    ['EMAIL_CAMPAIGN_SUMMARY_ENABLED', 'TRUE', 'FAIL', /exactly true/],
    ['EMAIL_CAMPAIGN_SUMMARY_ENABLED', 'false', 'WARN', /no summary mail/],
    ['SENTRY_DSN', undefined, 'WARN', /log of the worker alone/],
    ['SENTRY_DSN', 'https://o1.ingest.sentry.io/1', 'FAIL', /must be a DSN/],
    ['SYSTEM_MAX_CONCURRENT_CALLS', '0', 'FAIL', /whole number from 1/],
    ['SYSTEM_MAX_CONCURRENT_CALLS', 'many', 'FAIL', /whole number from 1/],
    ['POSTMARK_WEBHOOK_SECRET', undefined, 'WARN', /answered 401/],
    ['POSTMARK_WEBHOOK_SECRET', 'pass word of ours', 'FAIL', /without spaces/],
    ['SLOW_QUERY_MS', '1s', 'FAIL', /whole number from 1/],
    ['BOLNA_BASE_URL', 'api.bolna.ai', 'FAIL', /must be an https URL/],
    ['VAPI_BASE_URL', 'http://api.vapi.ai', 'FAIL', /must be an https URL/],
    ['RETELL_BASE_URL', 'https://user:pass-word@api.retellai.com', 'FAIL', /without user/],
    ['TWILIO_BASE_URL', 'ftp://api.twilio.com', 'FAIL', /must be an https URL/],
    ['ELEVENLABS_BASE_URL', 'https://eleven.example.com', 'WARN', /its calls go to eleven\.example\.com/],
    ['POSTMARK_BASE_URL', 'https://api.postmarkapp.com?x', 'FAIL', /without user, query/],
    ['MIGRATE_DATABASE_URL', undefined, 'WARN', /npm run migrate cannot run/],
    ['MIGRATE_DATABASE_URL', 'ep-blue-1.neon.tech', 'FAIL', /must be a postgres:\/\/ URL/],
    ['MIGRATE_DATABASE_URL', 'postgres://owner@ep-blue-1.neon.tech/ringleader', 'FAIL', /a host, a user and a password/],
    ['MIGRATE_DATABASE_URL', RIGHT['DATABASE_URL'], 'FAIL', /signs in as the app role/],
    [
      'MIGRATE_DATABASE_URL',
      'postgres://o:pass-word@ep-blue-1-pooler.eu-central-1.aws.neon.tech/ringleader',
      'FAIL',
      /goes through the pooler/,
    ],
    [
      'MIGRATE_DATABASE_URL',
      'postgres://o:pass-word@ep-red-2.eu-central-1.aws.neon.tech/ringleader',
      'FAIL',
      /another database than DATABASE_URL/,
    ],
    ['BOLNA_API_KEY', 'bn with spaces', 'FAIL', /without spaces/],
    ['VAPI_API_KEY', 'vapi key', 'FAIL', /without spaces/],
    ['RETELL_API_KEY', 'retell\nkey', 'FAIL', /without spaces/],
    ['TWILIO_ACCOUNT_SID', 'SK0123456789abcdef0123456789abcdef', 'FAIL', /must be AC and 32/],
    ['TWILIO_ACCOUNT_SID', 'AC0123456789abcdef0123456789abcdef', 'FAIL', /without TWILIO_AUTH_TOKEN/],
    ['TWILIO_AUTH_TOKEN', 'token-without-sid', 'FAIL', /without TWILIO_ACCOUNT_SID/],
    ['ELEVENLABS_API_KEY', 'sk\tkey', 'FAIL', /without spaces/],
  ];
  test('a wrong value in every variable is told with its remedy, and never repeated when it is a secret', () => {
    for (const [name, value, verdict, says] of wrong) {
      const raw = { ...RIGHT, [name]: value };
      const lines = checkConfiguration(raw);
      const line = lineOf(lines, name);
      expect(line, `${name}=${value}`).toMatchObject({ verdict, says: expect.stringMatching(says) as string });
      expect(line?.remedy?.length, name).toBeGreaterThan(15);
      const others = lines.filter(({ about, verdict: theirs }) => about !== name && theirs === 'FAIL');
      expect(
        others.map(({ about }) => about).filter((about) => !['MIGRATE_DATABASE_URL'].includes(about)),
        name,
      ).toEqual([]);
      for (const secret of secretsIn(raw)) for (const each of lines) expect(JSON.stringify(each), name).not.toContain(secret);
    }
    expect(wrong).toHaveLength(54);
    expect(new Set(wrong.map(([name]) => name))).toEqual(new Set(NAMES));
  });

  const nasty = [
    '',
    ' ',
    '%',
    '\n',
    'é',
    'null',
    '//',
    'https://',
    'https://%',
    'postgres://',
    'postgres://a:%@b/c',
    'x'.repeat(10_000),
    '\u0000',
    '{"a":1}',
    '$(id)',
  ];
  test('whatever stands in a variable, the doctor goes on, and tells what is wrong with it', () => {
    let tried = 0;
    for (const name of NAMES)
      for (const value of nasty) {
        const raw = { ...RIGHT, [name]: value };
        const lines = checkConfiguration(raw);
        for (const line of lines) expect(print(line, secretsIn(raw)).length).toBeGreaterThan(10);
        for (const line of lines.filter(({ verdict }) => verdict !== 'OK')) expect(line.remedy?.length).toBeGreaterThan(15);
        tried += 1;
      }
    expect(tried).toBe(NAMES.length * nasty.length);
  });

  test('a name that nobody reads is told: most often it is misspelt', () => {
    expect(checkNames(['POSTMARK_TOKEN', 'ADMIN_KEY'])).toEqual([
      expect.objectContaining({ verdict: 'WARN', about: 'POSTMARK_TOKEN' }),
    ]);
  });

  test('a secret that somebody else put into a line is struck out, whole keys and passwords in URLs alike', () => {
    const raw: Record<string, string> = { ...RIGHT, DATABASE_URL: 'postgres://ringleader_app:p%40ss-word@h/d' };
    const text = Object.values(raw).join(' ') + ' p@ss-word';
    const shown = print({ verdict: 'FAIL', about: 'x', says: text, remedy: text }, secretsIn(raw));
    for (const secret of [
      'p%40ss-word',
      'p@ss-word',
      'owner-password',
      'dsn-public-key',
      raw['ADMIN_KEY'],
      raw['SECRETS_KEY'],
      raw['POSTMARK_SERVER_TOKEN'],
      raw['POSTMARK_WEBHOOK_SECRET'],
    ])
      expect(shown).not.toContain(secret);
  });
});

const db = await testDatabase();
/** A port on which nobody listens. */
const silent = `http://127.0.0.1:${await freePort()}`;

describe('the database', () => {
  const url = (change: (url: URL) => void): string => {
    const changed = new URL(db.appUrl);
    change(changed);
    return changed.href;
  };

  test('that is right: version, role and schema', async () => {
    await migrate({ ownerUrl: db.url });
    const lines = await checkDatabase(db.appUrl);
    expect(lines.map(({ about, verdict }) => `${about} ${verdict}`)).toEqual([
      'database OK',
      'database role OK',
      'database schema OK',
    ]);
  });

  const cases: [url: () => string, says: RegExp, remedy: RegExp][] = [
    [() => url((u) => (u.password = 'another')), /password is not accepted/, /npm run migrate/],
    [() => url((u) => (u.pathname = '/no_such')), /no such database/, /Neon console/],
    [() => url((u) => (u.port = '1')), /nobody answers/, /look at host and port/],
    [() => url((u) => (u.hostname = 'no-such-host.invalid')), /no such host|could not be asked/, /host/],
    [() => db.url, /is a superuser/, /sign in as ringleader_app/],
  ];
  test('each thing wrong with it has its remedy', async () => {
    for (const [at, says, remedy] of cases) {
      const failed = (await checkDatabase(at())).find(({ verdict }) => verdict === 'FAIL');
      expect(failed?.says).toMatch(says);
      expect(failed?.remedy).toMatch(remedy);
      expect(JSON.stringify(failed)).not.toContain(inject('appPassword'));
    }
    expect(cases).toHaveLength(5);
  });

  test('the schema of another release, or none, is told', async () => {
    await db.pool.query("comment on schema ringleader is 'schema.sql 0000000000000000'");
    expect(lineOf(await checkDatabase(db.appUrl), 'database schema')).toMatchObject({
      verdict: 'FAIL',
      remedy: expect.stringMatching(/npm run migrate/) as string,
    });
    await migrate({ ownerUrl: db.url });
    expect(lineOf(await checkDatabase(db.appUrl), 'database schema')?.verdict).toBe('OK');
    const bare = url((u) => (u.pathname = '/postgres'));
    expect(lineOf(await checkDatabase(bare), 'database schema')).toMatchObject({ verdict: 'FAIL', says: 'is not there' });
  });

  test('an owner that cannot migrate is told', async () => {
    expect(await checkOwner(db.url)).toEqual([expect.objectContaining({ verdict: 'OK' })]);
    expect(await checkOwner(db.appUrl)).toEqual([
      expect.objectContaining({ verdict: 'FAIL', says: expect.stringMatching(/does not own/) as string }),
    ]);
  });
});

describe('mail and providers', () => {
  let phones: Awaited<ReturnType<typeof startPhoneNetwork>>;
  let inbox: Awaited<ReturnType<typeof startInbox>>;
  const configured = (more: Record<string, string> = {}) =>
    parseEnv(
      { ...RIGHT, BOLNA_BASE_URL: phones.url, POSTMARK_BASE_URL: inbox.url, PUBLIC_URL: silent, ...more },
      { allowLoopbackHttp: true },
    );
  beforeAll(async () => {
    const clock = createClock({ realStart: Date.now(), virtualStart: Date.now(), speed: 1 });
    phones = await startPhoneNetwork({ clock });
    inbox = await startInbox({ clock });
  });
  afterAll(async () => {
    await phones.stop();
    await inbox.stop();
  });

  test('a right token and sender are told with one mail to the black hole; a webhook that is missing too', async () => {
    const lines = await checkMail(configured(), true);
    expect(lines.map(({ about, verdict }) => `${about} ${verdict}`)).toEqual([
      'Postmark token OK',
      'Postmark sender OK',
      'Postmark webhook WARN',
    ]);
    const mails = (await (await fetch(`${inbox.url}/messages`)).json()) as { To: string }[];
    expect(mails.map(({ To }) => To)).toEqual(['test@blackhole.postmarkapp.com']);
  });

  test('a token that is not accepted, and a Postmark that does not answer, are told apart', async () => {
    expect(await checkMail(configured({ POSTMARK_SERVER_TOKEN: 'bad-token' }), true)).toEqual([
      expect.objectContaining({ verdict: 'FAIL', says: 'is not accepted', remedy: 'Postmark, your server, API Tokens' }),
    ]);
    expect((await checkMail(configured({ POSTMARK_BASE_URL: silent }), true))[0]?.says).toMatch(
      /could not be tried: nobody answers/,
    );
  });

  test('a provider key of the environment is tried with one read', async () => {
    expect(await checkGivenKeys({ BOLNA_API_KEY: 'bn-good' }, configured())).toEqual([
      expect.objectContaining({ verdict: 'OK', about: 'bolna (BOLNA_API_KEY)' }),
    ]);
    expect(await checkGivenKeys({ BOLNA_API_KEY: 'bad-key' }, configured())).toEqual([
      expect.objectContaining({ verdict: 'FAIL', says: 'the key is not accepted (403)', remedy: 'Bolna dashboard, Developers' }),
    ]);
    expect(await checkGivenKeys({ BOLNA_API_KEY: 'bn-good' }, configured({ BOLNA_BASE_URL: silent }))).toEqual([
      expect.objectContaining({ verdict: 'WARN', says: expect.stringMatching(/nobody answers/) as string }),
    ]);
  });

  test('the keys that agents have are opened and tried; another SECRETS_KEY is told', async () => {
    const sealer = createSealer(RIGHT['SECRETS_KEY'] ?? '');
    const insert = async (api_key: string): Promise<void> => {
      const [account, sealed] = [randomUUID(), await sealer.seal(JSON.stringify({ api_key }))];
      await db.pool.query(
        `insert into ringleader.accounts (id, name, email, timezone, max_concurrent_calls, created_at) values ($1, 'A', 'a@example.com', 'UTC', 1, '2026-01-01')`,
        [account],
      );
      await db.pool.query(
        `insert into ringleader.agents (id, account_id, name, provider, provider_agent_id, credentials_sealed, created_at) values ($1, $2, 'Ann', 'bolna', 'x', $3, '2026-01-01')`,
        [randomUUID(), account, sealed],
      );
    };
    expect(await checkStoredKeys(db.url, configured())).toEqual([
      expect.objectContaining({ verdict: 'OK', says: expect.stringMatching(/none yet/) as string }),
    ]);
    await insert('bn-good');
    await insert('bad-stored-key');
    const found = await checkStoredKeys(db.url, configured());
    expect(found.map(({ verdict }) => verdict).sort()).toEqual(['FAIL', 'OK']);
    expect(JSON.stringify(found)).not.toContain('bad-stored-key');
    const other = await checkStoredKeys(db.url, configured({ SECRETS_KEY: Buffer.alloc(32, 8).toString('base64') }));
    expect(other.map(({ says }) => says)).toEqual(
      Array.from({ length: 2 }, () => 'its key cannot be opened with this SECRETS_KEY'),
    );
  });

  test('a worker that is not there is told in one line', async () => {
    expect(await checkWorker(configured())).toEqual([
      expect.objectContaining({ verdict: 'FAIL', says: expect.stringMatching(/nobody answers/) as string }),
    ]);
  });
});

describe('npm run doctor', () => {
  const directory = testDirectory('doctor');
  afterAll(() => fs.rmSync(directory, { recursive: true }));
  const doctor = (args: string[], env: Record<string, string> = {}): { status: number | null; out: string } => {
    const script = path.resolve(import.meta.dirname, '../../scripts/doctor.ts');
    const run = spawnSync(process.execPath, [script, ...args], {
      encoding: 'utf8',
      cwd: directory,
      env: { PATH: process.env['PATH'] ?? '', ...env },
    });
    return { status: run.status, out: run.stdout + run.stderr };
  };

  test('without any configuration: everything required, with how to get it, in one screen, and exit code 1', () => {
    const { status, out } = doctor([]);
    expect(status).toBe(1);
    for (const { name, required } of WORKER) if (required) expect(out).toContain(`FAIL  ${name}: is missing\n      → `);
    expect(out.trim().split('\n').length).toBeLessThan(40);
    expect(out).toMatch(/6 wrong\n$/);
  });

  test('reads .dev.vars or the file that is named; the environment wins; a file that is not there is told', () => {
    fs.writeFileSync(path.join(directory, '.dev.vars'), 'ADMIN_KEY=short\nPOSTMARK_TOKEN=secret-token-value\n');
    fs.writeFileSync(path.join(directory, 'staging.env'), 'ADMIN_KEY="0123456789abcdef-right"\n');
    expect(doctor([]).out).toMatch(
      /FAIL {2}ADMIN_KEY: must have at least 16 characters[\s\S]*WARN {2}POSTMARK_TOKEN: is read by nobody/,
    );
    expect(doctor(['--env-file', 'staging.env']).out).toContain('ok    ADMIN_KEY: is well formed');
    expect(doctor([], { ADMIN_KEY: '0123456789abcdef-right' }).out).toContain('ok    ADMIN_KEY: is well formed');
    const none = doctor(['--env-file', 'none.env']); // Node looks for this option too, and may be the one to say so
    expect(none.status).not.toBe(0);
    expect(none.out).toMatch(/^.*none\.env.*(not found|cannot be read).*$/m);
    expect(doctor(['--loud'])).toMatchObject({ status: 2, out: expect.stringContaining("Unknown option '--loud'") as string });
  });
});
