/** People at the API: they make campaigns, change their minds, and mend what was broken. Each act is one request to its route. */
import { HOUR, MINUTE, SECOND, type Invocation, type Kernel } from './kernel.ts';
import { providerAgentId, SECRET } from './phone-provider.ts';
import type { Heard, Platform } from './platform.ts';
import type { CallRow } from './rows.ts';
import {
  closedNow,
  drawLeads,
  drawPhone,
  drawRetry,
  drawWindow,
  ZONES,
  type AccountPlan,
  type AgentPlan,
  type CampaignPlan,
  type LeadInput,
  type Scenario,
} from './scenario.ts';
import { isTerminal } from './transitions.ts';

/** One thing that somebody wants done. */
interface Wish {
  name: string;
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  /** JSON; text is sent as CSV. */
  body?: object | string;
  /** Whoever asks again says that it is the same request. */
  key?: string;
  /** Told of an answer that is not 5xx, save of one that says that the first request is still running. */
  heard?: (answer: Heard) => void;
}
/** Null: nothing to be done after all. Drawn anew when the request is repeated. */
type Act = () => Wish | null;

const REPEATS = 3;
const ORIGIN = 'https://ringleader.test';

export interface People {
  /** Makes the accounts with all they have, and starts what is to be started at once. */
  arrive(): Promise<void>;
  /** Plans the interferences of the faulty phase. */
  interfere(until: number): void;
  /** Does, now and then, what changes everything for a call that `by` has just reserved or queued. */
  meddle(call: CallRow, by: Invocation): void;
  /** Mends and resumes whatever waits for a person. True when there was something to do. */
  mend(): boolean;
}

const isRunning = ({ status, body }: Heard): boolean =>
  status === 409 && (body as { error: { code: string } }).error.code === 'idempotency_in_progress';

const move = (campaign: string, action: 'start' | 'pause' | 'resume' | 'cancel'): Wish => ({
  name: action,
  method: 'POST',
  path: `/v1/campaigns/${campaign}/${action}`,
});
const edit = (campaign: string, fields: object): Wish => ({
  name: 'edit',
  method: 'PATCH',
  path: `/v1/campaigns/${campaign}`,
  body: fields,
});
const hangUp = (call: string): Wish => ({ name: 'hang-up', method: 'POST', path: `/v1/calls/${call}/cancel` });
const credentials = (agent: string): Wish => ({
  name: 'credentials',
  method: 'PATCH',
  path: `/v1/agents/${agent}`,
  body: { credentials: { api_key: SECRET } },
});

