import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import * as z from 'zod';
import { createBackground } from '../../lib/background.ts';
import { DbError, Misconfigured, Refusal, type ErrorType } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { createReporter, type ReporterOptions } from '../../lib/sentry.ts';

interface Event {
  level: string;
  tags: Record<string, unknown>;
  contexts: { report: Record<string, unknown> };
  exception: { values: { type: string; value: string; stacktrace?: { frames: Record<string, unknown>[] } }[] };
}

// ---------------------------------------------------------------- a sink that keeps every envelope

const envelopes: string[] = [];
let answer = 200;
const sink = http.createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    envelopes.push(Buffer.concat(chunks).toString());
    response.writeHead(answer).end('{}');
  });
});
await new Promise<void>((done) => sink.listen(0, '127.0.0.1', done));
const dsn = `http://publickey@127.0.0.1:${(sink.address() as AddressInfo).port}/1`;
afterAll(() => {
  sink.closeAllConnections();
  sink.close();
});

const eventIn = (envelope: string): Event => JSON.parse(envelope.split('\n')[2]) as Event;

/** A reporter with what it logged and what it was left waiting for. */
const open = (options: Partial<ReporterOptions> = {}) => {
  const waiting: Promise<unknown>[] = [];
  const lines: string[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => void waiting.push(promise) };
  const report = createReporter({ dsn, ctx, log: createLog((line) => lines.push(line)), ...options });
  return { report, ctx, lines, delivered: () => Promise.all(waiting) };
};
/** What arrives of one report. */
const reported = async (...given: Parameters<ReturnType<typeof createReporter>>): Promise<Event> => {
  envelopes.length = 0;
  const { report, delivered } = open();
  report(...given);
  await delivered();
  expect(envelopes).toHaveLength(1);
  return eventIn(envelopes[0]);
};

const dbError = new DbError('claim was rejected: 23505 calls_pkey', {
  code: '23505',
  phase: 'sent',
  outcome: 'rejected',
  verb: 'claim',
  errorType: 'database_query_error',
});

// ---------------------------------------------------------------- types and levels

const levels: [ErrorType, Record<string, boolean>, 'warning' | 'error', Record<string, unknown>][] = [
  ['database_connection_error', { connection_terminated: true }, 'warning', { connection_terminated: true }],
  ['database_connection_error', { connection_terminated: false }, 'error', { connection_terminated: false }],
  ['database_connection_error', {}, 'error', { connection_terminated: false }],
  ['database_query_error', {}, 'error', {}],
  ['database_transaction_error', {}, 'error', {}],
  ['campaign_summary_email_failed', {}, 'warning', {}],
  ['campaign_summary_generation_failed', {}, 'warning', {}],
  ['notification_email_failed', {}, 'warning', {}],
  ['background_task_failed', {}, 'warning', {}],
  ['webhook_processing_failed', {}, 'error', {}],
  ['provider_api_failure', {}, 'error', {}],
  ['call_dispatch_failed', {}, 'error', {}],
  ['configuration_invalid', {}, 'error', {}],
  ['unhandled_error', {}, 'error', {}],
];
test.each(levels)('%s %o arrives as %s with its tags', async (type, context, level, tags) => {
  const event = await reported(type, dbError, context);
  expect(event.level).toBe(level);
  expect(event.tags).toEqual({ error_type: type, ...tags });
});
test('every type was reported', () => expect(new Set(levels.map(([type]) => type)).size).toBe(12));

test('a report names error, verb, phase, outcome and counts, and where in the code it was', async () => {
  const context = { verb: 'claim', phase: 'sent', outcome: 'rejected', code: '23505', attempts: 1, connect_ms: 12 };
  const event = await reported('database_query_error', dbError, context);
  expect(event.contexts.report).toEqual(context);
  expect(event.tags).toEqual({ error_type: 'database_query_error', verb: 'claim', outcome: 'rejected' });
  const [{ type, value, stacktrace }] = event.exception.values;
  expect([type, value]).toEqual(['DbError', 'claim was rejected: 23505 calls_pkey']);
  expect(stacktrace?.frames.some((frame) => frame['filename'] === 'report.test.ts')).toBe(true);
});

