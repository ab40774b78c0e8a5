/** Fills the one seam: turns an invocation and its database into the {@link Deps} that use cases work with. */
import type { AgentMemory } from './agent-memory.ts';
import type { Background } from './background.ts';
import type { DbCounts } from './db-session.ts';
import { withDb } from './db.ts';
import type { Deps, Report } from './deps.ts';
import type { Measured } from './domain/connections.ts';
import type { Config } from './env.ts';
import { createMailer } from './mail.ts';
import { createProviders } from './providers/table.ts';
import { createSealer } from './seal.ts';
import { bindVerbs, type VerbRunner } from './verbs.ts';

/** What one call of the platform (a request or a cron) brings with it; nothing in it outlives that call, save the memory of agents. */
export interface Invocation {
  config: Config;
  /** The one clock. */
  now(): Date;
  /** Real milliseconds since the platform called. */
  elapsedMs(): number;
  /** Waits so many milliseconds of {@link Invocation.now}'s clock. */
  sleep(ms: number): Promise<void>;
  report: Report;
  /** Makes sure that a tick looks at what this invocation is about to write; asked again within its time, it answers at once. */
  wake(): Promise<void>;
  /** Makes sure that the next tick looks. */
  handOver(): Promise<void>;
  /** The isolate's. */
  agentMemory: AgentMemory;
  /** What is left for after the answer. */
  background: Background;
  /** Remembers, outside the database, what a connection went through. */
  counted(counts: DbCounts): Promise<void>;
  /** Counts a webhook that nobody could prove: all that is left of it. */
  webhookForged(): Promise<void>;
  /** What connections went through in the last 48 hours; null when it cannot be read, which is reported. */
  measured(): Promise<Measured | null>;
  ctx: { waitUntil(promise: Promise<unknown>): void };
}

/**
 * Everything a use case may touch, bound to one database connection.
 *
 *     withDb(invocation, (db) => work(compose(invocation, db)))
 */
export const compose = (invocation: Invocation, db: VerbRunner): Deps => {
  const { config, report } = invocation;
  return {
    config,
    now: () => invocation.now(),
    elapsedMs: () => invocation.elapsedMs(),
    newId: () => crypto.randomUUID(),
    sleep: (ms) => invocation.sleep(ms),
    verbs: bindVerbs(db),
    providers: createProviders(config),
    mail: createMailer(config),
    sealer: createSealer(config.secretsKey),
    agentMemory: invocation.agentMemory,
    report,
    handOver: () => invocation.handOver(),
    background: (name, work) =>
      invocation.background.run(name, async () => {
        await invocation.wake();
        await withDb(invocation, (own) => work(compose(invocation, own)));
      }),
  };
};
