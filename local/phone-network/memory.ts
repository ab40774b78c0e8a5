/**
 * What the network remembers from one start to the next: every request that may have changed something, with its instant. The
 * exchange follows from these alone, so at the next start they are asked again on a clock that runs through the past at once;
 * calls that were on the line then go on from where they were. Webhooks that were under way are lost, as in any power cut.
 */
import { Buffer } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { EdgeRequest } from '../edge-server.ts';
import type { Journal } from '../journal.ts';

type Timers = Pick<Clock, 'now' | 'after'>;

interface Asked {
  /** Milliseconds since 1970, by the local clock. */
  at: number;
  method: string;
  path: string;
  query: string;
  headers: Readonly<Record<string, string>>;
  body: string;
  tooLarge: boolean;
}
/** One line of the journal: first the seed of all ids, then requests. */
export type Remembered = { seed: string } | Asked;

/** Of a request's headers, what the wires look at. */
const KEPT = ['authorization', 'content-type'] as const;

const written = (request: EdgeRequest, at: Date): Asked => ({
  at: at.getTime(),
  method: request.method,
  path: request.path,
  query: request.query.toString(),
  headers: Object.fromEntries(
    KEPT.flatMap((name) => (request.headers[name] === undefined ? [] : [[name, request.headers[name]]])),
  ),
  body: request.body.toString('base64'),
  tooLarge: request.tooLarge,
});
const read = ({ method, path, query, headers, body, tooLarge }: Asked): EdgeRequest => ({
  method,
  path,
  query: new URLSearchParams(query),
  headers,
  body: Buffer.from(body, 'base64'),
  tooLarge,
});

/** UUIDs that follow from a seed: asked in the same order, they are the same. */
const idsFrom = (seed: string): (() => string) => {
  let n = 0;
  return () => {
    const hex = createHash('sha256')
      .update(`${seed}:${(n += 1)}`)
      .digest('hex');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  };
};

/** A clock that can be led through the past: until it is `present`, timers fire as it is moved, each at its own instant. */
const createLedClock = (clock: Timers) => {
  const timers = new Set<{ due: number; action: () => void }>();
  /** Of timers that were handed over to the clock. */
  const cancels = new Map<object, () => void>();
  let past: number | null = -Infinity;
  const led: Timers = {
    now: () => (past === null ? clock.now() : new Date(past)),
    after(ms, action) {
      if (past === null) return clock.after(ms, action);
      const timer = { due: past + ms, action };
      timers.add(timer);
      return () => {
        timers.delete(timer);
        cancels.get(timer)?.();
      };
    },
  };
  return {
    led,
    /** Moves on, firing what falls due on the way. */
    to(instant: number): void {
      for (;;) {
        const [next] = [...timers].filter(({ due }) => due <= instant).sort((a, b) => a.due - b.due);
        if (next === undefined) break;
        timers.delete(next);
        past = next.due;
        next.action();
      }
      past = Math.max(past ?? instant, instant);
    },
    /** From here on it is the given clock; what is still to come is handed over to it. */
    present(): void {
      const from = past;
      past = null;
      for (const timer of timers) {
        const left = Math.max(0, timer.due - Math.max(clock.now().getTime(), from ?? -Infinity));
        cancels.set(timer, clock.after(left, timer.action));
      }
      timers.clear();
    },
  };
};

/** Opens the network's memory. */
export const openMemory = (clock: Timers, journal: Journal<Remembered>) => {
  const [first, ...asked] = journal.past;
  const seed = first !== undefined && 'seed' in first ? first.seed : randomBytes(16).toString('hex');
  if (first === undefined) journal.append({ seed });
  const time = createLedClock(clock);
  return {
    clock: time.led,
    newUuid: idsFrom(seed),
    /** Asks again what was asked before this start; afterwards time is the present. */
    recall(handle: (request: EdgeRequest) => void): void {
      for (const request of asked) {
        if ('seed' in request) continue;
        time.to(request.at);
        handle(read(request));
      }
      if (asked.length > 0) time.to(clock.now().getTime());
      time.present();
    },
    /** To be called before a request is answered. */
    remember(request: EdgeRequest): void {
      if (request.method !== 'GET' && request.method !== 'HEAD') journal.append(written(request, clock.now()));
    },
  };
};
