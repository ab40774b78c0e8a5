/** What kills: Postgres, in three ways, and the runtime of the worker; each keeps a log of what it killed. */
import path from 'node:path';
import { runningPostgres } from '../../local/postgres.ts';
import { commandOf, isSame, know, type KnownProcess } from '../../local/process-table.ts';
import type { Scene } from '../journey/scene.ts';
import { familyOf } from '../support/system.ts';

export interface Kill {
  /** Real milliseconds since 1970. */
  at: number;
  /** How it was done. */
  how: string;
  /** The process whose death is counted. */
  pid: number;
  /** How many were killed with it, itself included. */
  processes: number;
}

export interface Killer {
  readonly log: readonly Kill[];
  /** Lets it kill no more; resolves when its last kill is done. @throws when it could not go on */
  stop(): Promise<void>;
}

/** Real milliseconds, from and to. */
export type Pause = readonly [number, number];

/** Whom to kill now, first the one that is counted; none when it is not the moment. */
type Target = { how: string; victims: readonly KnownProcess[] } | undefined;
type Aim = () => Target | Promise<Target>;

/** Real milliseconds that a wrangler started anew is left in peace: the supervisor gives up after five that lived less than 15 s. */
const LONG_LIFE_MS = 16_000;

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const between = ([from, to]: Pause): number => from + Math.random() * (to - from);

/** Sends a signal to those that live; answers which. */
const signal = (targets: readonly KnownProcess[], name: NodeJS.Signals): number[] =>
  targets.filter(isSame).map(({ pid }) => {
    process.kill(pid, name);
    return pid;
  });

/** Kills whenever there is somebody to kill, as nobody can prevent, then lets a pause pass. */
const killer = (aim: Aim, pause: Pause): Killer => {
  const log: Kill[] = [];
  const over = new AbortController();
  const loop = (async () => {
    while (!over.signal.aborted) {
      const { how, victims } = (await aim()) ?? { how: '', victims: [] };
      const [pid, ...others] = signal(victims, 'SIGKILL');
      if (pid !== undefined) log.push({ at: Date.now(), how, pid, processes: 1 + others.length });
      await nap(pid === undefined ? 100 : between(pause));
    }
  })();
  loop.catch(() => undefined); // told by stop()
  return {
    log,
    async stop() {
      over.abort();
      await loop;
    },
  };
};

/**
 * Kills the postmaster, in turns: with all its processes at once, as a power cut would; alone; and alone while one of its processes
 * is stuck and outlives it. Each time the supervisor starts it again and it recovers from its log.
 */
export const killPostgres = (scene: Scene, pause: Pause): Killer => {
  let turn = 0;
  return killer(() => {
    const postmaster = runningPostgres(path.join(scene.dataDir, 'data', 'postgres'));
    if (postmaster === undefined) return undefined;
    turn += 1;
    if (turn % 3 === 1) return { how: 'alone', victims: [know(postmaster)] };
    // Stopped first, so that it forks none that is not counted.
    process.kill(postmaster, 'SIGSTOP');
    const family = familyOf(postmaster);
    if (turn % 3 === 2) return { how: 'with all its processes', victims: family };
    const [, ...children] = family;
    signal(children.slice(-1), 'SIGSTOP');
    return { how: 'leaving one stuck', victims: family.slice(0, 1) };
  }, pause);
};

const wranglerOf = (scene: Scene): KnownProcess | undefined =>
  familyOf(scene.started.pid).find(({ pid }) => /wrangler\.js dev/.test(commandOf(pid)));

/** Whether the worker answers: one that is still coming up is no victim, or it would never be up on a slow machine. */
const serves = async (scene: Scene): Promise<boolean> => {
  try {
    const answer = await fetch(`${scene.ready.url}/health`, { signal: AbortSignal.timeout(5000) });
    await answer.arrayBuffer();
    return answer.headers.has('x-boot-id');
  } catch (error) {
    if (!(error instanceof Error)) throw error; // not up yet
    return false;
  }
};

/**
 * Kills workerd: mostly the process that runs the worker, which wrangler brings back by itself; every tenth time the one that listens
 * too, after which the supervisor starts wrangler anew.
 */
export const killWorkerd = (scene: Scene, pause: Pause): Killer => {
  const first = wranglerOf(scene)?.pid;
  const known = new Map<number, number>();
  let turn = 0;
  return killer(async () => {
    if (!(await serves(scene))) return undefined;
    const wrangler = wranglerOf(scene)?.pid;
    if (wrangler === undefined) return undefined;
    if (!known.has(wrangler)) known.set(wrangler, Date.now());
    if (wrangler !== first && Date.now() - known.get(wrangler)! < LONG_LIFE_MS) return undefined;
    const runtimes = familyOf(wrangler)
      .filter(({ pid }) => /workerd serve/.test(commandOf(pid)))
      .toSorted((a, b) => a.pid - b.pid);
    if (runtimes.length < 2) return undefined;
    turn += 1;
    return turn % 10 === 0
      ? { how: 'with the one that listens', victims: runtimes }
      : { how: 'alone', victims: runtimes.slice(-1) };
  }, pause);
};
