/** Processor time, which other work on the machine disturbs less than the clock. Linux only. */
import fs from 'node:fs';
import { allProcesses } from '../local/process-table.ts';

/** A tick of /proc is 10 ms on every Linux we know. */
const TICK_MS = 10;

const ticksOf = (pid: number): number => {
  try {
    const fields = fs
      .readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    // utime, stime, and those of its children that have ended
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  } catch {
    return 0; // gone meanwhile: its parent counts it from now on
  }
};

/** Milliseconds of processor time that a process and everything below it have used; NaN where that cannot be known. */
export const cpuOf = (pid: number): number => {
  if (process.platform !== 'linux') return NaN;
  const all = allProcesses();
  const family = [pid];
  for (const member of family) family.push(...all.filter(({ parent }) => parent === member).map((child) => child.pid));
  return family.reduce((sum, member) => sum + ticksOf(member), 0) * TICK_MS;
};

/** What some work cost. */
export interface Cost {
  /** Milliseconds by the clock. */
  elapsed: number;
  /** Milliseconds of processor time in the database, and in this process. */
  database: number;
  client: number;
}

/** Runs `work` and says what it cost, the database being `postmaster` and below. */
export const costOf = async (postmaster: number, work: () => Promise<unknown>): Promise<Cost> => {
  const database = cpuOf(postmaster);
  const client = process.cpuUsage();
  const began = performance.now();
  await work();
  const elapsed = performance.now() - began;
  const own = process.cpuUsage(client);
  return { elapsed, database: cpuOf(postmaster) - database, client: (own.user + own.system) / 1000 };
};
