/** Figures: rounds that take turns, medians, and the lines that are printed. */
import type { Cost } from './cpu.ts';

/** The middle of them; of an even number the mean of the two middle ones. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Linear between the two nearest ranks. */
export const quantile = (values: readonly number[], q: number): number => {
  if (values.length === 0) throw new Error('no figure was measured');
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at - Math.floor(at));
};

/** How fast something was. */
export interface Speed {
  /** Pieces of work a second. */
  rate: number;
  /** Microseconds of the database's processor time for one. */
  databaseMicros: number;
}

export const speedOf = (pieces: number, cost: Cost): Speed => ({
  rate: (pieces * 1000) / cost.elapsed,
  databaseMicros: (cost.database * 1000) / pieces,
});

/** Runs each contender once a round, in turn, the order reversed in every other round; answers with each one's figures. */
export const interleave = async <F extends Readonly<Record<string, unknown>>>(
  rounds: number,
  contenders: { readonly [K in keyof F]: () => Promise<F[K]> },
): Promise<{ [K in keyof F]: F[K][] }> => {
  const names: (keyof F)[] = Object.keys(contenders);
  const figures = Object.fromEntries(names.map((name) => [name, []])) as unknown as { [K in keyof F]: F[K][] };
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) figures[name].push(await contenders[name]());
  }
  return figures;
};

/** Median of the ratios of each round: what one round had to suffer from the machine, both sides suffered. */
export const ratioOf = (ours: readonly Speed[], theirs: readonly Speed[]): number =>
  median(ours.map(({ rate }, round) => rate / theirs[round].rate));

/** The figures of a contender as a line. */
export const speeds = (what: string, figures: readonly Speed[]): string => {
  const micros = median(figures.map(({ databaseMicros }) => databaseMicros));
  const processor = Number.isNaN(micros) ? '' : `, ${round(micros)} µs of the database's processor each`;
  return `${what}: ${round(median(figures.map(({ rate }) => rate)))}/s${processor}`;
};

/** `clients` at once, each asking `next` for work until there is none. */
export const crowd = async (clients: number, next: () => (() => Promise<unknown>) | null): Promise<void> => {
  const client = async (): Promise<void> => {
    for (let work = next(); work !== null; work = next()) await work();
  };
  await Promise.all(Array.from({ length: clients }, client));
};

/** @throws {Error} when work that was measured was not done right: then its speed says nothing */
export const check = (right: boolean, what: string): void => {
  if (!right) throw new Error(`measured work was wrong: ${what}`);
};

export interface Line {
  /** As in the table of targets. */
  what: string;
  /** The ratio or figure that the target is about, as text with its unit. */
  figure: string;
  target: string;
  met: boolean;
}

/** A target that must not be fallen short of, or not be exceeded. */
export const line = (what: string, value: number, bound: '>=' | '<=', target: number, unit = '×'): Line => ({
  what,
  figure: `${round(value)}${unit}`,
  target: `${bound === '>=' ? '≥' : '≤'} ${target}${unit}`,
  met: bound === '>=' ? value >= target : value <= target,
});

/** Three digits that count. */
export const round = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
