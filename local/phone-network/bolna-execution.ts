/** Bolna's execution object: the same in webhooks, reads and lists but for a few habits of each. */
import { costOf, costsOf, isFinal, recordingOf, saidIn, secondsOf } from './call.ts';
import type { Call } from './call.ts';

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
const hangupOf = (call: Call) => {
  const { status, script } = call;
  const known = isFinal(call) && status !== 'busy' ? HANGUP[status === 'stopped' ? status : script.ending] : undefined;
  return {
    hangup_by: known?.[0] ?? null,
    hangup_reason: known?.[1] ?? null,
    hangup_provider_code: known?.[2] ?? null,
  };
};

const analysisOf = (call: Call) => {
  const { transcript, summary, analysis } = saidIn(call);
  const extracted_data = analysis && {
    Lead: {
      Score: { objective: String(analysis.score) },
      Temperature: { objective: analysis.temperature },
      Evidence: { subjective: analysis.evidence },
    },
  };
  return { transcript, summary, extracted_data };
};

/**
 * The execution object as it stands.
 * @param where `read` follows the documentation (times with `Z`, numeric duration), the others what is seen on the wire
 * @param base where recordings are fetched
 */
export const executionBody = (call: Call, where: 'webhook' | 'read' | 'list', base: string) => {
  const { id, script, status, user_data, to, from } = call;
  const zone = where === 'read' ? 'Z' : '';
  const seconds = secondsOf(call);
  const dialled = status !== 'queued' && call.initiated_at !== null;
  return {
    id,
    agent_id: call.agent_id,
    batch_id: null,
    created_at: stamp(call.created_at, zone),
    updated_at: stamp(call.updated_at, zone),
    scheduled_at: null,
    answered_by_voice_mail: script.ending === 'voicemail' && status === 'completed' ? true : null,
    conversation_duration: seconds,
    total_cost: costOf(call),
    ...analysisOf(call),
    usage_breakdown: {
      llmModel: { 'gpt-4o-mini': { input: seconds * 9, output: seconds * 3 } },
      llmTokens: 0,
      provider_source: { llm: 'bolna', synthesizer: 'bolna', transcriber: 'bolna' },
      synthesizer_model: 'eleven_turbo_v2_5',
      transcriber_model: 'nova-3',
    },
    cost_breakdown: costsOf(call),
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
    initiated_at: call.initiated_at === null ? null : stamp(call.initiated_at, zone),
    telephony_data: {
      duration: where === 'read' ? seconds : String(seconds),
      to_number: to,
      from_number: from,
      recording_url: status === 'completed' ? recordingOf(call, base) : null,
      hosted_telephony: true,
      provider_call_id: dialled ? call.carrier_call_id : null,
      call_type: 'outbound',
      provider: 'plivo',
      ...hangupOf(call),
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
