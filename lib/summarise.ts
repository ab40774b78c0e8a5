/**
 * The mails that are owed: take → compose → send → record. A mail is handed to the mail provider at most once per taking, and
 * every end of it is recorded with its reason and reported at most once.
 */
import type { Deps } from './deps.ts';
import type { Config } from './env.ts';
import { DbError, type ErrorType } from './errors.ts';
import { signLink } from './auth.ts';
import { hotLeadsFileName } from './domain/hot-leads-csv.ts';
import {
  composeAgentPaused,
  composeHotLeads,
  composeNothingDialled,
  composePaused,
  type CampaignFrame,
} from './domain/notice-mail.ts';
import { composeSummary, TOP_LEADS, type ComposedMail, type HotList } from './domain/summary-mail.ts';
import { collectHotLeads } from './hot-leads-attachment.ts';
import { MESSAGE_LIMIT, type Mail, type MailResult } from './mail.ts';
import type { MailToLookUp, NoticeData, TakenNotification } from './verb-shapes.ts';

export type MailDeps = Pick<Deps, 'config' | 'now' | 'newId' | 'verbs' | 'mail' | 'report'>;
export type SendOutcome = 'sent' | 'failed' | 'unknown' | 'again';

/** Leads per page of the attachment. */
const PAGE = 1000;
/** The largest CSV that still fits a message: base64 makes four bytes of three, the rest is left to the bodies and the headers. */
const ATTACHMENT_LIMIT = Math.floor(((MESSAGE_LIMIT - 1_000_000) * 3) / 4);
/** How long a link out of a mail works. */
const LINK_DAYS = 7;
/** What one sweep may ask of the mail provider, and the real time after which it takes nothing further: a platform's invocation is bounded. */
const SWEEP_ASKS = 30;
const SWEEP_MS = 16_000;
/** What a sweep may ask that comes after the answer, in an invocation that has asked for other things before. */
const FEW_MAILS = 6;

/** Sends what is due once the answer has gone. */
export const sweepSoon = (deps: Pick<Deps, 'background'>): void => deps.background('summary', (own) => sweep(own, FEW_MAILS));

/** The types of mail that the configuration switches off. */
export const offTypes = (config: Pick<Config, 'summaryEnabled'>): string[] => (config.summaryEnabled ? [] : ['campaign_summary']);

// ---------------------------------------------------------------- composing

/** There is nothing left to write about; the mail ends `failed`. */
class NothingToSay extends Error {
  override name = 'NothingToSay';
}

type Content = Pick<Mail, 'subject' | 'html' | 'text' | 'attachments' | 'unsubscribeUrl'>;
type Composer = (deps: MailDeps, taken: TakenNotification) => Promise<Content>;

const link = async (deps: Pick<Deps, 'config' | 'now'>, payload: Readonly<Record<string, string>>): Promise<string> => {
  const expires = new Date(deps.now().getTime() + LINK_DAYS * 86_400_000);
  return `${deps.config.publicUrl}/links/${await signLink(deps.config.secretsKey, payload, expires)}`;
};

/** A signed page that switches this type of mail off. */
const preferencesLink = (deps: Pick<Deps, 'config' | 'now'>, taken: TakenNotification): Promise<string> =>
  link(deps, { account_id: taken.account_id, action: 'preference', type: taken.type });

/** Where a mail's links lead: the campaign's page, and the one that switches it off. */
const urls = async (deps: Pick<Deps, 'config' | 'now'>, taken: TakenNotification, campaignId: string) => ({
  campaignUrl: `${deps.config.publicUrl}/campaigns/${campaignId}`,
  preferencesUrl: await preferencesLink(deps, taken),
});

const campaignOf = ({ campaign_id: id }: TakenNotification): string => {
  if (id === null) throw new NothingToSay('the mail names no campaign');
  return id;
};

