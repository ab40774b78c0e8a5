/** The whole system as `npm start` brings it up, but in the test's own process: so that the Neon stand-in can be told to fail. */
import fs from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { readyOf } from '../../local/ready-file.ts';
import { startStack } from '../../local/stack.ts';
import type { Stack } from '../../local/stack.ts';
import { Unwind } from '../../local/unwind.ts';
import { type Scene, sceneOf } from '../journey/scene.ts';
import { testDirectory } from '../support/directory.ts';

/** Virtual seconds in one real second: the most that `npm start` accepts. */
const SPEED = 60;

export interface Rig extends Scene {
  /** The way of the worker's connections to the database. */
  neon: Stack['neon'];
}

/** Starts it; it ends with the calling test. */
export const openRig = async (): Promise<Rig> => {
  const directory = testDirectory('kill');
  const dataDir = path.join(directory, 'data');
  const unwind = new Unwind();
  const said: string[] = [];
  const say = (line: string): void => void said.push(line);
  onTestFinished(async () => {
    await unwind.run();
    fs.rmSync(directory, { recursive: true, force: true });
  }, 60_000);
  const options = {
    dataDir,
    fresh: false,
    port: 0,
    speed: SPEED,
    now: undefined,
    cron: true,
    callingRules: false,
    variables: {},
  };
  const stack = await startStack({ ...options, say, gaveUp: say }, unwind);
  const started = { pid: process.pid, output: () => said.join('\n') };
  return { ...sceneOf({ ready: readyOf(stack), started, dataDir: directory }), neon: stack.neon };
};
