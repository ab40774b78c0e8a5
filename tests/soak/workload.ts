/** What the clients of the soak do, and how often. Which of it, to whom and with what follows from the seed. */
import { tick } from '../../functions/dispatch.ts';
import { cancelCall, placeDirectCall, wakeDispatch } from '../../lib/dial.ts';
import { follow } from '../../lib/follow.ts';
import { importJson } from '../../lib/import-leads.ts';
import { sweep, sweepSoon } from '../../lib/summarise.ts';
import type { Deps } from '../../lib/deps.ts';
import type { Random } from '../sim/random.ts';
import { type Invoke, SYSTEM_CAP } from './invocation.ts';
import { providerAgentId, type World } from './world.ts';

export interface Owner {
  account: string;
  agent: string;
  campaigns: string[];
}
export interface Scene {
  owners: Owner[];
  /** Campaigns that may still be made. */
  campaignsLeft: number;
  world: World;
  invoke: Invoke;
}

const ALWAYS = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
/** Numbers are few, so that campaigns, direct calls and suppressions of an account meet. */
const phone = (dice: Random): string => `+1415555${String(dice.int(0, 400)).padStart(4, '0')}`;
const leads = (dice: Random, n: number) => Array.from({ length: n }, () => ({ phone: phone(dice) }));

const makeCampaign = async (deps: Deps, owner: Owner, dice: Random): Promise<void> => {
  const id = deps.newId();
  await deps.verbs.createCampaign(owner.account, deps.now(), id, {
    name: 'Soak',
    agent_id: owner.agent,
    window: ALWAYS,
    default_country: 'US',
    max_concurrent_calls: dice.int(2, 6),
    retry: {
      max_attempts: dice.int(1, 3),
      no_answer_minutes: 2,
      busy_minutes: 1,
      voicemail_minutes: 3,
      failed_minutes: 2,
      unknown_minutes: 5,
    },
    analysis_grace_minutes: 2,
  });
  owner.campaigns.push(id);
  await importJson(deps, owner.account, id, leads(dice, dice.int(10, 30)));
  await deps.verbs.startCampaign(owner.account, deps.now(), id);
  wakeDispatch(deps, owner.account);
};

/** An account with an agent and a first campaign. */
export const makeOwner = async (deps: Deps, dice: Random): Promise<Owner> => {
  const [account, agent] = [deps.newId(), deps.newId()];
  await deps.verbs.createAccount(
    account,
    deps.now(),
    'Soak',
    'owner@ringleader.test',
    'UTC',
    dice.int(3, 10),
    deps.newId(),
    deps.newId(),
  );
  await deps.verbs.createAgent(account, deps.now(), {
    id: agent,
    name: 'Ann',
    provider: 'bolna',
    provider_agent_id: providerAgentId(account, agent),
    from_number: null,
    credentials_sealed: await deps.sealer.seal('{"api_key":"k"}'),
    webhook_secrets_sealed: null,
    analysis_mapping: null,
  });
  const owner: Owner = { account, agent, campaigns: [] };
  await makeCampaign(deps, owner, dice);
  return owner;
};

/** Applies one webhook that is due; it comes again when that fails. False: none was due. */
export const deliver = async ({ world, invoke }: Scene, dice: Random): Promise<boolean> => {
  const delivery = world.take(dice);
  if (!delivery) return false;
  const { account, agent, fact } = delivery;
  const taken = await invoke('webhook', async (deps) => {
    const applied = await deps.verbs.applyFact(account, deps.now(), agent, deps.newId(), fact);
    if (applied) follow(deps, applied);
  });
  if (!taken) world.giveBack(delivery);
  return true;
};

type Act = (scene: Scene, dice: Random, owner: Owner) => Promise<unknown>;
const onCampaign =
  (name: string, act: (deps: Deps, owner: Owner, campaign: string, dice: Random) => Promise<unknown>): Act =>
  ({ invoke }, dice, owner) => {
    const campaign = dice.pick(owner.campaigns.slice(-4)); // the older ones are done
    return invoke(name, (deps) => act(deps, owner, campaign, dice));
  };
