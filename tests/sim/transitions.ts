/** Which state may follow which: the product's own order, written down a second time. */

/** A call only ever moves to a higher rank; only `unknown` among the ends may still be resolved. */
const CALL_RANK: Readonly<Record<string, number>> = {
  waiting: 0,
  reserved: 1,
  placing: 2,
  queued: 3,
  dialing: 4,
  ringing: 5,
  in_progress: 6,
  unknown: 9,
  completed: 10,
  no_answer: 10,
  busy: 10,
  voicemail: 10,
  failed: 10,
  canceled: 10,
};

export const isTerminal = (status: string): boolean => CALL_RANK[status] >= 9;

export const callMayMove = (kind: string, from: string, to: string): boolean => {
  // A direct call that was given back undialled queues again.
  if (kind === 'direct' && to === 'waiting') return from === 'reserved' || from === 'placing';
  // A verdict that came after the end.
  if (from === 'completed' && to === 'voicemail') return true;
  return CALL_RANK[to] > CALL_RANK[from];
};

const LEAD: Readonly<Record<string, readonly string[]>> = {
  waiting: ['calling', 'unreached', 'suppressed', 'expired', 'canceled'],
  calling: ['waiting', 'reached', 'unreached', 'suppressed', 'invalid', 'expired', 'canceled'],
};
export const LEAD_FINAL: ReadonlySet<string> = new Set(['reached', 'unreached', 'suppressed', 'invalid', 'expired', 'canceled']);

/** @param resolved the lead's last call ended `unknown` or `completed` and this very change says otherwise */
export const leadMayMove = (from: string, to: string, resolved: boolean): boolean => {
  if (LEAD[from]?.includes(to)) return true;
  return resolved && (from === 'unreached' || from === 'waiting' || from === 'reached');
};

const CAMPAIGN: Readonly<Record<string, readonly string[]>> = {
  draft: ['active', 'canceled'],
  active: ['paused', 'completed', 'canceled'],
  paused: ['active', 'completed', 'canceled'],
};
export const campaignMayMove = (from: string, to: string): boolean => CAMPAIGN[from]?.includes(to) ?? false;

const NOTIFICATION: Readonly<Record<string, readonly string[]>> = {
  pending: ['sending', 'skipped'],
  sending: ['sent', 'failed', 'unknown', 'pending'],
  unknown: ['sent'],
};
/** @param asked a person asked for the mail again */
export const notificationMayMove = (from: string, to: string, asked: boolean): boolean =>
  (NOTIFICATION[from]?.includes(to) ?? false) || (asked && to === 'pending' && ['failed', 'skipped', 'unknown'].includes(from));

/** Every transition that a run of many seeds must have seen. */
export const EXPECTED_TRANSITIONS: readonly string[] = [
  'campaign: draft→active',
  'campaign: draft→canceled',
  'campaign: active→paused',
  'campaign: active→completed',
  'campaign: active→canceled',
  'campaign: paused→active',
  'campaign: paused→completed',
  'campaign: paused→canceled',
  'lead: waiting→calling',
  'lead: waiting→suppressed',
  'lead: waiting→expired',
  'lead: waiting→canceled',
  'lead: calling→waiting',
  'lead: calling→reached',
  'lead: calling→unreached',
  'lead: calling→suppressed',
  'lead: calling→invalid',
  'lead: calling→expired',
  'lead: calling→canceled',
  'lead: unreached→reached',
  'call: waiting→reserved',
  'call: waiting→canceled',
  'call: reserved→waiting',
  'call: reserved→placing',
  'call: reserved→canceled',
  'call: placing→waiting',
  'call: placing→queued',
  'call: placing→dialing',
  'call: placing→ringing',
  'call: placing→in_progress',
  'call: placing→completed',
  'call: placing→no_answer',
  'call: placing→busy',
  'call: placing→voicemail',
  'call: placing→failed',
  'call: placing→canceled',
  'call: placing→unknown',
  'call: queued→dialing',
  'call: queued→ringing',
  'call: queued→in_progress',
  'call: queued→completed',
  'call: queued→no_answer',
  'call: queued→busy',
  'call: queued→voicemail',
  'call: queued→failed',
  'call: dialing→ringing',
  'call: dialing→in_progress',
  'call: dialing→completed',
  'call: dialing→no_answer',
  'call: dialing→busy',
  'call: dialing→failed',
  'call: ringing→in_progress',
  'call: ringing→completed',
  'call: ringing→no_answer',
  'call: ringing→busy',
  'call: in_progress→completed',
  'call: in_progress→voicemail',
  'call: in_progress→unknown',
  'call: unknown→completed',
  'notification: pending→sending',
  'notification: pending→skipped',
  'notification: sending→sent',
  'notification: sending→failed',
  'notification: sending→unknown',
  'notification: sending→pending',
  'notification: unknown→sent',
];