// ---------------------------------------------------------------- delivery

test('reports are delivered although nobody waits for them but waitUntil', async () => {
  envelopes.length = 0;
  const { report, delivered } = open();
  for (let i = 0; i < 5; i += 1) report('unhandled_error', new Error('x'), { count: i });
  expect(envelopes).toHaveLength(0);
  await delivered();
  expect(
    envelopes.map((envelope) => eventIn(envelope).contexts.report['count']).toSorted((a, b) => Number(a) - Number(b)),
  ).toEqual([0, 1, 2, 3, 4]);
});

test('a sink that refuses or is not there is logged, and throws nowhere', async () => {
  answer = 429;
  const refused = open();
  refused.report('unhandled_error', new Error('x'));
  await refused.delivered();
  answer = 200;
  expect(refused.lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { event: 'report' },
    { event: 'report_not_delivered', status: 429 },
  ]);
  const absent = open({ dsn: 'http://publickey@127.0.0.1:9/1' });
  absent.report('unhandled_error', new Error('x'));
  await absent.delivered();
  expect(absent.lines).toHaveLength(2);
});

test('without a DSN a report goes to the log alone', async () => {
  envelopes.length = 0;
  const { report, lines, delivered } = open({ dsn: undefined });
  report('database_query_error', dbError, { verb: 'claim' });
  await delivered();
  expect(envelopes).toHaveLength(0);
  expect(JSON.parse(lines[0])).toEqual({
    level: 'error',
    event: 'report',
    error_type: 'database_query_error',
    verb: 'claim',
    error_name: 'DbError',
    error_message: 'claim was rejected: 23505 calls_pkey',
  });
});

test('one invocation cannot use up its requests on reports: what is beyond twenty stays in the log', async () => {
  envelopes.length = 0;
  const { report, lines, delivered } = open();
  for (let i = 0; i < 25; i += 1) report('provider_api_failure', new Error('x'));
  await delivered();
  expect(envelopes).toHaveLength(20);
  expect(lines.filter((line) => line.includes('"event":"report"'))).toHaveLength(25);
});

// ---------------------------------------------------------------- nothing personal leaves

const CANARIES = [
  '+14155550123',
  '4155550123',
  '415-555-0123',
  '(415) 555 0123',
  'Maria Canary-Lopez',
  'maria.canary@example.com',
  'Hello, this is the canary transcript of a call.',
  'rl_cAnAryKeycAnAryKeycAnAryKeycAnAryKeycAnAry0',
  'postgres://app:Canary-Password-1@host/db',
  'Canary-Password-1',
] as const;

/** Errors as they come about, each with the canary where such errors carry values. */
const errorsWith = (canary: string): unknown[] => {
  const caught = (run: () => unknown): unknown => {
    try {
      return run();
    } catch (error) {
      return error;
    }
  };
  return [
    new Error(canary),
    new Error('outer', { cause: new Error(canary) }),
    Object.assign(new Error('x'), { detail: canary, client: { password: canary } }),
    Object.assign(new Error('x'), { name: canary }),
    caught(() => JSON.parse(`{"lead": ${canary}`)),
    caught(() => new URL(canary)),
    caught(() => z.object({ phone: z.number(), [canary]: z.number() }).parse({ phone: canary })),
    new AggregateError([new Error(canary)], canary),
    new Error(`first line\n    at ${canary} (${canary}:1:1)\n${canary}`),
    canary,
    { message: canary },
    undefined,
    null,
  ];
};

