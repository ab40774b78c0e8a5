/** People at the API: they make campaigns, change their minds, and mend what was broken. Each act is one request, as its route serves it. */
import type * as z from 'zod';
import type { CampaignPatch } from '../../lib/contract.ts';
import type { Deps } from '../../lib/deps.ts';
import { cancelCall, placeDirectCall, wakeDispatch } from '../../lib/dial.ts';
import { Refusal } from '../../lib/errors.ts';
import { importJson } from '../../lib/import-leads.ts';
import { HOUR, MINUTE, SECOND, type Kernel } from './kernel.ts';
import type { Platform } from './platform.ts';
import { providerAgentId } from './phone-provider.ts';
import {
  drawLeads,
  drawPhone,
  closedNow,
  drawRetry,
  drawWindow,
  ZONES,
  type AccountPlan,
  type LeadInput,
  type Scenario,
} from './scenario.ts';
import type { CallRow } from './rows.ts';
import { isTerminal } from './transitions.ts';

type Seam = Pick<Deps, keyof Deps>;
type Act = (deps: Seam) => Promise<void>;
type CampaignPatchIn = z.infer<typeof CampaignPatch>;
const REPEATS = 3;

export interface People {
  /** Makes the accounts with all they have, and starts what is to be started at once. */
  arrive(): Promise<void>;
  /** Plans the interferences of the faulty phase. */
  interfere(until: number): void;
  /** Does, now and then, what changes everything for a call that has just been reserved or queued. */
  meddle(call: CallRow): void;
  /** Mends and resumes whatever waits for a person. True when there was something to do. */
  mend(): boolean;
}

