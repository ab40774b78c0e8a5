/** Whatever is sent, an adapter answers with a fact, with nothing, or with a refusal: never with another exception. */
import { describe, expect, test } from 'vitest';
import { Refusal } from '../../lib/errors.ts';
import type { WebhookRequest } from '../../lib/providers/provider.ts';
import { refused } from '../../lib/providers/http.ts';
import { PROVIDERS, type ProviderName } from '../../lib/providers/table.ts';
import type { CallFact } from '../../lib/verb-shapes.ts';
import { CALL, DIALECTS, providers, samplesOf, webhook } from './dialects.ts';

const MB = 1_048_576;

const request = (name: ProviderName, body: string, type = DIALECTS[name].contentType): WebhookRequest => ({
  url: CALL.webhook_url,
  body,
  headers: new Headers(type === '' ? {} : { 'content-type': type }),
});
/** @throws when anything but a refusal is thrown */
const outcome = (name: ProviderName, sent: WebhookRequest): CallFact | null | Refusal => {
  try {
    return providers[name].parseWebhook(DIALECTS[name].agent, sent);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
};

/** The database takes neither NUL nor half a character, no times out of this world, no number whose sum over a campaign has no end; a state is a word. */
const isStorable = ({ payload: _payload, ...fact }: CallFact): boolean => {
  const text = JSON.stringify(fact);
  return (
    text.isWellFormed() &&
    !/\\u0000|\\ud[89a-f]|:null/.test(text.replace(/"raw":.*$/, '')) &&
    !/\\u0000|\\ud[89a-f]/.test(text) &&
    fact.event_key.length <= 500 &&
    [fact.answered_at, fact.ended_at].every((time) => time === undefined || /^20\d\d-.*Z$/.test(time)) &&
    [fact.cost, fact.duration_seconds].every((amount) => amount === undefined || (amount >= 0 && amount <= 1e9)) &&
    (fact.status === undefined || typeof fact.status === 'string')
  );
};

/** The same numbers every time (mulberry32). */
const seeded = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
};

const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  7,
  1.5,
  1e308,
  99_999_999_999_999,
  '',
  ' ',
  'x',
  'ended',
  'constructor',
  '__proto__',
  'y'.repeat(5000),
  '\u0000',
  'a\ud800b',
  '2026-99-99',
  'NaN',
  [],
  [[]],
  {},
  { a: null },
  { __proto__x: 1 },
];
/** Every place in a value. */
const placesIn = (value: unknown, here: readonly string[] = []): (readonly string[])[] =>
  typeof value === 'object' && value !== null
    ? [here, ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...here, key]))]
    : [here];
const put = (value: unknown, [first, ...rest]: readonly string[], odd: unknown): unknown =>
  first === undefined ? odd : { ...(value as object), [first]: put((value as Record<string, unknown>)[first], rest, odd) };

const fuzz = (random: () => number, depth = 0): unknown => {
  const kind = Math.floor(random() * (depth > 4 ? 5 : 7));
  if (kind < 4) return ODD[Math.floor(random() * ODD.length)];
  if (kind === 4) return random() * 1e13;
  const words = [
    'message',
    'call',
    'event',
    'type',
    'status',
    'id',
    'call_id',
    'data',
    'metadata',
    'analysis',
    'conversation_id',
    'event_timestamp',
  ];
  const entries = Array.from({ length: Math.floor(random() * 6) }, () => [
    words[Math.floor(random() * words.length)],
    fuzz(random, depth + 1),
  ]);
  return kind === 5 ? entries.map(([, value]) => value) : Object.fromEntries(entries);
};