export const createPeople = (kernel: Kernel, platform: Platform, adminKey: string, scenario: Scenario): People => {
  const { random } = kernel;
  const { ledger } = platform.shared;
  const planOf = (account: string): AccountPlan => scenario.accounts.find((plan) => plan.id === account)!;

  const requestFor = (plan: AccountPlan, { method, path, body, key }: Wish): Request => {
    const headers = new Headers({ authorization: `Bearer ${plan.apiKey === '' ? adminKey : plan.apiKey}` });
    if (key !== undefined) headers.set('idempotency-key', key);
    const csv = typeof body === 'string';
    if (body !== undefined) headers.set('content-type', csv ? 'text/csv' : 'application/json');
    const sent = body === undefined ? null : csv ? body : JSON.stringify(body);
    return new Request(`${ORIGIN}${path}`, { method, headers, body: sent });
  };

  /** Asks, and asks again when that was answered 5xx, or not yet. */
  const request = async (plan: AccountPlan, act: Act, repeats = REPEATS): Promise<void> => {
    const wish = act();
    if (wish === null) return;
    const answer = await platform.ask(wish.name, requestFor(plan, wish));
    if (answer.status === 401) ledger.violated(`#8 the key of an account was refused (${wish.name})`);
    if (answer.status >= 500 || isRunning(answer)) {
      if (repeats > 0) kernel.after(random.between(5, 60) * SECOND, () => void request(plan, () => wish, repeats - 1));
      return;
    }
    wish.heard?.(answer);
  };
  const ask = (plan: AccountPlan, wish: Wish): void => void request(plan, () => wish);

  /** @throws when the answer is none of success: the scenario itself is wrong */
  const made = ({ status, body }: Heard): Record<string, unknown> => {
    if (status >= 300) throw new Error(`the scenario cannot be played: ${status} ${JSON.stringify(body)}`);
    return body as Record<string, unknown>;
  };

  const upload = (campaign: CampaignPlan, key: string, leads: LeadInput[]): Wish => ({
    name: 'upload',
    method: 'POST',
    path: `/v1/campaigns/${campaign.id}/leads`,
    body: { leads },
    key,
    heard({ status, body }) {
      if (status !== 200) return;
      const report = body as Record<'rows' | 'imported' | 'duplicates' | 'invalid', number>;
      if (report.rows !== leads.length || report.imported + report.duplicates + report.invalid !== report.rows) {
        ledger.violated('#9 an import does not add up');
      }
      const there = new Set(ledger.leadsOf(campaign.id).map((lead) => lead.phone));
      if (report.invalid > 0 || leads.some((lead) => !there.has(lead.phone)))
        ledger.violated('#9 a lead of an import is missing');
    },
  });

  const makeAccount = (plan: AccountPlan): Wish => ({
    name: 'account',
    method: 'POST',
    path: '/v1/accounts',
    body: { name: 'Acme', email: 'owner@example.com', timezone: plan.timezone, max_concurrent_calls: plan.cap },
    key: plan.key,
    heard(answer) {
      const { account, api_key: apiKey } = made(answer) as { account: { id: string }; api_key: string };
      Object.assign(plan, { id: account.id, apiKey });
    },
  });
  const makeAgent = (plan: AccountPlan, agent: AgentPlan): Wish => ({
    name: 'agent',
    method: 'POST',
    path: '/v1/agents',
    body: {
      name: 'Ann',
      provider: agent.dialect,
      provider_agent_id: providerAgentId(plan.id, agent.key),
      credentials: { api_key: SECRET },
    },
    key: agent.key,
    heard: (answer) => (agent.id = made(answer)['id'] as string),
  });
  const makeCampaign = (campaign: CampaignPlan): Wish => ({
    name: 'create',
    method: 'POST',
    path: '/v1/campaigns',
    body: { ...campaign.fields, agent_id: campaign.agent.id },
    key: campaign.key,
    heard: (answer) => (campaign.id = made(answer)['id'] as string),
  });

  /** What a person does one after the other to get a campaign going. */
  const arrivalOf = (plan: AccountPlan): (() => Wish)[] => [
    () => makeAccount(plan),
    ...(plan.pace === null
      ? []
      : [(): Wish => ({ name: 'account', method: 'PATCH', path: '/v1/account', body: { calls_per_second: plan.pace } })]),
    ...plan.agents.map((agent) => () => makeAgent(plan, agent)),
    ...plan.campaigns.flatMap((campaign) => [
      () => makeCampaign(campaign),
      () => upload(campaign, campaign.key, campaign.leads),
      ...(campaign.started ? [() => move(campaign.id, 'start')] : []),
    ]),
  ];

  const suppress = (phones: readonly string[]): Wish => ({
    name: 'suppress',
    method: 'POST',
    path: '/v1/suppressions',
    body: phones.length === 1 ? { phone: phones[0] } : ['phone', ...phones].join('\n'),
    key: random.uuid(),
  });

  /** Looking at things changes nothing, and shows nothing of anybody else. */
  const look = (campaign: string): Wish => {
    const path = random.pick([
      `/v1/campaigns/${campaign}`,
      `/v1/campaigns/${campaign}/preflight`,
      `/v1/campaigns/${campaign}/leads`,
      `/v1/calls?campaign_id=${campaign}`,
      '/v1/notifications',
      '/v1/status',
    ]);
    return { name: 'look', method: 'GET', path };
  };

  const campaignPatch = (plan: AccountPlan): object => {
    const zone = random.pick(ZONES);
    return random.pick([
      { max_concurrent_calls: random.chance(0.3) ? null : random.int(1, 4) },
      { calls_per_second: random.chance(0.5) ? null : random.between(0.05, 2) },
      { window: drawWindow(random, zone, kernel.now), timezone: zone },
      { window: drawWindow(random, plan.timezone, kernel.now) },
      { timezone: random.chance(0.3) ? null : zone },
      { ends_at: new Date(kernel.now + random.between(MINUTE, 5 * HOUR)).toISOString() },
      { ends_at: null, starts_at: random.chance(0.5) ? null : new Date(kernel.now + random.between(0, HOUR)).toISOString() },
      { retry: drawRetry(random) },
      { hot_score: 50, warm_score: 20 },
    ]);
  };
  const accountPatch = (): object =>
    random.pick([
      { max_concurrent_calls: random.int(1, 6) },
      { calls_per_second: random.chance(0.5) ? null : random.between(0.1, 3) },
      { timezone: random.pick(ZONES) },
    ]);

  const hangUpAny =
    (plan: AccountPlan): Act =>
    () => {
      const own = [...ledger.calls.values()].filter((call) => call.account === plan.id && !isTerminal(call.status));
      const open = own.find((call) => call.status === 'waiting') ?? own[0];
      return open ? hangUp(open.id) : null;
    };
  const sendAgain =
    (plan: AccountPlan): Act =>
    () => {
      const mail = [...ledger.notifications.values()].find(
        (one) => one.account === plan.id && ['failed', 'unknown', 'skipped'].includes(one.status),
      );
      if (!mail) return null;
      // Asked for before it is known whether the request got through, and again with each repetition.
      ledger.askedAgain.set(mail.id, (ledger.askedAgain.get(mail.id) ?? 0) + 1 + REPEATS);
      return { name: 'send-again', method: 'POST', path: `/v1/notifications/${mail.id}/send` };
    };

  const direct = (_plan: AccountPlan, _campaign: CampaignPlan, { id }: AgentPlan): Wish => ({
    name: 'direct',
    method: 'POST',
    path: '/v1/calls',
    body: { agent_id: id, to: drawPhone(random) },
    key: random.uuid(),
  });

  const acts: readonly ((plan: AccountPlan, campaign: CampaignPlan, agent: AgentPlan) => Wish | Act)[] = [
    (_plan, { id }) => move(id, 'pause'),
    (_plan, { id }) => move(id, 'resume'),
    (_plan, { id }) => move(id, 'start'),
    (_plan, { id }) => (random.chance(0.5) ? move(id, 'cancel') : look(id)),
    (plan, { id }) => edit(id, campaignPatch(plan)),
    () => ({ name: 'account', method: 'PATCH', path: '/v1/account', body: accountPatch() }),
    () => suppress(Array.from({ length: random.int(1, 4) }, () => drawPhone(random))),
    () => ({ name: 'unsuppress', method: 'DELETE', path: `/v1/suppressions/${encodeURIComponent(drawPhone(random))}` }),
    direct,
    direct,
    direct,
    hangUpAny,
    (_plan, campaign) => upload(campaign, random.uuid(), drawLeads(random, random.int(1, 4))),
    (_plan, _campaign, { id }) => credentials(id),
    () => ({
      name: 'preferences',
      method: 'PUT',
      path: '/v1/account/notification-preferences',
      body: { campaign_summary_emails: random.chance(0.7) },
    }),
    sendAgain,
  ];

  const shut = ({ campaign }: CallRow): Wish =>
    edit(campaign!, { window: { days: [1, 2, 3, 4, 5, 6, 7], ...closedNow(kernel.now) }, timezone: 'UTC' });
  const stop = ({ phone }: CallRow): Wish => suppress([phone]);
  const pause = ({ campaign }: CallRow): Wish => move(campaign!, 'pause');
  const cancel = ({ campaign }: CallRow): Wish => move(campaign!, 'cancel');
  const end = ({ campaign }: CallRow): Wish =>
    edit(campaign!, { ends_at: new Date(kernel.now + random.between(1, 40) * SECOND).toISOString() });
  const postpone = ({ campaign }: CallRow): Wish =>
    edit(campaign!, { starts_at: new Date(kernel.now + random.between(1, 60) * MINUTE).toISOString(), ends_at: null });
  const fewer = ({ campaign }: CallRow): Wish => edit(campaign!, { retry: { max_attempts: 1 } });
  const hangUpOf = ({ id }: CallRow): Wish => hangUp(id);
  const meddlingInCalls = [stop, hangUpOf, hangUpOf];
  const meddlingInCampaigns = [
    shut,
    shut,
    shut,
    stop,
    stop,
    stop,
    pause,
    pause,
    end,
    postpone,
    fewer,
    cancel,
    hangUpOf,
    hangUpOf,
  ];

  return {
    async arrive() {
      for (const plan of scenario.accounts) {
        for (const act of arrivalOf(plan)) {
          const arriving = { over: false };
          void request(plan, act).finally(() => (arriving.over = true));
          while (!arriving.over) await kernel.step();
        }
      }
    },
    interfere(until) {
      if (kernel.faults.shares.person_interferes === 0) return;
      const times = random.int(1, 8);
      for (let i = 0; i < times; i += 1) {
        kernel.after(random.between(0, until - kernel.now), () => {
          if (!kernel.faults.on) return;
          const plan = random.pick(scenario.accounts);
          const act = random.pick(acts)(plan, random.pick(plan.campaigns), random.pick(plan.agents));
          kernel.faults.counts.person_interferes = (kernel.faults.counts.person_interferes ?? 0) + 1;
          void request(plan, typeof act === 'function' ? act : () => act);
        });
      }
    },
    meddle(call, by) {
      if (!kernel.faults.hit('person_meddles')) return;
      const wish = random.pick(call.campaign === null ? meddlingInCalls : meddlingInCampaigns)(call);
      const delay = wish.name === 'hang-up' ? random.between(0, 40) * SECOND : 0;
      kernel.after(delay, () => ask(planOf(call.account), wish));
      // Half the time the worker is so slow that the person comes between its claim and its fence.
      if (random.chance(0.5)) kernel.stall(by, random.between(1, 30) * SECOND);
    },
    mend() {
      let any = false;
      for (const [id, agent] of ledger.agents) {
        if (!agent.paused) continue;
        any = true;
        ask(planOf(agent.account), credentials(id));
      }
      for (const { id, status, account } of ledger.campaigns.values()) {
        if (status !== 'paused' && status !== 'draft') continue;
        any = true;
        const plan = planOf(account);
        const begin = move(id, status === 'draft' ? 'start' : random.chance(0.6) ? 'resume' : 'cancel');
        // Without a callable lead it cannot start: nobody will ever need it.
        const heard = (answer: Heard): void => {
          if (answer.status === 409 && status === 'draft') ask(plan, move(id, 'cancel'));
        };
        ask(plan, { ...begin, heard });
      }
      return any;
    },
  };
};
