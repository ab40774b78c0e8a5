/** The platform under simulation: invocations with their clocks and seams, the store of the next due instant, crons that fire. */
import { createBackground, type Background } from '../../lib/background.ts';
import type { Deps, Report } from '../../lib/deps.ts';
import type { Config } from '../../lib/env.ts';
import { DbError, Refusal, type ErrorType } from '../../lib/errors.ts';
import { Unconfirmed } from '../../lib/receive-webhook.ts';
import { bindVerbs } from '../../lib/verbs.ts';
import { handerOver, openSleep, Sleeper, waker, type Sleep } from '../../functions/sleeper.ts';
import { SECOND, type Invocation, type Kernel } from './kernel.ts';
import type { MailWorld } from './mail-world.ts';
import { simProviders } from './phone-provider.ts';
import type { PhoneWorld } from './phone-world.ts';
import { SimSession, type Shared } from './session.ts';

/** What the platform hands to a handler. */
export interface Running {
  invocation: Invocation;
  deps: Pick<Deps, keyof Deps>;
  sleep: Sleep;
  report: Report;
  wake: () => Promise<void>;
}

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

export interface Platform {
  readonly shared: Shared;
  readonly reports: Map<string, number>;
  /** Calls the worker: `handler` runs as one invocation. Resolves when its answer is known; never when it dies. */
  call: (name: string, handler: (running: Running) => Promise<void>) => Promise<{ answered: boolean }>;
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
  const storeOf = createStore(kernel, (next) => {
    due = next;
    platform.onDue();
  });

  const begin = (name: string): Invocation => ({
    name: `${name}#${(calls += 1)}`,
    began: kernel.now,
    skew: kernel.faults.hit('clock_skew') ? Math.round(kernel.random.between(-20, 20) * SECOND) : 0,
    dead: false,
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
        ledger.violated(`#12 ${type}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    };

  const depsOf = (running: Omit<Running, 'deps'>, session: SimSession, background: Background): Deps => {
    const { invocation, report, sleep, wake } = running;
    return {
      config,
      now: () => new Date(kernel.now + invocation.skew),
      elapsedMs: () => kernel.now - invocation.began,
      newId: () => kernel.random.uuid(),
      random: () => kernel.random.next(),
      sleep: (ms) => kernel.park(invocation, ms, () => undefined),
      verbs: bindVerbs(session),
      providers: simProviders(kernel, world, invocation),
      mail: mails.mailer(invocation),
      sealer: { seal: (plain) => Promise.resolve(plain), open: (sealed) => Promise.resolve(sealed) },
      report,
      handOver: handerOver(sleep, () => new Date(kernel.now + invocation.skew), report),
      background: (name, work) =>
        background.run(name, async () => {
          await wake();
          const own = new SimSession(shared, invocation, report);
          try {
            await work(depsOf(running, own, background));
          } finally {
            own.close();
          }
        }),
    };
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

  const platform: Platform = {
    shared,
    reports,
    onDue: () => undefined,
    get due() {
      return due;
    },
    async call(name, handler) {
      const invocation = begin(name);
      const report = reporter(invocation);
      const sleep = storeOf(invocation);
      const wake = waker(sleep, () => new Date(kernel.now + invocation.skew), report);
      const pending: Promise<unknown>[] = [];
      const background = createBackground({ report, ctx: { waitUntil: (work) => void pending.push(work) } });
      const session = new SimSession(shared, invocation, report);
      const running = { invocation, report, sleep, wake };
      let answered = true;
      try {
        await handler({ ...running, deps: depsOf(running, session, background) });
      } catch (error) {
        answered = error instanceof Refusal;
        kernel.trace(invocation.name, 'ended', error instanceof Error ? error.message : String(error));
        if (!isExpected(error))
          ledger.violated(`#12 ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      } finally {
        session.close();
        background.begin();
      }
      const rest = async (): Promise<void> => {
        for (let waited = 0; waited < pending.length;) {
          waited = pending.length;
          await Promise.all(pending);
        }
        judge(invocation);
      };
      void rest();
      return { answered };
    },
  };
  return platform;
};
