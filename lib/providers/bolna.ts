/**
 * Bolna (https://www.bolna.ai/docs): one execution object for everything, pushed on every status change and read by id.
 * Webhooks are unsigned and there is no idempotency key; what we send in `user_data` comes back in
 * `context_details.recipient_data`, but not always, so an execution is matched by its id first.
 */
import * as z from 'zod';
import type { CallFact } from '../verb-shapes.ts';
import { Amount, Anything, jsonBody, lenient, ProviderId, readJson, Word } from './body.ts';
import { analysisOf, attemptIn, factFrom, fromDate, inboundFrom, ours, told } from './facts.ts';
import { ask, createOnce, type HttpAnswer, type Outcome, READ_TIMEOUT_MS, reading, refused, succeeded, unread } from './http.ts';
import type { CreateCall, LostCall, Provider, ProviderAgent, ReadResult } from './provider.ts';

/** Bolna's status → our state. `call-disconnected` frees the line; the disposition follows with `completed`. */
const STATES: Readonly<Record<string, NonNullable<CallFact['status']>>> = {
  scheduled: 'queued',
  prepared: 'queued',
  queued: 'queued',
  rescheduled: 'queued',
  initiated: 'dialing',
  ringing: 'ringing',
  'in-progress': 'in_progress',
  'call-disconnected': 'in_progress',
  completed: 'completed',
  'no-answer': 'no_answer',
  busy: 'busy',
  failed: 'failed',
  error: 'failed',
  'balance-low': 'failed',
  canceled: 'canceled',
  stopped: 'canceled',
};
const LINE_FREE = new Set([
  'call-disconnected',
  'completed',
  'no-answer',
  'busy',
  'failed',
  'error',
  'balance-low',
  'canceled',
  'stopped',
]);

/** Lenient: only what we use, and a field of an unexpected type says nothing. */
const Execution = z.object({
  id: ProviderId,
  status: Word,
  updated_at: lenient(z.string()),
  answered_by_voice_mail: lenient(z.boolean()),
  conversation_duration: lenient(Amount),
  total_cost: lenient(Amount),
  transcript: lenient(z.string()),
  extracted_data: Anything,
  error_message: lenient(z.string()),
  telephony_data: lenient(
    z.object({
      duration: lenient(Amount),
      recording_url: lenient(z.string()),
      call_type: lenient(z.string()),
      from_number: lenient(z.string()),
      hangup_reason: lenient(z.string()),
    }),
  ),
  user_number: lenient(z.string()),
  context_details: lenient(z.object({ recipient_data: Anything })),
});
type Execution = z.infer<typeof Execution>;

/** Our attempt id, as far as Bolna echoes it: an object, sometimes a JSON string, sometimes nothing. */
const attemptIdOf = (execution: Execution): string | undefined => {
  const data = execution.context_details?.recipient_data;
  return attemptIn(typeof data === 'string' ? readJson(data) : data);
};

/** Whoever called the agent; undefined for a call of ours, null when the number is withheld. */
const callerOf = ({ telephony_data: line, user_number }: Execution) =>
  line?.call_type === 'inbound' ? inboundFrom(user_number || line.from_number) : undefined;

const factOf = (execution: Execution, mapping: ProviderAgent['analysis_mapping'], source: CallFact['source']): CallFact => {
  const { status, telephony_data: line } = execution;
  const voicemail = status === 'completed' && execution.answered_by_voice_mail === true;
  const ended = LINE_FREE.has(status);
  // What `call-disconnected` says of costs and words is provisional: an event that comes late must not overwrite what is final.
  const final = ended && status !== 'call-disconnected';
  const at = fromDate(execution.updated_at);
  return factFrom({
    event_key: `${source === 'read' ? 'read:' : ''}${execution.id}:${status}`,
    provider_call_id: execution.id,
    provider_status: status,
    source,
    attempt_id: attemptIdOf(execution),
    ...callerOf(execution),
    status: voicemail ? 'voicemail' : told(STATES, status),
    line_free: ended ? true : undefined,
    account_refused: status === 'balance-low' ? true : undefined,
    undialled: status === 'balance-low' ? true : undefined,
    answered_at: status === 'in-progress' ? at : undefined,
    ended_at: ended && status !== 'completed' ? at : undefined,
    duration_seconds: final ? (line?.duration ?? execution.conversation_duration) : undefined,
    // Cents.
    cost: final && typeof execution.total_cost === 'number' ? execution.total_cost / 100 : undefined,
    transcript: final ? execution.transcript : undefined,
    recording_url: final ? line?.recording_url : undefined,
    reason: final ? execution.error_message || line?.hangup_reason : undefined,
    // `completed` means that post-processing is done: what is not there now never comes.
    analysis: status === 'completed' ? analysisOf(execution.extracted_data, mapping) : undefined,
  });
};

const messageOf = (answer: HttpAnswer): string => {
  const { data } = z.object({ message: lenient(z.string()), detail: lenient(z.string()) }).safeParse(answer.json);
  return data?.message ?? data?.detail ?? '';
};

