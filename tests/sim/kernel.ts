/**
 * Virtual time and the one queue. Whatever waits at the seam (a statement, a request, a nap) is an entry in it; the seed alone
 * decides when each is done, and one thing happens at a time.
 */
import { createHash, type Hash } from 'node:crypto';
import { createFaults, type FaultKind, type Faults } from './faults.ts';
import type { Random } from './random.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** One invocation of the worker: it lives, naps or is dead as a whole, whatever runs in it. */
export interface Invocation {
  readonly name: string;
  /** Virtual instant at which the platform called. */
  readonly began: number;
  /** Its clock minus the true one, in milliseconds. */
  readonly skew: number;
  dead: boolean;
  /** How many of its branches wait at the seam. */
  parked: number;
  /** Nothing in it goes on before this instant. */
  stalledUntil: number;
  /** Of the version before: the schema no longer has some of its verbs. */
  old: boolean;
  /** Requests that left it, a database connection counting once. */
  subrequests: number;
  /** Connections open at this moment, and the most at once. */
  connections: number;
  mostConnections: number;
  /** A fault struck in it: no figure of it says anything of the worker's own manners. */
  faulted: boolean;
}

interface Entry {
  at: number;
  order: number;
  run: () => Promise<void> | void;
}

/** Lets everything that can go on without the outside world do so. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Turns after which an invocation that waits for nothing is taken for one that hangs. Streams take some. */
const MOST_TURNS = 1000;

export class Kernel {
  readonly random: Random;
  readonly faults: Faults;
  readonly began: number;
  now: number;
  steps = 0;
  #running = new Set<Invocation>();
  #heap: Entry[] = [];
  #order = 0;
  #hash: Hash = createHash('sha1');
  #last: string[] = [];
  readonly #remembered: number;

  /** @param remembered how many of the last events are kept for a human */
  constructor(random: Random, began: number, remembered = 50) {
    this.#remembered = remembered;
    this.random = random;
    this.now = began;
    this.began = began;
    this.faults = createFaults(random, (kind) => this.trace('fault', kind));
  }

  /** Its clock starts; until it ends, nothing else happens while it has anything to do. */
  begin(invocation: Invocation): void {
    this.#running.add(invocation);
  }

  end(invocation: Invocation): void {
    this.#running.delete(invocation);
  }

  get queued(): number {
    return this.#heap.length;
  }

  /** Notes what happened: into the hash of the run, and for a human among the last events. */
  trace(who: string, what: string, detail = ''): void {
    const line = `${this.now - this.began}\t${who}\t${what}\t${detail}`;
    this.#hash.update(line);
    this.#last.push(line);
    if (this.#last.length > 2 * this.#remembered) this.#last = this.#newest();
  }

  /** As many as are kept; none, if none is. */
  #newest(): string[] {
    return this.#last.slice(Math.max(0, this.#last.length - this.#remembered));
  }

  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }

  /** The last events as a person reads them: true time, who, what. */
  lastEvents(): string[] {
    return this.#newest().map((line) => {
      const [at, who, what, detail] = line.split('\t');
      const time = new Date(this.began + Number(at)).toISOString().replace('T', ' ').slice(0, 23);
      return `${time}  ${who.padEnd(14)} ${what.padEnd(22)} ${detail.slice(0, 260)}`;
    });
  }

  /** Runs `run` after so many milliseconds of virtual time. */
  after(delay: number, run: Entry['run']): void {
    const entry = { at: this.now + Math.max(0, delay), order: (this.#order += 1), run };
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(entry, heap[up])) break;
      heap[i] = heap[up]!;
      i = up;
    }
    heap[i] = entry;
  }

  /** Lets the next thing happen. False when there is none. */
  async step(): Promise<boolean> {
    // Somebody outside of the queue may just have called the worker.
    if (this.#isBusy()) await this.#settle();
    const entry = this.#pop();
    if (!entry) return false;
    this.now = Math.max(this.now, entry.at);
    this.steps += 1;
    await entry.run();
    await this.#settle();
    return true;
  }

  /**
   * Waits at the seam: `effect` happens after `latency` milliseconds, and its result comes back. The worker may die or stall on
   * the way. A request that had left a dying worker may arrive all the same.
   */
  park<T>(invocation: Invocation, latency: number, effect: () => Promise<T> | T): Promise<T> {
    const { random } = this;
    invocation.parked += 1;
    return new Promise((resolve, reject) => {
      this.after(latency, async () => {
        if (invocation.dead && !random.chance(0.5)) return;
        let wake: () => void;
        try {
          const value = await effect();
          wake = () => resolve(value);
        } catch (error) {
          wake = () => reject(error);
        }
        if (invocation.dead) return;
        if (this.strikes('worker_killed', invocation)) this.kill(invocation);
        else if (this.strikes('worker_stalled', invocation)) this.stall(invocation);
        this.#resume(invocation, wake);
      });
    });
  }

  /** Draws whether a fault strikes in this invocation. */
  strikes(kind: FaultKind, invocation: Invocation): boolean {
    const struck = this.faults.hit(kind);
    if (struck) invocation.faulted = true;
    return struck;
  }

  /** Nothing in the invocation goes on for so many milliseconds, or for 1 to 14 minutes. */
  stall(invocation: Invocation, ms = this.random.between(1, 14) * MINUTE): void {
    invocation.faulted = true;
    invocation.stalledUntil = Math.max(invocation.stalledUntil, this.now + ms);
  }

  kill(invocation: Invocation): void {
    invocation.dead = true;
    this.#running.delete(invocation);
    this.trace(invocation.name, 'killed');
  }

  async #settle(): Promise<void> {
    await turn();
    for (let turns = 1; turns < MOST_TURNS && this.#isBusy(); turns += 1) await turn();
  }

  #isBusy(): boolean {
    for (const { parked } of this.#running) if (parked === 0) return true;
    return false;
  }

  #resume(invocation: Invocation, wake: () => void): void {
    if (invocation.dead) return;
    if (invocation.stalledUntil <= this.now) {
      invocation.parked -= 1;
      wake();
    } else this.after(invocation.stalledUntil - this.now, () => this.#resume(invocation, wake));
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || first === last) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child += 1;
      if (!before(heap[child], last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
