/**
 * Vapi (https://docs.vapi.ai): `status-update` while a call runs, `end-of-call-report` once it is processed. The call object inside
 * a webhook is stale (still "queued" at the end), so only the message itself is believed, and the object for its ids. Each call
 * says where its webhooks go and, by the id of a credential kept at Vapi, how they are signed. No idempotency key.
 */
import * as z from 'zod';
import type { CallFact } from '../verb-shapes.ts';
import { Amount, Anything, badBody, jsonBody, lenient, ProviderId, Word } from './body.ts';
import { analysisOf, attemptIn, besides, factFrom, fromDate, fromMs, inboundFrom, ours, told } from './facts.ts';
import { ask, createOnce, type HttpAnswer, type Outcome, READ_TIMEOUT_MS, reading, refused, succeeded, unread } from './http.ts';
import type { CreateCall, LostCall, Provider, ProviderAgent, ReadResult } from './provider.ts';
import { verifyVapi } from './vapi-auth.ts';

type State = NonNullable<CallFact['status']>;

/** Vapi's status → our state; `ended` and `deletion-failed` are told by their reason. */
const STATES: Readonly<Record<string, State>> = {
  scheduled: 'queued',
  queued: 'queued',
  ringing: 'ringing',
  'in-progress': 'in_progress',
  forwarding: 'in_progress',
};
const ENDED = new Set(['ended', 'deletion-failed']);

/** `endedReason` → disposition, by rule: there are some six hundred, nearly all of them failures. What is not known failed. */
const REASONS: readonly (readonly [rule: RegExp, disposition: State])[] = [
  [/^customer-ended-call(-|$)/, 'completed'],
  [/^assistant-(ended-call|said-end-call-phrase|forwarded-call)(-|$)/, 'completed'],
  [/^(exceeded-max-duration|silence-timed-out|vonage-completed|vonage-disconnected)$/, 'completed'],
  [/^call\.in-progress\.(twilio|sip)-completed-call$/, 'completed'],
  [/^call\.forwarding\.(operator-busy|no-answer)$/, 'completed'],
  [/^call\.ending\.hook-executed-/, 'completed'],
  [/^voicemail$/, 'voicemail'],
  [/^customer-did-not-answer$/, 'no_answer'],
  [/-outbound-sip-(408-request-timeout|480-temporarily-unavailable)$/, 'no_answer'],
  [/^customer-busy$/, 'busy'],
  [/^(manually-canceled|scheduled-call-deleted|call-deleted)$/, 'canceled'],
];
const dispositionOf = (reason: string): State => REASONS.find(([rule]) => rule.test(reason))?.[1] ?? 'failed';

const Echo = {
  metadata: Anything,
  assistantOverrides: lenient(z.object({ metadata: Anything, variableValues: Anything })),
};
/** What an end-of-call-report and a call that was read have in common. */
const Results = {
  endedReason: lenient(z.string()),
  startedAt: lenient(z.string()),
  endedAt: lenient(z.string()),
  cost: lenient(Amount),
  durationSeconds: lenient(Amount),
  transcript: lenient(z.string()),
  recordingUrl: lenient(z.string()),
  artifact: lenient(z.object({ transcript: lenient(z.string()), recordingUrl: lenient(z.string()) })),
  analysis: lenient(z.object({ summary: Anything, structuredData: Anything, successEvaluation: Anything })),
};
const Call = z.object({ id: ProviderId, type: lenient(z.string()), status: Word, ...Echo, ...Results });
type Call = z.infer<typeof Call>;
const Customer = lenient(z.object({ number: lenient(z.string()) }));
const Message = z.object({
  message: z.object({
    type: Word,
    status: lenient(Word),
    timestamp: lenient(z.number()),
    call: lenient(z.object({ id: ProviderId, type: lenient(z.string()), customer: Customer, ...Echo })),
    customer: Customer,
    ...Results,
  }),
});

const attemptOf = (call: Pick<Call, 'metadata' | 'assistantOverrides'>): string | undefined =>
  attemptIn(call.metadata, call.assistantOverrides?.metadata, call.assistantOverrides?.variableValues);

const secondsBetween = (from: string | undefined, to: string | undefined): number | undefined =>
  from === undefined || to === undefined ? undefined : Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);