const summary: Composer = async (deps, taken) => {
  const { now, verbs } = deps;
  const { account_id: account } = taken;
  const campaign = campaignOf(taken);
  const figures = await verbs.summaryData(account, now(), campaign);
  if (!figures) throw new NothingToSay('the campaign no longer exists');
  const list = await collectHotLeads(
    async (after) => (await verbs.listHotLeads(account, now(), campaign, after, PAGE)) ?? [],
    figures.timezone,
    ATTACHMENT_LIMIT,
    TOP_LEADS,
  );
  const fileName = hotLeadsFileName(figures.campaign_name);
  let hotList: HotList = { kind: 'none' };
  if (list.base64 !== null) hotList = { kind: 'attached', fileName };
  if (list.tooLarge) {
    const url = await link(deps, { account_id: account, action: 'hot_leads_csv', campaign_id: campaign });
    hotList = { kind: 'link', url, days: LINK_DAYS };
  }
  const links = await urls(deps, taken, campaign);
  const mail = composeSummary({
    campaignName: figures.campaign_name,
    accountName: figures.account_name,
    // A whole list has been counted: the mail agrees with its attachment even if a late analysis came in between.
    figures: list.tooLarge ? figures : { ...figures, hot_leads: list.count },
    top: list.best,
    hotList,
    ...links,
  });
  const attachments = list.base64 === null ? [] : [{ name: fileName, contentType: 'text/csv', base64: list.base64 }];
  return { ...mail, attachments, unsubscribeUrl: links.preferencesUrl };
};

const noticeOf = async ({ verbs, now }: MailDeps, taken: TakenNotification): Promise<NoticeData> => {
  const data = await verbs.noticeData(taken.account_id, now(), taken.id);
  if (!data) throw new NothingToSay('the campaign no longer exists');
  return data;
};

/** The mails about a campaign beside the summary; each tells what the database says of the notification. */
const notice =
  (write: (data: NoticeData, frame: CampaignFrame) => ComposedMail): Composer =>
  async (deps, taken) => {
    const data = await noticeOf(deps, taken);
    const links = await urls(deps, taken, campaignOf(taken));
    const frame = { campaignName: data.campaign_name ?? '', accountName: taken.account_name, ...links };
    return { ...write(data, frame), attachments: [], unsubscribeUrl: links.preferencesUrl };
  };

const campaignPaused = notice((data, frame) =>
  composePaused({ ...frame, reason: data.pause_reason, agent: data.agent, calls: data.failed_calls }),
);

/** A pause of a campaign, or of an agent while no campaign of it runs. */
const paused: Composer = async (deps, taken) => {
  if (taken.campaign_id !== null) return campaignPaused(deps, taken);
  const { agent, pause_reason: reason } = await noticeOf(deps, taken);
  if (agent === null) throw new NothingToSay('the mail names neither a campaign nor an agent');
  const preferencesUrl = await preferencesLink(deps, taken);
  const homeUrl = `${deps.config.publicUrl}/`;
  const mail = composeAgentPaused({ accountName: taken.account_name, preferencesUrl, homeUrl, reason, agent });
  return { ...mail, attachments: [], unsubscribeUrl: preferencesUrl };
};

const COMPOSERS: Readonly<Record<TakenNotification['type'], Composer>> = {
  campaign_summary: summary,
  campaign_paused: paused,
  hot_lead: notice((data, frame) => composeHotLeads({ ...frame, status: data.status ?? '', leads: data.hot_leads })),
  nothing_dialled: notice((data, frame) => composeNothingDialled({ ...frame, waiting: data.waiting })),
};

// ---------------------------------------------------------------- sending

/** How a taking ended, as it is recorded, and what of it is to be reported. */
interface Ending {
  outcome: SendOutcome;
  reason: string | null;
  messageId: string | null;
  problem: { stage: 'compose' | 'send'; error: unknown } | null;
}

const composeFailed = (error: unknown): Ending => {
  // A database that did not answer may answer later; anything else would fail the same way again.
  const again = error instanceof DbError;
  const what = again ? 'the database did not answer' : error instanceof Error ? error.name : 'an error';
  const reason = error instanceof NothingToSay ? error.message : `the mail could not be composed: ${what}`;
  return { outcome: again ? 'again' : 'failed', reason, messageId: null, problem: { stage: 'compose', error } };
};

const OUTCOMES = { sent: 'sent', refused: 'failed', later: 'again', unknown: 'unknown' } as const;

const sendEnded = (result: MailResult): Ending => {
  const outcome = OUTCOMES[result.outcome];
  if (result.outcome === 'sent') return { outcome, reason: null, messageId: result.messageId, problem: null };
  return { outcome, reason: result.reason, messageId: null, problem: { stage: 'send', error: new Error(result.reason) } };
};

/** Null: its lease is over, so that it is no longer this worker's to send or to record. */
const composeAndSend = async (deps: MailDeps, taken: TakenNotification): Promise<Ending | null> => {
  let content: Content;
  try {
    content = await COMPOSERS[taken.type](deps, taken);
  } catch (error) {
    return composeFailed(error);
  }
  if (deps.now() >= new Date(taken.lease_until)) return null;
  const campaign = taken.campaign_id === null ? {} : { campaign_id: taken.campaign_id };
  const metadata = { notification_id: taken.id, ...campaign, type: taken.type };
  return sendEnded(await deps.mail.send({ to: taken.recipient, ...content, metadata }));
};

