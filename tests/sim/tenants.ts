/** Tenants in calm weather, all of them in one database or each alone: what becomes of a lead is the same either way. */
import { createHash } from 'node:crypto';
import type { SimDatabase } from './database.ts';
import { Kernel } from './kernel.ts';
import type { Ledger } from './ledger.ts';
import type { Accepted } from './mail-world.ts';
import type { Dial } from './phone-world.ts';
import { createRandom, type Random } from './random.ts';
import { drawScenario, type AccountPlan } from './scenario.ts';
import { play } from './simulate.ts';

/** What an account saw, in words without times and without ids that are drawn on the way. */
export type History = readonly string[];

const BEGINNING = Date.UTC(2026, 2, 28, 20);

const hash = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE();

/** A call's fate hangs on the lead and the attempt alone, whatever else goes on. */
const fateOf = (dial: Dial, ledger: Ledger): Random => {
  const call = ledger.calls.get(dial.attempt);
  return createRandom(hash(`${call?.campaign} ${dial.to} ${call?.attempt}`));
};

/** As the seed draws them, in the thousand of a system that is large enough for all; what hangs on the time of day is left out. */
const drawTenants = (random: Random, n: number): AccountPlan[] => {
  const plans: AccountPlan[] = [];
  while (plans.length < n) plans.push(...drawScenario(random, BEGINNING).accounts);
  return plans.slice(0, n).map((plan) => ({
    ...plan,
    pace: null,
    campaigns: plan.campaigns.map((campaign) => ({
      ...campaign,
      started: true,
      fields: { ...campaign.fields, starts_at: null, ends_at: null, calls_per_second: null },
    })),
  }));
};

const summaryOf = ({ mail }: Accepted): string[] => {
  const rows = mail.attachments.flatMap((file) => Buffer.from(file.base64, 'base64').toString('utf8').trim().split('\r\n'));
  // Without the time of the call, which is not the same in a queue with others.
  const cells = rows.map((row) => row.replace(/\d{4}-\d\d-\d\dT[^,]*/, '')).toSorted();
  return [mail.subject, ...cells];
};

const historyOf = (account: string, ledger: Ledger, mails: readonly Accepted[]): History => {
  const lines: string[] = [];
  for (const lead of ledger.leads.values()) {
    if (lead.account !== account) continue;
    const calls = [...ledger.calls.values()].filter((call) => call.lead === lead.id && call.disposition !== null);
    const made = calls
      .toSorted((a, b) => a.attempt - b.attempt)
      .map((call) => `${call.attempt} ${call.disposition} ${call.seconds}`);
    lines.push(`${lead.campaign} ${lead.phone}: ${lead.status} ${lead.attempts} ${lead.temperature} [${made.join(', ')}]`);
  }
  for (const accepted of mails) {
    const { type, campaign_id: campaign } = accepted.mail.metadata;
    const owner = ledger.campaigns.get(campaign ?? '')?.account;
    if (owner === account && type === 'campaign_summary') lines.push(`${campaign} ${summaryOf(accepted).join(' | ')}`);
  }
  return lines.toSorted();
};

export interface TenantsPlayed {
  violations: readonly string[];
  /** By the tenant's number. */
  histories: ReadonlyMap<number, History>;
}

/** Plays those of `n` tenants whose numbers are given. */
export const playTenants = async (
  database: SimDatabase,
  seed: number,
  n: number,
  which: readonly number[],
): Promise<TenantsPlayed> => {
  const plans = drawTenants(createRandom(seed), n);
  const kernel = new Kernel(createRandom(seed + 1), BEGINNING);
  const scenario = { systemCap: 1000, answersWithin: 1500, accounts: which.map((i) => plans[i]) };
  const { outcome, ledger, mails } = await play(database, { seed, kernel, scenario, foul: false, fateOf });
  return { violations: outcome.violations, histories: new Map(which.map((i) => [i, historyOf(plans[i].id, ledger, mails)])) };
};
