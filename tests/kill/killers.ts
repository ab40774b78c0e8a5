/** What kills: Postgres with all its processes, and the runtime of the worker; each keeps a log of what it killed. */
import path from 'node:path';
import { runningPostgres } from '../../local/postgres.ts';
import { commandOf, isSame, type KnownProcess } from '../../local/process-table.ts';
import type { Scene } from '../journey/scene.ts';
import { familyOf } from '../support/system.ts';

export interface Kill {
  /** Real milliseconds since 1970. */
  at: number;
  /** The process whose death is counted. */
  pid: number;
  /** How many died with it, itself included. */
  processes: number;
}

export interface Killer {
  readonly log: readonly Kill[];
  /** Lets it kill no more; resolves when its last kill is done. */
  stop(): Promise<void>;
}

/** Real milliseconds that a wrangler started anew is left in peace: the supervisor gives up after five that lived less than 15 s. */
const LONG_LIFE_MS = 16_000;

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const between = ([from, to]: readonly [number, number]): number => from + Math.random() * (to - from);

/** Ends them as nobody can prevent; answers which were alive to be ended. */
const kill = (victims: readonly KnownProcess[]): number[] =>
  victims.filter(isSame).map(({ pid }) => {
    process.kill(pid, 'SIGKILL');
    return pid;
  });

/** Kills whenever `aim` names victims, then lets `pause` real milliseconds pass. The first victim is the one that is counted. */
const killer = (aim: () => readonly KnownProcess[], pause: readonly [number, number]): Killer => {
  const log: Kill[] = [];
  const over = new AbortController();
  const loop = (async () => {
    while (!over.signal.aborted) {
      const [pid, ...others] = kill(aim());
      if (pid !== undefined) log.push({ at: Date.now(), pid, processes: 1 + others.length });
      await nap(pid === undefined ? 100 : between(pause));
    }
  })();
  return {
    log,
    async stop() {
      over.abort();
      await loop;
    },
  };
};

/** Kills the postmaster and every backend at once, as a power cut would; the supervisor starts it again and it recovers from its log. */
export const killPostgres = (scene: Scene, pause: readonly [number, number]): Killer =>
  killer(() => {
    const postmaster = runningPostgres(path.join(scene.dataDir, 'data', 'postgres'));
    if (postmaster === undefined) return [];
    // Stopped first, so that it forks none that is not counted: a backend left alone waits for ever for a lock that a killed one held.
    process.kill(postmaster, 'SIGSTOP');
    return familyOf(postmaster);
  }, pause);

const wranglerOf = (scene: Scene): KnownProcess | undefined =>
  familyOf(scene.started.pid).find(({ pid }) => /wrangler\.js dev/.test(commandOf(pid)));

/**
 * Kills workerd: mostly the process that runs the worker, which wrangler brings back by itself; every tenth time the one that listens
 * too, after which the supervisor starts wrangler anew.
 */
export const killWorkerd = (scene: Scene, pause: readonly [number, number]): Killer => {
  const first = wranglerOf(scene)?.pid;
  const known = new Map<number, number>();
  let turn = 0;
  return killer(() => {
    const wrangler = wranglerOf(scene)?.pid;
    if (wrangler === undefined) return [];
    if (!known.has(wrangler)) known.set(wrangler, Date.now());
    if (wrangler !== first && Date.now() - known.get(wrangler)! < LONG_LIFE_MS) return [];
    const runtimes = familyOf(wrangler)
      .filter(({ pid }) => /workerd serve/.test(commandOf(pid)))
      .toSorted((a, b) => a.pid - b.pid);
    if (runtimes.length < 2) return [];
    turn += 1;
    return turn % 10 === 0 ? runtimes : runtimes.slice(-1);
  }, pause);
};
