/** What follows from a change once it is committed: calls to make, mails to send. */
import type { Deps } from './deps.ts';
import { refill, wakeDispatch } from './dial.ts';
import { sweepSoon } from './summarise.ts';
import type { Applied } from './verb-shapes.ts';

/** What the fact set free or finished is taken up after the answer has gone. */
export const follow = (deps: Deps, applied: Applied): void => {
  // A mail first: it is one request, a refill may take many.
  if (applied.mail_due) sweepSoon(deps);
  const { refill: mine } = applied;
  if (mine) deps.background('refill', (own) => refill(own, mine));
};

/** A campaign that a change ended owes its summary; one that runs may have calls to make. */
export const followCampaign = (deps: Deps, account: string, { status }: { status: string }): void => {
  if (status === 'canceled' || status === 'completed') sweepSoon(deps);
  else if (status === 'active') wakeDispatch(deps, account);
};

/** However an upload ended: leads may have gone in, and the campaign may have waited for its end alone. */
export const followUpload = (deps: Deps, account: string): void => {
  wakeDispatch(deps, account);
  sweepSoon(deps);
};
