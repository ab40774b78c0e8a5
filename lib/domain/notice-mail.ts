/** Short mails about a campaign: a few sentences, the leads they are about, the way to the page. */
import { html, type Html } from './html.ts';
import { leadRow, mailLead, personal, type MailLead } from './mail-lead.ts';
import { button, FONT, mailPage } from './mail-page.ts';
import { isolated, oneLine, shortLine } from './plain-text.ts';
import { hotLeadsText, scoreText } from './report.ts';
import type { ComposedMail } from './summary-mail.ts';

/** Longest reason shown, in UTF-16 units. */
const REASON_LENGTH = 500;
/** Leads listed in one mail; the page has them all. */
const MAX_LEADS = 20;

export interface NoticeLead {
  name: string | null;
  phone: string;
  score: number | null;
  evidence: string | null;
}

/** A call that failed, as a pause names it. */
export interface FailedCall {
  name: string | null;
  phone: string;
  disposition: string;
  reason: string | null;
}

export interface NoticeFrame {
  accountName: string;
  preferencesUrl: string;
}

/** The frame of a mail about a campaign. */
export interface CampaignFrame extends NoticeFrame {
  campaignName: string;
  campaignUrl: string;
}

interface Notice extends NoticeFrame {
  subject: string;
  /** Stands above the title. */
  eyebrow: string;
  /** Whose mail it is: the campaign's name, or the agent's. */
  title: string;
  /** Where to go on. */
  way: { label: string; url: string };
  /** Sentences; `own` ones are ours, the others come from outside and are isolated. */
  lines: readonly { text: string; own: boolean }[];
  leads: readonly MailLead[];
  /** Stands above them. */
  leadsTitle: string;
  /** Why this mail was sent. */
  because: string;
}

const leadText = ({ name, phone, badge, note }: MailLead): string => {
  const head = `- ${[name === '' ? '' : isolated(name), phone, badge === '' ? '' : `score ${badge}`].filter((part) => part !== '').join(', ')}`;
  return note === '' ? head : `${head}\n  ${isolated(note)}`;
};

/** A title above the leads, then each of them. */
const leadTable = (title: string, leads: readonly MailLead[]): Html =>
  html`<div class="soft" style="margin:20px 0 0;${FONT}font-size:13px;line-height:20px;color:#5c6370">${title}</div>
    <table
      role="presentation"
      class="line"
      width="100%"
      cellpadding="0"
      cellspacing="0"
      border="0"
      style="margin:4px 0 16px;border-top:1px solid #e6e8ec"
    >
      ${leads.map(leadRow)}
    </table>`;

const composeNotice = (notice: Notice): ComposedMail => {
  const name = oneLine(notice.title);
  const shown = notice.leads.slice(0, MAX_LEADS);
  const more = notice.leads.length - shown.length;
  const text = `${FONT}font-size:15px;line-height:22px;`;
  return {
    subject: oneLine(notice.subject),
    html: mailPage({
      title: oneLine(notice.subject),
      preview: notice.lines.map((line) => line.text).join(' '),
      body: html`<tr>
        <td class="pad" style="padding:28px 32px">
          <div class="soft" style="${FONT}font-size:14px;line-height:20px;color:#5c6370">${notice.eyebrow}</div>
          <h1
            class="ink"
            style="margin:2px 0 16px;${FONT}font-size:24px;line-height:30px;font-weight:700;color:#16181d;word-break:break-word"
          >
            ${personal(name)}
          </h1>
          ${notice.lines.map(
            (line) =>
              html`<p class="ink" style="margin:0 0 12px;${text}color:#16181d">${line.own ? line.text : personal(line.text)}</p>`,
          )}
          ${shown.length === 0 ? '' : leadTable(notice.leadsTitle, shown)}
          ${more > 0 ? html`<p class="soft" style="margin:0 0 16px;${text}color:#5c6370">and ${String(more)} more</p>` : ''}
          ${button(notice.way.label, notice.way.url)}
        </td>
      </tr>`,
      footer: html`Sent to ${personal(oneLine(notice.accountName))} because ${notice.because}.
        <a class="soft" href="${notice.preferencesUrl}" style="color:#5c6370">Choose which mails you get</a>`,
    }),
    text: [
      `${notice.eyebrow}: ${isolated(name)}`,
      '',
      ...notice.lines.map((line) => (line.own ? line.text : isolated(line.text))),
      ...(shown.length === 0 ? [] : ['', `${notice.leadsTitle}:`, ...shown.map(leadText)]),
      ...(more > 0 ? [`and ${more} more`] : []),
      '',
      `${notice.way.label}: ${notice.way.url}`,
      `Choose which mails you get: ${notice.preferencesUrl}`,
      '',
    ].join('\n'),
  };
};

