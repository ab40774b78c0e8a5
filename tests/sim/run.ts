/**
 * Runs seeds: `npm run sim -- --seed N` replays one and shows its last events (`--events N` of them); `--seeds A..B` and `--minutes M` run many, a process
 * per core.
 */
import { fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { addCounts, FAULT_KINDS, type Counts } from './faults.ts';
import { createSimDatabase, startServer, type Server } from './server.ts';
import { simulate, type Outcome } from './simulate.ts';

/** Seeds that failed once; they are run again for ever. */
const FAILING = new URL('failing-seeds.txt', import.meta.url);

interface Range {
  from: number;
  to: number;
  step: number;
}
/** What a child process is sent. */
interface Order {
  server: Server;
  range: Range;
  until: number;
}
type Message = { outcome: Outcome } | { failed: string };

/** Runs a range until its end or until the clock says stop. */
const runRange = async ({ server, range, until }: Order, told: (outcome: Outcome) => void): Promise<void> => {
  const database = await createSimDatabase(server);
  try {
    for (let seed = range.from; seed <= range.to && Date.now() < until; seed += range.step) {
      const outcome = await simulate(database, seed);
      told({ ...outcome, lastEvents: [] });
    }
  } finally {
    await database.close();
  }
};

const show = (outcome: Outcome): void => {
  console.log(
    `seed ${outcome.seed}  trace ${outcome.digest}  ${outcome.statements} statements  ${outcome.virtualHours.toFixed(1)} virtual hours`,
  );
  for (const line of outcome.lastEvents) console.log(`  ${line}`);
  console.log(
    outcome.violations.length === 0 ? 'no violation' : outcome.violations.map((what) => `VIOLATION ${what}`).join('\n'),
  );
};

const remember = (seeds: readonly number[]): void => {
  const known = fs.existsSync(FAILING) ? fs.readFileSync(FAILING, 'utf8').split('\n') : [];
  const fresh = seeds.filter((seed) => !known.some((line) => Number.parseInt(line, 10) === seed));
  if (fresh.length > 0) fs.appendFileSync(FAILING, fresh.map((seed) => `${seed}\n`).join(''));
};

const summarise = (outcomes: readonly Outcome[], seconds: number): void => {
  const [faults, seen]: [Counts, Counts] = [{}, {}];
  for (const outcome of outcomes) {
    addCounts(faults, outcome.faults);
    addCounts(seen, outcome.seen);
  }
  for (const most of ['most connections', 'most subrequests']) {
    seen[most] = Math.max(0, ...outcomes.map((outcome) => outcome.seen[most] ?? 0));
  }
  const total = (pick: (outcome: Outcome) => number): number => outcomes.reduce((sum, outcome) => sum + pick(outcome), 0);
  const failed = outcomes.filter((outcome) => outcome.violations.length > 0);
  const kinds = Map.groupBy(failed, (outcome) => outcome.violations[0]!);
  const lines = (counts: Counts): string =>
    Object.entries(counts)
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([name, n]) => `${name} ${n}`)
      .join(', ');
  console.log(`transitions and answers: ${lines(seen)}`);
  console.log(`faults: ${lines(faults)}; never fired: ${FAULT_KINDS.filter((kind) => !faults[kind]).join(', ') || 'none'}`);
  console.log(
    `${outcomes.length} seeds, ${total((o) => o.statements)} SQL calls, ${Object.values(faults).reduce((a, b) => a + b, 0)} faults, ` +
      `${Math.round(total((o) => o.virtualHours))} virtual hours, ${failed.length} seeds with violations, ${Math.round(seconds)} s`,
  );
  for (const [what, with_] of kinds)
    console.log(
      `  ${with_.length} × ${what}: seeds ${with_
        .slice(0, 8)
        .map((o) => o.seed)
        .join(' ')}`,
    );
};

/** Runs the order in a process of its own. */
const inChild = (order: Order, told: (outcome: Outcome) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--child'], { serialization: 'json' });
    child.on('message', (message) => {
      const said = message as Message;
      if ('outcome' in said) told(said.outcome);
      else reject(new Error(said.failed));
    });
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a simulation process ended with ${code}`))));
    child.send(order);
  });

const child = (): void => {
  process.once('message', (order) => {
    const send = (message: Message): void => void process.send!(message);
    runRange(order as Order, (outcome) => send({ outcome })).then(
      () => process.disconnect(),
      (error: unknown) => {
        send({ failed: String((error as Error).stack) });
        process.exitCode = 1;
        process.disconnect();
      },
    );
  });
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      events: { type: 'string', default: '50' },
      minutes: { type: 'string' },
      processes: { type: 'string', default: String(os.availableParallelism()) },
      child: { type: 'boolean', default: false },
    },
  });
  if (values.child) {
    child();
    return;
  }
  const server = await startServer();
  const began = performance.now();
  const outcomes: Outcome[] = [];
  try {
    if (values.seed !== undefined) {
      const database = await createSimDatabase(server);
      outcomes.push(await simulate(database, Number(values.seed), Number(values.events)));
      show(outcomes[0]);
      await database.close();
    } else {
      const [from = 1, to = Infinity] = (values.seeds ?? '').split('..').filter(Boolean).map(Number);
      const until = values.minutes === undefined ? Number.MAX_SAFE_INTEGER : Date.now() + Number(values.minutes) * 60_000;
      const processes = Number(values.processes);
      const first = values.seeds === undefined ? (Date.now() % 1_000_000) * 1000 : from;
      const last = Number.isFinite(to) ? to : Number.MAX_SAFE_INTEGER;
      if (values.seeds === undefined && values.minutes === undefined)
        throw new Error('give --seed N, --seeds A..B or --minutes M');
      await Promise.all(
        Array.from({ length: processes }, (_, i) =>
          inChild({ server, range: { from: first + i, to: last, step: processes }, until }, (outcome) => {
            outcomes.push(outcome);
            for (const what of outcome.violations) console.log(`seed ${outcome.seed}: VIOLATION ${what.split('\n')[0]}`);
          }),
        ),
      );
      summarise(outcomes, (performance.now() - began) / 1000);
    }
  } finally {
    await server.stop();
  }
  const failed = outcomes.filter((outcome) => outcome.violations.length > 0).map((outcome) => outcome.seed);
  remember(failed);
  if (failed.length > 0) process.exitCode = 1;
};

await main();