/** Reasons that concern the account, or its assistant and number, not the lead. */
const ACCOUNT_REASONS = /insufficient-credits|frozen|wallet-does-not-exist|fraud-check-failed/;
const AGENT_REASONS = /daily-limit|assistant-not-(found|valid)/;
/** Reasons why nobody was dialled: no line was free, or the account, its number or the assistant did not allow it. */
const UNDIALLED =
  /^(call\.start\.error-(subscription-(concurrency-limit-reached|insufficient-credits|frozen|wallet-does-not-exist)|vapi-number-outbound-daily-limit|fraud-check-failed)|assistant-not-(found|valid))$/;
const when = (is: boolean): true | undefined => (is ? true : undefined);
/** What the reason means beyond this one call. */
const meaningOf = (reason: string | null | undefined) => ({
  account_refused: when(ACCOUNT_REASONS.test(reason ?? '')),
  agent_refused: when(AGENT_REASONS.test(reason ?? '')),
  undialled: when(UNDIALLED.test(reason ?? '')),
  invalid_number: when(reason === 'twilio-reported-customer-misdialed'),
});

/** The end of a call with all that was made of it. */
const resultsOf = (said: Pick<Call, keyof typeof Results>, mapping: ProviderAgent['analysis_mapping'], isReport: boolean) => {
  const started = fromDate(said.startedAt);
  const ended = fromDate(said.endedAt);
  const { summary, structuredData, successEvaluation } = said.analysis ?? {};
  return {
    // Ended without a reason: somebody answered, or nobody did.
    status: said.endedReason ? dispositionOf(said.endedReason) : started ? ('completed' as const) : ('failed' as const),
    line_free: true,
    answered_at: started,
    ended_at: ended,
    duration_seconds: said.durationSeconds ?? secondsBetween(started, ended),
    cost: said.cost,
    transcript: said.artifact?.transcript || said.transcript,
    recording_url: said.artifact?.recordingUrl || said.recordingUrl,
    reason: said.endedReason,
    ...meaningOf(said.endedReason),
    // The report is the last word. A call that was read may still be processed until it has an analysis.
    analysis:
      isReport || said.analysis
        ? analysisOf(besides(structuredData, { call_summary: summary, successEvaluation }), mapping)
        : undefined,
  };
};

const readFact = (call: Call, mapping: ProviderAgent['analysis_mapping']): CallFact =>
  factFrom({
    event_key: `read:${call.id}:${call.status}`,
    provider_call_id: call.id,
    provider_status: call.status,
    source: 'read',
    attempt_id: attemptOf(call),
    status: told(STATES, call.status),
    ...(ENDED.has(call.status) ? resultsOf(call, mapping, false) : {}),
  });

const messageOf = (answer: HttpAnswer): string => {
  const { data } = z.object({ message: z.union([z.string(), z.array(z.string())]) }).safeParse(answer.json);
  return data === undefined ? '' : [data.message].flat().join('; ');
};

/** What a refused create-call means for the lead and for the agent. Nearly everything is a 400 and told by its words. */
const judge = (answer: HttpAnswer): Outcome => {
  const message = messageOf(answer);
  const says = (words: RegExp): boolean => words.test(message);
  if (answer.status === 429 || says(/concurren/i)) return refused('later', answer, message);
  if ([401, 402, 403].includes(answer.status) || says(/credit|balance|wallet|billing|payment|subscription|frozen/i))
    return refused('account', answer, message);
  if (says(/customer\.number|E\.164/i)) return refused('invalid', answer, message);
  const mine = answer.status === 404 || says(/daily.*limit|assistant|phone-?number|credential/i);
  return refused(mine ? 'agent' : 'other', answer, message);
};

/** How far around the moment of the dial a lost call is looked for. */
const BEFORE_MS = 2 * 60_000;
const AFTER_MS = 10 * 60_000;
const LIST_LIMIT = 1000;

