/**
 * Vapi's wire protocol: `status-update` while a call runs, `end-of-call-report` once it is processed, sent to the address in the
 * create-call and proven by the credential that it names.
 */
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import { isRecord, json, parseJson } from '../edge-server.ts';
import type { Answer } from '../edge-server.ts';
import { costOf, costsOf, isFinal, recordingOf, saidIn, secondsOf, spokenBy } from './call.ts';
import type { Call, Dialect } from './call.ts';
import { decodeSegment, DEFAULT_FROM, E164, goodKey, isWebUrl, record, SLOW_DOWN, takeCall, text } from './counter.ts';
import type { Counter, Wire } from './counter.ts';
import type { CreateCall, Exchange } from './exchange.ts';
import { FREES_LINE } from './script.ts';
import type { Status } from './script.ts';
import { createCredentials, ORG } from './vapi-credentials.ts';
import type { Credentials } from './vapi-credentials.ts';
import type { Receiver } from './webhooks.ts';

const ENDED_REASONS = {
  answered: 'customer-ended-call',
  voicemail: 'voicemail',
  'no-answer': 'customer-did-not-answer',
  busy: 'customer-busy',
  failed: 'call.in-progress.error-providerfault-outbound-sip-503-service-unavailable',
} as const;

const reasonOf = ({ status, script }: Call): string =>
  status === 'stopped' ? 'manually-canceled' : ENDED_REASONS[script.ending];

/** Vapi's word for a status; it has none for dialling. */
const wordFor = (status: Status): string => {
  if (FREES_LINE.has(status)) return 'ended';
  return status === 'initiated' ? 'queued' : status;
};

/** What the create-call gave and Vapi gives back. */
const echoOf = ({ asked, script }: Call, everything: boolean) => {
  const { name, metadata, assistantOverrides: overrides } = asked;
  if (!everything && !script.echoes) return {};
  const { metadata: own, variableValues } = record(overrides);
  return { name, metadata, assistantOverrides: { metadata: own, variableValues } };
};

/** The call object as it stood when it was made: inside of webhooks it stays so. */
const madeBody = (call: Call, base: string, everything: boolean) => ({
  id: call.id,
  orgId: ORG,
  createdAt: call.created_at.toISOString(),
  updatedAt: call.created_at.toISOString(),
  type: 'outboundPhoneCall',
  status: 'queued',
  assistantId: call.agent_id,
  phoneNumberId: call.asked['phoneNumberId'],
  customer: call.asked['customer'],
  cost: 0,
  phoneCallProvider: 'twilio',
  phoneCallProviderId: `CA${call.carrier_call_id.replaceAll('-', '')}`,
  phoneCallTransport: 'pstn',
  monitor: {
    listenUrl: `${base.replace(/^http/, 'ws')}/vapi/call/${call.id}/listen`,
    controlUrl: `${base}/vapi/call/${call.id}/control`,
  },
  ...echoOf(call, everything),
});

/** How the call ended and what it came to; the analysis once it is processed. */
const resultsOf = (call: Call, base: string) => {
  const { transcript, summary, analysis } = saidIn(call);
  const spoken = spokenBy(transcript, 'AI', 'User');
  const { llm, synthesizer, transcriber, platform, network } = costsOf(call);
  const recorded = isFinal(call) && secondsOf(call) > 0 ? { recordingUrl: recordingOf(call, base) } : {};
  const usd = (cents: number): number => Math.round(cents * 10) / 1_000;
  return {
    endedReason: reasonOf(call),
    ...(call.answered_at === null ? {} : { startedAt: call.answered_at.toISOString() }),
    endedAt: call.ended_at?.toISOString(),
    cost: usd(costOf(call)),
    costBreakdown: {
      llm: usd(llm),
      tts: usd(synthesizer),
      stt: usd(transcriber),
      vapi: usd(platform),
      transport: usd(network),
      total: usd(costOf(call)),
    },
    durationSeconds: secondsOf(call),
    transcript: spoken,
    ...recorded,
    artifact: { transcript: spoken, messages: [], ...recorded },
    ...(isFinal(call) && {
      analysis:
        analysis === null
          ? {}
          : { summary, structuredData: analysis, successEvaluation: String(analysis.temperature !== 'Cold') },
    }),
  };
};

