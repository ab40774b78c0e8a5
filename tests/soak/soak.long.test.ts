import { expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { runSoak } from './soak.ts';

test('eight minutes of eight clients, with faults and then without: no invariant is broken, no error reaches a caller, everything ends', async () => {
  const db = await createTestDatabase();
  try {
    const report = await runSoak(db, { seed: 3, seconds: 480, accounts: 6, campaigns: 600 });
    console.log(JSON.stringify(report, null, 1));
    expect(report).toMatchObject({ violations: [], errors: {} });
    expect(report.judged).toBeGreaterThan(2000);
    expect(Object.keys(report.faults)).toHaveLength(13);
  } finally {
    await db.drop();
  }
});
