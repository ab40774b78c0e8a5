/** What database connections went through, added up over hours, and how that stands against its goals. */
import { addTo, quantile, type Histogram } from './histogram.ts';

/** What is counted. Verbs are counted as asked for, `failed` those of them that ended in an error; `forged_webhooks` were answered 401. */
export const COUNTS = [
  'opened',
  'terminated_idle',
  'lost_in_flight',
  'connect_failed',
  'retried',
  'refused_full',
  'verbs',
  'failed',
  'mail_failures',
  'forged_webhooks',
] as const;
export type Count = (typeof COUNTS)[number];

/** One hour, or what one connection adds to it. */
export interface Tally {
  counts: Partial<Record<Count, number>>;
  times: Record<string, { slow: number; steps: Histogram }>;
}
/** The hours in which anything was counted, at most 48, oldest first. */
export interface Measured {
  /** Hours since 1970. */
  now: number;
  hours: readonly { hour: number; tally: Tally }[];
}

export const HOURS_KEPT = 48;
const HOUR_MS = 3_600_000;
/** Whole hours since 1970. */
export const hourOf = (ms: number): number => Math.floor(ms / HOUR_MS);
/** A tally of nothing, to be added to. */
export const emptyTally = (): Tally => ({ counts: {}, times: {} });

/** Adds one tally to another. */
export const addTally = (tally: Tally, more: Readonly<Tally>): void => {
  for (const name of COUNTS) {
    const n = more.counts[name] ?? 0;
    if (n > 0) tally.counts[name] = (tally.counts[name] ?? 0) + n;
  }
  for (const [verb, { slow, steps }] of Object.entries(more.times)) {
    const mine = (tally.times[verb] ??= { slow: 0, steps: {} });
    mine.slow += slow;
    addTo(mine.steps, steps);
  }
};

/** `at_most` and `below` are what a figure should keep to; null: it follows the load, or Neon's habits, and harms nobody. */
export type Goal = { at_most: number } | { below: number } | null;
export interface Figure {
  current: number;
  last_48_hours: number;
  goal: Goal;
  /** Whether the last 48 hours kept to the goal; null without one. */
  met: boolean | null;
}
/** How often a verb was asked, how often it was slow, and how long it took. */
export interface VerbTimes {
  count: number;
  slow: number;
  p50_ms: number;
  p99_ms: number;
}
/** The last 48 hours, beside them this one; `goal` is for how often it may be slow. */
export interface SlowVerb extends VerbTimes {
  verb: string;
  current: VerbTimes;
  goal: Goal;
  met: boolean;
}

export const FIGURES = [
  'opened',
  'terminated_idle',
  'lost_in_flight',
  'connect_failed',
  'retried',
  'refused_full',
  'query_error_rate',
  'mail_failures',
  'forged_webhooks',
] as const;
export type FigureName = (typeof FIGURES)[number];
export interface Picture {
  figures: Record<FigureName, Figure>;
  /** Every verb asked in the last 48 hours, the slowest first. */
  verbs: readonly SlowVerb[];
  /** One number of `verbs` and `failed` and each count per hour, oldest first, the running hour last. */
  hours: readonly ({ at: string } & Record<Count, number>)[];
}

const GOALS: Readonly<Record<FigureName, Goal>> = {
  opened: null,
  terminated_idle: null,
  lost_in_flight: { at_most: 0 },
  connect_failed: { at_most: 0 },
  retried: null,
  refused_full: { at_most: 0 },
  query_error_rate: { below: 0.01 },
  mail_failures: { at_most: 0 },
  forged_webhooks: null,
};

/** No verb is slow. */
const SLOW_GOAL: Goal = { at_most: 0 };

const timesOf = ({ slow, steps }: { slow: number; steps: Histogram }): VerbTimes => ({
  count: Object.values(steps).reduce((sum, n) => sum + n, 0),
  slow,
  p50_ms: quantile(steps, 0.5) ?? 0,
  p99_ms: quantile(steps, 0.99) ?? 0,
});

const isMet = (goal: Goal, value: number): boolean | null => {
  if (goal === null) return null;
  return 'at_most' in goal ? value <= goal.at_most : value < goal.below;
};

const valueOf = (name: FigureName, { counts }: Tally): number => {
  if (name !== 'query_error_rate') return counts[name] ?? 0;
  const { failed = 0, verbs = 0 } = counts;
  return verbs === 0 ? 0 : failed / verbs;
};

/** Puts the hours together: the running one is the current value. */
export const pictureOf = ({ now, hours }: Measured): Picture => {
  const byHour = new Map(hours.map(({ hour, tally }) => [hour, tally]));
  const current = byHour.get(now) ?? emptyTally();
  const all = emptyTally();
  for (const { tally } of hours) addTally(all, tally);
  const figure = (name: FigureName): Figure => {
    const last = valueOf(name, all);
    return { current: valueOf(name, current), last_48_hours: last, goal: GOALS[name], met: isMet(GOALS[name], last) };
  };
  const verbs = Object.entries(all.times).map(([verb, times]) => ({
    verb,
    ...timesOf(times),
    current: timesOf(current.times[verb] ?? { slow: 0, steps: {} }),
    goal: SLOW_GOAL,
    met: times.slow === 0,
  }));
  return {
    figures: Object.fromEntries(FIGURES.map((name) => [name, figure(name)])) as Record<FigureName, Figure>,
    verbs: verbs.toSorted((a, b) => b.slow - a.slow || b.p99_ms - a.p99_ms || a.verb.localeCompare(b.verb)),
    hours: Array.from({ length: HOURS_KEPT }, (_, i) => {
      const hour = now - HOURS_KEPT + 1 + i;
      const counts = byHour.get(hour)?.counts ?? {};
      const each = Object.fromEntries(COUNTS.map((name) => [name, counts[name] ?? 0])) as Record<Count, number>;
      return { at: new Date(hour * HOUR_MS).toISOString(), ...each };
    }),
  };
};
