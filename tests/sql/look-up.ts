/** What tests over the verbs begin with and look at. */
import { phones, type Engine } from '../support/engine.ts';

export type Owner = Awaited<ReturnType<Engine['account']>>;

export const lookUp = (engine: Engine) => {
  const { verbs, now } = engine;
  /** A started campaign with these leads. */
  const running = async (owner: Owner, numbers: readonly string[], fields: object = {}) => {
    const campaign = await engine.campaign(owner, fields);
    const leads = await engine.leads(owner.account, campaign, numbers);
    await verbs.startCampaign(owner.account, now(), campaign);
    return { campaign, leads };
  };
  return {
    running,
    /** A started campaign of `n` leads, in an account of its own with `cap` slots. */
    begun: async (n: number, fields: object = {}, cap = 10) => {
      const owner = await engine.account({ cap });
      return { ...owner, owner, ...(await running(owner, phones(n), fields)) };
    },
    leadOf: async (account: string, id: string) => (await verbs.getLead(account, now(), id))!,
    statusOf: async (account: string, campaign: string) => (await verbs.getCampaign(account, now(), campaign))!.status,
    eventsOf: async (account: string, call: string) => (await verbs.listCallEvents(account, now(), call, null, 200))!,
    summariesOf: async (account: string) =>
      (await verbs.listNotifications(account, now(), null, 10)).filter((mail) => mail.type === 'campaign_summary'),
  };
};
