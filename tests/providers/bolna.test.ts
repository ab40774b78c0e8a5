import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { bolna } from '../../lib/providers/bolna.ts';
import type { ProviderAgent, WebhookRequest } from '../../lib/providers/provider.ts';

type Handler = (request: IncomingMessage, body: string, response: ServerResponse) => void;
let answer: Handler = (_, __, response) => response.end();
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => answer(request, Buffer.concat(chunks).toString(), response));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
const provider = bolna(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
const agent: ProviderAgent = {
  provider_agent_id: 'agent-7',
  from_number: '+12025550100',
  credentials: { api_key: 'bn-key' },
  webhook_secrets: [],
  analysis_mapping: null,
};
const CALL = {
  attempt_id: 'a-1',
  campaign_id: 'c-1',
  lead_id: 'l-1',
  to: '+12025550123',
  variables: { plan: 'Gold', attempt_id: 'stolen' },
  webhook_url: 'https://example.com/webhooks/bolna/key',
};
const replies = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
  answer = (_, __, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
};
afterEach(() => replies(500, {}));

/** An execution as the provider pushes it: strings for durations, times without a zone. */
const execution = (fields: object = {}) => ({
  id: 'exec-1',
  agent_id: 'agent-7',
  status: 'completed',
  updated_at: '2026-03-02T10:00:40.500000',
  answered_by_voice_mail: null,
  conversation_duration: 30.2,
  total_cost: 12.5,
  transcript: 'assistant: Hello\nuser: select "all" of it\n',
  extracted_data: null,
  error_message: null,
  telephony_data: { duration: '30', recording_url: '', call_type: 'outbound', hangup_reason: 'Call ended' },
  context_details: { recipient_data: { attempt_id: 'a-1', plan: 'Gold' } },
  ...fields,
});
const pushed = (body: string): WebhookRequest => ({
  headers: new Headers({ 'content-type': 'application/json' }),
  url: CALL.webhook_url,
  body,
});
const parse = (fields: object) => provider.parseWebhook(agent, pushed(JSON.stringify(execution(fields))));

describe('webhooks', () => {
  const STATES: [status: string, ours: string | undefined, lineFree: boolean][] = [
    ['scheduled', 'queued', false],
    ['prepared', 'queued', false],
    ['queued', 'queued', false],
    ['rescheduled', 'queued', false],
    ['initiated', 'dialing', false],
    ['ringing', 'ringing', false],
    ['in-progress', 'in_progress', false],
    ['call-disconnected', 'in_progress', true],
    ['completed', 'completed', true],
    ['no-answer', 'no_answer', true],
    ['busy', 'busy', true],
    ['failed', 'failed', true],
    ['error', 'failed', true],
    ['balance-low', 'failed', true],
    ['canceled', 'canceled', true],
    ['stopped', 'canceled', true],
    ['something-new', undefined, false],
  ];
  test('every documented status becomes a state of ours, an unknown one none', () => {
    let rows = 0;
    for (const [status, ours, lineFree] of STATES) {
      const fact = parse({ status })!;
      expect([fact.status, fact.line_free ?? false, fact.provider_status], status).toEqual([ours, lineFree, status]);
      rows += 1;
    }
    expect(rows).toBe(17);
  });

  test('a completed call carries duration in seconds, cost in dollars, its transcript unaltered and its score (classes 29, 41)', () => {
    const fact = parse({
      extracted_data: {
        Lead: { Score: { objective: '84' }, Temperature: { objective: 'Hot' }, Evidence: { subjective: 'Wants it' } },
      },
    });
    expect(fact).toMatchObject({
      event_key: 'exec-1:completed',
      attempt_id: 'a-1',
      provider_call_id: 'exec-1',
      duration_seconds: 30,
      cost: 0.125,
      transcript: 'assistant: Hello\nuser: select "all" of it\n',
      analysis: { state: 'valid', score: 84, tag: 'hot', evidence: 'Wants it' },
    });
    expect(fact).not.toHaveProperty('recording_url');
  });

  test('an empty wallet concerns the account', () => {
    expect(parse({ status: 'balance-low' })).toMatchObject({ status: 'failed', account_refused: true });
    expect(parse({ status: 'failed' })).not.toHaveProperty('account_refused');
  });

  test('voicemail is told by its flag; without data the analysis is absent for good', () => {
    expect(parse({ answered_by_voice_mail: true })).toMatchObject({ status: 'voicemail' });
    expect(parse({})!.analysis).toMatchObject({ state: 'absent' });
    expect(parse({ status: 'call-disconnected' })).not.toHaveProperty('analysis');
  });

  test('what is provisional when the line falls never overwrites what is final (class 27)', () => {
    const fact = parse({ status: 'call-disconnected' })!;
    for (const field of ['cost', 'duration_seconds', 'transcript', 'recording_url']) expect(fact).not.toHaveProperty(field);
    expect(fact).toMatchObject({ status: 'in_progress', line_free: true });
  });

  test('our data may come as an object, as a JSON string, or not at all', () => {
    expect(parse({ context_details: { recipient_data: '{"attempt_id":"a-2"}' } })!.attempt_id).toBe('a-2');
    expect(parse({ context_details: { recipient_data: 'garbage{' } })).not.toHaveProperty('attempt_id');
    expect(parse({ context_details: null })).not.toHaveProperty('attempt_id');
  });

  test('an inbound call is none of our business; a body that is no execution is a 400', () => {
    expect(parse({ telephony_data: { call_type: 'inbound' } })).toBeNull();
    for (const body of ['', 'null', '[]', '"x"', '{"id":7}', '{"status":"completed"}', '{']) {
      expect(() => provider.parseWebhook(agent, pushed(body)), body).toThrow(expect.objectContaining({ status: 400 }));
    }
  });
});

describe('create-call', () => {
  test('hands over the number, the variables and our ids, which the variables cannot overwrite', async () => {
    let seen: unknown;
    answer = (request, body, response) => {
      seen = { url: request.url, auth: request.headers.authorization, body: JSON.parse(body) as unknown };
      response.end('{"message":"done","status":"queued","execution_id":"exec-9"}');
    };
    expect(await provider.createCall(agent, CALL)).toEqual({ outcome: 'accepted', provider_call_id: 'exec-9' });
    expect(seen).toEqual({
      url: '/call',
      auth: 'Bearer bn-key',
      body: {
        agent_id: 'agent-7',
        recipient_phone_number: '+12025550123',
        from_phone_number: '+12025550100',
        user_data: { plan: 'Gold', campaign_id: 'c-1', lead_id: 'l-1', attempt_id: 'a-1' },
      },
    });
  });

  const ENDS: [status: number, body: unknown, outcome: object][] = [
    [429, { error: 429, message: 'rate limit' }, { outcome: 'refused', refusal: 'later', retry_after_seconds: 7 }],
    [401, { message: 'no' }, { outcome: 'refused', refusal: 'account' }],
    [403, { detail: 'Unrecognized access token' }, { outcome: 'refused', refusal: 'account' }],
    [402, {}, { outcome: 'refused', refusal: 'account' }],
    [400, { message: 'wallet balance is low' }, { outcome: 'refused', refusal: 'account' }],
    [404, { message: 'agent not found' }, { outcome: 'refused', refusal: 'agent' }],
    [400, { message: 'invalid recipient_phone_number' }, { outcome: 'refused', refusal: 'invalid' }],
    [400, { message: 'invalid from_phone_number' }, { outcome: 'refused', refusal: 'other' }],
    [422, { message: 'something' }, { outcome: 'refused', refusal: 'other' }],
    [500, {}, { outcome: 'unknown' }],
    [502, 'html', { outcome: 'unknown' }],
    [200, { message: 'done' }, { outcome: 'unknown' }],
    [302, {}, { outcome: 'unknown' }],
  ];
  test('every kind of answer ends accepted, refused or unknown', async () => {
    let rows = 0;
    for (const [status, body, outcome] of ENDS) {
      replies(status, body, status === 429 ? { 'retry-after': '7' } : {});
      expect(await provider.createCall(agent, CALL), `${status} ${JSON.stringify(body)}`).toMatchObject(outcome);
      rows += 1;
    }
    expect(rows).toBe(13);
  });

  test('a connection that breaks is unknown and is not asked again (class 8)', async () => {
    let asked = 0;
    answer = (request) => {
      asked += 1;
      request.socket.destroy();
    };
    expect(await provider.createCall(agent, CALL)).toMatchObject({ outcome: 'unknown' });
    expect(asked).toBe(1);
  });
});

describe('reads', () => {
  test('a call is read by its id; a 404 is missing, anything else failed', async () => {
    replies(200, execution());
    expect(await provider.readCall(agent, 'exec-1')).toMatchObject({
      state: 'found',
      fact: { source: 'read', status: 'completed' },
    });
    replies(404, { message: 'not found' });
    expect(await provider.readCall(agent, 'exec-1')).toEqual({ state: 'missing' });
    replies(503, {});
    expect(await provider.readCall(agent, 'exec-1')).toMatchObject({ state: 'failed' });
  });

  test('a call whose id is not known is searched for through all pages of the list', async () => {
    const pages = [[execution({ id: 'x', context_details: null })], [execution({ id: 'found' })]];
    const urls: string[] = [];
    answer = (request, _, response) => {
      urls.push(request.url ?? '');
      const page = Number(new URL(request.url ?? '', 'http://x').searchParams.get('page_number'));
      response.end(JSON.stringify({ data: pages[page - 1], has_more: page < pages.length }));
    };
    const since = new Date('2026-03-02T10:00:00Z');
    expect(await provider.findCall(agent, { attempt_id: 'a-1', to: CALL.to, since })).toMatchObject({
      state: 'found',
      fact: { provider_call_id: 'found' },
    });
    expect(await provider.findCall(agent, { attempt_id: 'a-404', to: CALL.to, since })).toEqual({ state: 'missing' });
    expect(urls).toHaveLength(4);
  });
});
