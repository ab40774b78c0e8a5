/** The one seam: everything a use case needs of the outside world. The composition root fills it; the simulator replaces it. */
import type { AgentMemory } from './agent-memory.ts';
import type { Config } from './env.ts';
import type { ErrorType } from './errors.ts';
import type { Mailer } from './mail.ts';
import type { Providers } from './providers/table.ts';
import type { Verbs } from './verbs.ts';

/** What may go into a report beside the error: names, ids, counts and durations; never a value, name, number or key. */
export type ReportContext = Readonly<Record<string, string | number | boolean | null | undefined>>;
export type Report = (type: ErrorType, error: unknown, context?: ReportContext) => void;

/** The same, with what every report of it concerns. */
export const reportAbout =
  (report: Report, about: ReportContext): Report =>
  (type, error, context) =>
    report(type, error, { ...about, ...context });

/** Seals secrets before they reach the database and opens them again (AES-256-GCM under `SECRETS_KEY`). */
export interface Sealer {
  seal(plain: string): Promise<string>;
  open(sealed: string): Promise<string>;
}

export interface Deps {
  config: Config;
  /** The one clock. SQL never looks at another. */
  now(): Date;
  /** Real milliseconds since this invocation began: for the platform's limits only, never for what is written down. */
  elapsedMs(): number;
  /** A fresh random UUID. */
  newId(): string;
  /** Waits so many milliseconds of {@link Deps.now}'s clock. */
  sleep(ms: number): Promise<void>;
  verbs: Verbs;
  providers: Providers;
  mail: Mailer;
  sealer: Sealer;
  /** Shared by all that this isolate does: a hint that saves a statement, never the last word on a secret. */
  agentMemory: AgentMemory;
  report: Report;
  /** Leaves the rest to the tick: the next one looks, whatever it was told before. */
  handOver(): Promise<void>;
  /**
   * Runs `work` after the answer has gone, on a connection of its own; whatever it throws is reported as `background_task_failed`.
   * At most 25 s of it can be relied upon.
   */
  background(name: string, work: (deps: Deps) => Promise<unknown>): void;
}
