import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { runCaps } from './caps.ts';
import { startMortalPostgres } from './killed-postgres.ts';

const SOUND = { violations: [], errors: {}, leadsReservedTwice: 0 };

describe('caps under 32 clients', () => {
  test('no commit exceeds a cap, no lead is reserved twice, no deadlock reaches a caller (classes 3, 9)', async () => {
    const db = await createTestDatabase();
    try {
      const report = await runCaps(db, { clients: 32, seconds: 4 });
      expect(report).toMatchObject(SOUND);
      expect(report.reserved).toBeGreaterThan(200);
      expect(report.capChanges).toBeGreaterThan(20);
      expect(report.counted).toBeGreaterThan(300);
      expect(report.capsReached).toBeGreaterThan(20);
    } finally {
      await db.drop();
    }
  }, 180_000);

  test('nor when Postgres is killed and comes back in between (classes 3, 5, 9)', async () => {
    const postgres = await startMortalPostgres();
    try {
      const report = await runCaps(postgres, { clients: 32, seconds: 4, kills: 2, kill: () => postgres.kill() });
      expect(report).toMatchObject({ ...SOUND, kills: 2 });
      expect(report.lost).toBeGreaterThan(2);
      expect(report.reserved).toBeGreaterThan(200);
      expect(report.capsReached).toBeGreaterThan(20);
    } finally {
      await postgres.stop();
    }
  }, 300_000);

  test.each([
    ['counts without a lock', 'create or replace function ringleader.one_claimer() returns void language sql as $$ select $$'],
    ['is one statement, its lock in it', fs.readFileSync(new URL('one-statement-claim.sql', import.meta.url), 'utf8')],
  ])(
    'the same watch sees a claim that %s',
    async (_, broken) => {
      const db = await createTestDatabase();
      try {
        await db.pool.query(broken);
        const report = await runCaps(db, { clients: 32, seconds: 60, untilViolated: true });
        expect(report.violations).not.toEqual([]);
      } finally {
        await db.drop();
      }
    },
    180_000,
  );
});
