/** With a limit for each of 100 accounts, against pg-boss with a limit for each of 100 groups. */
import type { Bench } from './bench.ts';
import { interleave, line, ratioOf, speeds } from './measure.ts';
import { ourJobs } from './ours.ts';
import { pgBoss } from './peers.ts';

const CLIENTS = 10;
const GROUPS = 100;
const CAP = 4;
const BATCH = 20;

export const limits: Bench = {
  name: 'limits',
  about: `${GROUPS} accounts of ${CAP} calls each, against pg-boss groupConcurrency ${CAP} with ${GROUPS} groups`,
  async run(server, { rounds, jobs }) {
    const some = Math.max(1000, Math.round(jobs / 4 / GROUPS) * GROUPS);
    const peer = { jobs: some, clients: CLIENTS };
    const group = { groups: GROUPS, groupConcurrency: CAP };
    const got = await interleave(rounds, {
      ours: () =>
        ourJobs(server, { jobs: some, clients: CLIENTS, accounts: GROUPS, accountCap: CAP, batch: BATCH, systemCap: 500 }),
      boss: () => pgBoss(server, peer, 1, group),
      bossBatch: () => pgBoss(server, peer, BATCH, group),
    });
    return {
      lines: [line(`with limits: ours ÷ pg-boss groupConcurrency`, ratioOf(got.ours, got.boss), '>=', 3)],
      detail: [
        speeds(`ours: ${CLIENTS} clients, claims of ${BATCH}`, got.ours),
        speeds(`pg-boss: ${CLIENTS} clients, one job a fetch`, got.boss),
        speeds(`pg-boss: ${CLIENTS} clients, ${BATCH} jobs a fetch`, got.bossBatch),
      ],
    };
  },
};
