/** Two job queues on the same Postgres, each as its documentation advises where every job is completed by a commit of its own. */
import { EventEmitter, once } from 'node:events';
import { Logger, run, runMigrations, type WorkerEvents } from 'graphile-worker';
import { Pool } from 'pg';
import { PgBoss, type FetchOptions } from 'pg-boss';
import { costOf } from './cpu.ts';
import { check, crowd, speedOf, type Speed } from './measure.ts';
import type { Server } from './server.ts';

const QUEUE = 'trivial';

export interface PeerRun {
  jobs: number;
  clients: number;
}

/**
 * graphile-worker: `concurrentJobs` = clients, prepared statements, no task delay. `fetch` 1 is its default (each job locked by a
 * statement of its own); above that its local queue locks so many at once. Jobs are completed one by one (`completeJobBatchDelay` -1).
 */
export const graphileWorker = async (server: Server, { jobs, clients }: PeerRun, fetch: number): Promise<Speed> => {
  const db = await server.database();
  const pool = new Pool({ connectionString: db.url, max: clients + 2 });
  pool.on('error', () => undefined); // a query under way rejects all the same
  pool.on('connect', (client) => client.on('error', () => undefined));
  const logger = new Logger(() => () => undefined);
  let stop = (): Promise<void> => Promise.resolve();
  try {
    await runMigrations({ pgPool: pool, logger });
    await pool.query(`select graphile_worker.add_job('${QUEUE}', json_build_object('n', n)) from generate_series(1, $1::int) n`, [
      jobs,
    ]);
    await pool.query('vacuum analyze');
    const events: WorkerEvents = new EventEmitter();
    let done = 0;
    const all = new EventEmitter();
    events.on('job:complete', () => {
      done += 1;
      if (done === jobs) all.emit('done');
    });
    const cost = await costOf(server.pid, async () => {
      const finished = once(all, 'done');
      const runner = await run({
        pgPool: pool,
        events,
        logger,
        noHandleSignals: true,
        taskList: { [QUEUE]: () => undefined },
        preset: {
          worker: {
            concurrentJobs: clients,
            maxPoolSize: clients + 2,
            completeJobBatchDelay: -1,
            ...(fetch > 1 ? { localQueue: { size: fetch } } : {}),
          },
        },
      });
      await finished;
      // It does not wait for the commits of its last completions.
      while ((await pool.query('select from graphile_worker._private_jobs limit 1')).rowCount !== 0) continue;
      stop = () => runner.stop();
    });
    check(done === jobs, `graphile-worker did ${done} of ${jobs} jobs`);
    return speedOf(jobs, cost);
  } finally {
    await stop();
    await pool.end();
    await db.drop();
  }
};

/**
 * pg-boss: each client fetches `batch` jobs and completes them one by one, without a pause between polls; maintenance and cron off.
 * With `groups`, jobs belong to that many groups in turn, of which each may have `groupConcurrency` active.
 */
export const pgBoss = async (
  server: Server,
  { jobs, clients }: PeerRun,
  batch: number,
  limits?: { groups: number; groupConcurrency: number },
): Promise<Speed> => {
  const db = await server.database();
  const boss = new PgBoss({ connectionString: db.url, max: clients, supervise: false, schedule: false });
  boss.on('error', () => undefined); // what fails rejects as well
  try {
    await boss.start();
    await boss.createQueue(QUEUE);
    for (let at = 0; at < jobs; at += 1000) {
      const some = Array.from({ length: Math.min(1000, jobs - at) }, (_, i) => ({
        data: { n: at + i },
        ...(limits ? { group: { id: `group-${(at + i) % limits.groups}` } } : {}),
      }));
      await boss.insert(QUEUE, some);
    }
    await db.pool.query('vacuum analyze');
    const options: FetchOptions = { batchSize: batch, ...(limits ? { groupConcurrency: limits.groupConcurrency } : {}) };
    let done = 0;
    const cost = await costOf(server.pid, () =>
      crowd(clients, () => {
        if (done >= jobs) return null;
        return async () => {
          for (const job of await boss.fetch(QUEUE, options)) {
            await boss.complete(QUEUE, job.id);
            done += 1;
          }
        };
      }),
    );
    const right = await db.pool.query<{ n: number }>(
      `select count(*)::int as n from pgboss.job where name = $1 and state = 'completed'`,
      [QUEUE],
    );
    check(done === jobs && right.rows[0].n === jobs, `pg-boss did ${done} of ${jobs} jobs`);
    return speedOf(jobs, cost);
  } finally {
    await boss.stop({ graceful: false });
    await db.drop();
  }
};