export const createPeople = (kernel: Kernel, platform: Platform, scenario: Scenario): People => {
  const { random } = kernel;
  const { ledger } = platform.shared;

  /** One request that changes something; repeated by the person when it was answered 5xx. */
  const request = async (name: string, act: Act, repeats = REPEATS): Promise<void> => {
    const { answered } = await platform.call(name, async ({ deps, wake }) => {
      await wake();
      await act(deps);
    });
    if (!answered && repeats > 0) {
      kernel.after(random.between(5, 60) * SECOND, () => void request(name, act, repeats - 1));
    }
  };

  const start = (plan: AccountPlan, campaign: string): [string, Act] => [
    'start',
    async (deps) => {
      await deps.verbs.startCampaign(plan.id, deps.now(), campaign);
      wakeDispatch(deps, plan.id);
    },
  ];

  const upload = async (deps: Seam, account: string, campaign: string, leads: LeadInput[]): Promise<void> => {
    const report = await importJson(deps, account, campaign, leads);
    wakeDispatch(deps, account);
    if (report.rows !== leads.length || report.imported + report.duplicates + report.invalid !== report.rows) {
      ledger.violated('#9 an import does not add up');
    }
    const there = new Set(ledger.leadsOf(campaign).map((lead) => lead.phone));
    if (report.invalid > 0 || leads.some((lead) => !there.has(lead.phone))) ledger.violated('#9 a lead of an import is missing');
  };

  const makeAccount = async ({ verbs, now }: Seam, plan: AccountPlan): Promise<void> => {
    await verbs.createAccount(plan.id, now(), 'Acme', 'owner@example.com', plan.timezone, plan.cap, random.uuid(), random.uuid());
    if (plan.pace !== null) await verbs.updateAccount(plan.id, now(), { calls_per_second: plan.pace });
    for (const agent of plan.agents) {
      await verbs.createAgent(plan.id, now(), {
        id: agent.id,
        name: 'Ann',
        provider: agent.dialect,
        provider_agent_id: providerAgentId(plan.id, agent.id),
        from_number: null,
        credentials_sealed: '{"api_key":"k"}',
        webhook_secrets_sealed: null,
        analysis_mapping: null,
      });
    }
  };

  /** What a person does one after the other to get a campaign going, each a request. */
  const arrivalOf = (plan: AccountPlan): [string, Act][] => [
    ['account', (deps) => makeAccount(deps, plan)],
    ...plan.campaigns.flatMap((campaign): [string, Act][] => [
      ['create', async ({ verbs, now }) => void (await verbs.createCampaign(plan.id, now(), campaign.id, campaign.fields))],
      ['upload', (deps) => upload(deps, plan.id, campaign.id, campaign.leads)],
      ...(campaign.started ? [start(plan, campaign.id)] : []),
    ]),
  ];

  const suppress = (account: string, phones: readonly string[]): [string, Act] => [
    'suppress',
    async ({ verbs, now }) =>
      void (await verbs.addSuppressions(
        account,
        now(),
        phones.map((phone) => ({ phone, reason: null })),
      )),
  ];

  const acts: readonly ((plan: AccountPlan, campaign: string, agent: string) => [string, Act])[] = [
    (plan, campaign) => ['pause', async ({ verbs, now }) => void (await verbs.pauseCampaign(plan.id, now(), campaign))],
    (plan, campaign) => [
      'resume',
      async (deps) => {
        await deps.verbs.resumeCampaign(plan.id, deps.now(), campaign);
        wakeDispatch(deps, plan.id);
      },
    ],
    start,
    (plan, campaign) => {
      if (!random.chance(0.3))
        return ['look', async ({ verbs, now }) => void (await verbs.getCampaign(plan.id, now(), campaign))];
      return ['cancel', async ({ verbs, now }) => void (await verbs.cancelCampaign(plan.id, now(), campaign))];
    },
    (plan, campaign) => {
      const zone = random.pick(ZONES);
      const patch = random.pick([
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
      return [
        'edit',
        async (deps) => {
          const row = await deps.verbs.updateCampaign(plan.id, deps.now(), campaign, patch);
          if (row?.status === 'active') wakeDispatch(deps, plan.id);
        },
      ];
    },
    (plan) => {
      const patch = random.pick([
        { max_concurrent_calls: random.int(1, 6) },
        { calls_per_second: random.chance(0.5) ? null : random.between(0.1, 3) },
        { timezone: random.pick(ZONES) },
      ]);
      return ['account', async ({ verbs, now }) => void (await verbs.updateAccount(plan.id, now(), patch))];
    },
    (plan) =>
      suppress(
        plan.id,
        Array.from({ length: random.int(1, 4) }, () => drawPhone(random)),
      ),
    (plan) => {
      const phone = drawPhone(random);
      return ['unsuppress', async ({ verbs, now }) => void (await verbs.deleteSuppression(plan.id, now(), phone))];
    },
    (plan, _campaign, agent) => {
      const [id, to] = [random.uuid(), drawPhone(random)];
      return [
        'direct',
        async (deps) => {
          await deps.verbs.requestDirectCall(plan.id, deps.now(), id, agent, to, null, {});
          await placeDirectCall(deps, plan.id, id);
        },
      ];
    },
    (plan) => [
      'hang-up',
      async (deps) => {
        const own = [...ledger.calls.values()].filter((call) => call.account === plan.id && !isTerminal(call.status));
        const open = own.find((call) => call.status === 'waiting') ?? own[0];
        if (open) await cancelCall(deps, plan.id, open.id);
      },
    ],
    (plan, campaign) => {
      const leads = drawLeads(random, random.int(1, 4));
      return ['upload', (deps) => upload(deps, plan.id, campaign, leads)];
    },
    (plan, _campaign, agent) => [
      'credentials',
      async ({ verbs, now }) => void (await verbs.updateAgent(plan.id, now(), agent, { credentials_sealed: '{"api_key":"k"}' })),
    ],
    (plan) => [
      'preferences',
      async ({ verbs, now }) => void (await verbs.setPreference(plan.id, now(), 'campaign_summary', random.chance(0.7))),
    ],
    (plan) => [
      'send-again',
      async ({ verbs, now }) => {
        const mail = [...ledger.notifications.values()].find(
          (one) => one.account === plan.id && ['failed', 'unknown', 'skipped'].includes(one.status),
        );
        if (!mail) return;
        // Asked for before it is known whether the request got through.
        ledger.askedAgain.set(mail.id, (ledger.askedAgain.get(mail.id) ?? 0) + 1);
        await verbs.requestSend(plan.id, now(), mail.id);
      },
    ],
  ];

  const patch = (call: CallRow, fields: CampaignPatchIn): [string, Act] => [
    'edit',
    async ({ verbs, now }) => void (await verbs.updateCampaign(call.account, now(), call.campaign!, fields)),
  ];
  const stop = (call: CallRow): [string, Act] => suppress(call.account, [call.phone]);
  const meddlingInCalls: readonly ((call: CallRow) => [string, Act])[] = [
    stop,
    (call) => ['hang-up', async (deps) => void (await cancelCall(deps, call.account, call.id))],
    (call) => ['hang-up', async (deps) => void (await cancelCall(deps, call.account, call.id))],
  ];
  const shut = (call: CallRow): [string, Act] =>
    patch(call, { window: { days: [1, 2, 3, 4, 5, 6, 7], ...closedNow(kernel.now) }, timezone: 'UTC' });
  const meddlingInCampaigns: readonly ((call: CallRow) => [string, Act])[] = [
    shut,
    shut,
    shut,
    stop,
    stop,
    stop,
    (call) => ['pause', async ({ verbs, now }) => void (await verbs.pauseCampaign(call.account, now(), call.campaign!))],
    (call) => patch(call, { ends_at: new Date(kernel.now + random.between(1, 40) * SECOND).toISOString() }),
    (call) => patch(call, { starts_at: new Date(kernel.now + random.between(1, 60) * MINUTE).toISOString(), ends_at: null }),
    (call) =>
      random.chance(0.3)
        ? ['cancel', async ({ verbs, now }) => void (await verbs.cancelCampaign(call.account, now(), call.campaign!))]
        : patch(call, { retry: { max_attempts: 1 } }),
  ];

  return {
    async arrive() {
      for (const [name, act] of scenario.accounts.flatMap(arrivalOf)) {
        const arriving = { over: false };
        void request(name, act).finally(() => (arriving.over = true));
        while (!arriving.over) await kernel.step();
      }
    },
    interfere(until) {
      if (kernel.faults.shares.person_interferes === 0) return;
      const times = random.int(1, 8);
      for (let i = 0; i < times; i += 1) {
        kernel.after(random.between(0, until - kernel.now), () => {
          if (!kernel.faults.on) return;
          const plan = random.pick(scenario.accounts);
          const [name, act] = random.pick(acts)(plan, random.pick(plan.campaigns).id, random.pick(plan.agents).id);
          kernel.faults.counts.person_interferes = (kernel.faults.counts.person_interferes ?? 0) + 1;
          void request(name, act);
        });
      }
    },
    meddle(call) {
      if (!kernel.faults.hit('person_meddles')) return;
      const [name, act] = random.pick(call.campaign === null ? meddlingInCalls : meddlingInCampaigns)(call);
      kernel.after(0, () => void request(name, act));
    },
    mend() {
      let any = false;
      for (const [id, agent] of ledger.agents) {
        if (!agent.paused) continue;
        any = true;
        void request(
          'mend',
          async ({ verbs, now }) =>
            void (await verbs.updateAgent(agent.account, now(), id, { credentials_sealed: '{"api_key":"k"}' })),
        );
      }
      for (const campaign of ledger.campaigns.values()) {
        if (campaign.status !== 'paused' && campaign.status !== 'draft') continue;
        any = true;
        void request('mend', async (deps) => {
          const { verbs, now } = deps;
          if (campaign.status === 'paused') await verbs.resumeCampaign(campaign.account, now(), campaign.id);
          else {
            try {
              await verbs.startCampaign(campaign.account, now(), campaign.id);
            } catch (error) {
              if (!(error instanceof Refusal)) throw error;
              await verbs.cancelCampaign(campaign.account, now(), campaign.id);
            }
          }
          wakeDispatch(deps, campaign.account);
        });
      }
      return any;
    },
  };
};
