/** Which state may follow which: the product's own order, written down a second time. */
import { CALL_STATUSES, DISPOSITIONS, LEAD_STATUSES } from '../../lib/domain/vocabulary.ts';

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

/** How far a call has come. */
export const rankOf = (status: string): number => CALL_RANK[status];

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

const arrows = (what: string, from: readonly string[], to: readonly string[]): string[] =>
  from.flatMap((one) => to.filter((other) => other !== one).map((other) => `${what}: ${one}→${other}`));

const underWay = CALL_STATUSES.filter((status) => CALL_RANK[status] >= CALL_RANK['placing'] && !isTerminal(status));
/** What is answered is neither busy nor without an answer. */
const NEVER: readonly string[] = arrows('call', ['in_progress'], ['busy', 'no_answer']);

/** Every transition of the product's states, from its own lists of them: a run of many seeds must have seen each. */
export const EXPECTED_TRANSITIONS: readonly string[] = [
  ...Object.entries(CAMPAIGN).flatMap(([from, to]) => arrows('campaign', [from], to)),
  ...arrows('lead', ['waiting'], ['calling', 'suppressed', 'expired', 'canceled']),
  ...arrows('lead', ['calling'], LEAD_STATUSES),
  ...arrows('lead', ['unreached'], ['reached']),
  ...arrows('call', ['waiting'], ['reserved', 'canceled']),
  ...arrows('call', ['reserved'], ['placing', 'waiting', 'canceled']),
  ...arrows('call', ['placing'], ['waiting']),
  ...underWay.flatMap((from, i) => arrows('call', [from], [...underWay.slice(i + 1), ...DISPOSITIONS])),
  ...arrows('call', ['unknown'], DISPOSITIONS),
  ...Object.entries(NOTIFICATION).flatMap(([from, to]) => arrows('notification', [from], to)),
].filter((transition) => !NEVER.includes(transition));
