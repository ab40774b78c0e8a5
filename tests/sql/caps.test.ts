import { describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { runCaps } from './caps.ts';

describe('caps under 32 clients', () => {
  test('no commit exceeds a cap, no lead is reserved twice, no deadlock reaches a caller (classes 3, 9)', async () => {
    const db = await createTestDatabase();
    try {
      const report = await runCaps(db, { clients: 32, seconds: 5 });
      expect(report).toMatchObject({ violations: [], errors: {}, leadsReservedTwice: 0 });
      expect(report.reserved).toBeGreaterThan(200);
      expect(report.capChanges).toBeGreaterThan(20);
    } finally {
      await db.drop();
    }
  }, 120_000);

  test('the same watch sees a claim that counts without its lock', async () => {
    const db = await createTestDatabase();
    try {
      await db.pool.query(
        `create or replace function ringleader.one_claimer() returns void language plpgsql as $$ begin return; end $$`,
      );
      const report = await runCaps(db, { clients: 32, seconds: 5 });
      expect(report.violations).not.toEqual([]);
    } finally {
      await db.drop();
    }
  }, 120_000);
});