/** What a mail about a campaign has from it. */
const ofCampaign = ({ accountName, preferencesUrl, campaignName, campaignUrl }: CampaignFrame) => ({
  accountName,
  preferencesUrl,
  title: campaignName,
  way: { label: 'Open the campaign', url: campaignUrl },
});

/** An agent that its provider refused, as a mail names it. */
export interface RefusedAgent {
  id: string;
  name: string;
}

/** How calls with a refused agent go on. */
const mending = ({ id }: RefusedAgent): Notice['lines'][number] => ({
  text: `Nobody is called with this voice agent until this is mended at the provider. Then set its credentials again, or lift the pause: PATCH /v1/agents/${id} with {"paused_reason": null}.`,
  own: true,
});
const reasonLine = (reason: string | null): Notice['lines'][number] => ({
  text: shortLine(reason ?? '', REASON_LENGTH) || 'No reason was recorded.',
  own: false,
});

/** A campaign that the system paused, or whose provider refuses it: why, the calls that failed, and where to go on. */
export const composePaused = (
  data: CampaignFrame & { reason: string | null; agent: RefusedAgent | null; calls: readonly FailedCall[] },
): ComposedMail =>
  composeNotice({
    ...ofCampaign(data),
    subject: `Campaign paused: ${oneLine(data.campaignName)}`,
    eyebrow: 'Campaign paused',
    lines: [
      reasonLine(data.reason),
      data.agent === null
        ? { text: 'Nobody is called until this is mended and the campaign goes on.', own: true }
        : mending(data.agent),
    ],
    leads: data.calls.map(({ name, phone, disposition, reason }) =>
      mailLead({ name, phone, badge: '', note: reason ?? disposition }),
    ),
    leadsTitle: 'The latest calls that failed',
    because: 'the campaign was paused',
  });

/** An agent that its provider refuses while no campaign of it runs. */
export const composeAgentPaused = (
  data: NoticeFrame & { reason: string | null; agent: RefusedAgent; homeUrl: string },
): ComposedMail =>
  composeNotice({
    accountName: data.accountName,
    preferencesUrl: data.preferencesUrl,
    title: data.agent.name,
    way: { label: 'Open Ringleader', url: data.homeUrl },
    subject: `Voice agent paused: ${oneLine(data.agent.name)}`,
    eyebrow: 'Voice agent paused',
    lines: [reasonLine(data.reason), mending(data.agent)],
    leads: [],
    leadsTitle: '',
    because: 'a voice agent was paused',
  });

/** Leads that became hot while their campaign runs: the first at once, later ones in a digest. Sent again on request, it may have ended since. */
export const composeHotLeads = (data: CampaignFrame & { status: string; leads: readonly NoticeLead[] }): ComposedMail =>
  composeNotice({
    ...ofCampaign(data),
    leads: data.leads.map(({ name, phone, score, evidence }) =>
      mailLead({ name, phone, badge: scoreText(score), note: evidence }),
    ),
    leadsTitle: hotLeadsText(data.leads.length),
    subject: `${hotLeadsText(data.leads.length)} in ${oneLine(data.campaignName)}`,
    eyebrow: data.leads.length === 1 ? 'Hot lead' : 'Hot leads',
    lines: [
      {
        text:
          data.status === 'active'
            ? 'The campaign goes on. Further hot leads follow in one mail every 15 minutes at most.'
            : `The campaign is ${data.status}.`,
        own: true,
      },
    ],
    because: 'a lead became hot',
  });

/** A campaign in which nothing was dialled for a day though leads wait. */
export const composeNothingDialled = (data: CampaignFrame & { waiting: number }): ComposedMail =>
  composeNotice({
    ...ofCampaign(data),
    subject: `Nothing dialled for a day: ${oneLine(data.campaignName)}`,
    eyebrow: 'Nothing dialled for a day',
    lines: [
      {
        text: `${data.waiting === 1 ? '1 lead waits' : `${data.waiting} leads wait`} and nobody was called for a day. Any lead's explanation says what holds it.`,
        own: true,
      },
    ],
    leads: [],
    leadsTitle: '',
    because: 'nothing was dialled for a day',
  });