const errorType = (mail: Pick<MailToLookUp, 'type'>, stage: 'compose' | 'send' | 'record'): ErrorType => {
  if (mail.type !== 'campaign_summary') return 'notification_email_failed';
  return stage === 'compose' ? 'campaign_summary_generation_failed' : 'campaign_summary_email_failed';
};

/**
 * Composes, sends and records one mail that was taken. Never throws: what goes wrong is recorded with its reason and reported once:
 * a transient failure when it first occurs and when it is given up, an `unknown` end when the look-ups found nothing.
 *
 * When the end cannot be recorded, or the worker stalled beyond its lease, the mail stays `sending` until that is over; it may have been
 * sent, so it is then `unknown`.
 */
export const sendNotification = async (deps: MailDeps, taken: TakenNotification): Promise<SendOutcome> => {
  const ending = await composeAndSend(deps, taken);
  if (ending === null) return 'unknown';
  const { outcome, reason, messageId, problem } = ending;
  const told = problem !== null && outcome !== 'unknown' && !(outcome === 'again' && taken.attempts > 1);
  const tell = (stage: 'compose' | 'send' | 'record', error: unknown): void =>
    deps.report(errorType(taken, stage), error, {
      campaign_id: taken.campaign_id,
      notification_id: taken.id,
      type: taken.type,
      outcome,
      stage,
      attempt: taken.attempts,
    });
  // Told before it is recorded: a worker that dies in between leaves a mail that is looked after, not one that failed in silence.
  if (told) tell(problem.stage, problem.error);
  try {
    const status = await deps.verbs.recordNotification(
      taken.account_id,
      deps.now(),
      taken.id,
      outcome,
      reason,
      messageId,
      taken.token,
    );
    if (status === 'failed' && problem !== null && !told) tell(problem.stage, problem.error);
  } catch (error) {
    if (!told) tell('record', error);
  }
  return outcome;
};

/** Asks the mail provider for a mail that may have been sent. Never sends; a look-up that fails is made again when its lease is over. */
const lookUp = async (deps: MailDeps, mail: MailToLookUp): Promise<void> => {
  const context = { campaign_id: mail.campaign_id, notification_id: mail.id, type: mail.type, outcome: 'unknown' };
  try {
    const found = await deps.mail.find(mail.id);
    if (found !== null) {
      await deps.verbs.recordNotification(mail.account_id, deps.now(), mail.id, 'sent', null, found.messageId, null);
    } else {
      if (mail.last) {
        deps.report(
          errorType(mail, 'send'),
          new Error('the mail may have been sent; the mail provider knows nothing of it'),
          context,
        );
      }
      await deps.verbs.noteLookup(mail.account_id, deps.now(), mail.id, mail.nth, false);
    }
  } catch (error) {
    // Asked again when its lease is over; after two days of silence the mail is given up for lost.
    deps.report(mail.overdue ? errorType(mail, 'send') : 'background_task_failed', error, { ...context, stage: 'look_up' });
    if (mail.overdue) await deps.verbs.noteLookup(mail.account_id, deps.now(), mail.id, mail.nth, true);
  }
};

/**
 * Sends what is due, one mail at a time (a mail may weigh 10 MB), each taken only when its turn has come, so that none is held by a
 * sweep that has run out of time. What is left waits for the next one. Mails of unknown end are looked up on the way.
 */
export const sweep = async (
  deps: MailDeps & Pick<Deps, 'elapsedMs'>,
  most = SWEEP_ASKS,
): Promise<{ sent: number; tried: number; completed: number }> => {
  const { verbs, now, config } = deps;
  const off = offTypes(config);
  const result = { sent: 0, tried: 0, completed: 0 };
  for (let asked = 0; asked < most && deps.elapsedMs() < SWEEP_MS;) {
    const { taken, look_up, completed } = await verbs.sweepNotifications(now(), deps.newId(), 1, off);
    result.completed += completed;
    for (const mail of look_up) await lookUp(deps, mail);
    const [mail] = taken;
    if (!mail && look_up.length === 0) break;
    asked += look_up.length + taken.length;
    result.tried += 1;
    if (mail && (await sendNotification(deps, mail)) === 'sent') result.sent += 1;
  }
  return result;
};
