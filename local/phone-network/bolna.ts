/** Bolna's wire protocol: one execution object for everything, unsigned webhooks to the agent's address. */
import { isRecord, json, parseJson } from '../edge-server.ts';
import type { Answer, EdgeRequest } from '../edge-server.ts';
import { executionBody } from './bolna-execution.ts';
import type { Dialect } from './call.ts';
import { bearerKey, decodeSegment, DEFAULT_FROM, E164, isWebUrl, SLOW_DOWN, takeCall, text } from './counter.ts';
import type { Counter, Wire } from './counter.ts';
import type { CreateCall, Exchange } from './exchange.ts';
import type { Control, Receiver } from './webhooks.ts';

/** What an account without a ceiling is told. */
const UNLIMITED = 10_000;
/** US dollars. */
const WALLET = 1_000;
const WEEK_MS = 7 * 24 * 3_600_000;
const ZONE = /(Z|[+-]\d\d:?\d\d)$/i;
/** Virtual seconds after an unsuccessful delivery. */
const REPEATS = [1, 5, 30, 120];

export const BOLNA: Dialect = {
  name: 'bolna',
  newId: (uuid) => uuid,
  queues: true,
  events: (call, base) => [{ name: call.status, body: executionBody(call, 'webhook', base) }],
};

const refuse = (status: number, message: string): Answer =>
  json(status, { error: status, message }, status === 429 ? SLOW_DOWN : {});

const keyOf = ({ headers }: EdgeRequest): string | Answer => {
  const key = bearerKey(headers.authorization);
  if (key === undefined) return refuse(401, 'Missing or malformed Authorization header');
  return key.startsWith('bad-') ? json(403, { detail: 'Unrecognized access token' }) : key;
};

/** What is wrong with a create-call, or the call. */
const parseCreate = (body: unknown): Omit<CreateCall, 'receiver'> | string => {
  if (!isRecord(body)) return 'Request body must be a JSON object';
  const { agent_id, recipient_phone_number, from_phone_number, user_data, scheduled_at, retry_config } = body;
  const agent = text(agent_id);
  const to = text(recipient_phone_number);
  if (agent === undefined) return 'agent_id is required';
  if (to === undefined) return 'recipient_phone_number is required';
  if (!E164.test(to)) return 'recipient_phone_number must be in E.164 format';
  if (from_phone_number !== undefined && !(typeof from_phone_number === 'string' && E164.test(from_phone_number))) {
    return 'from_phone_number must be in E.164 format';
  }
  if (user_data !== undefined && user_data !== null && !isRecord(user_data)) return 'user_data must be an object';
  // Bolna offers both; a call that silently went out at another time, or twice, would be a lie.
  if (scheduled_at !== undefined && scheduled_at !== null) return 'scheduled_at is not offered by this network';
  if (isRecord(retry_config) && retry_config['enabled'] === true) return 'retry_config is not offered by this network';
  return {
    agent_id: agent,
    to,
    from: text(from_phone_number) ?? DEFAULT_FROM,
    user_data: isRecord(user_data) ? user_data : null,
    asked: body,
  };
};

/** A time as Bolna takes it: without a zone it is UTC. NaN when it is none. */
const instant = (value: string): number => Date.parse(value.includes('T') && !ZONE.test(value) ? `${value}Z` : value);

const listExecutions = (exchange: Exchange, base: string, agentId: string, query: URLSearchParams): Answer => {
  const number = Number(query.get('page_number') ?? 1);
  const size = Number(query.get('page_size') ?? 20);
  if (!Number.isInteger(number) || number < 1) return refuse(400, 'page_number must be a positive integer');
  if (!Number.isInteger(size) || size < 1 || size > 50) return refuse(400, 'page_size must be between 1 and 50');
  const [from, to, status, machine] = ['from', 'to', 'status', 'answered_by_voice_mail'].map((name) => query.get(name));
  if ((from === null) !== (to === null)) return refuse(400, 'from and to must be given together');
  const [first, last] = from === null || to === null ? [-Infinity, Infinity] : [instant(from), instant(to)];
  if (Number.isNaN(first) || Number.isNaN(last)) return refuse(400, 'from and to must be ISO 8601 times');
  if (last < first || (from !== null && last - first > WEEK_MS)) return refuse(400, 'from and to must span at most 7 days');
  const found = exchange
    .list(BOLNA)
    .filter(({ agent_id, created_at }) => agent_id === agentId && created_at.getTime() >= first && created_at.getTime() <= last)
    .map((call) => executionBody(call, 'list', base))
    .filter(
      (body) => (status === null || body.status === status) && (machine !== 'true' || body.answered_by_voice_mail === true),
    );
  const start = (number - 1) * size;
  const data = found.slice(start, start + size);
  const total = found.length;
  return json(200, { page_number: number, page_size: size, total, has_more: start + size < total, data });
};

