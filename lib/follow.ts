/** What follows from a fact once it is committed. */
import type { Deps } from './deps.ts';
import { refill } from './dial.ts';
import { sweepSoon } from './summarise.ts';
import type { Applied } from './verbs.ts';

/** What the fact set free or finished is taken up after the answer has gone. */
export const follow = (deps: Deps, applied: Applied): void => {
  // A mail first: it is one request, a refill may take many.
  if (applied.mail_due) sweepSoon(deps);
  const { refill: mine } = applied;
  if (mine) deps.background('refill', (own) => refill(own, mine));
};
