/** Plays seeds over a planted bug until one of them notices, or runs the suite that does. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { playSeeds } from './children.ts';
import type { Mutant } from './mutants.ts';
import { inSchemaOnly, patchedCopy, patchedSchema } from './mutate.ts';
import type { Server } from './server.ts';

export interface Kill {
  seed: number;
  /** What was noticed first. */
  violation: string;
  /** Seeds that were played, the killing one included. */
  played: number;
}

/** @returns undefined when the bug lived through the seeds of `first` and those `from` … `to` */
export const killOf = async (
  server: Server,
  mutant: Mutant,
  { first, from, to }: { first: readonly number[]; from: number; to: number },
): Promise<Kill | undefined> => {
  let played = 0;
  let kill: Kill | undefined;
  const copy = inSchemaOnly(mutant) ? undefined : patchedCopy(mutant);
  try {
    await playSeeds(
      server,
      { first, range: { from, to, step: 1 }, stopAtViolation: true },
      ({ seed, violations: [violation] }) => {
        played += 1;
        if (violation !== undefined) kill ??= { seed, violation: violation.split('\n', 1).join(''), played };
      },
      { root: copy, schema: copy === undefined ? patchedSchema(mutant) : undefined },
    );
  } finally {
    if (copy !== undefined) fs.rmSync(copy, { recursive: true, force: true });
  }
  return kill;
};

interface Report {
  testResults: { assertionResults: { fullName: string; status: string; failureMessages: string[] }[] }[];
}

/**
 * Runs a test of another suite over a copy with the bug in it.
 * @returns why it failed; undefined when it passed
 * @throws when no such test ran
 */
export const failureOf = async (
  mutant: Mutant,
  { suite, test }: { suite: string; test: string },
): Promise<string | undefined> => {
  const copy = patchedCopy(mutant);
  const report = path.join(copy, 'report.json');
  try {
    const vitest = path.join(copy, 'node_modules/vitest/vitest.mjs');
    const args = [vitest, 'run', '--project', 'node', suite, '-t', test, '--reporter', 'json', '--outputFile', report];
    // One run of vitest is nothing to another.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|TINYPOOL|NODE_OPTIONS)/.test(name)));
    await new Promise<void>((resolve) => void execFile(process.execPath, args, { cwd: copy, env }, () => resolve()));
    const { testResults } = JSON.parse(fs.readFileSync(report, 'utf8')) as Report;
    const ran = testResults.flatMap(({ assertionResults }) => assertionResults).filter(({ fullName }) => fullName.includes(test));
    if (ran.length !== 1) throw new Error(`${ran.length} tests of ${suite} are called "${test}"`);
    return ran[0].status === 'failed' ? ran[0].failureMessages.join('\n') : undefined;
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
};
