/** Durations in few numbers: how many fell on each step of a scale on which every step is a fifth longer than the one before. */

/** Step of the scale → how many. */
export type Histogram = Record<string, number>;

const STEPS_PER_DOUBLING = 4;

/** Notes one duration, in milliseconds. */
export const note = (histogram: Histogram, ms: number): void => {
  const step = Math.round(STEPS_PER_DOUBLING * Math.log2(Math.max(1, ms)));
  histogram[step] = (histogram[step] ?? 0) + 1;
};

/** Adds what another one noted. */
export const addTo = (histogram: Histogram, other: Readonly<Histogram>): void => {
  for (const [step, n] of Object.entries(other)) histogram[step] = (histogram[step] ?? 0) + n;
};

/** The duration that a share `q` of all does not exceed, in whole milliseconds, to within a tenth; null when there are none. */
export const quantile = (histogram: Readonly<Histogram>, q: number): number | null => {
  const steps = Object.entries(histogram).map(([step, n]) => ({ step: Number(step), n }));
  steps.sort((a, b) => a.step - b.step);
  let left = Math.ceil(q * steps.reduce((sum, { n }) => sum + n, 0));
  for (const { step, n } of steps) {
    left -= n;
    if (left <= 0) return Math.round(2 ** (step / STEPS_PER_DOUBLING));
  }
  return null;
};
