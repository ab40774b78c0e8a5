/**
 * `npm run bench` runs all benchmarks, `npm run bench -- claim import` some. Each prints its targets as ratios within one run, then
 * the absolute figures behind them. `docs/performance.md` says how to read them.
 */
import os from 'node:os';
import { misusedBy, optionsOf } from '../scripts/command-line.ts';
import type { Bench, Options } from './bench.ts';
import { bundle } from './bundle.ts';
import { claim } from './claim.ts';
import { events } from './events.ts';
import { importing } from './import.ts';
import { jobs } from './jobs.ts';
import { limits } from './limits.ts';
import type { Line } from './measure.ts';
import { refill } from './refill.ts';
import { SETTINGS, startServer } from './server.ts';
import { statements } from './statements.ts';

const BENCHES: readonly Bench[] = [jobs, limits, events, claim, statements, refill, importing, bundle];

const misused = misusedBy(
  'bench',
  `npm run bench -- [name …] [--rounds 5] [--jobs 20000] [--rows 100000] [--queued 1000000]
${BENCHES.map(({ name, about }) => `  ${name.padEnd(11)} ${about}`).join('\n')}`,
);

const wanted = (): { chosen: readonly Bench[]; options: Options } => {
  const text = { type: 'string' } as const;
  const { values, positionals } = optionsOf({ rounds: text, jobs: text, rows: text, queued: text }, misused, true);
  const unknown = positionals.filter((name) => !BENCHES.some((bench) => bench.name === name));
  const whole = (name: keyof typeof values, fallback: number): number => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isInteger(value) || value < 1) misused(`--${name} must be a whole number`);
    return value;
  };
  if (unknown.length > 0) misused(`there is no benchmark ${unknown.join(', ')}`);
  return {
    chosen: positionals.length === 0 ? BENCHES : BENCHES.filter(({ name }) => positionals.includes(name)),
    options: {
      rounds: whole('rounds', 5),
      jobs: whole('jobs', 20_000),
      rows: whole('rows', 100_000),
      queued: whole('queued', 1_000_000),
    },
  };
};

const print = ({ what, figure, target, met }: Line): void =>
  console.log(`${met ? 'met   ' : 'MISSED'}  ${figure.padStart(9)}  (target ${target})  ${what}`);

const main = async (): Promise<void> => {
  const { chosen, options } = wanted();
  const server = await startServer();
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= server.stop());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop().then(() => process.exit(1)));
  try {
    const settings = Object.entries(SETTINGS).map((pair) => pair.join(' '));
    console.log(`PostgreSQL ${server.version} (${settings.join(', ')}), Node ${process.version}, ${os.cpus().length} cores`);
    const lines: Line[] = [];
    for (const bench of chosen) {
      console.log(`\n${bench.name}: ${bench.about}`);
      const outcome = await bench.run(server, options);
      for (const text of outcome.detail) console.log(`        ${text}`);
      outcome.lines.forEach(print);
      lines.push(...outcome.lines);
    }
    if (chosen.length > 1) {
      console.log('');
      lines.forEach(print);
    }
  } finally {
    await stop();
  }
};

await main();