const onAccount =
  (name: string, act: (deps: Deps, owner: Owner, dice: Random) => Promise<unknown>): Act =>
  ({ invoke }, dice, owner) =>
    invoke(name, (deps) => act(deps, owner, dice));

const cancelSome = async (deps: Deps, { account }: Owner, dice: Random): Promise<void> => {
  const calls = await deps.verbs.listCalls(account, deps.now(), null, null, null, 20);
  if (calls.length > 0) await cancelCall(deps, account, dice.pick(calls).id);
};
const callDirectly = async (deps: Deps, { account, agent }: Owner, dice: Random): Promise<void> => {
  const id = deps.newId();
  await deps.verbs.requestDirectCall(account, deps.now(), id, agent, phone(dice), null, {});
  await placeDirectCall(deps, account, id);
};

/** Each with its share. */
const ACTS: readonly [share: number, act: Act][] = [
  [40, (scene, dice) => deliver(scene, dice)],
  [12, ({ invoke }) => invoke('tick', (deps) => tick(deps))],
  [4, ({ invoke }) => invoke('sweep', (deps) => sweep(deps))],
  // A worker that dies between claim and fence.
  [
    2,
    ({ invoke }, dice) =>
      invoke('claim, then death', (deps) => deps.verbs.claimCalls(deps.now(), deps.newId(), dice.int(1, 3), SYSTEM_CAP)),
  ],
  [
    4,
    onCampaign('import', async (deps, { account }, campaign, dice) => {
      await importJson(deps, account, campaign, leads(dice, dice.int(1, 8)));
      wakeDispatch(deps, account);
      sweepSoon(deps);
    }),
  ],
  [
    1,
    // An import that nobody finishes.
    onCampaign('import, then death', (deps, { account }, campaign) =>
      deps.verbs.beginImport(account, deps.now(), deps.newId(), campaign),
    ),
  ],
  [5, onAccount('direct call', callDirectly)],
  [4, onAccount('cancel of a call', cancelSome)],
  [
    2,
    onAccount('suppression', (deps, { account }, dice) =>
      deps.verbs.addSuppressions(account, deps.now(), [{ phone: phone(dice), reason: null }]),
    ),
  ],
  [
    1,
    onAccount('end of a suppression', (deps, { account }, dice) =>
      deps.verbs.deleteSuppression(account, deps.now(), phone(dice)),
    ),
  ],
  [
    4,
    onAccount('cap of an account', (deps, { account }, dice) =>
      deps.verbs.updateAccount(account, deps.now(), { max_concurrent_calls: dice.int(1, 10) }),
    ),
  ],
  [
    4,
    onCampaign('cap of a campaign', (deps, { account }, campaign, dice) =>
      deps.verbs.updateCampaign(account, deps.now(), campaign, { max_concurrent_calls: dice.int(1, 6) }),
    ),
  ],
  [3, onCampaign('pause', (deps, { account }, campaign) => deps.verbs.pauseCampaign(account, deps.now(), campaign))],
  [
    5,
    onCampaign('resume', async (deps, { account }, campaign) => {
      await deps.verbs.resumeCampaign(account, deps.now(), campaign);
      wakeDispatch(deps, account);
    }),
  ],
  [
    0.3,
    onCampaign('cancel of a campaign', async (deps, { account }, campaign) => {
      await deps.verbs.cancelCampaign(account, deps.now(), campaign);
      sweepSoon(deps);
    }),
  ],
  [
    3,
    async (scene, dice, owner) => {
      if (scene.campaignsLeft <= 0) return;
      scene.campaignsLeft -= 1;
      await scene.invoke('new campaign', (deps) => makeCampaign(deps, owner, dice));
    },
  ],
  [2, onCampaign('look at a campaign', (deps, { account }, campaign) => deps.verbs.getCampaign(account, deps.now(), campaign))],
];
const ALL = ACTS.reduce((sum, [share]) => sum + share, 0);

/** One thing that a client does. */
export const actOnce = async (scene: Scene, dice: Random): Promise<void> => {
  let left = dice.between(0, ALL);
  const [, act] = ACTS.find(([share]) => (left -= share) < 0) ?? ACTS[0]!;
  await act(scene, dice, dice.pick(scene.owners));
};
