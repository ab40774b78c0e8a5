/** Bolna's wire shapes. The execution object is the same in webhooks, reads and lists but for a few habits of each. */
import { FREES_LINE, LAST, TALK_SECONDS, temperatureOf } from './script.ts';
import type { Script, Status } from './script.ts';
import { wordsOf } from './words.ts';

/** One accepted call, as the network keeps it. */
export interface Execution {
  id: string;
  agent_id: string;
  /** E.164. */
  to: string;
  from: string;
  user_data: Readonly<Record<string, unknown>> | null;
  script: Script;
  status: Status;
  carrier_call_id: string;
  created_at: Date;
  updated_at: Date;
  initiated_at: Date | null;
}

/** Microseconds as Bolna writes them; webhooks and lists leave the zone out. */
const stamp = (date: Date, zone: '' | 'Z'): string => `${date.toISOString().slice(0, -1)}000${zone}`;

const HANGUP: Readonly<Record<string, readonly [by: string, reason: string, code: number]>> = {
  answered: ['Callee', 'Call recipient hungup', 4000],
  voicemail: ['Plivo', 'Call ended', 4010],
  'no-answer': ['Carrier', 'Call unanswered', 3000],
  failed: ['Carrier', 'Carrier Internal Error', 3070],
  stopped: ['API Request', 'Call canceled', 4000],
};

/** Who hung up and why. Bolna leaves it out of busy calls and of `call-disconnected`. */
const hangupOf = ({ status, script }: Execution) => {
  const known = LAST.has(status) && status !== 'busy' ? HANGUP[status === 'stopped' ? status : script.ending] : undefined;
  return {
    hangup_by: known?.[0] ?? null,
    hangup_reason: known?.[1] ?? null,
    hangup_provider_code: known?.[2] ?? null,
  };
};

/** Cents. Network and platform are billed per started minute, and only once the call is processed. */
const costsOf = (seconds: number, final: boolean) => ({
  llm: seconds === 0 ? 0 : 0.002 * seconds,
  network: final && seconds > 0 ? 0.344 : 0,
  platform: final && seconds > 0 ? 2 : 0,
  synthesizer: seconds === 0 ? 0 : 0.01 * seconds,
  transcriber: seconds === 0 ? 0 : 0.015 * seconds,
});

/** What the call cost so far, in cents. */
export const costOf = (execution: Execution): number => {
  const { seconds, final } = progressOf(execution);
  const cents = Object.values(costsOf(seconds, final)).reduce((sum, part) => sum + part, 0);
  return Math.round(cents * 1000) / 1000;
};

const progressOf = ({ status, script }: Execution) => {
  const final = LAST.has(status);
  const talked = FREES_LINE.has(status) && status !== 'stopped';
  return { final, seconds: talked ? TALK_SECONDS[script.ending] : 0 };
};

const analysisOf = (execution: Execution) => {
  const { script, status, to, user_data } = execution;
  if (script.ending === 'voicemail' && FREES_LINE.has(status)) {
    return { transcript: 'user: Please leave your message after the tone.\n', summary: null, extracted_data: null };
  }
  if (script.score === null || !FREES_LINE.has(status) || status === 'stopped') {
    return { transcript: null, summary: null, extracted_data: null };
  }
  const { transcript, summary, evidence } = wordsOf(to, user_data ?? {}, script.score);
  if (status === 'call-disconnected') return { transcript, summary: null, extracted_data: null };
  return {
    transcript,
    summary,
    extracted_data: {
      Lead: {
        Score: { objective: String(script.score) },
        Temperature: { objective: temperatureOf(script.score) },
        Evidence: { subjective: evidence },
      },
    },
  };
};

/**
 * The execution object as it stands.
 * @param where `read` follows the documentation (times with `Z`, numeric duration), the others what is seen on the wire
 * @param base where recordings are fetched
 */
export const executionBody = (execution: Execution, where: 'webhook' | 'read' | 'list', base: string) => {
  const { id, script, status, user_data, to, from } = execution;
  const zone = where === 'read' ? 'Z' : '';
  const { final, seconds } = progressOf(execution);
  const costs = costsOf(seconds, final);
  const dialled = status !== 'queued' && execution.initiated_at !== null;
  return {
    id,
    agent_id: execution.agent_id,
    batch_id: null,
    created_at: stamp(execution.created_at, zone),
    updated_at: stamp(execution.updated_at, zone),
    scheduled_at: null,
    answered_by_voice_mail: script.ending === 'voicemail' && status === 'completed' ? true : null,
    conversation_duration: seconds,
    total_cost: costOf(execution),
    ...analysisOf(execution),
    usage_breakdown: {
      llmModel: { 'gpt-4o-mini': { input: seconds * 9, output: seconds * 3 } },
      llmTokens: 0,
      provider_source: { llm: 'bolna', synthesizer: 'bolna', transcriber: 'bolna' },
      synthesizer_model: 'eleven_turbo_v2_5',
      transcriber_model: 'nova-3',
    },
    cost_breakdown: costs,
    error_message: status === 'failed' ? 'the carrier could not connect the call' : null,
    status,
    agent_extraction: null,
    workflow_retries: null,
    rescheduled_at: null,
    custom_extractions: null,
    campaign_id: null,
    smart_status: status,
    user_number: to,
    agent_number: from,
    initiated_at: execution.initiated_at === null ? null : stamp(execution.initiated_at, zone),
    telephony_data: {
      duration: where === 'read' ? seconds : String(seconds),
      to_number: to,
      from_number: from,
      recording_url: status === 'completed' ? `${base}/recordings/call/${id}` : null,
      hosted_telephony: true,
      provider_call_id: dialled ? execution.carrier_call_id : null,
      call_type: 'outbound',
      provider: 'plivo',
      ...hangupOf(execution),
    },
    transfer_call_data: null,
    context_details: {
      // A call that echoes nothing still carries its data in the list.
      recipient_data: script.echoes || where === 'list' ? user_data : null,
      recipient_phone_number: to,
    },
    batch_run_details: null,
    provider: 'plivo',
    latency_data: dialled ? { time_to_first_audio: 155.4, region: 'in' } : null,
    deleted: false,
    retry_config: null,
    retry_count: 0,
    retry_history: null,
  };
};
