/**
 * The phone network: speaks Bolna's wire protocol, and lets the last two digits of a number decide what becomes of the call.
 * Beside Bolna's endpoints: `GET /calls`, `GET /stats`, `DELETE /stats`, `GET` and `PUT /control`, and a page at `/`.
 */
import { Buffer } from 'node:buffer';
import * as z from 'zod';
import type { Clock } from './clock.ts';
import { html, isRecord, json, parseJson, serve } from './edge-server.ts';
import type { Answer, Edge, EdgeRequest, Reply } from './edge-server.ts';
import { createExchange } from './phone-network/exchange.ts';
import type { CreateCall, Exchange } from './phone-network/exchange.ts';
import { callsPage } from './phone-network/page.ts';
import { ControlPatch, createWebhooks } from './phone-network/webhooks.ts';
import type { Control } from './phone-network/webhooks.ts';
import { executionBody } from './phone-network/wire.ts';

export interface PhoneNetworkOptions {
  clock: Pick<Clock, 'now' | 'after'>;
  /** 0, the default, takes a free one. */
  port?: number;
  /** Uniform in [0, 1); decides which webhooks the control's shares hit. */
  random?: () => number;
}

const MAX_BODY = 1024 * 1024;
const E164 = /^\+[1-9]\d{6,14}$/;
const DEFAULT_FROM = '+12025550100';
/** What an account without a ceiling is told. */
const UNLIMITED = 10_000;
/** US dollars. */
const WALLET = 1_000;
const WEEK_MS = 7 * 24 * 3_600_000;
const ZONE = /(Z|[+-]\d\d:?\d\d)$/i;

const refuse = (status: number, message: string): Answer => json(status, { error: status, message });

/** The key of a request, or the answer that Bolna gives without a good one. */
const keyOf = ({ headers }: EdgeRequest): string | Answer => {
  const key = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1];
  if (key === undefined) return refuse(401, 'Missing or malformed Authorization header');
  return key.startsWith('bad-') ? json(403, { detail: 'Unrecognized access token' }) : key;
};

/** A path segment as it was meant; one that is badly encoded stands for itself and matches nothing. */
const decodeSegment = (segment: string): string => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
};

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** What is wrong with a create-call, or the call. */
const parseCreate = (body: unknown): CreateCall | string => {
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
  };
};

const createCall = (exchange: Exchange, request: EdgeRequest): Reply => {
  const body = parseJson(request.body);
  const record = exchange.receive(body ?? request.body.toString('utf8'), isRecord(body) ? body : {});
  const answer = ((): Reply => {
    const key = keyOf(request);
    if (typeof key !== 'string') return key;
    if (request.tooLarge) return refuse(413, 'Request body too large');
    const asked = parseCreate(body);
    if (typeof asked === 'string') return refuse(400, asked);
    const fate = exchange.create(asked, key, record);
    if (!fate.accepted) {
      if (fate.status === 500) return refuse(500, 'Internal server error');
      return json(429, { error: 429, message: 'Rate limit exceeded' }, { 'retry-after': '1' });
    }
    if (!fate.script.answersCreate) return 'silence';
    return json(200, { message: 'done', status: 'queued', execution_id: record.execution_id });
  })();
  record.answered = answer === 'silence' ? null : answer.status;
  return answer;
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
    .ofAgent(agentId)
    .filter(({ created_at }) => created_at.getTime() >= first && created_at.getTime() <= last)
    .map((execution) => executionBody(execution, 'list', base))
    .filter(
      (body) => (status === null || body.status === status) && (machine !== 'true' || body.answered_by_voice_mail === true),
    );
  const start = (number - 1) * size;
  const data = found.slice(start, start + size);
  const total = found.length;
  return json(200, { page_number: number, page_size: size, total, has_more: start + size < total, data });
};

const stopCall = (exchange: Exchange, id: string): Answer => {
  const outcome = exchange.stop(id);
  if (outcome === 'missing') return refuse(404, 'Execution not found');
  if (outcome !== 'stopped') return refuse(400, `Only queued or scheduled calls can be stopped; this one is ${outcome.too_late}`);
  return json(200, { message: 'done', status: 'stopped', execution_id: id });
};

const WebhookUrl = z.union([z.url({ protocol: /^https?$/ }), z.literal(''), z.null()]);

