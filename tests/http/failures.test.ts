/** What the worker says when something is wrong with itself: run here, in this process, with the configuration of our choice. */
import { describe, expect, test } from 'vitest';
import { createWorker } from '../../functions/worker.ts';
import { errorToResponse } from '../../functions/respond.ts';
import { useLocalEndpoint } from '../../lib/db.ts';
import { DbError, type DbFailure } from '../../lib/errors.ts';
import { PROVIDER_HOSTS, WORKER } from '../../scripts/doctor/variables.ts';

const worker = createWorker({ now: () => new Date(0), sleep: () => Promise.resolve(), allowLoopbackHttp: true });
const ENV = {
  DATABASE_URL: 'postgres://ringleader_app:open-sesame@127.0.0.1/ringleader',
  ADMIN_KEY: 'an-admin-key-of-tests',
  PUBLIC_URL: 'https://calls.example.com',
  SECRETS_KEY: 'ab'.repeat(32),
  POSTMARK_SERVER_TOKEN: 'token',
  MAIL_FROM: 'calls@example.com',
};
const ctx = () => {
  const pending: Promise<unknown>[] = [];
  return { waitUntil: (promise: Promise<unknown>) => void pending.push(promise), settled: () => Promise.allSettled(pending) };
};
const ask = async (path: string, env: Record<string, string>, headers = {}, method = 'GET') => {
  const context = ctx();
  const answer = await worker.fetch(new Request(`https://calls.example.com${path}`, { headers, method }), env, context);
  const text = await answer.text();
  await context.settled();
  return { status: answer.status, headers: answer.headers, text };
};

describe('bad configuration', () => {
  /** Every kind of path: health, pages, documents, the API with and without a body, webhooks, links, and none at all. */
  const PATHS: readonly (readonly [method: string, path: string])[] = [
    ['GET', '/health'],
    ['GET', '/'],
    ['GET', '/docs'],
    ['GET', '/openapi.json'],
    ['GET', '/v1/account'],
    ['POST', '/v1/calls'],
    ['POST', '/webhooks/bolna/any'],
    ['POST', '/webhooks/mail/postmark'],
    ['GET', '/links/any'],
    ['GET', '/nothing'],
  ];
  const everywhere = async (env: Record<string, string>, message: string): Promise<void> => {
    for (const [method, path] of PATHS) {
      const { status, text } = await ask(path, env, {}, method);
      expect([status, JSON.parse(text)], path).toEqual([503, { error: { code: 'misconfigured', message } }]);
    }
  };

  test.each(Object.keys(ENV))('without %s every path answers 503 and says so', (name) =>
    everywhere(Object.fromEntries(Object.entries(ENV).filter(([key]) => key !== name)), `${name} is missing`),
  );

  const MALFORMED: Readonly<Record<string, readonly [value: string, rule: string]>> = {
    DATABASE_URL: ['mysql://app:canary@host/db', 'must be a postgres:// URL'],
    ADMIN_KEY: ['canary', 'must have at least 16 characters'],
    PUBLIC_URL: ['ftp://canary', 'must be an https URL'],
    SECRETS_KEY: ['canary', 'must be 32 bytes as base64url, base64 or hex'],
    POSTMARK_SERVER_TOKEN: ['canary token', 'must be printable ASCII without spaces'],
    MAIL_FROM: ['canary', 'must be an address or Name <address>'],
    SENTRY_DSN: ['canary', 'must be a DSN such as https://key@host/1'],
    SYSTEM_MAX_CONCURRENT_CALLS: ['canary', 'must be a whole number from 1 to 100000'],
    POSTMARK_WEBHOOK_SECRET: ['canary secret', 'must be printable ASCII without spaces'],
    SLOW_QUERY_MS: ['canary', 'must be a whole number from 1 to 600000'],
    ...Object.fromEntries(
      Object.keys(PROVIDER_HOSTS).map((name) => [name, ['http://canary.example.com', 'must be an https URL'] as const]),
    ),
  };
  test.each(Object.entries(MALFORMED))(
    'with a malformed %s every path answers 503 with its rule, without its value',
    (name, [value, rule]) => everywhere({ ...ENV, [name]: value }, `${name} ${rule}`),
  );
  test('every variable that can be malformed was', () => {
    const anyValueWillDo = 'EMAIL_CAMPAIGN_SUMMARY_ENABLED'; // whatever is not `true` is off
    expect(Object.keys(MALFORMED).sort()).toEqual(
      WORKER.map(({ name }) => name)
        .filter((name) => name !== anyValueWillDo)
        .sort(),
    );
  });

  test('a cron ends quietly: it has been reported', async () => {
    await expect(worker.scheduled({ cron: '* * * * *' }, {}, ctx())).resolves.toBeUndefined();
  });

  test('right configuration is healthy without a database', async () => {
    expect(await ask('/health', ENV)).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  });
});

describe('a database that cannot be reached', () => {
  test('is a 503 with Retry-After that tells nothing of it', async () => {
    useLocalEndpoint('127.0.0.1:9/v2'); // the discard port: refused
    const { status, headers, text } = await ask('/v1/account', ENV, { authorization: `Bearer rl_${'x'.repeat(43)}` });
    expect([status, headers.get('retry-after')]).toEqual([503, '5']);
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'database_unavailable' } });
    expect(text).not.toMatch(/127\.0\.0\.1|open-sesame|ringleader_app/);
  });
});

describe('errors that nobody foresaw', () => {
  const reports: string[] = [];
  const respond = async (error: unknown) => {
    const answer = errorToResponse(error, (type) => void reports.push(type));
    return { status: answer.status, text: await answer.text() };
  };
  const failure = (more: Partial<DbFailure>): DbError =>
    new DbError('get_account failed', {
      code: undefined,
      phase: 'sent',
      outcome: 'rejected',
      verb: 'get_account',
      errorType: 'database_query_error',
      ...more,
    });

  test('are a 500 that says nothing of the inside, and a report', async () => {
    const { status, text } = await respond(new Error('the secret is open-sesame'));
    expect([status, text.includes('open-sesame'), reports]).toEqual([500, false, ['unhandled_error']]);
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'internal' } });
  });

  test.each([
    ['22P02', 'rejected', 500],
    ['23505', 'rejected', 500],
    ['42883', 'rejected', 500],
    ['57014', 'rejected', 503],
    ['40001', 'rejected', 503],
    ['25006', 'rejected', 503],
    [undefined, 'unknown', 503],
    [undefined, 'not_applied', 503],
  ] as const)('a statement that failed with %s (%s) → %i, reported where it happened', async (code, outcome, expected) => {
    const before = reports.length;
    const { status } = await respond(failure({ code, outcome }));
    expect([status, reports.length]).toEqual([expected, before]);
  });
});
