import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startSentrySink } from '../../local/sentry-sink.ts';
import type { SentrySink } from '../../local/sentry-sink.ts';
import { ask } from './support.ts';

let sink: SentrySink;
beforeEach(async () => {
  sink = await startSentrySink();
});
afterEach(() => sink.stop());

const event = {
  event_id: 'f'.repeat(32),
  level: 'warning',
  tags: { error_type: 'database_connection_error', connection_terminated: true },
  contexts: { report: { verb: 'claim' } },
  exception: {
    values: [
      { type: 'Error', value: 'inner' },
      { type: 'DbError', value: 'Neon — closed' },
    ],
  },
};
/** An item with its payload's length in bytes, or without. */
const item = (type: string, payload: unknown, measured: boolean): string => {
  const text = JSON.stringify(payload);
  return `${JSON.stringify({ type, ...(measured ? { length: Buffer.byteLength(text) } : {}) })}\n${text}`;
};
const envelope = (...items: string[]): string => [JSON.stringify({ event_id: event.event_id }), ...items].join('\n');
const post = (body: BodyInit, headers: Record<string, string> = {}) =>
  fetch(`${sink.url}/api/1/envelope/`, { method: 'POST', body, headers });
const events = async (): Promise<unknown> => (await ask(`${sink.url}/events`)).body;

const SHORT = {
  error_type: 'database_connection_error',
  level: 'warning',
  tags: event.tags,
  contexts: event.contexts,
  message: 'Neon — closed',
};

test('its dsn leads to its envelope endpoint', async () => {
  const { protocol, host, username, pathname } = new URL(sink.dsn);
  expect(username).not.toBe('');
  const answer = await fetch(`${protocol}//${host}/api${pathname}/envelope/?sentry_key=${username}`, {
    method: 'POST',
    body: envelope(item('event', event, true)),
  });
  expect([answer.status, await answer.json()]).toEqual([200, { id: event.event_id }]);
  expect(await events()).toEqual([SHORT]);
});

test('items with and without a length, blank lines, and items that are no events', async () => {
  const body = envelope(
    item('event', event, true),
    item('client_report', { x: 1 }, false),
    '',
    item('event', { message: 'plain' }, false),
    '',
  );
  expect((await post(body)).status).toBe(200);
  expect(await events()).toEqual([SHORT, { error_type: null, level: null, tags: {}, contexts: {}, message: 'plain' }]);
  expect((await ask(`${sink.url}/envelopes`)).body).toEqual([body]);
});

test('a payload may hold line breaks when its length is given', async () => {
  const text = '{\n"message":"two\\nlines"\n}';
  await post(envelope(`{"type":"event","length":${text.length}}\n${text}`, item('event', { message: 'next' }, true)));
  expect(await events()).toMatchObject([{ message: 'two\nlines' }, { message: 'next' }]);
});

test('gzip is unpacked', async () => {
  await post(gzipSync(envelope(item('event', event, true))), { 'content-encoding': 'gzip' });
  expect(await events()).toEqual([SHORT]);
});

test('what is no envelope is refused and not kept', async () => {
  const bad = ['', 'nonsense', '{}\nnonsense', '{}\n{"type":"event","length":99}\n{}', '{}\n{"length":2}\n{}'];
  for (const body of bad) expect((await post(body)).status).toBe(400);
  expect((await post('{}', { 'content-encoding': 'gzip' })).status).toBe(400);
  expect(await events()).toEqual([]);
  expect((await ask(`${sink.url}/envelopes`)).body).toEqual([]);
});

test('DELETE forgets events and envelopes', async () => {
  await post(envelope(item('event', event, true)));
  await ask(`${sink.url}/events`, 'DELETE');
  expect(await events()).toEqual([]);
  expect((await ask(`${sink.url}/envelopes`)).body).toEqual([]);
});
