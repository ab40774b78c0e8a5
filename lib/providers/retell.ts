/**
 * Retell (https://docs.retellai.com): `call_started` when somebody answers, `call_ended`, then `call_analyzed` with the analysis;
 * a call that nobody answers has no `call_started`. Webhooks are signed with the API key itself; each call says where its own go.
 * Calls can be listed by our metadata. No idempotency key.
 */
import * as z from 'zod';
import { toHex } from '../domain/bytes.ts';
import type { CallFact } from '../verb-shapes.ts';
import { Amount, Anything, badBody, jsonBody, lenient, ProviderId, Word } from './body.ts';
import { analysisOf, attemptIn, besides, factFrom, fromMs, inboundFrom, ours, told } from './facts.ts';
import {
  ask,
  createOnce,
  type HttpAnswer,
  type Outcome,
  READ_TIMEOUT_MS,
  reading,
  refused,
  succeeded,
  unread,
  unsendable,
} from './http.ts';
import type { LostCall, Provider, ProviderAgent, ReadResult, WebhookRequest } from './provider.ts';
import { hmac, isFresh, isOneOf, live } from './signatures.ts';
import { utf8 } from '../seal.ts';

type State = NonNullable<CallFact['status']>;

/** `disconnection_reason` → disposition; what is not here (all that speaks of an error, and whatever is new) failed. */
const REASONS: Readonly<Record<string, State>> = {
  user_hangup: 'completed',
  agent_hangup: 'completed',
  call_transfer: 'completed',
  inactivity: 'completed',
  max_duration_reached: 'completed',
  ivr_reached: 'completed',
  transfer_bridged: 'completed',
  transfer_cancelled: 'completed',
  call_take_over: 'completed',
  voicemail_reached: 'voicemail',
  dial_no_answer: 'no_answer',
  user_declined: 'no_answer',
  dial_busy: 'busy',
  manual_stopped: 'canceled',
};
/** `call_status` of a call that was read; the other three have ended. */
const STATES: Readonly<Record<string, State>> = { registered: 'dialing', ongoing: 'in_progress' };
const ENDED = new Set(['ended', 'not_connected', 'error']);
const TOLERANCE_MS = 5 * 60_000;

const Call = z.object({
  call_id: ProviderId,
  call_status: lenient(Word),
  direction: lenient(z.string()),
  from_number: lenient(z.string()),
  metadata: Anything,
  retell_llm_dynamic_variables: Anything,
  start_timestamp: lenient(z.number()),
  end_timestamp: lenient(z.number()),
  duration_ms: lenient(Amount),
  disconnection_reason: lenient(z.string()),
  transcript: lenient(z.string()),
  recording_url: lenient(z.string()),
  call_cost: lenient(z.object({ combined_cost: lenient(Amount) })),
  call_analysis: lenient(
    z.object({
      in_voicemail: lenient(z.boolean()),
      call_summary: Anything,
      call_successful: Anything,
      user_sentiment: Anything,
      custom_analysis_data: Anything,
    }),
  ),
});
type Call = z.infer<typeof Call>;
const Event = z.object({ event: Word, call: Anything, event_timestamp: lenient(z.number()) });

const dispositionOf = (call: Call): State => {
  const state = told(REASONS, call.disconnection_reason) ?? 'failed';
  // Only the analysis may tell that a machine had answered.
  return state === 'completed' && call.call_analysis?.in_voicemail === true ? 'voicemail' : state;
};

const analysisIn = (call: Call, mapping: ProviderAgent['analysis_mapping']): CallFact['analysis'] => {
  const { call_summary, call_successful, user_sentiment, custom_analysis_data } = call.call_analysis ?? {};
  return analysisOf(besides(custom_analysis_data, { call_summary, call_successful, user_sentiment }), mapping);
};

