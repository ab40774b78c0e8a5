import { test } from 'vitest';
import { runUnderFire } from './campaign.ts';

test('Postgres and workerd are killed every few seconds, connections cut, webhooks lost, doubled, overtaken and late: each lead ends as its number says, nobody is dialled twice, one mail (classes 1, 2, 4, 7, 8, 33)', async () => {
  await runUnderFire({
    leads: 100,
    maxAttempts: 3,
    hits: {
      postgres: 3,
      postgres_leaving_one_stuck: 1,
      workerd: 3,
      connections_in_flight: 1,
      connections_idle: 1,
      lost: 1,
      doubled: 1,
      overtaken: 1,
      delayed: 1,
    },
    capUnderFire: 10,
    cutOneIn: 10,
    pause: { postgres: [3000, 5000], workerd: [3000, 5000] },
    patience: { fire: 240_000, peace: 300_000 },
  });
}, 900_000);
