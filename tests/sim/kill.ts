/** Plays seeds over a planted bug until one of them notices. */
import fs from 'node:fs';
import { inChild } from './children.ts';
import type { Mutant } from './mutants.ts';
import { inSchemaOnly, patchedCopy, patchedSchema } from './mutate.ts';
import { createSimDatabase, type Server } from './server.ts';
import { simulate } from './simulate.ts';

export interface Kill {
  seed: number;
  /** What was noticed first. */
  violation: string;
  /** Seeds that were played, the killing one included. */
  played: number;
}

const seedsFor = function* (first: readonly number[], from: number, to: number): Generator<number> {
  yield* first;
  for (let seed = from; seed <= to; seed += 1) yield seed;
};

/** @returns undefined when the bug lived through the seeds of `first` and those `from` … `to` */
export const killOf = async (
  server: Server,
  mutant: Mutant,
  { first, from, to }: { first: readonly number[]; from: number; to: number },
): Promise<Kill | undefined> => {
  let played = 0;
  let kill: Kill | undefined;
  const noticed = (seed: number, violations: readonly string[]): void => {
    played += 1;
    if (violations[0] !== undefined) kill ??= { seed, violation: violations[0].split('\n', 1).join(''), played };
  };
  if (inSchemaOnly(mutant)) {
    const database = await createSimDatabase(server, patchedSchema(mutant));
    try {
      for (const seed of seedsFor(first, from, to)) {
        noticed(seed, (await simulate(database, seed)).violations);
        if (kill) break;
      }
    } finally {
      await database.close();
    }
    return kill;
  }
  const copy = patchedCopy(mutant);
  try {
    const order = { server, first, range: { from, to, step: 1 }, until: Number.MAX_SAFE_INTEGER, stopAtViolation: true };
    await inChild(order, (outcome) => noticed(outcome.seed, outcome.violations), copy);
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
  return kill;
};
