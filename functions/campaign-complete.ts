/** The five-minute cron: completes what nobody saw end, and sweeps the mail outbox. The fast path usually came first. */
import { compose, type Invocation } from '../lib/compose.ts';
import { withDb } from '../lib/db.ts';
import { sweep } from '../lib/summarise.ts';

/** One sweep. May fire zero, one or many times: each mail is leased before it is sent. */
export const onSweep = (invocation: Invocation): Promise<undefined> =>
  withDb(invocation, async (db) => {
    await sweep(compose(invocation, db));
    return undefined;
  });
