/** Call dispatch, as the cron `* * * * *` drives it: whatever an invocation left behind is taken up here. */
import { compose, type Invocation } from '../lib/compose.ts';
import { withDb } from '../lib/db.ts';
import type { Deps } from '../lib/deps.ts';
import { dispatch } from '../lib/dial.ts';
import { reconcile } from '../lib/reconcile.ts';
import { sweepSoon } from '../lib/summarise.ts';

/** Calls looked at per tick, and together with create-calls: with the mails after them, 40 subrequests. */
const LOOKS = 16;
const ASKS = 28;
/** Real milliseconds after which no more looks begin; those under way take 5 s at most. */
const LOOKS_MS = 6_000;

/** What one tick does, whoever composed its dependencies. Answers as {@link onTick}. */
export const tick = async (deps: Deps): Promise<Date | null> => {
  const upkeep = await deps.verbs.tick(deps.now(), LOOKS);
  for (const { step, id, sqlstate } of upkeep.failed)
    deps.report('call_dispatch_failed', new Error(`the tick could not ${step}`), { step, row_id: id, code: sqlstate });
  const found = await reconcile(deps, upkeep.look_at, LOOKS_MS);
  if (upkeep.mail_due || found) sweepSoon(deps);
  const { unfinished, paced } = await dispatch(deps, ASKS - upkeep.look_at.length);
  const next = await deps.verbs.nextDue(deps.now());
  if ((unfinished && !paced) || upkeep.unfinished) return deps.now();
  return next === null ? null : new Date(next);
};

/**
 * One tick: expired leases, quiet and uncertain calls, refills left over. May fire zero, one or many times. Answers with the
 * instant before which no tick has anything to do; null: none until somebody adds work.
 */
export const onTick = (invocation: Invocation): Promise<Date | null> => withDb(invocation, (db) => tick(compose(invocation, db)));
