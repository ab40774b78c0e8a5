/** The size of the deployed worker, and what its start costs. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Bench } from './bench.ts';
import { line, median, round } from './measure.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const runFile = promisify(execFile);

const wrangler = async (out: string, ...args: string[]): Promise<void> => {
  const bin = path.join(path.dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin', 'wrangler.js');
  const env = {
    ...process.env,
    CI: '1',
    NO_COLOR: '1',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_LOG_PATH: path.join(out, 'log'),
  };
  await runFile(process.execPath, [bin, ...args, '--config', path.join(ROOT, 'wrangler.toml')], { cwd: ROOT, env });
};

interface Profile {
  nodes: { id: number; callFrame: { functionName: string } }[];
  samples: number[];
  timeDeltas: number[];
}

/** Milliseconds of a profile in which the processor was not idle. */
const busy = ({ nodes, samples, timeDeltas }: Profile): number => {
  const idle = new Set(nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id));
  return samples.reduce((sum, node, i) => sum + (idle.has(node) ? 0 : timeDeltas[i]), 0) / 1000;
};

export const bundle: Bench = {
  name: 'bundle',
  about: 'the worker as deployed: its size, and the processor time of its start',
  async run(_, { rounds }) {
    const out = fs.mkdtempSync(path.join(os.tmpdir(), 'ringleader-bundle-'));
    try {
      await wrangler(out, 'deploy', '--dry-run', '--outdir', out);
      const text = fs.readFileSync(path.join(out, 'worker.js'));
      const starts: number[] = [];
      for (let n = 0; n < rounds; n += 1) {
        const profile = path.join(out, `start-${n}.cpuprofile`);
        await wrangler(out, 'check', 'startup', '--outfile', profile);
        starts.push(busy(JSON.parse(fs.readFileSync(profile, 'utf8')) as Profile));
      }
      return {
        lines: [line('worker bundle, gzip', gzipSync(text).length / 1024, '<=', 350, ' KiB')],
        detail: [
          `${round(text.length / 1024)} KiB unpacked; start-up ${round(median(starts))} ms of processor time here (wrangler check startup, ${rounds} starts)`,
        ],
      };
    } finally {
      fs.rmSync(out, { recursive: true, force: true });
    }
  },
};
