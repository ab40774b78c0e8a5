/**
 * Retell's wire protocol: `call_started` when somebody answers, `call_ended`, then `call_analyzed`, sent to the address in the
 * create-call and signed with the API key that asked for it.
 */
import { createHmac } from 'node:crypto';
import * as z from 'zod';
import { isRecord, json, parseJson } from '../edge-server.ts';
import type { Answer } from '../edge-server.ts';
import { costOf, isFinal, recordingOf, saidIn, secondsOf, spokenBy } from './call.ts';
import type { Call, Dialect } from './call.ts';
import { decodeSegment, E164, goodKey, isWebUrl, record, SLOW_DOWN, takeCall, text } from './counter.ts';
import type { Counter, Wire } from './counter.ts';
import type { CreateCall, Exchange } from './exchange.ts';
import { FREES_LINE } from './script.ts';

/** Virtual seconds after an unsuccessful delivery: up to three more. */
const REPEATS = [1, 5, 30];

const DISCONNECTIONS = {
  answered: 'user_hangup',
  voicemail: 'voicemail_reached',
  'no-answer': 'dial_no_answer',
  busy: 'dial_busy',
  failed: 'dial_failed',
} as const;

const reasonOf = ({ status, script, over_ceiling }: Call): string => {
  if (status === 'stopped') return 'manual_stopped';
  return over_ceiling ? 'concurrency_limit_reached' : DISCONNECTIONS[script.ending];
};

const stateOf = ({ status, answered_at, over_ceiling }: Call): string => {
  if (!FREES_LINE.has(status)) return status === 'in-progress' ? 'ongoing' : 'registered';
  if (answered_at !== null) return 'ended';
  return over_ceiling ? 'error' : 'not_connected';
};

const started = ({ answered_at }: Call) => (answered_at === null ? {} : { start_timestamp: answered_at.getTime() });

/** How the call ended and what it came to. */
const endOf = (call: Call, base: string) => ({
  ...(call.answered_at !== null && { end_timestamp: call.ended_at?.getTime() }),
  ...(secondsOf(call) > 0 && { recording_url: recordingOf(call, base) }),
  duration_ms: secondsOf(call) * 1_000,
  transcript: spokenBy(saidIn(call).transcript, 'Agent', 'User'),
  disconnection_reason: reasonOf(call),
  call_cost: { combined_cost: costOf(call) },
});

const analysisOf = (call: Call) => {
  const { summary, analysis } = saidIn(call);
  return {
    call_summary: summary ?? '',
    in_voicemail: call.script.ending === 'voicemail' && call.answered_at !== null,
    user_sentiment: analysis === null ? 'Unknown' : analysis.temperature === 'Cold' ? 'Neutral' : 'Positive',
    call_successful: analysis !== null,
    custom_analysis_data: analysis === null ? {} : { ...analysis, score: String(analysis.score) },
  };
};

/** The call object. `everything`: with our data also where the number's script keeps it back. */
const callBody = (call: Call, base: string, everything: boolean, analyzed: boolean) => {
  const { metadata, retell_llm_dynamic_variables } = call.asked;
  return {
    call_type: 'phone_call',
    call_id: call.id,
    agent_id: call.agent_id,
    agent_version: 0,
    agent_name: 'Local agent',
    ...((everything || call.script.echoes) && { metadata, retell_llm_dynamic_variables }),
    from_number: call.from,
    to_number: call.to,
    direction: 'outbound',
    call_status: stateOf(call),
    ...started(call),
    ...(FREES_LINE.has(call.status) && endOf(call, base)),
    ...(analyzed && { call_analysis: analysisOf(call) }),
  };
};

export const RETELL: Dialect = {
  name: 'retell',
  newId: (uuid) => `call_${uuid.replaceAll('-', '').slice(0, 27)}`,
  queues: false,
  events(call, base) {
    const event = (name: string) => ({
      name,
      body: {
        event: name,
        call: callBody(call, base, false, name === 'call_analyzed'),
        event_timestamp: call.updated_at.getTime(),
      },
    });
    if (call.status === 'in-progress') return [event('call_started')];
    if (call.status === 'call-disconnected') return [event('call_ended')];
    if (call.status === 'completed') return [event('call_analyzed')];
    return isFinal(call) ? [event('call_ended'), event('call_analyzed')] : [];
  },
};

const refuse = (status: number, message: string): Answer =>
  json(status, { status: 'error', message }, status === 429 ? SLOW_DOWN : {});
const UNAUTHORIZED = refuse(401, 'API key is missing or invalid.');
const NOT_FOUND = refuse(404, 'Cannot find requested asset under given api key.');

