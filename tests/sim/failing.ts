/** Seeds that failed once: kept in a file, one a line, and run again for ever. What stands after the number is for people. */
import fs from 'node:fs';

const FILE = new URL('failing-seeds.txt', import.meta.url);

export const failingSeeds = (): number[] => {
  const lines = fs.readFileSync(FILE, 'utf8').split('\n');
  return lines.map((line) => Number.parseInt(line, 10)).filter((seed) => !Number.isNaN(seed));
};

export const rememberFailing = (seeds: readonly number[]): void => {
  const known = new Set(failingSeeds());
  for (const seed of seeds) if (!known.has(seed)) fs.appendFileSync(FILE, `${seed}\n`);
};
