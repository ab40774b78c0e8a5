/**
 * Runs seeds: `npm run sim -- --seed N` replays one and shows its last events (`--events N` of them); `--seeds A..B` and `--minutes M` run many, a process
 * per core.
 */
import os from 'node:os';
import { parseArgs } from 'node:util';
import { inChild } from './children.ts';
import { rememberFailing } from './failing.ts';
import { figuresOf, told } from './figures.ts';
import { createSimDatabase, startServer, type Server } from './server.ts';
import { simulate, type Outcome } from './simulate.ts';

const replay = async (server: Server, seed: number, events: number): Promise<Outcome> => {
  const database = await createSimDatabase(server);
  const outcome = await simulate(database, seed, events);
  await database.close();
  console.log(
    `seed ${outcome.seed}  trace ${outcome.digest}  ${outcome.statements} statements  ${outcome.virtualHours.toFixed(1)} virtual hours`,
  );
  for (const line of outcome.lastEvents) console.log(`  ${line}`);
  for (const what of outcome.violations) console.log(`VIOLATION ${what}`);
  if (outcome.violations.length === 0) console.log('no violation');
  return outcome;
};

const many = async (server: Server, from: number, to: number, until: number, processes: number): Promise<Outcome[]> => {
  const began = performance.now();
  const outcomes: Outcome[] = [];
  const hear = (outcome: Outcome): void => {
    outcomes.push(outcome);
    for (const what of outcome.violations) console.log(`seed ${outcome.seed}: VIOLATION ${what.split('\n')[0]}`);
  };
  await Promise.all(
    Array.from({ length: processes }, (_, i) =>
      inChild({ server, first: [], range: { from: from + i, to, step: processes }, until, stopAtViolation: false }, hear),
    ),
  );
  for (const line of told(figuresOf(outcomes), (performance.now() - began) / 1000)) console.log(line);
  return outcomes;
};

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    events: { type: 'string', default: '50' },
    minutes: { type: 'string' },
    processes: { type: 'string', default: String(os.availableParallelism()) },
  },
});
if (values.seed === undefined && values.seeds === undefined && values.minutes === undefined)
  throw new Error('give --seed N, --seeds A..B or --minutes M');
const server = await startServer();
try {
  let outcomes: Outcome[];
  if (values.seed === undefined) {
    const fresh = `${(Date.now() % 1_000_000) * 1000}..${Number.MAX_SAFE_INTEGER}`;
    const [from, to] = (values.seeds ?? fresh).split('..').map(Number);
    const until = values.minutes === undefined ? Number.MAX_SAFE_INTEGER : Date.now() + Number(values.minutes) * 60_000;
    outcomes = await many(server, from, to, until, Number(values.processes));
  } else outcomes = [await replay(server, Number(values.seed), Number(values.events))];
  const failed = outcomes.filter((outcome) => outcome.violations.length > 0).map((outcome) => outcome.seed);
  rememberFailing(failed);
  if (failed.length > 0) process.exitCode = 1;
} finally {
  await server.stop();
}
