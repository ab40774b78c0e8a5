/**
 * ElevenLabs Agents over Twilio (https://elevenlabs.io/docs/agents-platform): nothing is pushed while a call runs; at its end comes
 * `post_call_transcription` with everything, or `call_initiation_failure` without any data of ours. The webhook belongs to the
 * workspace: what it says of another agent counts if the call is one of the account's. Conversations can be listed by user id, which is our attempt id.
 * Costs are in credits, hence left out. No idempotency key, and no way to stop a call.
 */
import * as z from 'zod';
import { toHex } from '../domain/bytes.ts';
import { utf8 } from '../seal.ts';
import type { CallFact } from '../verb-shapes.ts';
import { Amount, Anything, badBody, jsonBody, lenient, ProviderId, Word } from './body.ts';
import { analysisOf, attemptIn, besides, factFrom, fromMs, inboundFrom, ours, told } from './facts.ts';
import { ask, createOnce, type HttpAnswer, type Outcome, READ_TIMEOUT_MS, reading, refused, unread } from './http.ts';
import type { CreateCall, LostCall, Provider, ProviderAgent, ReadResult, WebhookRequest } from './provider.ts';
import { hmac, isFresh, isOneOf, live } from './signatures.ts';

type State = NonNullable<CallFact['status']>;

const STATES: Readonly<Record<string, State>> = {
  initiated: 'dialing',
  'in-progress': 'in_progress',
  processing: 'in_progress',
  done: 'completed',
  failed: 'failed',
};
const FAILURES: Readonly<Record<string, State>> = { busy: 'busy', 'no-answer': 'no_answer' };
const LINE_FREE = new Set(['processing', 'done', 'failed']);
/** Sent again for half an hour, with the signature of the first time. */
const BACK_MS = 30 * 60_000;
const AHEAD_MS = 5 * 60_000;
const VOICEMAIL_TOOL = 'voicemail_detection';

const Turn = z.object({
  role: lenient(z.string()),
  message: lenient(z.string()),
  tool_calls: lenient(z.array(lenient(z.object({ tool_name: lenient(z.string()), tool_has_been_called: Anything })))),
});
const Conversation = z.object({
  agent_id: lenient(z.string()),
  conversation_id: ProviderId,
  status: Word,
  user_id: lenient(z.string()),
  transcript: lenient(z.array(lenient(Turn))),
  has_audio: lenient(z.boolean()),
  metadata: lenient(
    z.object({
      start_time_unix_secs: lenient(z.number()),
      accepted_time_unix_secs: lenient(z.number()),
      call_duration_secs: lenient(Amount),
      termination_reason: lenient(z.string()),
      error: lenient(z.object({ reason: lenient(z.string()) })),
      phone_call: lenient(z.object({ direction: lenient(z.string()), external_number: lenient(z.string()) })),
      features_usage: lenient(z.object({ voicemail_detection: lenient(z.object({ used: lenient(z.boolean()) })) })),
    }),
  ),
  analysis: lenient(z.object({ call_successful: Anything, transcript_summary: Anything, data_collection_results: Anything })),
  conversation_initiation_client_data: lenient(z.object({ dynamic_variables: Anything })),
});
type Conversation = z.infer<typeof Conversation>;

const Failure = z.object({
  agent_id: lenient(z.string()),
  conversation_id: ProviderId,
  failure_reason: lenient(z.string()),
  metadata: lenient(
    z.object({
      body: lenient(z.object({ error_reason: lenient(z.string()), SipResponseCode: lenient(z.union([z.string(), z.number()])) })),
    }),
  ),
});
const Event = z.object({ type: Word, event_timestamp: z.number(), data: Anything });

const isVoicemail = ({ metadata, transcript }: Conversation): boolean =>
  metadata?.features_usage?.voicemail_detection?.used === true ||
  (transcript ?? []).some((turn) =>
    turn?.tool_calls?.some((tool) => tool?.tool_name === VOICEMAIL_TOOL && tool.tool_has_been_called === true),
  );

/** The turns as `role: words`, one a line; what was not spoken is left out. */
const transcriptOf = ({ transcript }: Conversation): string =>
  (transcript ?? []).map((turn) => (turn?.message ? `${turn.role ?? 'unknown'}: ${turn.message}\n` : '')).join('');

const seconds = (value: number | null | undefined): string | undefined =>
  typeof value === 'number' ? fromMs(value * 1000) : undefined;

const ended = (call: Conversation): string | undefined => {
  const { start_time_unix_secs: start, call_duration_secs: length } = call.metadata ?? {};
  return typeof start === 'number' && typeof length === 'number' ? seconds(start + length) : undefined;
};