const callBody = (call: Call, base: string, where: 'read' | 'list') => ({
  ...madeBody(call, base, where === 'list'),
  updatedAt: call.updated_at.toISOString(),
  status: wordFor(call.status),
  ...(FREES_LINE.has(call.status) && resultsOf(call, base)),
});

const message = (call: Call, base: string, type: string, fields: object) => ({
  message: {
    timestamp: call.updated_at.getTime(),
    type,
    ...fields,
    call: madeBody(call, base, false),
    customer: call.asked['customer'],
    assistant: { id: call.agent_id, orgId: ORG, name: 'Local assistant' },
  },
});

export const VAPI: Dialect = {
  name: 'vapi',
  newId: (uuid) => uuid,
  queues: true,
  events(call, base) {
    const { status } = call;
    if (status === 'initiated') return [];
    const word = wordFor(status);
    const update = {
      name: `status-update ${word}`,
      body: message(call, base, 'status-update', {
        status: word,
        artifact: { messages: [] },
        ...(word === 'ended' && { endedReason: reasonOf(call) }),
      }),
    };
    const report = (): typeof update => ({
      name: 'end-of-call-report',
      body: message(call, base, 'end-of-call-report', resultsOf(call, base)),
    });
    if (status === 'completed') return [report()];
    return isFinal(call) ? [update, report()] : [update];
  },
};

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  413: 'Payload Too Large',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
};
const refuse = (status: number, said: string): Answer =>
  json(
    status,
    { message: status === 400 ? [said] : said, error: PHRASES[status], statusCode: status },
    status === 429 ? SLOW_DOWN : {},
  );
const UNAUTHORIZED = refuse(
  401,
  'Invalid Key. Hot tip, you may be using the public key instead of the private key, or vice versa.',
);

const BackoffPlan = z.object({
  type: z.enum(['fixed', 'exponential']),
  maxRetries: z.int().min(0).max(10).default(0),
  baseDelaySeconds: z.number().min(0).max(10).default(1),
});

/** Virtual seconds until each repeat. Without a plan nothing is sent again. */
const repeatsOf = (plan: unknown): number[] | undefined => {
  if (plan === undefined) return [];
  const { data } = BackoffPlan.safeParse(plan);
  return data && Array.from({ length: data.maxRetries }, (_, n) => data.baseDelaySeconds * (data.type === 'fixed' ? 1 : 2 ** n));
};

/** Where the create-call wants its webhooks, or what is wrong with that. */
const receiverOf = (server: unknown, credentials: Credentials): Receiver | string => {
  const { url, credentialId, backoffPlan } = record(server);
  if (url !== undefined && !isWebUrl(url)) return 'assistantOverrides.server.url must be a URL address';
  const repeats = repeatsOf(backoffPlan);
  if (repeats === undefined) return 'assistantOverrides.server.backoffPlan must be a plan with a type';
  return {
    url: () => url,
    headers: (body, now) => ({
      'user-agent': 'vapi-webhooks',
      ...credentials.prove(text(credentialId), url ?? '', body, now),
    }),
    repeats,
  };
};

/** What is wrong with a create-call, or the call. */
const parseCreate = (body: unknown, credentials: Credentials): CreateCall | string => {
  if (!isRecord(body)) return 'body must be a JSON object';
  const { assistantId, phoneNumberId, assistantOverrides, metadata, schedulePlan, customers } = body;
  const to = text(record(body['customer'])['number']);
  const agent = text(assistantId);
  if (agent === undefined) return 'assistantId must be a string';
  if (text(phoneNumberId) === undefined) return 'Need either `phoneNumberId` or `phoneNumber`';
  if (to === undefined || !E164.test(to)) return 'customer.number must be a valid phone number in the E.164 format.';
  // Vapi offers both; what silently became one call now would be a lie.
  if (schedulePlan !== undefined || customers !== undefined) return 'schedulePlan and customers are not offered by this network';
  const overrides = record(assistantOverrides);
  const receiver = receiverOf(overrides['server'], credentials);
  if (typeof receiver === 'string') return receiver;
  const user_data = { ...record(overrides['variableValues']), ...record(overrides['metadata']), ...record(metadata) };
  return { agent_id: agent, to, from: DEFAULT_FROM, user_data, asked: body, receiver };
};

