/** Every documented status and end reason of every provider becomes a state. */
import { expect, test } from 'vitest';
import type { ProviderName } from '../../lib/providers/table.ts';
import { DIALECTS, fixture, providers, webhook } from './dialects.ts';

const factOf = (name: ProviderName, body: Record<string, unknown>) =>
  providers[name].parseWebhook(DIALECTS[name].agent, webhook(name, { body }))!;

test('all 595 end reasons of Vapi, in the update and in the report alike, and one nobody has heard of', () => {
  const { dispositions } = fixture('vapi/ended-reasons.json') as { dispositions: Record<string, string[]> };
  let rows = 0;
  for (const [disposition, reasons] of Object.entries({ ...dispositions, failed: [...dispositions.failed, 'new-reason'] })) {
    for (const endedReason of reasons) {
      const call = { id: 'call-1' };
      const update = factOf('vapi', { message: { type: 'status-update', status: 'ended', endedReason, call } });
      const report = factOf('vapi', { message: { type: 'end-of-call-report', endedReason, call } });
      const expected = [disposition, endedReason, true];
      expect([update.status, update.reason, update.line_free], endedReason).toEqual(expected);
      expect([report.status, report.reason, report.line_free], endedReason).toEqual(expected);
      rows += 1;
    }
  }
  expect(rows).toBe(595 + 1);
});

test('the eight statuses of Vapi', () => {
  const states = {
    scheduled: 'queued',
    queued: 'queued',
    ringing: 'ringing',
    'in-progress': 'in_progress',
    forwarding: 'in_progress',
  };
  for (const [status, state] of Object.entries(states)) {
    expect(factOf('vapi', { message: { type: 'status-update', status, call: { id: 'call-1' } } }).status, status).toBe(state);
  }
  // `ended`, `not-found` and `deletion-failed` are told by their reason, or read: see the reads.
  const unknown = factOf('vapi', { message: { type: 'status-update', status: 'new-status', call: { id: 'call-1' } } });
  expect(unknown).toMatchObject({ provider_status: 'new-status' });
  expect(unknown).not.toHaveProperty('status');
});

test('all 34 disconnection reasons of Retell, when the call ends and when it is analysed, and one nobody has heard of', () => {
  const { dispositions } = fixture('retell/disconnection-reasons.json') as { dispositions: Record<string, string[]> };
  let rows = 0;
  for (const [disposition, reasons] of Object.entries({ ...dispositions, failed: [...dispositions.failed, 'new_reason'] })) {
    for (const disconnection_reason of reasons) {
      for (const event of ['call_ended', 'call_analyzed']) {
        const fact = factOf('retell', { event, call: { call_id: 'call-1', disconnection_reason } });
        expect([fact.status, fact.reason, fact.line_free], disconnection_reason).toEqual([
          disposition,
          disconnection_reason,
          true,
        ]);
      }
      rows += 1;
    }
  }
  expect(rows).toBe(34 + 1);
});