/** A failed conversation that was read says only in words why nobody answered. */
const failedState = (reason: string): State => {
  if (/\bbusy\b/i.test(reason)) return 'busy';
  return /\bno[ _-]answer\b/i.test(reason) ? 'no_answer' : 'failed';
};

/** What a conversation says, pushed or read: at its end it says all there is. */
const sayingOf = (call: Conversation, agent: ProviderAgent | null, audioUrl: string) => {
  const { status, metadata, analysis } = call;
  const reason = metadata?.error?.reason || metadata?.termination_reason;
  const known = {
    provider_call_id: call.conversation_id,
    provider_status: status,
    attempt_id: attemptIn(call.conversation_initiation_client_data?.dynamic_variables) ?? call.user_id?.slice(0, 100),
    status: status === 'failed' ? failedState(reason ?? '') : told(STATES, status),
    line_free: LINE_FREE.has(status) ? true : undefined,
    answered_at: seconds(metadata?.accepted_time_unix_secs),
  };
  if (status !== 'done' && status !== 'failed') return known;
  const { call_successful, transcript_summary: call_summary, data_collection_results } = analysis ?? {};
  return {
    ...known,
    ...(status === 'done' && isVoicemail(call) && { status: 'voicemail' as const }),
    ended_at: ended(call),
    duration_seconds: metadata?.call_duration_secs,
    transcript: transcriptOf(call),
    recording_url: call.has_audio === true ? audioUrl : undefined,
    reason,
    analysis: analysisOf(besides(data_collection_results, { call_summary, call_successful }), agent?.analysis_mapping ?? null),
  };
};

const Detail = z.object({
  detail: z.union([
    z.string(),
    z.object({ status: lenient(z.string()), message: lenient(z.string()) }),
    z.array(z.object({ loc: z.array(z.union([z.string(), z.number()])), msg: z.string() })),
  ]),
});
const messageOf = (json: unknown): string => {
  const detail = Detail.safeParse(json).data?.detail;
  if (detail === undefined || typeof detail === 'string') return detail ?? '';
  if (Array.isArray(detail)) return detail.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; ');
  return `${detail.status ?? ''} ${detail.message ?? ''}`.trim();
};

/** What a refused create-call means for the lead and for the agent. */
const judged = (answer: HttpAnswer, message: string): Outcome => {
  const says = (words: RegExp): boolean => words.test(message);
  if (answer.status === 429 || says(/concurren|system_busy/i)) return refused('later', answer, message);
  if ([401, 402, 403].includes(answer.status) || says(/quota|credit|payment|unauthori[sz]ed/i))
    return refused('account', answer, message);
  if (answer.status === 404 || says(/agent_phone_number|agent_id/i)) return refused('agent', answer, message);
  return refused(says(/to_number|'To'|invalid.{0,20}number/i) ? 'invalid' : 'other', answer, message);
};

/** 200 with `success: false` is a refusal too, unless a call exists at the carrier all the same. */
const accepted = (json: unknown, answer: HttpAnswer): string | Outcome | undefined => {
  const said = z
    .object({
      success: z.boolean(),
      message: z.string().catch(''),
      conversation_id: lenient(ProviderId),
      callSid: lenient(z.string()),
    })
    .safeParse(json);
  if (!said.success || (!said.data.success && said.data.callSid)) return undefined;
  return said.data.success ? (said.data.conversation_id ?? undefined) : judged(answer, said.data.message);
};

/** `ElevenLabs-Signature: t=<seconds>,v0=<hex>`: HMAC-SHA256 over the seconds, a dot and the raw body. */
const verify = (agent: ProviderAgent, { headers, body }: WebhookRequest, now: Date): Promise<boolean> => {
  const [, stamp, digest] = /^t=(\d{10}),v0=([0-9a-f]{64})$/.exec(headers.get('elevenlabs-signature') ?? '') ?? [];
  if (!stamp || !digest || !isFresh(Number(stamp) * 1000, now, BACK_MS, AHEAD_MS)) return Promise.resolve(false);
  return isOneOf(
    digest,
    live(...agent.webhook_secrets).map(async (secret) => toHex(await hmac('SHA-256', utf8(secret), `${stamp}.${body}`))),
  );
};

/** Variables may be text, numbers or truth values, and names that begin with `system__` are ElevenLabs' own. */
const variablesOf = (call: CreateCall): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries({ ...call.variables, ...ours(call) }).filter(
      ([name, value]) => ['string', 'number', 'boolean'].includes(typeof value) && !name.startsWith('system__'),
    ),
  );

