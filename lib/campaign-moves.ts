/** Starting, pausing, resuming and canceling a campaign. */
import type * as z from 'zod';
import type { Campaign } from './contract.ts';
import type { Deps } from './deps.ts';
import { followCampaign } from './follow.ts';

export type Move = 'start' | 'pause' | 'resume' | 'cancel';

const VERBS = { start: 'startCampaign', pause: 'pauseCampaign', resume: 'resumeCampaign', cancel: 'cancelCampaign' } as const;

/**
 * Moves a campaign on; null when the account has no such campaign.
 * @throws {Refusal} 409 in a state from which it cannot go there; the message says from which it can
 */
export const moveCampaign = async (
  deps: Deps,
  account: string,
  id: string,
  move: Move,
): Promise<z.infer<typeof Campaign> | null> => {
  const campaign = await deps.verbs[VERBS[move]](account, deps.now(), id);
  if (campaign) followCampaign(deps, account, campaign);
  return campaign;
};
