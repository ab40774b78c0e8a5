import { expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { runCaps } from './caps.ts';

test('a minute of 32 clients: no commit exceeds a cap, no lead is reserved twice, no deadlock reaches a caller (classes 3, 9)', async () => {
  const db = await createTestDatabase();
  try {
    const report = await runCaps(db, { clients: 32, seconds: 60, accounts: 12, leads: 4000 });
    console.log(JSON.stringify(report));
    expect(report).toMatchObject({ violations: [], errors: {}, leadsReservedTwice: 0 });
    expect(report.reserved).toBeGreaterThan(5000);
  } finally {
    await db.drop();
  }
});
