import { expect, test } from 'vitest';
import { runUnderFire } from './campaign.ts';

test(
  '3,000 leads through 100 kills of Postgres and 100 of workerd: each ends as its number says, nobody is dialled twice, one mail (classes 4, 7, 8, 33)',
  async () => {
    const report = await runUnderFire({
      leads: 3000,
      maxAttempts: 5,
      kills: { postgres: 100, workerd: 100 },
      capUnderFire: 20,
      pause: { postgres: [3000, 6000], workerd: [4000, 7000] },
      patience: { fire: 25 * 60_000, peace: 15 * 60_000 },
    });
    expect(report.kills.postgres).toBeGreaterThanOrEqual(100);
    expect(report.kills.workerd).toBeGreaterThanOrEqual(100);
    expect(report.recoveries).toBeGreaterThanOrEqual(100);
    expect(report.webhooks.dropped).toBeGreaterThan(500);
  },
  45 * 60_000,
);
