/** What a run of many seeds shows, in figures. */
import { addCounts, FAULT_KINDS, type Counts } from './faults.ts';
import type { Outcome } from './simulate.ts';
import { EXPECTED_TRANSITIONS } from './transitions.ts';

export interface Figures {
  seeds: number;
  statements: number;
  virtualHours: number;
  faults: Counts;
  seen: Counts;
  failed: readonly Outcome[];
}

const MOST = /^most /;

export const figuresOf = (outcomes: readonly Outcome[]): Figures => {
  const [faults, seen]: [Counts, Counts] = [{}, {}];
  for (const outcome of outcomes) {
    addCounts(faults, outcome.faults);
    for (const [name, n] of Object.entries(outcome.seen)) {
      seen[name] = MOST.test(name) ? Math.max(seen[name] ?? 0, n) : (seen[name] ?? 0) + n;
    }
  }
  return {
    seeds: outcomes.length,
    statements: outcomes.reduce((sum, one) => sum + one.statements, 0),
    virtualHours: outcomes.reduce((sum, one) => sum + one.virtualHours, 0),
    faults,
    seen,
    failed: outcomes.filter((one) => one.violations.length > 0),
  };
};

/** Kinds of faults that never struck. */
export const neverFired = ({ faults }: Figures): string[] => FAULT_KINDS.filter((kind) => !faults[kind]);
/** Transitions that must be seen and were not. */
export const neverSeen = ({ seen }: Figures): string[] => EXPECTED_TRANSITIONS.filter((what) => !seen[what]);

const listed = (counts: Counts): string =>
  Object.entries(counts)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, n]) => `${name} ${n}`)
    .join(', ');

/** For a person, line by line. */
export const told = (figures: Figures, seconds: number): string[] => {
  const { seeds, statements, virtualHours, faults, seen, failed } = figures;
  const struck = Object.values(faults).reduce((a, b) => a + b, 0);
  const kinds = Map.groupBy(failed, (outcome) => outcome.violations[0]!);
  return [
    `transitions and answers: ${listed(seen)}; never seen: ${neverSeen(figures).join(', ') || 'none'}`,
    `faults: ${listed(faults)}; never fired: ${neverFired(figures).join(', ') || 'none'}`,
    `${seeds} seeds, ${statements} SQL calls, ${struck} faults, ${Math.round(virtualHours)} virtual hours, ${failed.length} seeds with violations, ${Math.round(seconds)} s`,
    ...[...kinds].map(
      ([what, those]) =>
        `  ${those.length} × ${what}: seeds ${those
          .slice(0, 8)
          .map((one) => one.seed)
          .join(' ')}`,
    ),
  ];
};