const stopCall = (exchange: Exchange, id: string): Answer => {
  const outcome = exchange.stop(id, BOLNA, (status) => status === 'queued');
  if (outcome === 'missing') return refuse(404, 'Execution not found');
  if (outcome !== 'stopped') return refuse(400, `Only queued or scheduled calls can be stopped; this one is ${outcome.too_late}`);
  return json(200, { message: 'done', status: 'stopped', execution_id: id });
};

const patchAgent = (webhookUrls: Map<string, string>, agentId: string, body: unknown): Answer => {
  if (!isRecord(body)) return refuse(400, 'Request body must be a JSON object');
  const config = body['agent_config'] ?? {};
  if (!isRecord(config)) return refuse(400, 'agent_config must be an object');
  if ('webhook_url' in config) {
    const url = config['webhook_url'];
    if (isWebUrl(url)) webhookUrls.set(agentId, url);
    else if (url === null || url === '') webhookUrls.delete(agentId);
    else return refuse(400, 'agent_config.webhook_url must be an http or https URL');
  }
  return json(200, { message: 'success', status: 'updated' });
};

const me = (exchange: Exchange, control: Control, key: string): Answer =>
  json(200, {
    id: 'b1f5b1e0-1f3c-4e7e-9a51-1d0c3f5a7b99',
    name: 'Local phone network',
    email: 'ops@example.com',
    wallet: Math.round(WALLET * 100 - exchange.spent()) / 100,
    concurrency: { max: control.ceiling ?? UNLIMITED, current: exchange.liveOfKey(key) },
  });

/** @param base where this network listens; known only once it does */
export const createBolna = (exchange: Exchange, control: Control, base: () => string): Wire => {
  const webhookUrls = new Map<string, string>();
  const receiverOf = (agentId: string): Receiver => ({
    url: () => webhookUrls.get(agentId),
    headers: () => ({ 'user-agent': 'bolna-webhooks' }),
    repeats: REPEATS,
  });
  const counter: Counter = {
    dialect: BOLNA,
    keyOf,
    refuse,
    shown: ({ agent_id = null, recipient_phone_number = null, user_data = null }) => ({
      agent_id,
      recipient_phone_number,
      user_data,
    }),
    parse(body) {
      const asked = parseCreate(body);
      return typeof asked === 'string' ? asked : { ...asked, receiver: receiverOf(asked.agent_id) };
    },
    accepted: ({ id }) => json(200, { message: 'done', status: 'queued', execution_id: id }),
  };

  return (request, path) => {
    const { method, query, body } = request;
    if (method === 'POST' && path === '/call') return takeCall(exchange, counter, request);
    const key = keyOf(request);
    if (typeof key !== 'string') return key;
    const [, head, id = '', tail] = /^(\/(?:executions|call|v2\/agent)\/)([^/]+)(.*)$/.exec(path) ?? [];
    const route = `${method} ${id === '' ? path : `${head}:id${tail}`}`;
    const named = decodeSegment(id);
    switch (route) {
      case 'GET /executions/:id': {
        const call = exchange.read(named, BOLNA);
        return call === undefined ? refuse(404, 'Execution not found') : json(200, executionBody(call, 'read', base()));
      }
      case 'GET /v2/agent/:id/executions':
        return listExecutions(exchange, base(), named, query);
      case 'PATCH /v2/agent/:id':
        return patchAgent(webhookUrls, named, parseJson(body));
      case 'POST /call/:id/stop':
        return stopCall(exchange, named);
      case 'GET /user/me':
        return me(exchange, control, key);
      default:
        return refuse(404, 'Not found');
    }
  };
};
