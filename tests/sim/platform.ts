/** The platform under simulation: invocations with their clocks and seams, the store of the next due instant, requests that arrive. */
import { createApp } from '../../functions/app.ts';
import { handerOver, openSleep, Sleeper, waker, type Sleep } from '../../functions/sleeper.ts';
import { createAgentMemory } from '../../lib/agent-memory.ts';
import { createBackground } from '../../lib/background.ts';
import type { Invocation as Called } from '../../lib/compose.ts';
import type { Deps, Report } from '../../lib/deps.ts';
import type { Config } from '../../lib/env.ts';
import { DbError, Refusal, type ErrorType } from '../../lib/errors.ts';
import { Unconfirmed } from '../../lib/receive-webhook.ts';
import { createSealer } from '../../lib/seal.ts';
import { bindVerbs, type VerbRunner } from '../../lib/verbs.ts';
import { SECOND, type Invocation, type Kernel } from './kernel.ts';
import type { MailWorld } from './mail-world.ts';
import { simProviders } from './phone-provider.ts';
import type { PhoneWorld } from './phone-world.ts';
import { SimSession, type Shared } from './session.ts';

/** What the platform hands to a handler, and how the simulator's `withDb` and `compose` fill the seam for it. */
export interface SimInvocation extends Called {
  openSession(): SimSession;
  depsOver(called: SimInvocation, db: VerbRunner): Deps;
  /** The store of the next due instant. */
  store: Sleep;
}

const app = createApp();

/** What an invocation may use; the platform's own limits are 50, 6 and 30 s. */
const MOST_SUBREQUESTS = 40;
const MOST_CONNECTIONS = 6;
/** Of an invocation that no fault struck. */
const LONGEST = 25 * SECOND;

class StoreDown extends Error {
  override name = 'StoreDown';
}
/** What may go wrong by the world's doing; anything else is a mistake of the worker's. */
const isExpected = (error: unknown): boolean => [DbError, Refusal, Unconfirmed, StoreDown].some((kind) => error instanceof kind);
const told = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

/** An answer as its caller reads it. */
export interface Heard {
  status: number;
  body: unknown;
}

export interface Platform {
  readonly shared: Shared;
  readonly reports: Map<string, number>;
  /** Fires the worker as a cron does: `handler` runs as one invocation. */
  fire(name: string, handler: (invocation: SimInvocation) => Promise<void>): void;
  /** Sends the worker a request. Resolves with its answer; never when the invocation dies. */
  ask(name: string, request: Request): Promise<Heard>;
  /** The instant before which no cron has anything to do, as the store has it; null: look now. */
  readonly due: number | null;
  /** Told whenever the stored instant changed. */
  onDue: () => void;
}

interface Parts {
  shared: Shared;
  world: PhoneWorld;
  mails: MailWorld;
  config: Config;
}

/** The durable store, in memory, behind a network of its own. */
const createStore = (kernel: Kernel, changed: (due: number | null) => void) => {
  let stored: { due: number | null; version: number } | undefined;
  const sleeper = new Sleeper({
    storage: {
      get: () => Promise.resolve(stored),
      put: (_key, value) => {
        stored = value;
        changed(value.due);
        return Promise.resolve();
      },
    },
    blockConcurrencyWhile: (work) => work(),
  });
  return (invocation: Invocation): Sleep =>
    openSleep({
      idFromName: (name) => name,
      get: () => ({
        fetch: async (_url, init) => {
          invocation.subrequests += 1;
          const failed = kernel.strikes('sleeper_failed', invocation);
          return kernel.park(invocation, kernel.random.between(1, 40), () => {
            if (failed) throw new StoreDown('the store cannot be reached');
            return sleeper.fetch({ json: () => Promise.resolve(JSON.parse(init.body as string)) } as unknown as Request);
          });
        },
      }),
    });
};

