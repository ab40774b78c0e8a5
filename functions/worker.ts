/** The composition root: what the platform calls. Everything else is handed what it needs. */
import { createAgentMemory } from '../lib/agent-memory.ts';
import { createBackground } from '../lib/background.ts';
import type { Invocation } from '../lib/compose.ts';
import { parseEnv, sentryDsnOf } from '../lib/env.ts';
import { DbError, Misconfigured } from '../lib/errors.ts';
import { log } from '../lib/log.ts';
import { createReporter } from '../lib/sentry.ts';
import { createApp } from './app.ts';
import { onSweep } from './campaign-complete.ts';
import { onTick } from './dispatch.ts';
import { countingMails, openMeter, type MeterNamespace } from './meter.ts';
import { errorToResponse, secured } from './respond.ts';
import { handerOver, openSleep, unlessAsleep, waker, type Sleep, type SleeperNamespace } from './sleeper.ts';

export { Meter } from './meter.ts';
export { Sleeper } from './sleeper.ts';

export interface WorkerOptions {
  /** The one clock. */
  now(): Date;
  /** Waits so many milliseconds of that clock. */
  sleep(ms: number): Promise<void>;
  /** Whether a configured host may be `http:` on loopback; never in a deployment. */
  allowLoopbackHttp: boolean;
}

/** Secrets and variables as the platform hands them over; `lib/env.ts` judges them. */
export type Env = Readonly<Record<string, unknown>>;
interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

/** By its line in wrangler.toml. Each answers with the next due instant when it knows it. */
const CRONS: Readonly<Record<string, (invocation: Invocation) => Promise<Date | null | undefined>>> = {
  '* * * * *': onTick,
  '*/5 * * * *': onSweep,
};

/** The store of the next due instant; undefined without its binding: then no tick sleeps. */
const sleepOf = (env: Env): Sleep | undefined =>
  env.SLEEPER === undefined ? undefined : openSleep(env.SLEEPER as SleeperNamespace);

/** Tells the caller by which id the reports of this request are found. */
const identified = (response: Response, requestId: string): Response => {
  response.headers.set('x-request-id', requestId);
  return response;
};

/** What is exported to the platform, over a clock. */
export const createWorker = (options: WorkerOptions) => {
  const app = createApp();
  const agentMemory = createAgentMemory();

  /** Said once per isolate, at its start. */
  let saidOff = false;

  /**
   * @param requestId a tag of whatever is reported
   * @throws {Misconfigured} reported
   */
  const begin = (env: Env, ctx: Context, requestId: string): Invocation => {
    const began = performance.now();
    const reported = createReporter({ dsn: sentryDsnOf(env, options), ctx, requestId });
    const meter = openMeter(env.METER as MeterNamespace | undefined, () => options.now(), reported);
    const report = countingMails(reported, meter, ctx);
    try {
      const config = parseEnv(env, options);
      if (!config.summaryEnabled && !saidOff)
        log('warning', 'summary mails are off: EMAIL_CAMPAIGN_SUMMARY_ENABLED is not "true"');
      saidOff = true;
      return {
        config,
        now: () => options.now(),
        sleep: (ms) => options.sleep(ms),
        report,
        wake: waker(sleepOf(env), () => options.now(), report),
        handOver: handerOver(sleepOf(env), () => options.now(), report),
        elapsedMs: () => performance.now() - began,
        agentMemory,
        counted: (counts) => meter.counted(counts),
        webhookForged: () => meter.webhookForged(),
        measured: () => meter.measured(),
        background: createBackground({ report, ctx }),
        ctx,
      };
    } catch (error) {
      report('configuration_invalid', error);
      throw error;
    }
  };

  return {
    /** Answers one request, under an id that its reports carry too; never rejects. */
    async fetch(request: Request, env: Env, ctx: Context): Promise<Response> {
      const requestId = crypto.randomUUID();
      let invocation: Invocation;
      try {
        invocation = begin(env, ctx, requestId);
      } catch (error) {
        const answer = errorToResponse(error, createReporter({ dsn: undefined, ctx }));
        return identified(secured(answer), requestId);
      }
      try {
        return identified(await app.answer(request, invocation), requestId);
      } finally {
        invocation.background.begin();
      }
    },

    /** Runs one cron. Failures are reported and end here: the next firing takes up what was left. */
    async scheduled({ cron }: { cron: string }, env: Env, ctx: Context): Promise<void> {
      let invocation: Invocation;
      try {
        invocation = begin(env, ctx, crypto.randomUUID());
      } catch (error) {
        if (error instanceof Misconfigured) return;
        throw error;
      }
      try {
        const handler = CRONS[cron];
        if (!handler) throw new Error('a cron fired that nobody handles');
        await unlessAsleep(sleepOf(env), invocation, handler);
      } catch (error) {
        // What the database threw has been reported where it happened.
        if (!(error instanceof DbError || error instanceof Misconfigured)) invocation.report('unhandled_error', error, { cron });
      } finally {
        invocation.background.begin();
      }
    },
  };
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export default createWorker({ now: () => new Date(), sleep, allowLoopbackHttp: false });
