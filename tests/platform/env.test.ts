import { expect, test } from 'vitest';
import { parseEnv, type Config } from '../../lib/env.ts';
import { Misconfigured } from '../../lib/errors.ts';
import { PROVIDERS } from '../../lib/providers/table.ts';
import { WORKER } from '../../scripts/doctor/variables.ts';

const good = {
  DATABASE_URL: 'postgresql://app:canary-password@ep-cool-1-pooler.eu-central-1.aws.neon.tech/ringleader?sslmode=require',
  ADMIN_KEY: 'canary-admin-key-0123456789',
  PUBLIC_URL: 'https://calls.example.com/',
  SECRETS_KEY: '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
  POSTMARK_SERVER_TOKEN: 'canary-token',
  MAIL_FROM: 'Ringleader <calls@example.com>',
};
const deployed = { allowLoopbackHttp: false };
const local = { allowLoopbackHttp: true };

const faultOf = (raw: Record<string, unknown>, options = deployed): string | undefined => {
  try {
    parseEnv(raw, options);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(Misconfigured);
    return (error as Misconfigured).message;
  }
};

test('the required variables are enough; the rest has the documented defaults', () => {
  const { providerBaseUrls, ...config } = parseEnv(good, deployed);
  expect(providerBaseUrls).toMatchObject({ bolna: 'https://api.bolna.ai' });
  expect(Object.keys(providerBaseUrls)).toEqual(PROVIDERS);
  for (const url of Object.values(providerBaseUrls)) expect(url).toMatch(/^https:\/\/[a-z.]+$/);
  expect(config).toEqual({
    databaseUrl: good.DATABASE_URL,
    adminKey: good.ADMIN_KEY,
    publicUrl: 'https://calls.example.com',
    secretsKey: good.SECRETS_KEY,
    postmarkServerToken: good.POSTMARK_SERVER_TOKEN,
    mailFrom: good.MAIL_FROM,
    summaryEnabled: false,
    sentryDsn: undefined,
    systemMaxConcurrentCalls: 100,
    postmarkWebhookSecret: undefined,
    slowQueryMs: 1000,
    postmarkBaseUrl: 'https://api.postmarkapp.com',
  } satisfies Omit<Config, 'providerBaseUrls'>);
});

test('each required variable, missing or empty, is named', () => {
  let rows = 0;
  for (const name of Object.keys(good)) {
    rows += 1;
    const { [name as keyof typeof good]: _, ...rest } = good;
    expect(faultOf(rest)).toBe(`${name} is missing`);
    expect(faultOf({ ...good, [name]: '' })).toBe(`${name} is missing`);
  }
  expect(rows).toBe(6);
});

test('every fault is named at once', () => {
  expect(faultOf({})).toBe(
    'DATABASE_URL is missing; ADMIN_KEY is missing; PUBLIC_URL is missing; SECRETS_KEY is missing; POSTMARK_SERVER_TOKEN is missing; MAIL_FROM is missing',
  );
});