export const createPlatform = ({ shared, world, mails, config }: Parts): Platform => {
  const { kernel, ledger } = shared;
  let calls = 0;
  let due: number | null = null;
  const reports = new Map<string, number>();
  const agentMemory = createAgentMemory();
  const storeOf = createStore(kernel, (next) => {
    due = next;
    platform.onDue();
  });

  const begin = (name: string): Invocation => ({
    name: `${name}#${(calls += 1)}`,
    began: kernel.now,
    skew: kernel.faults.hit('clock_skew') ? Math.round(kernel.random.between(-20, 20) * SECOND) : 0,
    dead: false,
    parked: 0,
    old: kernel.faults.hit('worker_of_old_version'),
    stalledUntil: 0,
    subrequests: 0,
    connections: 0,
    mostConnections: 0,
    faulted: false,
  });

  const reporter =
    (invocation: Invocation): Report =>
    (type: ErrorType, error, context) => {
      const id = context?.['notification_id'];
      const key = typeof id === 'string' ? `${type} ${id}` : type;
      reports.set(key, (reports.get(key) ?? 0) + 1);
      kernel.trace(invocation.name, 'report', `${type} ${error instanceof Error ? error.message : String(error)}`);
      ledger.count(`report: ${type}`);
      const said = type === 'provider_api_failure' || type.endsWith('email_failed');
      if (!said && !isExpected(error)) {
        ledger.violated(`#12 ${type}: ${told(error)}`);
      }
    };

  const depsOver = (called: SimInvocation, invocation: Invocation, db: VerbRunner): Deps => ({
    config,
    now: () => called.now(),
    elapsedMs: () => called.elapsedMs(),
    newId: () => kernel.random.uuid(),
    sleep: (ms) => called.sleep(ms),
    verbs: bindVerbs(db),
    providers: simProviders(kernel, world, invocation),
    mail: mails.mailer(invocation),
    sealer: createSealer(config.secretsKey),
    agentMemory: called.agentMemory,
    report: called.report,
    handOver: () => called.handOver(),
    background: (name, work) =>
      called.background.run(name, async () => {
        await called.wake();
        const own = called.openSession();
        try {
          await work(called.depsOver(called, own));
        } finally {
          own.close();
        }
      }),
  });

  /** What the composition root makes of a call of the platform. */
  const compose = (invocation: Invocation, pending: Promise<unknown>[]): SimInvocation => {
    const report = reporter(invocation);
    const store = storeOf(invocation);
    const now = (): Date => new Date(kernel.now + invocation.skew);
    const ctx = { waitUntil: (work: Promise<unknown>) => void pending.push(work) };
    const called: SimInvocation = {
      config,
      now,
      elapsedMs: () => kernel.now - invocation.began,
      sleep: (ms) => kernel.park(invocation, ms, () => undefined),
      report,
      wake: waker(store, now, report),
      handOver: handerOver(store, now, report),
      agentMemory,
      background: createBackground({ report, ctx }),
      counted: () => Promise.resolve(),
      webhookForged: () => Promise.resolve(ledger.count('forged webhooks counted')),
      measured: () => Promise.resolve(null),
      ctx,
      store,
      openSession: () => new SimSession(shared, invocation, report),
      depsOver: (asked, db) => depsOver(asked, invocation, db),
    };
    return called;
  };

  const judge = (invocation: Invocation): void => {
    if (invocation.dead) return;
    if (invocation.connections !== 0) ledger.violated('#12 an invocation left a connection open');
    const kind = invocation.name.replace(/#.*/, '');
    if (invocation.subrequests > MOST_SUBREQUESTS)
      ledger.violated(`#13 an invocation (${kind}) made ${invocation.subrequests} subrequests`);
    if (invocation.mostConnections > MOST_CONNECTIONS)
      ledger.violated(`#13 an invocation (${kind}) had ${invocation.mostConnections} connections at once`);
    ledger.atMost('most connections', invocation.mostConnections);
    ledger.atMost('most subrequests', invocation.subrequests);
    if (invocation.faulted) return;
    const seconds = Math.round((kernel.now - invocation.began) / SECOND);
    ledger.atMost('most seconds', seconds);
    if (seconds > LONGEST / SECOND) ledger.violated(`#13 an invocation (${kind}) lasted ${seconds} s`);
  };

  /** Runs one invocation; judged once all that it left behind has ended. */
  const run = async <T>(name: string, handler: (called: SimInvocation, invocation: Invocation) => Promise<T>): Promise<T> => {
    const invocation = begin(name);
    const pending: Promise<unknown>[] = [];
    const called = compose(invocation, pending);
    kernel.begin(invocation);
    try {
      return await handler(called, invocation);
    } finally {
      called.background.begin();
      void (async () => {
        for (let waited = 0; waited < pending.length;) {
          waited = pending.length;
          await Promise.all(pending);
        }
        kernel.end(invocation);
        judge(invocation);
      })();
    }
  };

  const platform: Platform = {
    shared,
    reports,
    onDue: () => undefined,
    get due() {
      return due;
    },
    fire(name, handler) {
      run(name, handler).catch((error: unknown) => {
        if (!isExpected(error)) ledger.violated(`#12 ${name}: ${told(error)}`);
      });
    },
    ask: (name, request) =>
      run(name, async (called, invocation) => {
        const response = await app.answer(request, called);
        const text = await response.text();
        kernel.trace(invocation.name, 'answered', `${response.status} ${text}`);
        return { status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown) };
      }),
  };
  return platform;
};
