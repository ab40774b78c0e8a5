/** What the platform would call, without the platform: the worker's own wrapper, composition and background, over the soak's clock and world. */
import { randomBytes } from 'node:crypto';
import { createAgentMemory } from '../../lib/agent-memory.ts';
import { createBackground } from '../../lib/background.ts';
import { compose, type Invocation } from '../../lib/compose.ts';
import type { DbLimits } from '../../lib/db-session.ts';
import { withDb, type Db } from '../../lib/db.ts';
import type { Deps } from '../../lib/deps.ts';
import { parseEnv, type Config } from '../../lib/env.ts';
import { DbError, Refusal } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import type { World } from './world.ts';

export const SYSTEM_CAP = 30;

/** Real time, so many times as fast, that can be moved on by hand as well. */
export interface SoakClock {
  now(): Date;
  sleep(ms: number): Promise<void>;
  jump(ms: number): void;
}
export const createSoakClock = (start: Date, speed: number): SoakClock => {
  const began = performance.now();
  let ahead = 0;
  return {
    now: () => new Date(start.getTime() + ahead + (performance.now() - began) * speed),
    sleep: (ms) => new Promise((done) => setTimeout(done, ms / speed)),
    jump: (ms) => void (ahead += ms),
  };
};

export interface Tally {
  operations: Record<string, number>;
  /** Of rules of the database that said no, by code. */
  refusals: Record<string, number>;
  reports: Record<string, number>;
  verbs: number;
  /** Sessions that were found cut, under a statement or idle, and verbs that were sent again. */
  cut: number;
  retried: number;
  /** Verbs of unknown end that a caller was told of. */
  lost: number;
  /** Whatever else reached a caller. */
  errors: Record<string, number>;
}
export const emptyTally = (): Tally => ({
  operations: {},
  refusals: {},
  reports: {},
  verbs: 0,
  cut: 0,
  retried: 0,
  lost: 0,
  errors: {},
});
export const count = (into: Record<string, number>, what: string): void => {
  into[what] = (into[what] ?? 0) + 1;
};

export const configOf = (databaseUrl: string): Config =>
  parseEnv(
    {
      DATABASE_URL: databaseUrl,
      ADMIN_KEY: randomBytes(32).toString('hex'),
      PUBLIC_URL: 'https://ringleader.test',
      SECRETS_KEY: randomBytes(32).toString('hex'),
      POSTMARK_SERVER_TOKEN: 'token-of-the-soak',
      MAIL_FROM: 'campaigns@ringleader.test',
      EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true',
      SYSTEM_MAX_CONCURRENT_CALLS: String(SYSTEM_CAP),
      SLOW_QUERY_MS: '600000',
    },
    { allowLoopbackHttp: false },
  );

/** A session that was cut, which the soak does on purpose, and nothing else. */
const wasCut = ({ failure: { code, outcome } }: DbError): boolean =>
  outcome !== 'rejected' || code === '57P01' || code === undefined;

const note = (tally: Tally, error: unknown): void => {
  if (error instanceof Refusal) count(tally.refusals, error.code);
  else if (error instanceof DbError && wasCut(error)) tally.lost += 1;
  else if (error instanceof DbError) count(tally.errors, `${error.failure.verb} ${error.failure.code}`);
  else count(tally.errors, String(error));
};

/** A busy machine may stand still for seconds: that is no finding. */
const PATIENCE: DbLimits = { connectMs: 30_000, queryMs: 60_000, endMs: 5000, retryMs: 60_000, queueMs: 120_000 };

/** Runs one invocation to its end, `waitUntil` included. Resolves with false when it failed. */
export type Invoke = (operation: string, work: (deps: Deps) => Promise<unknown>) => Promise<boolean>;

export const createInvoke = (config: Config, clock: SoakClock, world: World, tally: Tally): Invoke => {
  const quiet = createLog(() => undefined);
  const agentMemory = createAgentMemory();
  return async (operation, work) => {
    count(tally.operations, operation);
    const left: Promise<unknown>[] = [];
    const began = performance.now();
    const ctx = { waitUntil: (promise: Promise<unknown>): void => void left.push(promise) };
    const report: Invocation['report'] = (type, error, context) => {
      count(tally.reports, type);
      if (error instanceof DbError && !wasCut(error)) count(tally.errors, `${type} ${context?.verb} ${error.failure.code}`);
      if (type === 'unhandled_error' || context?.step !== undefined)
        count(tally.errors, `${type} ${context?.step} ${context?.code}`);
    };
    const invocation: Invocation = {
      config,
      now: () => clock.now(),
      elapsedMs: () => performance.now() - began,
      sleep: (ms) => clock.sleep(ms),
      report,
      wake: () => Promise.resolve(),
      handOver: () => Promise.resolve(),
      counted: ({ stats }) => {
        tally.verbs += stats.verbs;
        tally.cut += stats.lost_in_flight + stats.terminated_idle;
        tally.retried += stats.retried;
        return Promise.resolve();
      },
      webhookForged: () => Promise.resolve(),
      measured: () => Promise.resolve(null),
      agentMemory,
      background: createBackground({ report, ctx }),
      ctx,
    };
    const over = (db: Db): Deps => ({
      ...compose(invocation, db),
      providers: new Proxy({} as Deps['providers'], { get: () => world.provider }),
      mail: world.mail,
      background: (name, task) =>
        invocation.background.run(name, () =>
          withDb(invocation, async (own) => void (await task(over(own))), { log: quiet, limits: PATIENCE }),
        ),
    });
    let succeeded = true;
    try {
      await withDb(invocation, (db) => work(over(db)), { log: quiet, limits: PATIENCE });
    } catch (error) {
      succeeded = false;
      note(tally, error);
    }
    invocation.background.begin();
    while (left.length > 0) await Promise.all(left.splice(0));
    return succeeded;
  };
};
