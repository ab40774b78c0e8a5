/**
 * What is true of the database at this very instant, kept from the rows as they change, and every rule that must hold of it.
 * The numbers in messages are those of the invariants.
 */
import type { Change } from './database.ts';
import type { Counts } from './faults.ts';
import { MINUTE, type Invocation, type Kernel } from './kernel.ts';
import { createWallClock, isOpen } from './windows.ts';
import {
  accountRow,
  callRow,
  campaignRow,
  leadRow,
  notificationRow,
  type AccountRow,
  type CallRow,
  type CampaignRow,
  type LeadRow,
  type NotificationRow,
} from './rows.ts';
import { callMayMove, campaignMayMove, isTerminal, LEAD_FINAL, leadMayMove, notificationMayMove } from './transitions.ts';

/** Who made a commit, and what his clock showed. */
export interface Committer {
  by: Invocation;
  at: number;
}

/** What one commit brought. */
interface News {
  /** Reserved, or waiting for a slot. */
  offered: CallRow[];
  /** Given a slot. */
  added: CallRow[];
  fenced: CallRow[];
  /** Ids of calls whose id at the provider has become known. */
  known: Set<string>;
  unknown: CallRow[];
}

const clock = createWallClock();
export const isLive = (call: CallRow): boolean => call.reservedAt !== null && call.releasedAt === null;
const numberKey = (account: string, phone: string): string => `${account} ${phone}`;

export class Ledger {
  readonly accounts = new Map<string, AccountRow>();
  readonly agents = new Map<string, { account: string; atProvider: string; paused: boolean }>();
  readonly campaigns = new Map<string, CampaignRow>();
  readonly leads = new Map<string, LeadRow>();
  readonly calls = new Map<string, CallRow>();
  readonly notifications = new Map<string, NotificationRow>();
  /** Open imports → the end of their lease. */
  readonly imports = new Map<string, { campaign: string; lease: number; finished: boolean }>();
  /** Suppressed numbers → true instant of the commit. */
  readonly suppressed = new Map<string, number>();
  /** Ids → the account they belong to. */
  readonly owners = new Map<string, string>();
  readonly violations: string[] = [];
  readonly counts: Counts = {};
  /** Mails that a person asked for again → how often. */
  readonly askedAgain = new Map<string, number>();
  /** Calls that were fenced → true instant of it. */
  readonly fencedAt = new Map<string, number>();
  /** Told of every call that is reserved or waits, and by whom: now is the moment to meddle. */
  onOffered: (call: CallRow, by: Invocation) => void = () => undefined;
  /** Told of every call whose id at the provider has just become known. */
  onKnown: (call: CallRow) => void = () => undefined;
  /** Told of every call that is given up as `unknown`, and by whom. */
  onUnknown: (call: CallRow, by: Invocation) => void = () => undefined;
  /** Live calls past their lease → how many ticks have seen that. */
  readonly #overdue = new Map<string, { lease: number; ticks: number }>();
  readonly #kernel: Kernel;
  readonly #systemCap: number;

  constructor(kernel: Kernel, systemCap: number) {
    this.#kernel = kernel;
    this.#systemCap = systemCap;
  }

  violated(what: string): void {
    if (this.violations.includes(what)) return;
    this.violations.push(what);
    this.#kernel.trace('VIOLATION', what);
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** Keeps the highest of a figure. */
  atMost(what: string, value: number): void {
    this.counts[what] = Math.max(this.counts[what] ?? 0, value);
  }

  isSuppressed(account: string, phone: string): boolean {
    return this.suppressed.has(numberKey(account, phone));
  }

  /** True instant since which the number is suppressed. */
  suppressedSince(account: string, phone: string): number | undefined {
    return this.suppressed.get(numberKey(account, phone));
  }

  leadsOf(campaign: string): LeadRow[] {
    return [...this.leads.values()].filter((lead) => lead.campaign === campaign);
  }

  /** Takes what one commit changed, then judges the state it left. */
  commit(changes: readonly Change[], { by, at }: Committer): void {
    const news: News = { offered: [], added: [], fenced: [], known: new Set(), unknown: [] };
    const settled: string[] = [];
    // The calls first: a lead may only be judged by its call as it is now.
    for (const change of changes) if (change.table === 'calls') this.#call(change, news);
    for (const change of changes) this.#other(change, settled);
    for (const call of news.offered) this.onOffered(call, by);
    for (const call of news.added) this.#judgeSlot(call);
    for (const call of news.fenced) this.#judgeFence(call, at);
    for (const call of news.unknown) this.onUnknown(call, by);
    for (const id of news.known) this.onKnown(this.calls.get(id)!);
    for (const id of settled) this.#judgeSettled(id);
  }

  #moved(what: string, from: string, to: string, allowed: boolean, id: string): void {
    this.count(`${what}: ${from}→${to}`);
    this.#kernel.trace('·', `${what} ${from}→${to}`, id);
    if (!allowed) this.violated(`#6 a ${what} went from ${from} to ${to}`);
  }