const patchAgent = (exchange: Exchange, agentId: string, body: unknown): Answer => {
  if (!isRecord(body)) return refuse(400, 'Request body must be a JSON object');
  const config = body['agent_config'] ?? {};
  if (!isRecord(config)) return refuse(400, 'agent_config must be an object');
  if ('webhook_url' in config) {
    const url = WebhookUrl.safeParse(config['webhook_url']);
    if (!url.success) return refuse(400, 'agent_config.webhook_url must be an http or https URL');
    exchange.setWebhookUrl(agentId, url.data === '' ? null : url.data);
  }
  return json(200, { message: 'success', status: 'updated' });
};

const putControl = (exchange: Exchange, control: Control, body: unknown): Answer => {
  const patch = ControlPatch.safeParse(body);
  if (!patch.success) return refuse(400, z.prettifyError(patch.error));
  Object.assign(control, patch.data);
  exchange.promote();
  return json(200, control);
};

/** A second of silence: 8 kHz, 8 bits, one channel. */
const silentWav = (): Buffer => {
  const samples = 8_000;
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(samples, 24);
  header.writeUInt32LE(samples, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples, 40);
  return Buffer.concat([header, Buffer.alloc(samples, 128)]);
};

const me = (exchange: Exchange, control: Control, key: string): Answer =>
  json(200, {
    id: 'b1f5b1e0-1f3c-4e7e-9a51-1d0c3f5a7b99',
    name: 'Local phone network',
    email: 'ops@example.com',
    wallet: Math.round(WALLET * 100 - exchange.spent()) / 100,
    concurrency: { max: control.ceiling ?? UNLIMITED, current: exchange.liveOfKey(key) },
  });

/** Starts the network on loopback. @throws when the port is taken */
export const startPhoneNetwork = async ({ clock, port = 0, random = Math.random }: PhoneNetworkOptions): Promise<Edge> => {
  const control: Control = { ceiling: null, drop: 0, duplicate: 0, reorder: 0, delay_seconds: 0 };
  const webhooks = createWebhooks(clock, random, control);
  const started: { base: string } = { base: '' };
  const exchange = createExchange({ clock, control, webhooks, base: () => started.base });

  /** What needs no key: the looking glass. */
  const open = ({ method, path, body }: EdgeRequest): Answer | undefined => {
    const recording = /^\/recordings\/call\/([^/]+)$/.exec(path)?.[1];
    // Bolna wants the key here; a browser that follows a link has none.
    if (recording !== undefined && method === 'GET') {
      const known = exchange.read(recording)?.status === 'completed';
      return known
        ? { status: 200, headers: { 'content-type': 'audio/wav' }, body: silentWav() }
        : refuse(404, 'Recording not found');
    }
    switch (`${method} ${path}`) {
      case 'GET /':
        return html(200, callsPage(exchange));
      case 'GET /calls':
        return json(200, exchange.records);
      case 'GET /stats':
        return json(200, exchange.stats());
      case 'DELETE /stats':
        exchange.resetStats();
        return json(200, exchange.stats());
      case 'GET /control':
        return json(200, control);
      case 'PUT /control':
        return putControl(exchange, control, parseJson(body));
      default:
        return undefined;
    }
  };

  const bolna = (request: EdgeRequest, key: string): Answer => {
    const { method, path, query, body } = request;
    const [, head, id = '', tail] = /^(\/(?:executions|call|v2\/agent)\/)([^/]+)(.*)$/.exec(path) ?? [];
    const route = `${method} ${id === '' ? path : `${head}:id${tail}`}`;
    const named = decodeSegment(id);
    switch (route) {
      case 'GET /executions/:id': {
        const execution = exchange.read(named);
        return execution === undefined
          ? refuse(404, 'Execution not found')
          : json(200, executionBody(execution, 'read', started.base));
      }
      case 'GET /v2/agent/:id/executions':
        return listExecutions(exchange, started.base, named, query);
      case 'PATCH /v2/agent/:id':
        return patchAgent(exchange, named, parseJson(body));
      case 'POST /call/:id/stop':
        return stopCall(exchange, named);
      case 'GET /user/me':
        return me(exchange, control, key);
      default:
        return refuse(404, 'Not found');
    }
  };

  const edge = await serve({ port, maxBody: MAX_BODY }, (request) => {
    if (request.method === 'POST' && request.path === '/call') return createCall(exchange, request);
    const shown = open(request);
    if (shown !== undefined) return shown;
    const key = keyOf(request);
    return typeof key === 'string' ? bolna(request, key) : key;
  });
  started.base = edge.url;
  return {
    url: edge.url,
    async stop() {
      exchange.close();
      webhooks.stop();
      await edge.stop();
    },
  };
};
