/** What tests over the verbs begin with and look at. */
import type { Engine } from '../support/engine.ts';

export type Owner = Awaited<ReturnType<Engine['account']>>;

export const lookUp = (engine: Engine) => ({
  /** A started campaign with these leads. */
  running: async (owner: Owner, numbers: readonly string[], fields: object = {}) => {
    const campaign = await engine.campaign(owner, fields);
    const leads = await engine.leads(owner.account, campaign, numbers);
    await engine.verbs.startCampaign(owner.account, engine.now(), campaign);
    return { campaign, leads };
  },
  leadOf: async (account: string, id: string) => (await engine.verbs.getLead(account, engine.now(), id))!,
  statusOf: async (account: string, campaign: string) =>
    (await engine.verbs.getCampaign(account, engine.now(), campaign))!.status,
  eventsOf: async (account: string, call: string) => (await engine.verbs.listCallEvents(account, engine.now(), call, null, 200))!,
});
