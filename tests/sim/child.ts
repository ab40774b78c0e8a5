/** A process of its own that simulates for whoever forked it: one order in, an outcome per seed or the tenants' histories out. */
import type { Message, Order, Seeds } from './children.ts';
import type { SimDatabase } from './database.ts';
import { createSimDatabase } from './server.ts';
import { simulate } from './simulate.ts';
import { playTenants } from './tenants.ts';

/** Done when it is on its way: what still waits to be written when the channel closes is lost. */
const send = (message: Message): Promise<void> =>
  new Promise((sent, failed) => {
    process.send!(message, (error: Error | null) => (error === null ? sent() : failed(error)));
  });

const play = async (database: SimDatabase, { first, range, until, stopAtViolation, events }: Seeds): Promise<void> => {
  const over = async (seed: number): Promise<boolean> => {
    const outcome = await simulate(database, seed, events);
    await send({ outcome });
    return Date.now() >= until || (stopAtViolation && outcome.violations.length > 0);
  };
  for (const seed of first) if (await over(seed)) return;
  for (let seed = range.from; seed <= range.to; seed += range.step) if (await over(seed)) return;
};

const carryOut = async ({ server, schema, work }: Order): Promise<void> => {
  const database = await createSimDatabase(server, schema);
  try {
    if ('tenants' in work) {
      for (const which of work.which) await send({ tenants: await playTenants(database, work.tenants, work.of, which) });
    } else await play(database, work);
  } finally {
    await database.close();
  }
};

process.once('message', (order) => {
  carryOut(order as Order).then(
    () => process.disconnect(),
    async (error: unknown) => {
      process.exitCode = 1;
      await send({ failed: String((error as Error).stack) });
      process.disconnect();
    },
  );
});