test('no canary leaves by any error or context, neither in an envelope nor in a log line (class 30)', async () => {
  let pushed = 0;
  for (const canary of CANARIES) {
    for (const error of errorsWith(canary)) {
      envelopes.length = 0;
      const { report, lines, delivered } = open();
      const number = Number(canary.replaceAll(/\D/g, ''));
      const fields = [
        'verb',
        'reason',
        'name',
        'code',
        'route',
        'task',
        'cron',
        'error_name',
        'phone',
        'lead_id',
        'transcript',
        canary,
      ];
      report('provider_api_failure', error, Object.fromEntries(fields.map((field) => [field, canary])));
      report('provider_api_failure', error, { count: number, route: `GET /v1/suppressions/${canary}`, ms: -number });
      await delivered();
      pushed += 1;
      expect(envelopes).toHaveLength(2);
      const out = [...envelopes, ...lines].join('\n');
      expect(out).not.toContain(canary);
      if (number > 1e6) expect(out).not.toContain(String(number));
      expect(out).not.toContain('Canary');
    }
  }
  expect(pushed).toBe(CANARIES.length * 13);
});

test('the words of our own errors pass; an address or a number in them does not', async () => {
  const valueOf = async (error: unknown): Promise<string> => (await reported('unhandled_error', error)).exception.values[0].value;
  expect(await valueOf(new Misconfigured('DATABASE_URL is missing'))).toBe('DATABASE_URL is missing');
  expect(await valueOf(new Refusal(400, 'validation', 'window.end: must be at least one hour long'))).toContain('one hour');
  expect(await valueOf(new Refusal(409, 'suppressed', 'the number +1 415 555 0123 is suppressed'))).toContain('withheld');
  expect(await valueOf(new Refusal(400, 'validation', 'a@example.com is no address'))).toBe('… is no address');
});

// ---------------------------------------------------------------- background work

test('background work that fails is reported by its name, whatever it throws (class 34)', async () => {
  envelopes.length = 0;
  const { report, ctx, delivered } = open();
  const background = createBackground({ report, ctx });
  background.run('refill', () => Promise.reject(new TypeError('x')));
  background.run('send_summary', () => Promise.reject(new Error('x')), 'campaign_summary_email_failed', { count: 3 });
  background.run('fine', () => Promise.resolve());
  background.begin();
  await delivered();
  await delivered(); // the reports were handed over while the work was waited for
  const events = new Map(envelopes.map(eventIn).map(({ tags, contexts }) => [tags['error_type'], contexts.report]));
  expect(envelopes).toHaveLength(2);
  expect(events.get('background_task_failed')).toEqual({ task: 'refill' });
  expect(events.get('campaign_summary_email_failed')).toEqual({ task: 'send_summary', count: 3 });
});

test('background work that throws before its first await is reported too', async () => {
  const { report, ctx, lines, delivered } = open({ dsn: undefined });
  const background = createBackground({ report, ctx });
  background.run('at_once', () => {
    throw new Error('x');
  });
  background.begin();
  await delivered();
  expect(JSON.parse(lines[0])).toMatchObject({ error_type: 'background_task_failed', task: 'at_once' });
});

test('background work waits for the answer, goes one after the other, and the same twice is done once', async () => {
  const { report, ctx } = open({ dsn: undefined });
  const background = createBackground({ report, ctx });
  const seen: string[] = [];
  const work = (name: string) => async (): Promise<void> => {
    seen.push(`${name} begins`);
    await Promise.resolve();
    seen.push(`${name} ends`);
  };
  background.run('refill', work('refill'));
  background.run('summary', work('summary'));
  background.run('summary', work('summary'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toEqual([]);
  const over = Promise.withResolvers<void>();
  background.run('last', async () => {
    background.run('summary', work('summary'));
    background.run('end', () => Promise.resolve(over.resolve()));
  });
  background.begin();
  await over.promise;
  const once = ['summary begins', 'summary ends'];
  expect(seen).toEqual(['refill begins', 'refill ends', ...once, ...once]);
});