/** Reasons that concern the account, not the lead. */
const ACCOUNT_REASONS = new Set(['no_valid_payment', 'scam_detected']);
/** Reasons why nobody was dialled: no line was free, or nothing is paid. */
const UNDIALLED = new Set(['concurrency_limit_reached', 'no_concurrency_fallback', 'no_valid_payment']);

/** The end of a call, with what is known of it so far. */
const endOf = ({ duration_ms, call_cost, ...call }: Call, state: State) => ({
  status: state,
  line_free: true,
  ended_at: fromMs(call.end_timestamp),
  duration_seconds: typeof duration_ms === 'number' ? duration_ms / 1000 : undefined,
  // Cents.
  cost: typeof call_cost?.combined_cost === 'number' ? call_cost.combined_cost / 100 : undefined,
  transcript: call.transcript,
  recording_url: call.recording_url,
  reason: call.disconnection_reason,
  account_refused: ACCOUNT_REASONS.has(call.disconnection_reason ?? '') ? true : undefined,
  undialled: UNDIALLED.has(call.disconnection_reason ?? '') ? true : undefined,
  invalid_number: call.disconnection_reason === 'invalid_destination' ? true : undefined,
});

const readFact = (call: Call, mapping: ProviderAgent['analysis_mapping']): CallFact => {
  const status = call.call_status ?? 'registered';
  return factFrom({
    event_key: `read:${call.call_id}:${status}`,
    provider_call_id: call.call_id,
    provider_status: status,
    source: 'read',
    attempt_id: attemptIn(call.metadata, call.retell_llm_dynamic_variables),
    status: told(STATES, status),
    answered_at: fromMs(call.start_timestamp),
    ...(ENDED.has(status) && endOf(call, dispositionOf(call))),
    analysis: call.call_analysis ? analysisIn(call, mapping) : undefined,
  });
};

const messageOf = (answer: HttpAnswer): string => z.object({ message: z.string() }).safeParse(answer.json).data?.message ?? '';

/** What a refused create-call means for the lead and for the agent. */
const judge = (answer: HttpAnswer): Outcome => {
  const message = messageOf(answer);
  if (answer.status === 429 || /concurren/i.test(message)) return refused('later', answer, message);
  // The key, the payment, or an agent or number that is not there: nobody can be called until somebody mends it.
  if ([401, 402, 403].includes(answer.status)) return refused('account', answer, message);
  if ([404, 422].includes(answer.status)) return refused('agent', answer, message);
  if (/to_number|destination/i.test(message)) return refused('invalid', answer, message);
  return refused(/from_number|agent/i.test(message) ? 'agent' : 'other', answer, message);
};

/** `x-retell-signature: v=<ms>,d=<hex>`: HMAC-SHA256 over the raw body and the milliseconds, the key being the API key. */
const verify = (agent: ProviderAgent, { headers, body }: WebhookRequest, now: Date): Promise<boolean> => {
  const [, stamp, digest] = /^v=(\d{13}),d=([0-9a-f]{64})$/.exec(headers.get('x-retell-signature') ?? '') ?? [];
  if (!stamp || !digest || !isFresh(Number(stamp), now, TOLERANCE_MS, TOLERANCE_MS)) return Promise.resolve(false);
  const keys = live(agent.credentials.api_key, ...agent.webhook_secrets);
  return isOneOf(
    digest,
    keys.map(async (key) => toHex(await hmac('SHA-256', utf8(key), body + stamp))),
  );
};