/** Newest first, filtered by assistant and time of making. */
const listCalls = (exchange: Exchange, base: string, query: URLSearchParams): Answer => {
  const unknown = [...query.keys()].find((name) => !['assistantId', 'createdAtGe', 'createdAtLe', 'limit'].includes(name));
  if (unknown !== undefined) return refuse(400, `property ${unknown} should not exist`);
  const limit = Number(query.get('limit') ?? 100);
  if (!Number.isInteger(limit) || limit < 0 || limit > 1000) return refuse(400, 'limit must not be greater than 1000');
  const [from, to] = [query.get('createdAtGe'), query.get('createdAtLe')].map((at) => (at === null ? undefined : Date.parse(at)));
  if (Number.isNaN(from) || Number.isNaN(to)) return refuse(400, 'createdAtGe must be a valid ISO 8601 date string');
  const assistant = query.get('assistantId');
  const found = exchange
    .list(VAPI)
    .filter(
      ({ agent_id, created_at }) =>
        (assistant === null || agent_id === assistant) &&
        created_at.getTime() >= (from ?? -Infinity) &&
        created_at.getTime() <= (to ?? Infinity),
    );
  return json(
    200,
    found.slice(0, limit).map((call) => callBody(call, base, 'list')),
  );
};

/** A call's own control address: whoever knows it may end the call. */
const control = (exchange: Exchange, id: string, body: unknown): Answer => {
  if (record(body)['type'] !== 'end-call') return refuse(400, 'type must be end-call');
  const outcome = exchange.stop(id, VAPI, (status) => !FREES_LINE.has(status));
  return outcome === 'stopped' ? json(200, { success: true }) : refuse(404, 'Call not found or has ended');
};

/** @param base where this network listens; known only once it does */
export const createVapi = (exchange: Exchange, clock: Pick<Clock, 'now'>, base: () => string, newUuid: () => string): Wire => {
  const credentials = createCredentials(newUuid);
  const counter: Counter = {
    dialect: VAPI,
    keyOf: (request) => goodKey(request) ?? UNAUTHORIZED,
    refuse,
    shown: ({ assistantId = null, customer, assistantOverrides }) => ({
      agent_id: assistantId,
      recipient_phone_number: record(customer)['number'] ?? null,
      user_data: record(assistantOverrides)['variableValues'] ?? null,
    }),
    parse: (body) => parseCreate(body, credentials),
    accepted(call) {
      const { monitor, ...made } = madeBody(call, base(), true);
      const live = exchange.isLive(call.id);
      // What has to wait for a line has nothing to be listened to or controlled yet.
      return json(201, { ...made, ...(live && { monitor }), subscriptionLimits: { concurrencyBlocked: !live } });
    },
  };

  return (request, path) => {
    const { method, query, body } = request;
    if (method === 'POST' && path === '/call') return takeCall(exchange, counter, request);
    const [, id = '', tail = ''] = /^\/call\/([^/]+)(\/control)?$/.exec(path) ?? [];
    if (method === 'POST' && tail === '/control') return control(exchange, decodeSegment(id), parseJson(body));
    if (goodKey(request) === undefined) return UNAUTHORIZED;
    if (method === 'GET' && path === '/call') return listCalls(exchange, base(), query);
    if (method === 'POST' && path === '/credential') {
      const made = credentials.add(parseJson(body), clock.now());
      return made === undefined ? refuse(400, 'authenticationPlan must be a bearer or hmac plan') : json(201, made);
    }
    const call = method === 'GET' && id !== '' && tail === '' ? exchange.read(decodeSegment(id), VAPI) : undefined;
    return call === undefined ? refuse(404, 'Not Found') : json(200, callBody(call, base(), 'read'));
  };
};