test('the reasons that concern more than the one call, of all there are: account, agent, nobody dialled, nobody has that number', () => {
  const retell = fixture('retell/disconnection-reasons.json') as { dispositions: Record<string, string[]> };
  const vapi = fixture('vapi/ended-reasons.json') as { dispositions: Record<string, string[]> };
  const said = {
    retell: (reason: string) =>
      factOf('retell', { event: 'call_ended', call: { call_id: 'call-1', disconnection_reason: reason } }),
    vapi: (reason: string) =>
      factOf('vapi', { message: { type: 'end-of-call-report', endedReason: reason, call: { id: 'call-1' } } }),
    bolna: (status: string) => factOf('bolna', { id: 'call-1', status }),
  };
  const all = {
    retell: Object.values(retell.dispositions).flat(),
    vapi: Object.values(vapi.dispositions).flat(),
    bolna: ['completed', 'no-answer', 'busy', 'failed', 'error', 'balance-low', 'canceled', 'stopped'],
  };
  const having = (name: keyof typeof said, flag: 'account_refused' | 'agent_refused' | 'undialled' | 'invalid_number') =>
    all[name].filter((reason) => said[name](reason)[flag] === true).toSorted();
  expect({
    account: (['retell', 'vapi', 'bolna'] as const).map((name) => having(name, 'account_refused')),
    agent: (['retell', 'vapi', 'bolna'] as const).map((name) => having(name, 'agent_refused')),
    undialled: (['retell', 'vapi', 'bolna'] as const).map((name) => having(name, 'undialled')),
    invalid: (['retell', 'vapi', 'bolna'] as const).map((name) => having(name, 'invalid_number')),
  }).toEqual({
    account: [
      ['no_valid_payment', 'scam_detected'],
      [
        'call.start.error-fraud-check-failed',
        'call.start.error-subscription-frozen',
        'call.start.error-subscription-insufficient-credits',
        'call.start.error-subscription-wallet-does-not-exist',
      ],
      ['balance-low'],
    ],
    agent: [[], ['assistant-not-found', 'assistant-not-valid', 'call.start.error-vapi-number-outbound-daily-limit'], []],
    undialled: [
      ['concurrency_limit_reached', 'no_concurrency_fallback', 'no_valid_payment'],
      [
        'assistant-not-found',
        'assistant-not-valid',
        'call.start.error-fraud-check-failed',
        'call.start.error-subscription-concurrency-limit-reached',
        'call.start.error-subscription-frozen',
        'call.start.error-subscription-insufficient-credits',
        'call.start.error-subscription-wallet-does-not-exist',
        'call.start.error-vapi-number-outbound-daily-limit',
      ],
      ['balance-low'],
    ],
    invalid: [['invalid_destination'], ['twilio-reported-customer-misdialed'], []],
  });
  expect(Object.values(all).map((reasons) => reasons.length)).toEqual([34, 595, 8]);
});

test("Twilio's nine statuses, and who answered", () => {
  const table: [status: string, answeredBy: string, state: string | undefined][] = [
    ['queued', '', 'queued'],
    ['initiated', '', 'dialing'],
    ['ringing', '', 'ringing'],
    ['in-progress', 'machine_start', 'in_progress'],
    ['busy', '', 'busy'],
    ['no-answer', '', 'no_answer'],
    ['failed', '', 'failed'],
    ['canceled', '', 'canceled'],
    ['completed', '', 'completed'],
    ['completed', 'human', 'completed'],
    ['completed', 'unknown', 'completed'],
    ['completed', 'machine_start', 'voicemail'],
    ['completed', 'machine_end_beep', 'voicemail'],
    ['completed', 'machine_end_silence', 'voicemail'],
    ['completed', 'machine_end_other', 'voicemail'],
    ['completed', 'fax', 'failed'],
    ['new-status', '', undefined],
  ];
  let rows = 0;
  for (const [CallStatus, AnsweredBy, state] of table) {
    const fact = factOf('twilio', { CallSid: 'call-1', CallStatus, ...(AnsweredBy && { AnsweredBy }) });
    expect([fact.status, fact.provider_status], `${CallStatus} ${AnsweredBy}`).toEqual([state, CallStatus]);
    rows += 1;
  }
  expect(rows).toBe(17);
});

test("ElevenLabs' reasons for a failed start, and the ends of its conversations", () => {
  const states = { busy: 'busy', 'no-answer': 'no_answer', unknown: 'failed', 'new-reason': 'failed' };
  const event = { event_timestamp: 1_772_445_609 };
  for (const [failure_reason, state] of Object.entries(states)) {
    const data = { conversation_id: 'call-1', failure_reason };
    expect(factOf('elevenlabs', { ...event, type: 'call_initiation_failure', data }).status, failure_reason).toBe(state);
  }
  for (const [status, state] of Object.entries({ done: 'completed', failed: 'failed' })) {
    const data = { conversation_id: 'call-1', status };
    expect(factOf('elevenlabs', { ...event, type: 'post_call_transcription', data }).status, status).toBe(state);
  }
});