/** The adapter for one base URL. */
export const retell = (baseUrl: string): Provider => {
  const headers = (agent: ProviderAgent): Record<string, string> => ({
    authorization: `Bearer ${agent.credentials.api_key ?? ''}`,
  });
  const post = (agent: ProviderAgent, path: string, body: unknown): Promise<HttpAnswer> =>
    ask(`${baseUrl}${path}`, { method: 'POST', headers: headers(agent), timeoutMs: READ_TIMEOUT_MS, body });

  const read = async (agent: ProviderAgent, id: string): Promise<ReadResult> => {
    const url = `${baseUrl}/v2/get-call/${encodeURIComponent(id)}`;
    const answer = await ask(url, { method: 'GET', headers: headers(agent), timeoutMs: READ_TIMEOUT_MS });
    const parsed = Call.safeParse(answer.json);
    if (answer.status !== 200 || !parsed.success) return unread(answer);
    return { state: 'found', fact: readFact(parsed.data, agent.analysis_mapping) };
  };

  return {
    name: 'retell',
    requiredCredentials: ['api_key'],
    accountCredentials: ['api_key'],
    requires: ['from_number'],
    contentType: 'application/json',
    signed: true,
    createCall(agent, call): Promise<Outcome> {
      if (agent.from_number === null) return Promise.resolve(unsendable('agent', 'the agent has no from_number'));
      const said = Object.entries({ ...call.variables, ...ours(call) }).filter(([, value]) => value !== null);
      const body = {
        from_number: agent.from_number,
        to_number: call.to,
        override_agent_id: agent.provider_agent_id,
        metadata: ours(call),
        // Text alone is taken here.
        retell_llm_dynamic_variables: Object.fromEntries(said.map(([name, value]) => [name, String(value)])),
        agent_override: {
          agent: { webhook_url: call.webhook_url, webhook_events: ['call_started', 'call_ended', 'call_analyzed'] },
        },
      };
      return createOnce(
        `${baseUrl}/v2/create-phone-call`,
        { headers: headers(agent), body },
        (json) => z.object({ call_id: ProviderId }).safeParse(json).data?.call_id,
        judge,
      );
    },
    readCall: (agent, id) => reading(() => read(agent, id)),
    findCall: (agent, { attempt_id }: LostCall): Promise<ReadResult> =>
      reading(async () => {
        const answer = await post(agent, '/v3/list-calls', {
          filter_criteria: { metadata: [{ type: 'string', op: 'eq', key: 'attempt_id', value: attempt_id }] },
          limit: 10,
        });
        const parsed = z.object({ items: z.array(z.unknown()) }).safeParse(answer.json);
        if (answer.status !== 200 || !parsed.success) return { state: 'failed', reason: `answered ${answer.status}` };
        const calls = parsed.data.items.map((item) => Call.safeParse(item).data);
        const found = calls.find((call) => call !== undefined && attemptIn(call.metadata) === attempt_id);
        // The list leaves things out; the call itself does not.
        return found ? read(agent, found.call_id) : { state: 'missing' };
      }),
    async stopCall(agent, id) {
      return succeeded(await post(agent, `/v2/stop-call/${encodeURIComponent(id)}`, undefined));
    },
    registerWebhook: () => Promise.resolve(true),
    verifyWebhook: verify,
    parseWebhook(agent, request) {
      const { event, call: raw, event_timestamp } = jsonBody(request, Event, 'must be an event with a call');
      const ended = event === 'call_ended' || event === 'call_analyzed';
      if (!ended && event !== 'call_started') return null;
      const call = Call.safeParse(raw).data;
      if (!call) throw badBody('must name a call');
      const caller = call.direction === 'inbound' ? inboundFrom(call.from_number) : undefined;
      if (caller === null) return null;
      const analyzed = event === 'call_analyzed';
      return factFrom({
        event_key: `${call.call_id}:${event}`,
        provider_call_id: call.call_id,
        provider_status: event,
        source: 'event',
        attempt_id: attemptIn(call.metadata, call.retell_llm_dynamic_variables),
        ...caller,
        status: 'in_progress',
        answered_at: fromMs(call.start_timestamp),
        // `call_status` may still say "registered" here: the event tells.
        ...(ended && endOf(call, dispositionOf(call))),
        ...(event === 'call_ended' && { ended_at: fromMs(call.end_timestamp ?? event_timestamp) }),
        analysis: analyzed ? analysisIn(call, agent?.analysis_mapping ?? null) : undefined,
        payload: request.body,
      });
    },
  };
};
