/**
 * When the next tick has anything to do: one instant, kept outside the database, so that a tick with nothing due returns without a
 * query and the database stays suspended.
 *
 * A Durable Object, because it is strongly consistent: once {@link Sleep.wake} has returned, every later tick sees it. Whoever may add
 * work wakes first and writes then, so a writer that dies in between costs one tick too many, never one too few. A tick that
 * worked puts the next due instant, unless somebody woke it meanwhile.
 */
import type { Invocation } from '../lib/compose.ts';

interface Stored {
  /** Milliseconds since 1970; null: unknown, so awake. */
  due: number | null;
  /** Moved by every wake. */
  version: number;
  /** The latest instant for which somebody woke it: what he writes may be committed as late as that. */
  woken?: number;
}

/** What the object answers and is asked, over its `fetch`. */
type Question = { ask: 'read' } | { ask: 'wake'; at: number } | { ask: 'settle'; version: number; due: number; now: number };

const KEY = 'next-due';
const FIRST: Stored = { due: null, version: 0 };

/** What of a Durable Object's state this one needs. */
interface State {
  storage: {
    get(key: string): Promise<Stored | undefined>;
    put(key: string, value: Stored): Promise<void>;
  };
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T>;
}

const answer = (stored: Stored, question: Question): Stored => {
  if (question.ask === 'read') return stored;
  if (question.ask === 'wake') {
    const woken = Math.max(stored.woken ?? question.at, question.at);
    return { due: stored.due === null ? null : Math.min(stored.due, question.at), version: stored.version + 1, woken };
  }
  // Somebody woke it while the tick was working: what the tick saw may lack what he brought.
  if (question.version !== stored.version) return stored;
  // Or before it, and has not committed yet.
  const { woken } = stored;
  return { ...stored, due: woken !== undefined && woken > question.now ? Math.min(question.due, woken) : question.due };
};

/** The Durable Object; one for the whole system. */
export class Sleeper {
  private readonly state: State;
  constructor(state: State) {
    this.state = state;
  }

  async fetch(request: Request): Promise<Response> {
    const question: Question = await request.json();
    const after = await this.state.blockConcurrencyWhile(async () => {
      const before = (await this.state.storage.get(KEY)) ?? FIRST;
      const next = answer(before, question);
      if (next !== before) await this.state.storage.put(KEY, next);
      return next;
    });
    return Response.json(after);
  }
}

/** What of a Durable Object namespace is used. */
export interface SleeperNamespace {
  idFromName(name: string): unknown;
  get(id: never): { fetch(url: string, init: RequestInit): Promise<Response> };
}

/** Further ahead than this nothing is believed: the bound on a wake that was lost with its store. */
export const LONGEST_SLEEP_MS = 7 * 24 * 60 * 60_000;
/** How long a request that adds work may take before its commit: the tick after it looks. */
const WRITING_MS = 90_000;

/** The store as an invocation uses it. */
export interface Sleep {
  /** The version to settle with; null when the tick may sleep on. */
  due(now: Date): Promise<{ version: number } | null>;
  /** Makes sure that a tick looks once what is about to be written has been committed. */
  wake(now: Date): Promise<void>;
  /** Makes sure that the next tick looks: what it will find has been committed. */
  handOver(now: Date): Promise<void>;
  /** Nothing is due before `next` (null: nothing at all). */
  settle(version: number, next: Date | null, now: Date): Promise<void>;
}

/** Opens the store of a namespace. */
export const openSleep = (namespace: SleeperNamespace): Sleep => {
  const ask = async (question: Question): Promise<Stored> => {
    const stub = namespace.get(namespace.idFromName('system') as never);
    const response = await stub.fetch('https://sleeper/', { method: 'POST', body: JSON.stringify(question) });
    return response.json();
  };
  return {
    async due(now) {
      const { due, version } = await ask({ ask: 'read' });
      return due === null || due <= now.getTime() ? { version } : null;
    },
    async wake(now) {
      await ask({ ask: 'wake', at: now.getTime() + WRITING_MS });
    },
    async handOver(now) {
      await ask({ ask: 'wake', at: now.getTime() });
    },
    async settle(version, next, now) {
      const furthest = now.getTime() + LONGEST_SLEEP_MS;
      await ask({ ask: 'settle', version, due: Math.min(next?.getTime() ?? furthest, furthest), now: now.getTime() });
    },
  };
};

/**
 * Wakes the tick for what an invocation writes: once, again when it lasts so long that the tick may have looked meanwhile, and again
 * after a store that could not be reached, which is reported and stops nothing.
 */
export const waker = (store: Sleep | undefined, now: () => Date, report: Invocation['report']): (() => Promise<void>) => {
  let woken: { at: number; done: Promise<void> } | undefined;
  return () => {
    const at = now().getTime();
    if (woken !== undefined && at - woken.at < WRITING_MS / 2) return woken.done;
    const done = (store?.wake(new Date(at)) ?? Promise.resolve()).catch((error: unknown) => {
      woken = undefined;
      report('background_task_failed', error, { task: 'wake' });
    });
    woken = { at, done };
    return done;
  };
};

/** Leaves work to the next tick; a store that cannot be reached is reported, and the tick finds that work when it next looks by itself. */
export const handerOver =
  (store: Sleep | undefined, now: () => Date, report: Invocation['report']): (() => Promise<void>) =>
  async () => {
    try {
      await store?.handOver(now());
    } catch (error) {
      report('background_task_failed', error, { task: 'hand_over' });
    }
  };

/** Runs a cron unless nothing is due; afterwards nobody need look before the instant it answers with. */
export const unlessAsleep = async <I extends Pick<Invocation, 'now' | 'report'>>(
  store: Sleep | undefined,
  invocation: I,
  handler: (invocation: I) => Promise<Date | null | undefined>,
): Promise<void> => {
  if (store === undefined) {
    await handler(invocation);
    return;
  }
  let awake: { version: number } | null;
  try {
    awake = await store.due(invocation.now());
  } catch (error) {
    // Better a query too many than a call too few.
    invocation.report('background_task_failed', error, { task: 'read_next_due' });
    await handler(invocation);
    return;
  }
  if (awake === null) return;
  const next = await handler(invocation);
  if (next !== undefined) await store.settle(awake.version, next, invocation.now());
};
