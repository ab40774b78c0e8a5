/** Which fresh seed finds each planted bug: the table of docs/reliability.md. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { killOf } from './kill.ts';
import { MUTANTS } from './mutants.ts';
import { startServer, type Server } from './server.ts';

let server: Server & { stop(): Promise<void> };
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

test.each(MUTANTS.filter(({ killer }) => 'seed' in killer))('$name (invariant $invariant)', async (mutant) => {
  const kill = await killOf(server, mutant, { first: [], from: 1, to: 1000 });
  console.log(`| ${mutant.invariant} | ${mutant.name} | ${kill?.seed} | ${kill?.violation} |`);
  expect(kill, 'it lived').toBeDefined();
});
