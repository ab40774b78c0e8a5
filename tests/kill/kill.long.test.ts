import { test } from 'vitest';
import { runUnderFire } from './campaign.ts';

test(
  '3,000 leads while Postgres and workerd are killed and connections cut a hundred times each: each lead ends as its number says, nobody is dialled twice, one mail (classes 1, 2, 4, 7, 8, 33)',
  async () => {
    await runUnderFire({
      leads: 3000,
      maxAttempts: 5,
      hits: {
        postgres: 100,
        postgres_leaving_one_stuck: 25,
        workerd: 100,
        connections_in_flight: 100,
        connections_idle: 100,
        lost: 100,
        doubled: 100,
        overtaken: 100,
        delayed: 100,
      },
      capUnderFire: 20,
      cutOneIn: 10,
      pause: { postgres: [3000, 6000], workerd: [2000, 4000] },
      patience: { fire: 25 * 60_000, peace: 45 * 60_000 },
    });
  },
  80 * 60_000,
);
