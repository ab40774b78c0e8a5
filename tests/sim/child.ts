/** A process of its own that plays seeds for whoever forked it: one order in, an outcome per seed out. */
import type { Message, Order } from './children.ts';
import { createSimDatabase } from './server.ts';
import { simulate, type Outcome } from './simulate.ts';

const play = async ({ server, first, range, until, stopAtViolation }: Order, told: (outcome: Outcome) => void): Promise<void> => {
  const database = await createSimDatabase(server);
  const over = async (seed: number): Promise<boolean> => {
    const outcome = await simulate(database, seed);
    told({ ...outcome, lastEvents: [] });
    return Date.now() >= until || (stopAtViolation && outcome.violations.length > 0);
  };
  try {
    for (const seed of first) if (await over(seed)) return;
    for (let seed = range.from; seed <= range.to; seed += range.step) if (await over(seed)) return;
  } finally {
    await database.close();
  }
};

process.once('message', (order) => {
  const send = (message: Message): void => void process.send!(message);
  play(order as Order, (outcome) => send({ outcome })).then(
    () => process.disconnect(),
    (error: unknown) => {
      send({ failed: String((error as Error).stack) });
      process.exitCode = 1;
      process.disconnect();
    },
  );
});
