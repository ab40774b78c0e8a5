/** The faults that a seed may meet, its own mix of them, and the log of what was injected and what was seen. */
import type { Random } from './random.ts';

/** Fault → the highest share of its occasions at which it strikes. */
const STRENGTH = {
  // The database
  db_connect: 0.15,
  db_lost_before: 0.15,
  db_ack_lost: 0.2,
  db_half_open: 0.06,
  db_read_only: 0.03,
  db_rolled_back: 0.1,
  db_slow: 0.3,
  // The worker
  worker_killed: 0.08,
  worker_stalled: 0.05,
  worker_stalled_at_fence: 0.2,
  worker_of_old_version: 0.1,
  clock_skew: 1,
  sleeper_failed: 0.2,
  // The crons
  cron_doubled: 0.4,
  cron_missed: 0.4,
  cron_overlapping: 0.4,
  // The telephony provider
  provider_5xx: 0.25,
  provider_5xx_accepted: 0.2,
  provider_429: 0.25,
  provider_invalid: 0.1,
  provider_refused: 0.1,
  provider_account: 0.05,
  provider_timeout_before: 0.2,
  provider_timeout_after: 0.4,
  provider_slow_answer: 0.6,
  provider_read_failed: 0.4,
  provider_never_ends: 0.08,
  provider_unreadable: 0.5,
  // Its webhooks
  webhook_lost: 0.95,
  webhook_silent: 0.4,
  webhook_tripled: 0.5,
  webhook_reordered: 0.5,
  webhook_late: 0.4,
  webhook_no_echo: 0.9,
  webhook_forged: 0.1,
  analysis_late: 0.5,
  analysis_never: 0.4,
  // The mail provider
  mail_5xx: 0.5,
  mail_timeout_before: 0.4,
  mail_timeout_after: 0.5,
  mail_inactive: 0.3,
  // People
  person_interferes: 1,
  person_meddles: 0.5,
} as const;

export type FaultKind = keyof typeof STRENGTH;
export const FAULT_KINDS = Object.keys(STRENGTH) as FaultKind[];

/** How often each thing happened, by name: faults injected, transitions of rows, answers. */
export type Counts = Record<string, number>;

export const addCounts = (to: Counts, from: Counts): void => {
  for (const [name, n] of Object.entries(from)) to[name] = (to[name] ?? 0) + n;
};

export interface Faults {
  /** While false nothing is injected any more. */
  on: boolean;
  readonly shares: Readonly<Record<FaultKind, number>>;
  readonly counts: Counts;
  /** Draws whether this fault strikes now, and counts it when it does. */
  hit(kind: FaultKind): boolean;
}

/** Each seed draws its own mix: about half of the kinds are absent, the others are rare or frequent. */
export const createFaults = (random: Random, struck: (kind: FaultKind) => void): Faults => {
  const calm = random.chance(0.1);
  const shares = {} as Record<FaultKind, number>;
  for (const kind of FAULT_KINDS) {
    const share = random.chance(0.5) ? random.next() ** 2 * STRENGTH[kind] : 0;
    shares[kind] = calm ? 0 : share;
  }
  const counts: Counts = {};
  const faults: Faults = {
    on: true,
    shares,
    counts,
    hit(kind) {
      const share = shares[kind];
      if (!faults.on || share === 0 || !random.chance(share)) return false;
      counts[kind] = (counts[kind] ?? 0) + 1;
      struck(kind);
      return true;
    },
  };
  return faults;
};
