/** Judges what reaches the outside world: every dial when the provider receives it, every mail when it is accepted. */
import { MINUTE, SECOND, type Invocation, type Kernel } from './kernel.ts';
import type { Ledger } from './ledger.ts';
import type { Accepted } from './mail-world.ts';
import { LAST_WORDS, type Dial, type Execution, type PhoneWorld } from './phone-world.ts';
import type { CallRow, CampaignRow } from './rows.ts';
import { LEAD_FINAL, rankOf } from './transitions.ts';
import { createWallClock, isOpen } from './windows.ts';

/** How long a dial may follow what its fence saw: the worker's own deadline and the request's way. */
const TOLERANCE = 15 * SECOND;

const clock = createWallClock();

/** The window as it was for the worker's clock at some moment from the fence to the dial. */
const judgeHours = (ledger: Ledger, campaign: CampaignRow, call: CallRow, now: number): string | null => {
  const lead = ledger.leads.get(call.lead ?? '')!;
  const account = ledger.accounts.get(call.account)!;
  const zone = lead.timezone ?? campaign.timezone ?? account.timezone;
  const moments = [now, now - TOLERANCE];
  if (campaign.startsAt !== null && now < campaign.startsAt) return 'before starts_at';
  if (campaign.endsAt !== null && now - TOLERANCE >= campaign.endsAt) return 'after ends_at';
  return moments.some((at) => isOpen(clock, campaign, zone, at)) ? null : `outside its window in ${zone}`;
};

const judgeCampaignDial = (kernel: Kernel, ledger: Ledger, dial: Dial, call: CallRow, campaign: CampaignRow): void => {
  const { inactiveSince, windowSince } = campaign;
  if (inactiveSince !== null && inactiveSince < kernel.now - TOLERANCE) {
    ledger.violated(`#3 a lead was dialled though its campaign is ${campaign.status}`);
  }
  const since = Math.max(windowSince, ledger.accounts.get(call.account)!.zoneSince);
  if (since > kernel.now - TOLERANCE) return;
  const wrong = judgeHours(ledger, campaign, call, kernel.now + dial.invocation.skew);
  if (wrong !== null) ledger.violated(`#3 a lead was dialled ${wrong}`);
};

export const judgeDial = (kernel: Kernel, ledger: Ledger, world: PhoneWorld, dial: Dial): void => {
  const call = ledger.calls.get(dial.attempt);
  if (!call) {
    ledger.violated('#4 a dial for an attempt that does not exist');
    return;
  }
  if (call.account !== dial.account || call.phone !== dial.to || ledger.agents.get(call.agent)?.atProvider !== dial.agent) {
    ledger.violated('#8 a dial with another account’s number or agent');
  }
  if (call.status !== 'placing') ledger.violated(`#4 a dial for an attempt that is ${call.status}`);
  if ((ledger.fencedAt.get(call.id) ?? 0) < kernel.now - TOLERANCE) ledger.violated('#4 a dial long after its fence');
  const other = world.onTheLine(dial.account, dial.to);
  if (other) ledger.violated('#4 two calls at once to one number in an account');
  const suppressed = ledger.suppressedSince(dial.account, dial.to);
  if (suppressed !== undefined && suppressed < kernel.now - TOLERANCE) ledger.violated('#10 a suppressed number was dialled');
  const campaign = call.campaign === null ? undefined : ledger.campaigns.get(call.campaign);
  if (campaign) judgeCampaignDial(kernel, ledger, dial, call, campaign);
};

/** How long ago the provider must have said its last word of a call that nobody may give up. */
const KNOWN_FOR = 5 * MINUTE;

/**
 * In calm weather (`calmAt`) nobody may give a call up whose end the provider would have told when asked. Who began in foul weather
 * may still act on what he saw then.
 */
export const judgeUnknown = (
  kernel: Kernel,
  ledger: Ledger,
  world: PhoneWorld,
  calmAt: number,
  call: CallRow,
  by: Invocation,
): void => {
  if (by.began < calmAt + KNOWN_FOR) return;
  const execution = world.byAttempt.get(call.id);
  const last = execution?.steps.at(-1);
  if (execution?.readable && last && LAST_WORDS.has(last.word) && last.at <= kernel.now - KNOWN_FOR)
    ledger.violated(`#11 a call was given up though the provider knew that it was ${execution.truth}`);
};

const RANK_OF_WORD: Readonly<Record<string, number>> = {
  queued: rankOf('queued'),
  initiated: rankOf('dialing'),
  ringing: rankOf('ringing'),
  'in-progress': rankOf('in_progress'),
  'call-disconnected': rankOf('in_progress'),
};

/** What was answered 2xx is never forgotten: a call that is known has come at least as far as its events say. */
export const judgeAcknowledged = (ledger: Ledger, execution: Execution): void => {
  const call = ledger.calls.get(execution.attempt);
  if (call?.providerCall !== execution.id) return;
  for (const word of execution.acknowledged) {
    const told = LAST_WORDS.has(word) ? rankOf('completed') : RANK_OF_WORD[word];
    if (rankOf(call.status) < told)
      ledger.violated(`#6 an event was answered 2xx and forgotten: ${word}, the call is ${call.status}`);
  }
};

const hotInSubject = (subject: string): number => Number(/— (\d+) hot leads?$/.exec(subject)?.[1]);
const figureInText = (text: string, label: string): number =>
  Number(new RegExp(`^${label} +([\\d,]+)$`, 'm').exec(text)?.[1]?.replaceAll(',', ''));

const judgeSummary = (ledger: Ledger, { mail }: Accepted, campaign: CampaignRow): void => {
  const leads = ledger.leadsOf(campaign.id);
  if (campaign.settledAt === null) ledger.violated('#7 a summary was sent before its campaign had settled');
  if (leads.some((lead) => !LEAD_FINAL.has(lead.status))) ledger.violated('#7 a summary was sent before its last lead was final');
  const [file] = mail.attachments;
  const rows = file ? Buffer.from(file.base64, 'base64').toString('utf8').trim().split('\r\n').length - 1 : 0;
  if (hotInSubject(mail.subject) !== rows) ledger.violated('#7 the subject of a summary disagrees with its attachment');
  if (figureInText(mail.text, 'Leads') !== leads.length) ledger.violated('#7 a summary counts its leads wrongly');
};

/** @param sent all accepted mails so far, this one included */
export const judgeMail = (ledger: Ledger, accepted: Accepted, sent: readonly Accepted[]): void => {
  const { mail, notification } = accepted;
  const row = ledger.notifications.get(notification);
  if (!row) {
    ledger.violated('#7 a mail for a notification that does not exist');
    return;
  }
  const times = sent.filter((one) => one.notification === notification).length;
  if (times > 1 + (ledger.askedAgain.get(notification) ?? 0)) ledger.violated(`#7 a mail of type ${row.type} was sent twice`);
  if (row.status !== 'sending') ledger.violated(`#7 a mail was sent though it is ${row.status}`);
  if ((mail.metadata['campaign_id'] ?? null) !== row.campaign) ledger.violated('#8 a mail tells of another campaign');
  const campaign = ledger.campaigns.get(row.campaign ?? '');
  if (row.type === 'campaign_summary' && campaign) judgeSummary(ledger, accepted, campaign);
};
