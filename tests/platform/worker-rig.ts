/** The application in workerd: the built worker, as it is deployed but for its clock. */
import fs from 'node:fs';
import path from 'node:path';
import { createClock } from '../../local/clock.ts';
import { allProcesses } from '../../local/process-table.ts';
import { startWorker } from '../../local/worker-process.ts';
import { startAppRig, type AppRig, type Running } from './app-rig.ts';
import { until } from './rig.ts';

interface Workerd extends Running {
  /** SIGKILLs every workerd, and waits until another answers. */
  kill(): Promise<void>;
}
export type WorkerRig = AppRig & Workerd;

/** One per test file: `const rig = await startWorkerRig()` at its top. */
export const startWorkerRig = (variables: Readonly<Record<string, string>> = {}): Promise<WorkerRig> =>
  startAppRig(async ({ port, variables: environment, directory, unwind }, proxy) => {
    let output = '';
    let group = 0;
    const now = Date.now();
    const url = await startWorker({
      port,
      variables: {
        ...environment,
        LOCAL_CLOCK: JSON.stringify(createClock({ speed: 1, virtualStart: now, realStart: now }).setting),
        NEON_WS_PROXY: proxy.wsProxy,
      },
      stateDir: path.join(directory, 'wrangler'),
      variablesFile: path.join(directory, 'worker.env'),
      log: (text) => void (output += text),
      started: (pid) => void (group = pid),
      gaveUp: (reason) => void (output += `gave up: ${reason}\n`),
      unwind,
    });
    const bootId = async (): Promise<string | null> => {
      const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
      return answer?.headers.get('x-boot-id') ?? null;
    };
    return {
      url,
      output: () => output,
      // Our own lines are JSON, and may name an `unhandled_error`.
      uncaught: () => output.split('\n').filter((line) => /^[^{]*(uncaught|unhandled|promise will never)/i.test(line)),
      kill: async () => {
        const before = await bootId();
        const family = new Set([group]);
        const all = allProcesses();
        for (const parent of family) for (const one of all) if (one.parent === parent) family.add(one.pid);
        const workerds = all.filter(
          ({ pid }) => family.has(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('workerd'),
        );
        for (const { pid } of workerds) process.kill(pid, 'SIGKILL');
        await until('another worker answers', async () => {
          const now = await bootId();
          return now !== null && now !== before;
        });
      },
    };
  }, variables);