  #call({ row }: Change, { offered, added, fenced, known, unknown }: News): void {
    const call = callRow(row);
    const old = this.calls.get(call.id);
    this.calls.set(call.id, call);
    this.owners.set(call.id, call.account);
    if (!old) {
      this.count(`call: new→${call.status}`);
      offered.push(call);
      this.#kernel.trace('·', `call new→${call.status}`, `${call.id} ${call.kind} ${call.phone}`);
    } else {
      if (old.status !== call.status) {
        this.#moved('call', old.status, call.status, callMayMove(call.kind, old.status, call.status), call.id);
        if (call.status === 'placing') fenced.push(call);
        if (call.status === 'reserved') offered.push(call);
        if (call.status === 'unknown') unknown.push(call);
      }
      const verdict = old.disposition === 'completed' && call.disposition === 'voicemail';
      if (old.disposition !== null && old.disposition !== 'unknown' && old.disposition !== call.disposition && !verdict) {
        this.violated(`#6 the disposition of a call changed from ${old.disposition} to ${call.disposition}`);
      }
      const again = call.status === 'waiting'; // a direct call, undialled: its next slot is another
      if (old.releasedAt !== null && old.releasedAt !== call.releasedAt && !again) this.violated('#5 a slot was freed twice');
      if (isTerminal(old.status) && old.status !== 'unknown' && old.endedAt !== call.endedAt)
        this.violated('#6 a call ended twice');
      if (old.providerCall === null && call.providerCall !== null) known.add(call.id);
      if (old.providerCall !== null && old.providerCall !== call.providerCall)
        this.violated('#6 a call changed its id at the provider');
    }
    if (isTerminal(call.status) && isLive(call)) this.violated(`#5 a call that is ${call.status} holds its slot`);
    if (isLive(call) && !(old && isLive(old))) added.push(call);
    if (this.agents.get(call.agent)?.account !== call.account) this.violated('#8 a call uses an agent of another account');
    if (call.campaign !== null && this.campaigns.get(call.campaign)?.account !== call.account) {
      this.violated('#8 a call is of a campaign of another account');
    }
  }

  #other({ table, row, removed }: Change, settled: string[]): void {
    if (removed && table !== 'suppressions') this.violated(`#9 a row of ${table} was removed`);
    switch (table) {
      case 'accounts':
        this.accounts.set(String(row['id']), accountRow(row, this.accounts.get(String(row['id'])), this.#kernel.now));
        this.owners.set(String(row['id']), String(row['id']));
        break;
      case 'agents':
        this.agents.set(String(row['id']), {
          account: String(row['account_id']),
          atProvider: String(row['provider_agent_id']),
          paused: row['paused_reason'] !== null,
        });
        this.owners.set(String(row['id']), String(row['account_id']));
        break;
      case 'campaigns':
        this.#campaign(row, settled);
        break;
      case 'leads':
        this.#lead(row);
        break;
      case 'notifications':
        this.#notification(row);
        break;
      case 'imports':
        this.imports.set(String(row['id']), {
          campaign: String(row['campaign_id']),
          lease: Date.parse(String(row['lease_until'])),
          finished: row['finished_at'] !== null,
        });
        break;
      case 'suppressions': {
        const key = numberKey(String(row['account_id']), String(row['phone']));
        if (removed) this.suppressed.delete(key);
        else this.suppressed.set(key, this.#kernel.now);
        break;
      }
      default:
    }
  }

  #campaign(row: Change['row'], settled: string[]): void {
    const old = this.campaigns.get(String(row['id']));
    const campaign = campaignRow(row, old, this.#kernel.now);
    this.campaigns.set(campaign.id, campaign);
    this.owners.set(campaign.id, campaign.account);
    if (old && old.status !== campaign.status) {
      this.#moved('campaign', old.status, campaign.status, campaignMayMove(old.status, campaign.status), campaign.id);
    }
    if (campaign.settledAt !== null && (old?.settledAt ?? null) === null) settled.push(campaign.id);
    if (old && old.settledAt !== null && old.settledAt !== campaign.settledAt) this.violated('#7 a campaign settled twice');
  }

  #lead(row: Change['row']): void {
    const lead = leadRow(row);
    const old = this.leads.get(lead.id);
    this.leads.set(lead.id, lead);
    this.owners.set(lead.id, lead.account);
    const campaign = this.campaigns.get(lead.campaign);
    if (campaign?.account !== lead.account) this.violated('#8 a lead is in a campaign of another account');
    if (!old) {
      this.count(`lead: new→${lead.status}`);
      return;
    }
    if (old.status !== lead.status) {
      const resolved =
        (old.disposition === 'unknown' && lead.disposition !== 'unknown') ||
        (old.disposition === 'completed' && lead.disposition === 'voicemail');
      this.#moved('lead', old.status, lead.status, leadMayMove(old.status, lead.status, resolved), lead.id);
      if (campaign?.settledAt !== null && !LEAD_FINAL.has(lead.status))
        this.violated('#7 a lead is open again in a settled campaign');
    }
    // Its account's own list: that of another account suppresses nothing here.
    if (lead.status === 'suppressed' && old.status !== 'suppressed' && !this.isSuppressed(lead.account, lead.phone))
      this.violated('#8 a lead counts as suppressed whose account suppresses nothing of the kind');
    if (lead.attempts > old.attempts && campaign && lead.attempts > campaign.maxAttempts) {
      this.violated('#9 a lead has more attempts than its campaign allows');
    }
    if (lead.attempts < 0 || lead.attempts < old.attempts - 1) this.violated('#9 attempts were lost');
  }

  #notification(row: Change['row']): void {
    const mail = notificationRow(row);
    const old = this.notifications.get(mail.id);
    this.notifications.set(mail.id, mail);
    this.owners.set(mail.id, mail.account);
    if (mail.campaign !== null && this.campaigns.get(mail.campaign)?.account !== mail.account) {
      this.violated('#8 a mail tells an account of a campaign of another');
    }
    if (!old) {
      this.count(`notification: new ${mail.type}`);
      if (mail.type === 'campaign_summary' && (this.campaigns.get(mail.campaign ?? '')?.settledAt ?? null) === null) {
        this.violated('#7 a summary is owed before its campaign has settled');
      }
    } else if (old.status !== mail.status) {
      const asked = this.askedAgain.has(mail.id);
      this.#moved('notification', old.status, mail.status, notificationMayMove(old.status, mail.status, asked), mail.id);
    }
  }

  /** A new slot: judged against every cap as it stands now. Lowering a cap below what is live breaks nothing. */
  #judgeSlot(call: CallRow): void {
    const live = [...this.calls.values()].filter(isLive);
    const inAccount = live.filter((other) => other.account === call.account);
    if (live.length > this.#systemCap) this.violated('#1 more live calls than the system allows');
    if (inAccount.length > this.accounts.get(call.account)!.cap) this.violated('#1 more live calls than the account allows');
    const campaign = call.campaign === null ? null : this.campaigns.get(call.campaign);
    if (campaign) {
      const inCampaign = inAccount.filter((other) => other.campaign === campaign.id);
      if (campaign.cap !== null && inCampaign.length > campaign.cap) this.violated('#1 more live calls than the campaign allows');
      if (campaign.status !== 'active') this.violated(`#3 a lead of a campaign that is ${campaign.status} was reserved`);
    }
    if (inAccount.filter((other) => other.phone === call.phone).length > 1)
      this.violated('#4 two slots for one number in an account');
    const ofLead = [...this.calls.values()].filter((other) => other.lead === call.lead && !isTerminal(other.status));
    if (call.lead !== null && ofLead.length > 1) this.violated('#4 two open calls of one lead');
  }

  /** @param at what the clock of the worker showed: the rules hold at that very instant */
  #judgeFence(call: CallRow, at: number): void {
    this.fencedAt.set(call.id, this.#kernel.now);
    if (this.isSuppressed(call.account, call.phone)) this.violated('#10 a suppressed number passed the fence');
    const status = call.campaign === null ? 'active' : this.campaigns.get(call.campaign)?.status;
    if (status !== 'active') this.violated(`#3 a lead of a campaign that is ${status} passed the fence`);
    const campaign = this.campaigns.get(call.campaign ?? '');
    if (!campaign) return;
    const zone = this.leads.get(call.lead ?? '')?.timezone ?? campaign.timezone ?? this.accounts.get(call.account)!.timezone;
    if (!isOpen(clock, campaign, zone, at)) this.violated(`#3 a lead passed the fence outside its window in ${zone}`);
    const begun = campaign.startsAt === null || campaign.startsAt <= at;
    if (!begun || (campaign.endsAt !== null && campaign.endsAt <= at))
      this.violated('#3 a lead passed the fence outside starts_at and ends_at');
  }

  #judgeSettled(id: string): void {
    const open = this.leadsOf(id).filter((lead) => !LEAD_FINAL.has(lead.status));
    if (open.length > 0) this.violated(`#7 a campaign settled with ${open.length} leads open`);
    for (const call of this.calls.values()) {
      if (call.campaign !== id) continue;
      if (call.analysisDueAt !== null) this.violated('#7 a campaign settled while an analysis was awaited');
      if (isLive(call)) this.violated('#7 a campaign settled with a call on the line');
    }
  }

  /** A tick has committed: nothing may be held beyond its lease and two ticks once an earlier tick has seen it overdue. */
  judgeLeases(tickNow: number): void {
    for (const call of this.calls.values()) {
      if (!isLive(call) || call.lease === null || call.lease > tickNow) continue;
      const seen = this.#overdue.get(call.id);
      const ticks = seen?.lease === call.lease ? seen.ticks + 1 : 1;
      this.#overdue.set(call.id, { lease: call.lease, ticks });
      if (ticks >= 2 && call.lease <= tickNow - 2 * MINUTE) {
        this.violated(`#5 a slot in ${call.status} was held beyond its lease and two ticks`);
      }
    }
  }

  /** No answer to an account may name anything of another. */
  judgeAnswer(account: string, verb: string, text: string): void {
    for (const [id] of text.matchAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g)) {
      const owner = this.owners.get(id);
      if (owner !== undefined && owner !== account) this.violated(`#8 ${verb} answered with something of another account`);
    }
  }

  /** The figures of a summary against a recount. */
  judgeFigures(campaign: string, figures: Record<string, unknown>): void {
    const leads = this.leadsOf(campaign);
    const calls = [...this.calls.values()].filter((call) => call.campaign === campaign && call.disposition !== null);
    const completed = calls.filter((call) => call.disposition === 'completed');
    const recount = {
      leads: leads.length,
      dialled: leads.filter((lead) => lead.attempts > 0).length,
      reached: leads.filter((lead) => lead.status === 'reached').length,
      hot_leads: leads.filter((lead) => lead.temperature === 'hot').length,
      completed_calls: completed.length,
      completed_seconds: completed.reduce((sum, call) => sum + (call.seconds ?? 0), 0),
    };
    for (const [name, value] of Object.entries(recount)) {
      if (Math.abs(Number(figures[name]) - value) > 1e-6) this.violated(`#7 the summary counts ${name} wrongly`);
    }
    const dispositions = (figures['dispositions'] ?? {}) as Record<string, number>;
    const total = Object.values(dispositions).reduce((sum, n) => sum + n, 0);
    if (total !== calls.length) this.violated('#7 the summary counts dispositions wrongly');
  }
}