describe.each(PROVIDERS)('%s', (name) => {
  const isForm = DIALECTS[name].contentType !== 'application/json';

  test('a body that is none of its own is refused with 400', () => {
    const bodies = [
      '',
      ' ',
      'null',
      'true',
      '0',
      '"x"',
      '[]',
      '{}',
      '[{}]',
      '{',
      '}',
      '{"a":}',
      'NaN',
      '<html></html>',
      '\u0000',
      '\ufeff{}',
      'a=b&c',
      '%',
      '%ff%',
      '&&&',
      '{"__proto__":{"id":"x","status":"completed"}}',
      '['.repeat(1_000_000),
      '{"a":'.repeat(200_000),
      '['.repeat(50_000) + ']'.repeat(50_000),
      `{"message":${'['.repeat(101)}${']'.repeat(101)}}`,
      'x'.repeat(10 * MB),
      `{"x":"${'y'.repeat(10 * MB - 8)}"}`,
    ];
    for (const body of bodies) {
      const refused = outcome(name, request(name, body));
      expect(refused, body.slice(0, 60)).toBeInstanceOf(Refusal);
      expect(refused, body.slice(0, 60)).toMatchObject({ status: 400 });
    }
    expect(bodies).toHaveLength(27);
  });

  test('another content type is refused with 415, whatever the body', () => {
    const sample = webhook(name, samplesOf(name)[0]);
    for (const type of [
      '',
      'text/plain',
      'text/html',
      'multipart/form-data; boundary=x',
      'application/xml',
      'json',
      isForm ? 'application/json' : 'application/x-www-form-urlencoded',
    ]) {
      expect(outcome(name, request(name, sample.body, type)), type).toMatchObject({ name: 'Refusal', status: 415 });
    }
    const { contentType } = DIALECTS[name];
    for (const type of [contentType, `${contentType}; charset=utf-8`, contentType.toUpperCase()])
      expect(outcome(name, { ...sample, headers: new Headers({ 'content-type': type }) }), type).not.toBeInstanceOf(Refusal);
  });

  test('a sample with any one field of any wrong type makes a fact that can be stored, nothing, or a 400 (class 28)', () => {
    let tried = 0;
    const seen = new Set<string>();
    for (const { body, query } of samplesOf(name)) {
      for (const place of placesIn(body)) {
        for (const odd of ODD) {
          if (isForm && (place.length === 0 || typeof odd !== 'string')) continue;
          const mutated = put(body, place, odd) as Record<string, unknown>;
          const result = outcome(name, webhook(name, { body: mutated, ...(query === undefined ? {} : { query }) }));
          const label = `${place.join('.')} = ${JSON.stringify(odd)}`;
          if (result instanceof Refusal) expect(result.status, label).toBe(400);
          else if (result) expect(isStorable(result), label).toBe(true);
          seen.add(result === null ? 'nothing' : result instanceof Refusal ? 'refusal' : 'fact');
          tried += 1;
        }
      }
    }
    expect(seen).toEqual(new Set(['nothing', 'refusal', 'fact']));
    expect(tried).toBeGreaterThan(isForm ? 300 : 800);
  });

  test('random JSON makes no other exception', () => {
    const random = seeded(20_260_302);
    for (let i = 0; i < 3000; i += 1) {
      const value = fuzz(random);
      const body = isForm
        ? new URLSearchParams(Object.entries(value ?? {}).map(([k, v]) => [k, String(v)])).toString()
        : JSON.stringify(value);
      const result = outcome(name, request(name, body));
      if (result instanceof Refusal) expect(result.status).toBe(400);
      else if (result) expect(isStorable(result), body).toBe(true);
    }
  });

  test('an event of 1 MB of any Unicode, quotes and SQL words comes through unaltered (class 29)', () => {
    const words = `"select" * from users; drop table calls; -- \\ ' \u00e9\u0301 😀 \u202e \u2028 <b>&amp;</b> `;
    const transcript = words.repeat(Math.ceil(MB / words.length));
    const sample = samplesOf(name).find(({ expect: said }) => said?.transcript !== undefined);
    if (!sample) return expect(name).toBe('twilio');
    const text = JSON.stringify(sample.body).replace(
      /(assistant: Hello|AI: Hello|Agent: Hello|"message":"Hello)/,
      (found) => found + JSON.stringify(transcript).slice(1, -1),
    );
    const fact = outcome(name, request(name, text)) as CallFact;
    expect(fact.transcript).toContain(transcript);
    expect(fact.payload).toBe(text);
  });
});

describe('a refused create-call', () => {
  const said = (message: string, retryAfter: string) =>
    refused('later', { status: 429, headers: new Headers({ 'retry-after': retryAfter }), json: undefined }, message);

  test('is kept in words that the database takes, or the calls of others that were claimed with it would not be recorded', () => {
    const { reason } = said(`no \u0000 ${'x'.repeat(194)}\u{1f600}`, '1');
    expect(reason).toBe(`429: no \ufffd ${'x'.repeat(194)}\ufffd`);
  });

  test.each([
    ['7', 7],
    ['0', 0],
    ['3601', 3600],
    ['1764115200', 3600],
    ['1e300', 3600],
    ['Infinity', 3600],
    ['-1', undefined],
    ['soon', undefined],
    ['Wed, 25 Nov 2026 10:00:00 GMT', undefined],
  ])('that says Retry-After: %s has the agent left alone for %s seconds', (header, seconds) => {
    expect(said('', header).retry_after_seconds).toBe(seconds);
  });
});