/** The adapter for one base URL. */
export const vapi = (baseUrl: string): Provider => {
  const headers = (agent: ProviderAgent): Record<string, string> => ({
    authorization: `Bearer ${agent.credentials.api_key ?? ''}`,
  });
  const get = (agent: ProviderAgent, path: string): Promise<HttpAnswer> =>
    ask(`${baseUrl}${path}`, { method: 'GET', headers: headers(agent), timeoutMs: READ_TIMEOUT_MS });

  const bodyOf = (agent: ProviderAgent, call: CreateCall): unknown => ({
    name: call.attempt_id,
    assistantId: agent.provider_agent_id,
    phoneNumberId: agent.credentials.phone_number_id,
    customer: { number: call.to },
    // Not in Vapi's schema, though it comes back; hence also in the overrides.
    metadata: ours(call),
    assistantOverrides: {
      metadata: ours(call),
      variableValues: { ...call.variables, ...ours(call) },
      server: {
        url: call.webhook_url,
        timeoutSeconds: 20,
        credentialId: agent.credentials.webhook_credential_id,
        // Without a plan nothing is sent again.
        backoffPlan: { type: 'exponential', maxRetries: 5, baseDelaySeconds: 2 },
      },
      serverMessages: ['status-update', 'end-of-call-report'],
    },
  });

  return {
    name: 'vapi',
    requiredCredentials: ['api_key', 'phone_number_id', 'webhook_credential_id'],
    accountCredentials: ['api_key'],
    requires: ['webhook_secrets'],
    contentType: 'application/json',
    signed: true,
    createCall: (agent, call): Promise<Outcome> =>
      createOnce(
        `${baseUrl}/call`,
        { headers: headers(agent), body: bodyOf(agent, call) },
        (json) => z.object({ id: ProviderId }).safeParse(json).data?.id,
        judge,
      ),
    readCall: (agent, id): Promise<ReadResult> =>
      reading(async () => {
        const answer = await get(agent, `/call/${encodeURIComponent(id)}`);
        const parsed = Call.safeParse(answer.json);
        if (answer.status !== 200 || !parsed.success) return unread(answer);
        if (parsed.data.status === 'not-found') return { state: 'missing' };
        return { state: 'found', fact: readFact(parsed.data, agent.analysis_mapping) };
      }),
    // The list has no filter for our data, so what was created around the moment of the dial is searched.
    findCall: (agent, { attempt_id, since }: LostCall): Promise<ReadResult> =>
      reading(async () => {
        const query = new URLSearchParams({
          assistantId: agent.provider_agent_id,
          createdAtGe: new Date(since.getTime() - BEFORE_MS).toISOString(),
          createdAtLe: new Date(since.getTime() + AFTER_MS).toISOString(),
          limit: String(LIST_LIMIT),
        });
        const answer = await get(agent, `/call?${query.toString()}`);
        if (answer.status !== 200 || !Array.isArray(answer.json)) return { state: 'failed', reason: `answered ${answer.status}` };
        const calls = answer.json.map((entry) => Call.safeParse(entry).data).filter((call) => call !== undefined);
        const found = calls.find((call) => attemptOf(call) === attempt_id);
        if (found) return { state: 'found', fact: readFact(found, agent.analysis_mapping) };
        return answer.json.length < LIST_LIMIT ? { state: 'missing' } : { state: 'failed', reason: 'too many calls to search' };
      }),
    // A running call is ended by its own control address; one that is still queued has none.
    async stopCall(agent, id) {
      const answer = await get(agent, `/call/${encodeURIComponent(id)}`);
      const monitor = z
        .object({ monitor: z.object({ controlUrl: z.url({ protocol: /^https?$/ }) }) })
        .safeParse(answer.json).data;
      if (!monitor) return false;
      return succeeded(
        await ask(monitor.monitor.controlUrl, {
          method: 'POST',
          headers: {},
          body: { type: 'end-call' },
          timeoutMs: READ_TIMEOUT_MS,
        }),
      );
    },
    registerWebhook: () => Promise.resolve(true),
    verifyWebhook: verifyVapi,
    parseWebhook(agent, request) {
      const { message } = jsonBody(request, Message, 'must be a message with a type');
      const { call, type, status } = message;
      const isReport = type === 'end-of-call-report';
      // Others are chatter: `hang` says that the assistant is slow, not that somebody hung up.
      if (!isReport && type !== 'status-update') return null;
      const caller =
        call?.type === 'inboundPhoneCall' ? inboundFrom(message.customer?.number || call.customer?.number) : undefined;
      if (caller === null) return null;
      const word = isReport ? 'ended' : status;
      if (!call || !word) throw badBody('must name a call, and its status');
      const reason = message.endedReason;
      // An update that does not say why the call has ended only frees the line: the report will.
      const ended = {
        status: reason ? dispositionOf(reason) : ('in_progress' as const),
        line_free: true,
        reason,
        ...meaningOf(reason),
      };
      return factFrom({
        event_key: `${call.id}:${type}:${word}`,
        provider_call_id: call.id,
        provider_status: isReport ? type : word,
        source: 'event',
        attempt_id: attemptOf(call),
        ...caller,
        status: told(STATES, word),
        ...(isReport && resultsOf(message, agent?.analysis_mapping ?? null, true)),
        ...(!isReport && ENDED.has(word) && { ...ended, ended_at: fromMs(message.timestamp) }),
        payload: request.body,
      });
    },
  };
};