const signature = (key: string, body: string, now: Date): string => {
  const at = now.getTime();
  return `v=${at},d=${createHmac('sha256', key).update(`${body}${at}`).digest('hex')}`;
};

const isTexts = (value: unknown): boolean => isRecord(value) && Object.values(value).every((one) => typeof one === 'string');

/** What is wrong with a create-call, or the call. */
const parseCreate = (body: unknown, key: string): CreateCall | string => {
  if (!isRecord(body)) return 'Invalid request format, please check API reference.';
  const { from_number, to_number, override_agent_id, metadata, retell_llm_dynamic_variables: variables } = body;
  const [from, to, agent] = [from_number, to_number, override_agent_id].map(text);
  if (from === undefined || !E164.test(from)) return 'from_number must be in E.164 format';
  if (to === undefined || !E164.test(to)) return 'to_number must be in E.164 format';
  if (agent === undefined) return 'from_number is not bound to an outbound agent';
  if (metadata !== undefined && !isRecord(metadata)) return 'metadata must be an object';
  if (variables !== undefined && !isTexts(variables)) return 'retell_llm_dynamic_variables must be an object of strings';
  const url = record(record(body['agent_override'])['agent'])['webhook_url'];
  if (url !== undefined && !isWebUrl(url)) return 'agent_override.agent.webhook_url must be a URL';
  return {
    agent_id: agent,
    to,
    from,
    user_data: { ...record(variables), ...record(metadata) },
    asked: body,
    receiver: {
      url: () => url,
      headers: (sent, now) => ({ 'user-agent': 'retell-webhooks', 'x-retell-signature': signature(key, sent, now) }),
      repeats: REPEATS,
    },
  };
};

/** What this network can look for: equal texts in the metadata. */
const Search = z.strictObject({
  filter_criteria: z
    .strictObject({
      metadata: z
        .array(z.strictObject({ type: z.literal('string'), op: z.literal('eq'), key: z.string(), value: z.string() }))
        .default([]),
    })
    .default({ metadata: [] }),
  limit: z.int().min(1).max(1000).default(50),
});

/** Newest first. */
const listCalls = (exchange: Exchange, base: string, body: unknown): Answer => {
  const search = Search.safeParse(body);
  if (!search.success) return refuse(400, `Invalid request format: ${z.prettifyError(search.error)}`);
  const { filter_criteria, limit } = search.data;
  const found = exchange
    .list(RETELL)
    .filter(({ asked }) => filter_criteria.metadata.every(({ key, value }) => record(asked['metadata'])[key] === value));
  const items = found.slice(0, limit).map((call) => callBody(call, base, true, isFinal(call)));
  return json(200, { items, has_more: found.length > limit });
};

const stopCall = (exchange: Exchange, id: string): Answer => {
  const outcome = exchange.stop(id, RETELL, (status) => !FREES_LINE.has(status));
  if (outcome === 'missing') return NOT_FOUND;
  return outcome === 'stopped' ? { status: 204, body: '' } : refuse(400, 'Call is not ongoing.');
};

/** @param base where this network listens; known only once it does */
export const createRetell = (exchange: Exchange, base: () => string): Wire => {
  const counter: Counter = {
    dialect: RETELL,
    keyOf: (request) => goodKey(request) ?? UNAUTHORIZED,
    refuse,
    shown: ({ override_agent_id = null, to_number = null, retell_llm_dynamic_variables = null }) => ({
      agent_id: override_agent_id,
      recipient_phone_number: to_number,
      user_data: retell_llm_dynamic_variables,
    }),
    parse: parseCreate,
    accepted: (call) => json(201, callBody(call, base(), true, false)),
  };

  return (request, path) => {
    const { method, body } = request;
    if (method === 'POST' && path === '/v2/create-phone-call') return takeCall(exchange, counter, request);
    if (goodKey(request) === undefined) return UNAUTHORIZED;
    if (method === 'POST' && path === '/v3/list-calls') return listCalls(exchange, base(), parseJson(body));
    const [, verb, id = ''] = /^\/v2\/(get-call|stop-call)\/([^/]+)$/.exec(path) ?? [];
    if (method === 'POST' && verb === 'stop-call') return stopCall(exchange, decodeSegment(id));
    const call = method === 'GET' && verb === 'get-call' ? exchange.read(decodeSegment(id), RETELL) : undefined;
    return call === undefined ? NOT_FOUND : json(200, callBody(call, base(), false, isFinal(call)));
  };
};
