/** One durable job, against two job queues on the same Postgres. */
import type { Bench } from './bench.ts';
import { interleave, line, ratioOf, speeds } from './measure.ts';
import { ourJobs } from './ours.ts';
import { graphileWorker, pgBoss } from './peers.ts';

const CLIENTS = 10;
/** Jobs that are reserved by one statement, where a queue can. */
const BATCH = 50;

export const jobs: Bench = {
  name: 'jobs',
  about: 'a dialled call as a durable job (reserve, fence, record, one terminal event) against job queues',
  async run(server, { rounds, jobs: all }) {
    const some = Math.max(1000, Math.round(all / 4));
    const peer = { jobs: all, clients: CLIENTS };
    const got = await interleave(rounds, {
      ours: () => ourJobs(server, { jobs: some, clients: CLIENTS, accounts: 10, accountCap: 60, batch: BATCH, systemCap: 500 }),
      graphile: () => graphileWorker(server, peer, 1),
      graphileBatch: () => graphileWorker(server, peer, BATCH),
      boss: () => pgBoss(server, { ...peer, jobs: some }, 1),
      bossBatch: () => pgBoss(server, peer, BATCH),
    });
    return {
      lines: [
        line('durable jobs ÷ graphile-worker, one commit a job', ratioOf(got.ours, got.graphile), '>=', 1.5),
        line('durable jobs ÷ pg-boss, one job a fetch', ratioOf(got.ours, got.boss), '>=', 3),
      ],
      detail: [
        speeds(`ours: ${CLIENTS} clients, claims of ${BATCH}, 10 accounts, all caps, fairness, dedupe, completion`, got.ours),
        speeds(`graphile-worker: ${CLIENTS} concurrent jobs, each fetched and completed by itself`, got.graphile),
        speeds(`graphile-worker: local queue of ${BATCH}, each completed by itself`, got.graphileBatch),
        speeds(`pg-boss: ${CLIENTS} clients, each job fetched and completed by itself`, got.boss),
        speeds(`pg-boss: fetches of ${BATCH}, each completed by itself`, got.bossBatch),
      ],
    };
  },
};
