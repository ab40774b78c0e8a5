/** What the operating system says about processes: whether one lives, what it runs, and whether it still is the one we knew. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

const ps = (pid: number, column: string): string => {
  try {
    return execFileSync('ps', ['-p', String(pid), '-o', `${column}=`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return ''; // ps answers 1 for a pid that does not exist
  }
};

const readProc = (pid: number, file: string): string | undefined => {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined; // gone, or no /proc here
  }
};

const hasProc = process.platform === 'linux';

/** True while a process with this id exists, whoever owns it; a zombie counts as gone. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const state = hasProc
    ? (readProc(pid, 'stat')
        ?.replace(/^.*\) /s, '')
        .charAt(0) ?? '')
    : ps(pid, 'state').charAt(0);
  return state !== '' && state !== 'Z' && state !== 'X';
};

/** The command line of a process, its arguments separated by spaces; empty when it does not exist. */
export const commandOf = (pid: number): string =>
  hasProc ? (readProc(pid, 'cmdline')?.replaceAll('\0', ' ').trim() ?? '') : ps(pid, 'command');

/**
 * When a process began, in the platform's own notation; empty when it does not exist. Ids are used again, so a process is
 * the one we knew only when both its id and this agree.
 */
export const birthOf = (pid: number): string => {
  if (!hasProc) return ps(pid, 'lstart');
  // Field 22 of /proc/PID/stat, counted from the end of the name, which may itself contain spaces and brackets.
  return (
    readProc(pid, 'stat')
      ?.replace(/^.*\) /s, '')
      .split(' ')[19] ?? ''
  );
};

/** A process as it is written down, to be recognised later. */
export interface KnownProcess {
  pid: number;
  birth: string;
}

export const know = (pid: number): KnownProcess => ({ pid, birth: birthOf(pid) });

/** True while exactly this process lives. */
export const isSame = ({ pid, birth }: KnownProcess): boolean => birth !== '' && isAlive(pid) && birthOf(pid) === birth;

/** Waits until `done()` holds; false when it did not within `ms` real milliseconds. */
export const waitUntil = async (done: () => boolean, ms: number, every = 20): Promise<boolean> => {
  const end = Date.now() + ms;
  while (!done()) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, every));
  }
  return true;
};

/** Every process there is: its id, its parent's and its group's. */
export const allProcesses = (): { pid: number; parent: number; group: number }[] => {
  if (!hasProc) {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,pgid='], { encoding: 'utf8' }).trim().split('\n');
    return lines.map((line) => {
      const [pid = 0, parent = 0, group = 0] = line.trim().split(/\s+/).map(Number);
      return { pid, parent, group };
    });
  }
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((name) => {
    const fields = readProc(Number(name), 'stat')
      ?.replace(/^.*\) /s, '')
      .split(' ');
    return fields ? [{ pid: Number(name), parent: Number(fields[1]), group: Number(fields[2]) }] : [];
  });
};

/** The living members of a process group. */
export const membersOf = (group: number): number[] =>
  allProcesses()
    .filter((found) => found.group === group && isAlive(found.pid))
    .map(({ pid }) => pid);

/** Where a process works; undefined when it is gone, or somebody else's. */
const workplaceOf = (pid: number): string | undefined => {
  try {
    return fs.readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
};

/** The living processes that work in this directory. */
export const workersIn = (directory: string): number[] => {
  const place = fs.realpathSync(directory);
  if (hasProc)
    return allProcesses()
      .map(({ pid }) => pid)
      .filter((pid) => workplaceOf(pid) === place && isAlive(pid));
  try {
    const lines = execFileSync('lsof', ['-t', '-a', '-d', 'cwd', '--', place], { stdio: ['ignore', 'pipe', 'ignore'] });
    return String(lines).trim().split('\n').map(Number);
  } catch {
    return []; // lsof answers 1 when there is none
  }
};

/** Signals a whole group; quietly nothing when it is gone. */
export const signalGroup = (group: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

/** Ends a group: politely, and after `patience` real milliseconds by force. */
export const endGroup = async (group: number, patience: number): Promise<void> => {
  const gone = (): boolean => membersOf(group).length === 0;
  signalGroup(group, 'SIGINT');
  if (await waitUntil(gone, patience)) return;
  signalGroup(group, 'SIGKILL');
  await waitUntil(gone, 2000);
};
