/** A process of its own that simulates for whoever forked it: one order in, an outcome per seed or the tenants' histories out. */
import type { Message, Order, Seeds } from './children.ts';
import type { SimDatabase } from './database.ts';
import { createSimDatabase } from './server.ts';
import { simulate } from './simulate.ts';
import { playTenants } from './tenants.ts';

const send = (message: Message): void => void process.send!(message);

const play = async (database: SimDatabase, { first, range, until, stopAtViolation, events }: Seeds): Promise<void> => {
  const over = async (seed: number): Promise<boolean> => {
    const outcome = await simulate(database, seed, events);
    send({ outcome });
    return Date.now() >= until || (stopAtViolation && outcome.violations.length > 0);
  };
  for (const seed of first) if (await over(seed)) return;
  for (let seed = range.from; seed <= range.to; seed += range.step) if (await over(seed)) return;
};

const carryOut = async ({ server, schema, work }: Order): Promise<void> => {
  const database = await createSimDatabase(server, schema);
  try {
    if ('tenants' in work) {
      for (const which of work.which) send({ tenants: await playTenants(database, work.tenants, work.of, which) });
    } else await play(database, work);
  } finally {
    await database.close();
  }
};

process.once('message', (order) => {
  carryOut(order as Order).then(
    () => process.disconnect(),
    (error: unknown) => {
      send({ failed: String((error as Error).stack) });
      process.exitCode = 1;
      process.disconnect();
    },
  );
});