const malformed: [name: string, value: unknown, rule: string][] = [
  ['DATABASE_URL', 'canary', 'must be a postgres:// URL'],
  ['DATABASE_URL', 'mysql://app:canary@host/db', 'must be a postgres:// URL'],
  ['DATABASE_URL', 'postgres://host/db', 'must name a host, a user and a password'],
  ['DATABASE_URL', 'postgres://app@host/db', 'must name a host, a user and a password'],
  ['DATABASE_URL', 'postgres://app:canary@host', 'must name a database'],
  ['DATABASE_URL', 'postgres://app:canary%@host/db', 'must have each % of its password written as %25'],
  ['ADMIN_KEY', 'canary', 'must have at least 16 characters'],
  ['ADMIN_KEY', 'canary with spaces in it', 'must be printable ASCII without spaces'],
  ['PUBLIC_URL', 'canary', 'must be an https URL'],
  ['PUBLIC_URL', 'http://calls.example.com', 'must be an https URL'],
  ['PUBLIC_URL', 'http://127.0.0.1:8787', 'must be an https URL'],
  ['PUBLIC_URL', 'https://me:canary@example.com', 'must be a URL without user, query or fragment'],
  ['PUBLIC_URL', 'https://calls.example.com\n', 'must be an https URL'],
  ['SECRETS_KEY', 'canary', 'must be 32 bytes as base64url, base64 or hex'],
  ['SECRETS_KEY', good.SECRETS_KEY.slice(2), 'must be 32 bytes as base64url, base64 or hex'],
  ['POSTMARK_SERVER_TOKEN', 'canary token', 'must be printable ASCII without spaces'],
  ['MAIL_FROM', 'canary', 'must be an address or Name <address>'],
  ['MAIL_FROM', 'a@example.com, canary@example.com', 'must be an address or Name <address>'],
  ['MAIL_FROM', 'Canary\r\nBcc: x <a@example.com>', 'must be an address or Name <address>'],
  ['SENTRY_DSN', 'canary', 'must be a DSN such as https://key@host/1'],
  ['SENTRY_DSN', 'https://o1.ingest.sentry.io/1', 'must be a DSN such as https://key@host/1'],
  ['SENTRY_DSN', 'http://canary@127.0.0.1:9000/1', 'must be a DSN such as https://key@host/1'],
  ['SYSTEM_MAX_CONCURRENT_CALLS', 'canary', 'must be a whole number from 1 to 100000'],
  ['SYSTEM_MAX_CONCURRENT_CALLS', '0', 'must be a whole number from 1 to 100000'],
  ['SYSTEM_MAX_CONCURRENT_CALLS', '1.5', 'must be a whole number from 1 to 100000'],
  ['SYSTEM_MAX_CONCURRENT_CALLS', 10, 'must be a string'],
  ['SLOW_QUERY_MS', '-1', 'must be a whole number from 1 to 600000'],
  ['POSTMARK_WEBHOOK_SECRET', 'canary secret', 'must be printable ASCII without spaces'],
  ['BOLNA_BASE_URL', 'http://api.bolna.ai', 'must be an https URL'],
  ['BOLNA_BASE_URL', 'http://127.0.0.1:9000', 'must be an https URL'],
  ['VAPI_BASE_URL', 'canary', 'must be an https URL'],
  ['RETELL_BASE_URL', 'https://api.retellai.com/#canary', 'must be a URL without user, query or fragment'],
  ['TWILIO_BASE_URL', 'https://canary@api.twilio.com', 'must be a URL without user, query or fragment'],
  ['ELEVENLABS_BASE_URL', ' https://api.elevenlabs.io', 'must be an https URL'],
  ['POSTMARK_BASE_URL', 'ftp://canary.example.com', 'must be an https URL'],
  ['POSTMARK_BASE_URL', 'https://api.postmarkapp.com/?token=canary', 'must be a URL without user, query or fragment'],
];
test.each(malformed)('%s malformed is named with its rule and without its value (%#)', (name, value, rule) => {
  expect(faultOf({ ...good, [name]: value })).toBe(`${name} ${rule}`);
});
test('every malformed value was tried, and one of each variable that can be', () => {
  expect(malformed).toHaveLength(36);
  const anyValueWillDo = ['EMAIL_CAMPAIGN_SUMMARY_ENABLED']; // whatever is not `true` is off
  const names = WORKER.map(({ name }) => name).filter((name) => !anyValueWillDo.includes(name));
  expect([...new Set(malformed.map(([name]) => name))].sort()).toEqual(names.sort());
});

test('hosts on loopback may be http only where that is allowed, and no other host may', () => {
  const values = {
    PUBLIC_URL: 'http://localhost:8787',
    BOLNA_BASE_URL: 'http://127.0.0.1:9001/',
    POSTMARK_BASE_URL: 'http://[::1]:9002',
    SENTRY_DSN: 'http://key@127.0.0.1:9003/1',
  };
  expect(parseEnv({ ...good, ...values }, local)).toMatchObject({
    publicUrl: 'http://localhost:8787',
    providerBaseUrls: { bolna: 'http://127.0.0.1:9001' },
    postmarkBaseUrl: 'http://[::1]:9002',
    sentryDsn: 'http://key@127.0.0.1:9003/1',
  });
  for (const name of Object.keys(values)) {
    for (const host of ['http://k@10.0.0.1/1', 'http://k@127.0.0.1.evil.example/1', 'http://k@localhost.evil.example/1']) {
      expect(faultOf({ ...good, [name]: host }, local)).toContain(name);
    }
  }
});

test('the summary is on for `true` and for nothing else (class 38)', () => {
  const enabled = (value: unknown): boolean =>
    parseEnv({ ...good, EMAIL_CAMPAIGN_SUMMARY_ENABLED: value }, deployed).summaryEnabled;
  expect(enabled('true')).toBe(true);
  for (const value of ['', 'TRUE', '1', 'yes', 'false', true, undefined]) expect(enabled(value)).toBe(false);
});

test('a plain address will do as sender', () => {
  expect(parseEnv({ ...good, MAIL_FROM: 'calls@example.com' }, deployed).mailFrom).toBe('calls@example.com');
});
