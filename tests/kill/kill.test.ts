import { expect, test } from 'vitest';
import { runUnderFire } from './campaign.ts';

test('Postgres and workerd are killed every few seconds, webhooks are lost, doubled and late: each lead ends as its number says, nobody is dialled twice, one mail (classes 4, 7, 8, 33)', async () => {
  const report = await runUnderFire({
    leads: 100,
    maxAttempts: 3,
    kills: { postgres: 3, workerd: 3 },
    capUnderFire: 10,
    pause: { postgres: [3000, 5000], workerd: [3000, 5000] },
    patience: { fire: 180_000, peace: 300_000 },
  });
  expect(report.kills.postgres).toBeGreaterThanOrEqual(3);
  expect(report.kills.workerd).toBeGreaterThanOrEqual(3);
  expect(report.recoveries).toBeGreaterThanOrEqual(3);
  expect(report.webhooks.dropped).toBeGreaterThan(10);
}, 600_000);
