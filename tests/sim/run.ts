/**
 * Runs seeds: `npm run sim -- --seed N` replays one and shows its last events (`--events N` of them); `--seeds A..B` and `--minutes M` run many, a process
 * per core.
 */
import os from 'node:os';
import { misusedBy, optionsOf } from '../../scripts/command-line.ts';
import { playOnCores, playSeeds } from './children.ts';
import { rememberFailing } from './failing.ts';
import { figuresOf, told } from './figures.ts';
import { startServer, type Server } from './server.ts';
import type { Outcome } from './simulate.ts';

const replay = async (server: Server, seed: number, events: number): Promise<Outcome[]> => {
  const outcomes: Outcome[] = [];
  await playSeeds(server, { first: [seed], events }, (outcome) => outcomes.push(outcome));
  for (const { digest, statements, virtualHours, lastEvents, violations } of outcomes) {
    console.log(`seed ${seed}  trace ${digest}  ${statements} statements  ${virtualHours.toFixed(1)} virtual hours`);
    for (const line of lastEvents) console.log(`  ${line}`);
    for (const what of violations) console.log(`VIOLATION ${what}`);
    if (violations.length === 0) console.log('no violation');
  }
  return outcomes;
};

const many = async (
  server: Server,
  range: { from: number; to: number; until: number },
  processes: number,
): Promise<Outcome[]> => {
  const began = performance.now();
  const outcomes = await playOnCores(server, range, processes, (outcome) => {
    for (const what of outcome.violations) console.log(`seed ${outcome.seed}: VIOLATION ${what.split('\n')[0]}`);
  });
  for (const line of told(figuresOf(outcomes), (performance.now() - began) / 1000)) console.log(line);
  return outcomes;
};

const misused = misusedBy('sim', 'npm run sim -- --seed N [--events 50] | --seeds A..B | --minutes M [--processes P]');
const { values } = optionsOf(
  {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    events: { type: 'string', default: '50' },
    minutes: { type: 'string' },
    processes: { type: 'string', default: String(os.availableParallelism()) },
  } as const,
  misused,
);
if (values.seed === undefined && values.seeds === undefined && values.minutes === undefined)
  misused('give --seed N, --seeds A..B or --minutes M');
for (const name of ['seed', 'events', 'processes'] as const)
  if (!/^\d+$/.test(values[name] ?? '0')) misused(`--${name} must be a whole number`);
if (!/^\d+(\.\d+)?$/.test(values.minutes ?? '0')) misused('--minutes must be a number');
if (!/^\d+\.\.\d+$/.test(values.seeds ?? '1..1')) misused('--seeds must be a range A..B');
const server = await startServer();
try {
  let outcomes: Outcome[];
  if (values.seed === undefined) {
    const fresh = `${(Date.now() % 1_000_000) * 1000}..${Number.MAX_SAFE_INTEGER}`;
    const [from, to] = (values.seeds ?? fresh).split('..').map(Number);
    const until = values.minutes === undefined ? Number.MAX_SAFE_INTEGER : Date.now() + Number(values.minutes) * 60_000;
    outcomes = await many(server, { from, to, until }, Number(values.processes));
  } else outcomes = await replay(server, Number(values.seed), Number(values.events));
  const failed = outcomes.filter((outcome) => outcome.violations.length > 0).map((outcome) => outcome.seed);
  rememberFailing(failed);
  if (failed.length > 0) process.exitCode = 1;
} finally {
  await server.stop();
}