/** The adapter for one base URL. */
export const elevenlabs = (baseUrl: string): Provider => {
  const headers = (agent: ProviderAgent): Record<string, string> => ({ 'xi-api-key': agent.credentials.api_key ?? '' });
  const conversations = `${baseUrl}/v1/convai/conversations`;
  const get = (agent: ProviderAgent, url: string): Promise<HttpAnswer> =>
    ask(url, { method: 'GET', headers: headers(agent), timeoutMs: READ_TIMEOUT_MS });
  const audioOf = (id: string): string => `${conversations}/${encodeURIComponent(id)}/audio`;

  const read = async (agent: ProviderAgent, id: string): Promise<ReadResult> => {
    const answer = await get(agent, `${conversations}/${encodeURIComponent(id)}`);
    const parsed = Conversation.safeParse(answer.json);
    if (answer.status !== 200 || !parsed.success) return unread(answer);
    const event_key = `read:${parsed.data.conversation_id}:${parsed.data.status}`;
    return { state: 'found', fact: factFrom({ event_key, source: 'read', ...sayingOf(parsed.data, agent, audioOf(id)) }) };
  };

  return {
    name: 'elevenlabs',
    requiredCredentials: ['api_key', 'phone_number_id'],
    accountCredentials: ['api_key'],
    requires: ['webhook_secrets'],
    contentType: 'application/json',
    signed: true,
    createCall: (agent, call): Promise<Outcome> =>
      createOnce(
        `${baseUrl}/v1/convai/twilio/outbound-call`,
        {
          headers: headers(agent),
          body: {
            agent_id: agent.provider_agent_id,
            agent_phone_number_id: agent.credentials.phone_number_id,
            to_number: call.to,
            conversation_initiation_client_data: { user_id: call.attempt_id, dynamic_variables: variablesOf(call) },
          },
        },
        accepted,
        (answer) => judged(answer, messageOf(answer.json)),
      ),
    readCall: (agent, id) => reading(() => read(agent, id)),
    findCall: (agent, { attempt_id }: LostCall): Promise<ReadResult> =>
      reading(async () => {
        const query = new URLSearchParams({ user_id: attempt_id, agent_id: agent.provider_agent_id, page_size: '10' });
        const answer = await get(agent, `${conversations}?${query.toString()}`);
        const parsed = z
          .object({ conversations: z.array(lenient(z.object({ conversation_id: ProviderId }))) })
          .safeParse(answer.json);
        if (answer.status !== 200 || !parsed.success) return { state: 'failed', reason: `answered ${answer.status}` };
        // The entries of the list do not repeat the user id: the conversation itself must bear it out.
        for (const entry of parsed.data.conversations) {
          if (!entry) continue;
          const found = await read(agent, entry.conversation_id);
          if (found.state !== 'found' || found.fact.attempt_id === attempt_id) return found;
        }
        return { state: 'missing' };
      }),
    stopCall: () => Promise.resolve(false),
    registerWebhook: () => Promise.resolve(false),
    verifyWebhook: verify,
    parseWebhook(agent, request) {
      const { type, event_timestamp, data } = jsonBody(request, Event, 'must be an event with type, event_timestamp and data');
      const elsewhere = (agentId: string | null | undefined): true | undefined =>
        agentId && agent !== null && agentId !== agent.provider_agent_id ? true : undefined;
      const keyOf = (id: string): string => `${id}:${type}:${event_timestamp}`;
      if (type === 'call_initiation_failure') {
        const failure = Failure.safeParse(data).data;
        if (!failure) throw badBody('must name a conversation');
        const { failure_reason: why, metadata } = failure;
        const code = metadata?.body?.SipResponseCode;
        return factFrom({
          event_key: keyOf(failure.conversation_id),
          elsewhere: elsewhere(failure.agent_id),
          provider_call_id: failure.conversation_id,
          provider_status: type,
          source: 'event',
          status: told(FAILURES, why) ?? 'failed',
          line_free: true,
          ended_at: seconds(event_timestamp),
          reason: metadata?.body?.error_reason || (code ? `${why ?? 'unknown'} (SIP ${code})` : why),
          analysis: { state: 'absent' },
          payload: request.body,
        });
      }
      if (type !== 'post_call_transcription') return null;
      const call = Conversation.safeParse(data).data;
      if (!call) throw badBody('must hold a conversation');
      const line = call.metadata?.phone_call;
      const caller = line?.direction === 'inbound' ? inboundFrom(line.external_number) : undefined;
      if (caller === null) return null;
      const said = { ...sayingOf(call, agent, audioOf(call.conversation_id)), ...caller };
      const named = { event_key: keyOf(call.conversation_id), elsewhere: elsewhere(call.agent_id) };
      return factFrom({ ...named, source: 'event', ...said, payload: request.body });
    },
  };
};
