/** `npm start` as a child of the test: started, watched, killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { allProcesses, isSame, know, type KnownProcess, waitUntil } from '../../local/process-table.ts';
import type { Ready } from '../../local/ready-file.ts';

const START = path.resolve(import.meta.dirname, '..', '..', 'local', 'start.ts');

/** A process with everything that descends from it, as it is now. */
export const familyOf = (pid: number): KnownProcess[] => {
  const all = allProcesses();
  const family = [pid];
  for (const member of family) family.push(...all.filter(({ parent }) => parent === member).map((child) => child.pid));
  return family.map(know);
};

export interface Started {
  child: ChildProcess;
  pid: number;
  /** All that it printed so far. */
  output(): string;
  /** Resolves with the content of ready.json. @throws {Error} with the output, when it ends or takes a minute */
  ready(): Promise<Ready>;
  /** Resolves with the exit code, and how long that took in real milliseconds. */
  exited: Promise<{ code: number | null; after: number }>;
}

/** Starts the system in a process group of its own, as a shell would. */
export const startSystem = (dataDir: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Started => {
  const from = Date.now();
  const child = spawn(process.execPath, [START, '--data-dir', dataDir, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)));
  const exited = once(child, 'close').then(([code]) => ({ code: code as number | null, after: Date.now() - from }));
  const file = path.join(dataDir, 'ready.json');
  const own = (): Ready | undefined => {
    if (!fs.existsSync(file)) return undefined;
    const ready = JSON.parse(fs.readFileSync(file, 'utf8')) as Ready;
    return ready.pid === child.pid ? ready : undefined;
  };
  const ready = async (): Promise<Ready> => {
    await waitUntil(() => own() !== undefined || child.exitCode !== null || child.signalCode !== null, 120_000);
    const found = own();
    if (!found) throw new Error(`not ready:\n${output}`);
    return found;
  };
  return { child, pid: child.pid ?? 0, output: () => output, ready, exited };
};

/** Waits until none of them lives; answers with those that still do after `ms` real milliseconds. */
export const survivors = async (family: readonly KnownProcess[], ms: number): Promise<KnownProcess[]> => {
  await waitUntil(() => !family.some(isSame), ms);
  return family.filter(isSame);
};
