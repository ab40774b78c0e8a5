/** The soak in short, and the proof that its judge sees. */
import { afterEach, expect, test, vi } from 'vitest';
import { patchedSchema } from '../sim/mutate.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { NEEDED, runSoak, type SoakOptions, type SoakReport } from './soak.ts';

vi.setConfig({ testTimeout: 300_000 });

let db: TestDatabase | undefined;
afterEach(() => db?.drop());

const soak = async (options: Pick<SoakOptions, 'seed' | 'seconds' | 'untilCapBroken'>, schema?: string): Promise<SoakReport> => {
  db = await createTestDatabase();
  if (schema !== undefined) await db.pool.query(schema);
  const report = await runSoak(db, { accounts: 3, campaigns: 3, ...options });
  console.log(JSON.stringify(report, null, 1));
  return report;
};

test('eight clients at once, with faults and then without: no invariant is broken, no error reaches a caller, everything ends', async () => {
  const report = await soak({ seed: 1, seconds: 6 });
  expect(report).toMatchObject({ violations: [], errors: {} });
  expect(report.judged).toBeGreaterThan(60);
  expect(report.capsReached).toBeGreaterThan(20);
  for (const kind of [...NEEDED, 'session terminated']) expect(report.faults[kind], kind).toBeGreaterThan(0);
  expect(report.campaigns['completed']).toBeGreaterThan(0);
});

test('a claim that counts without its lock is found out', async () => {
  const patches = [{ file: 'schema.sql', find: '  perform pg_advisory_xact_lock(74210001);', put: '  null;' }];
  const report = await soak({ seed: 2, seconds: 200, untilCapBroken: true }, patchedSchema({ patches }));
  expect(report.violations.join('\n')).toContain('#1 a cap was exceeded at a commit');
});