/** What a refused create-call means for the lead and for the agent. */
const judge = (answer: HttpAnswer): Outcome => {
  const message = messageOf(answer);
  if (answer.status === 429) return refused('later', answer, message);
  // The key or the credit, or the agent itself: nobody can be called until somebody mends it.
  if ([401, 402, 403].includes(answer.status) || /balance|wallet|credit/i.test(message))
    return refused('account', answer, message);
  if (answer.status === 404 && /agent/i.test(message)) return refused('agent', answer, message);
  const invalid = /recipient_phone_number|phone number|invalid number/i.test(message) && !/from_phone_number/i.test(message);
  return refused(invalid ? 'invalid' : 'other', answer, message);
};

const PAGE_SIZE = 50;
const MAX_PAGES = 8;

/** The adapter for one base URL. */
export const bolna = (baseUrl: string): Provider => {
  const headers = (agent: ProviderAgent): Record<string, string> => ({
    authorization: `Bearer ${agent.credentials.api_key ?? ''}`,
  });
  const get = (agent: ProviderAgent, path: string): Promise<HttpAnswer> =>
    ask(`${baseUrl}${path}`, { method: 'GET', headers: headers(agent), timeoutMs: READ_TIMEOUT_MS });

  const createCall = (agent: ProviderAgent, call: CreateCall): Promise<Outcome> =>
    createOnce(
      `${baseUrl}/call`,
      {
        headers: headers(agent),
        body: {
          agent_id: agent.provider_agent_id,
          recipient_phone_number: call.to,
          ...(agent.from_number === null ? {} : { from_phone_number: agent.from_number }),
          user_data: { ...call.variables, ...ours(call) },
        },
      },
      (json) => z.object({ execution_id: ProviderId }).safeParse(json).data?.execution_id,
      judge,
    );

  const readCall = (agent: ProviderAgent, providerCallId: string): Promise<ReadResult> =>
    reading(async () => {
      const answer = await get(agent, `/executions/${encodeURIComponent(providerCallId)}`);
      const parsed = Execution.safeParse(answer.json);
      if (answer.status !== 200 || !parsed.success) return unread(answer);
      return { state: 'found', fact: factOf(parsed.data, agent.analysis_mapping, 'read') };
    });

  // The list has no filter for our data, so the pages around the moment of the dial are searched: the execution was made while
  // its create-call ran, give or take the difference between two clocks.
  const findCall = (agent: ProviderAgent, { attempt_id, since }: LostCall): Promise<ReadResult> =>
    reading(async () => {
      const from = new Date(since.getTime() - 2 * 60_000).toISOString();
      const to = new Date(since.getTime() + 10 * 60_000).toISOString();
      for (let page = 1; page <= MAX_PAGES; page += 1) {
        const query = new URLSearchParams({ page_number: String(page), page_size: String(PAGE_SIZE), from, to });
        const answer = await get(
          agent,
          `/v2/agent/${encodeURIComponent(agent.provider_agent_id)}/executions?${query.toString()}`,
        );
        const parsed = z.object({ data: z.array(z.unknown()), has_more: z.boolean().optional() }).safeParse(answer.json);
        if (answer.status !== 200 || !parsed.success) return { state: 'failed', reason: `answered ${answer.status}` };
        for (const entry of parsed.data.data) {
          const execution = Execution.safeParse(entry);
          if (execution.success && attemptIdOf(execution.data) === attempt_id) {
            return { state: 'found', fact: factOf(execution.data, agent.analysis_mapping, 'read') };
          }
        }
        if (parsed.data.has_more !== true) return { state: 'missing' };
      }
      return { state: 'failed', reason: 'too many executions to search' };
    });

  return {
    name: 'bolna',
    requiredCredentials: ['api_key'],
    accountCredentials: ['api_key'],
    requires: [],
    contentType: 'application/json',
    signed: false,
    createCall,
    readCall,
    findCall,
    async stopCall(agent, providerCallId) {
      const path = `/call/${encodeURIComponent(providerCallId)}/stop`;
      const answer = await ask(`${baseUrl}${path}`, { method: 'POST', headers: headers(agent), timeoutMs: READ_TIMEOUT_MS });
      return answer.status === 200;
    },
    async registerWebhook(agent, url) {
      const answer = await ask(`${baseUrl}/v2/agent/${encodeURIComponent(agent.provider_agent_id)}`, {
        method: 'PATCH',
        headers: headers(agent),
        timeoutMs: READ_TIMEOUT_MS,
        body: { agent_config: { webhook_url: url } },
      });
      return succeeded(answer);
    },
    verifyWebhook: () => Promise.resolve(true),
    parseWebhook(agent, request) {
      const execution = jsonBody(request, Execution, 'must be an execution with id and status');
      if (callerOf(execution) === null) return null;
      return { ...factOf(execution, agent?.analysis_mapping ?? null, 'event'), payload: request.body };
    },
  };
};
