import { expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { runCaps } from './caps.ts';
import { startMortalPostgres } from './killed-postgres.ts';

const MINUTE = { clients: 32, seconds: 60, reservations: 5000, accounts: 12, leads: 4000 };
const SOUND = { violations: [], errors: {}, leadsReservedTwice: 0 };

test('a minute of 32 clients: no commit exceeds a cap, no lead is reserved twice, no deadlock reaches a caller (classes 3, 9)', async () => {
  const db = await createTestDatabase();
  try {
    const report = await runCaps(db, MINUTE);
    console.log(JSON.stringify(report));
    expect(report).toMatchObject(SOUND);
    expect(report.reserved).toBeGreaterThan(5000);
    expect(report.capsReached).toBeGreaterThan(1000);
  } finally {
    await db.drop();
  }
});

test('a minute of 32 clients while Postgres is killed and comes back six times: the same (classes 3, 5, 9)', async () => {
  const postgres = await startMortalPostgres();
  try {
    const report = await runCaps(postgres, { ...MINUTE, kills: 6, kill: () => postgres.kill() });
    console.log(JSON.stringify(report));
    expect(report).toMatchObject({ ...SOUND, kills: 6 });
    expect(report.lost).toBeGreaterThan(6);
    expect(report.reserved).toBeGreaterThan(5000);
  } finally {
    await postgres.stop();
  }
});
