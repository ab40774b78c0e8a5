/** The directory in which a local system keeps everything: one supervisor at a time, and nothing of a dead one left behind. */
import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { readJson, writeJson } from './json-file.ts';
import { erasePostgres, runningPostgres } from './postgres.ts';
import { commandOf, endGroup, isAlive, isSame, know, type KnownProcess, membersOf, waitUntil } from './process-table.ts';
import { removeReady } from './ready-file.ts';

const Known = z.object({ pid: z.int(), birth: z.string() });
/** Process groups and directories outside ours that a supervisor answers for. */
const Belongings = z.object({ groups: z.array(Known), directories: z.array(z.string()) });
export type Belongings = z.infer<typeof Belongings>;

/** The names under which we keep things; `--fresh` erases these and nothing else. */
const OURS = [
  'ready.json',
  'state.json',
  'clock.json',
  'belongings.json',
  'worker.env',
  'wrangler',
  'logs',
  'phone-network',
  'inbox',
];

export interface DataDirectory {
  /** The absolute path of something in it. */
  at(name: string): string;
  /** Postgres's own directory. */
  postgres: string;
  /** Removes everything that we keep in it, and nothing else. */
  erase(): void;
  /** Writes down what must not survive us. */
  own(belongings: { groups: readonly number[]; directories: readonly string[] }): void;
  /** Gives the directory free for the next supervisor. */
  release(): void;
}

const lockFile = (directory: string): string => path.join(directory, 'supervisor.lock');

const holderOf = (file: string): KnownProcess | undefined => {
  const holder = Known.safeParse(readJson(file));
  return holder.success && isSame(holder.data) ? holder.data : undefined;
};

/** Takes the lock with its content in one step, so that nobody ever reads an empty one. */
const lock = (directory: string): void => {
  const file = lockFile(directory);
  const mine = `${file}.${process.pid}`;
  for (let attempt = 0; attempt < 3; attempt++) {
    const holder = holderOf(file);
    if (holder) throw new Error(`already running on ${directory} (pid ${holder.pid}): stop that one, or give another --data-dir`);
    writeJson(mine, know(process.pid));
    try {
      fs.linkSync(mine, file);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (!holderOf(file)) fs.rmSync(file, { force: true }); // left by a dead supervisor
    } finally {
      fs.rmSync(mine, { force: true });
    }
  }
  throw new Error(`another start on ${directory} is under way`);
};

/** A group is ours while its leader is the process we knew or, the leader being dead, while it runs what we start. */
const isOurs = (leader: KnownProcess): boolean => {
  const members = membersOf(leader.pid);
  return isAlive(leader.pid) ? isSame(leader) : members.some((pid) => /wrangler|workerd/.test(commandOf(pid)));
};

/** Ends what a supervisor left that had no chance to clean up. Its guards are given a moment to do it first. */
const clearLeftovers = async (directory: string, postgres: string): Promise<void> => {
  removeReady(directory);
  const found = Belongings.safeParse(readJson(path.join(directory, 'belongings.json')));
  const { groups, directories } = found.success ? found.data : { groups: [], directories: [] };
  const left = (): KnownProcess[] => groups.filter(isOurs);
  await waitUntil(() => left().length === 0 && runningPostgres(postgres) === undefined, 5000, 50);
  for (const { pid } of left()) await endGroup(pid, 2000);
  const server = runningPostgres(postgres);
  if (server !== undefined) {
    process.kill(server, 'SIGINT');
    if (!(await waitUntil(() => !isAlive(server), 5000))) process.kill(server, 'SIGKILL');
    await waitUntil(() => !isAlive(server), 2000);
  }
  for (const place of directories.filter((name) => /^\/tmp\/ringleader-\w+$/.test(name)))
    fs.rmSync(place, { recursive: true, force: true });
  fs.rmSync(path.join(directory, 'belongings.json'), { force: true });
};

/** Like `mkdir -p`. Node's own never returns where the system answers ENOENT below a directory that exists, as in /proc. */
const makeDirectory = (directory: string): void => {
  if (fs.existsSync(directory)) return;
  makeDirectory(path.dirname(directory));
  try {
    fs.mkdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another start has just made it
  }
};

/**
 * Makes the directory ours: locked and without leftovers.
 * @throws {Error} in one line, when another supervisor runs on it or it cannot be written to
 */
export const openDataDirectory = async (directory: string): Promise<DataDirectory> => {
  const postgres = path.join(directory, 'postgres');
  if (!fs.existsSync(directory)) {
    makeDirectory(directory);
    fs.chmodSync(directory, 0o755); // Postgres's own user must get through, whatever the umask
  }
  lock(directory);
  const release = (): void => {
    if (holderOf(lockFile(directory))?.pid === process.pid) fs.rmSync(lockFile(directory), { force: true });
  };
  try {
    await clearLeftovers(directory, postgres);
  } catch (error) {
    release();
    throw error;
  }
  return {
    at: (name) => path.join(directory, name),
    postgres,
    erase: () => {
      erasePostgres(postgres);
      for (const name of OURS) fs.rmSync(path.join(directory, name), { recursive: true, force: true });
    },
    own: ({ groups, directories }) =>
      writeJson(path.join(directory, 'belongings.json'), {
        groups: groups.map(know),
        directories: [...directories],
      } satisfies Belongings),
    release,
  };
};
