/**
 * The summary mail, composed purely from data: subject, HTML and its text twin say the same facts.
 *
 * The HTML is written for mail programs rather than browsers: tables, inline styles, 600 px, no image, no script; a `<style>` block
 * adds the dark colours and the phone layout where it is understood.
 */
import { html, type Html } from './html.ts';
import { leadRow, mailLead, personal, type MailLead } from './mail-lead.ts';
import { FONT, mailPage, button } from './mail-page.ts';
import { isolated, oneLine } from './plain-text.ts';
import { dispositionFigures, headFigures, hotLeadsText, scoreText, summarySubject, type CampaignFigures } from './report.ts';

/** How many hot leads the mail shows itself. */
export const TOP_LEADS = 5;

/** One hot lead as the mail shows it. */
export interface TopLead {
  name: string | null;
  /** E.164. */
  phone: string;
  score: number | null;
  summary: string | null;
}

/** Where the whole list is: in the mail, behind a link, or nowhere because there is none. */
export type HotList = { kind: 'attached'; fileName: string } | { kind: 'link'; url: string; days: number } | { kind: 'none' };

export interface SummaryMailData {
  campaignName: string;
  accountName: string;
  figures: CampaignFigures;
  /** The best hot leads, best first; no more than {@link TOP_LEADS} are shown. */
  top: readonly TopLead[];
  hotList: HotList;
  campaignUrl: string;
  preferencesUrl: string;
}

export interface ComposedMail {
  subject: string;
  html: string;
  text: string;
}

const shown = ({ name, phone, score, summary }: TopLead): MailLead =>
  mailLead({ name, phone, badge: scoreText(score), note: summary });

const hotHeading = (hotLeads: number, shownLeads: number): string =>
  hotLeads > shownLeads ? `Top ${shownLeads} of ${hotLeadsText(hotLeads)}` : hotLeadsText(hotLeads);

const NO_HOT_LEADS = 'No hot leads this time.';
const OUTCOMES = 'Dispositions';
const OUTCOMES_NOTE = 'Calls, by how they ended';

// ---------------------------------------------------------------- HTML

/** A section's title, with a word on its numbers above their column. */
const heading = (text: string, aside = ''): Html =>
  html`<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
    <tr>
      <td valign="bottom" style="padding:0 0 12px">
        <h2 class="ink" style="margin:0;${FONT}font-size:16px;line-height:22px;font-weight:700;color:#16181d">${text}</h2>
      </td>
      <td
        class="soft"
        valign="bottom"
        align="right"
        style="padding:0 0 12px 12px;${FONT}font-size:13px;line-height:20px;color:#5c6370"
      >
        ${aside}
      </td>
    </tr>
  </table>`;

const section = (content: Html): Html =>
  html`<tr>
    <td class="pad line" style="padding:24px 32px;border-top:1px solid #e6e8ec">${content}</td>
  </tr>`;

const figureCells = (figures: CampaignFigures): Html[] =>
  headFigures(figures).map(
    ({ label, value }) =>
      html`<td class="figure" width="25%" valign="top" style="padding:0 8px 16px 0">
        <div class="ink" style="${FONT}font-size:26px;line-height:32px;font-weight:700;color:#16181d">${value}</div>
        <div class="soft" style="${FONT}font-size:13px;line-height:18px;color:#5c6370">${label}</div>
      </td>`,
  );

const dispositionRows = (figures: CampaignFigures): Html[] =>
  dispositionFigures(figures).map(({ label, value, share }) => {
    const width = Math.max(2, Math.round(share * 100));
    return html`<tr>
      <td class="ink" width="104" style="padding:4px 0;${FONT}font-size:14px;line-height:20px;color:#16181d">${label}</td>
      <td style="padding:4px 12px">
        <table role="presentation" width="${width}%" cellpadding="0" cellspacing="0" border="0">
          <tr>
            <td
              class="bar"
              height="8"
              bgcolor="#f2b26b"
              style="height:8px;line-height:8px;font-size:0;border-radius:4px;background:#f2b26b"
            >
              &nbsp;
            </td>
          </tr>
        </table>
      </td>
      <td class="ink" width="56" align="right" style="padding:4px 0;${FONT}font-size:14px;line-height:20px;color:#16181d">
        ${value}
      </td>
    </tr>`;
  });

const listNote = (hotList: HotList, hotLeads: number): Html => {
  const style = `margin:12px 0 0;${FONT}font-size:14px;line-height:20px;color:#5c6370;word-break:break-word`;
  const all = hotLeads === 1 ? 'It' : `All ${hotLeadsText(hotLeads)}`;
  if (hotList.kind === 'attached') {
    const is = hotLeads === 1 ? 'is' : 'are';
    return html`<p class="soft" style="${style}">${all} ${is} in the attached file <b>${hotList.fileName}</b>.</p>`;
  }
  if (hotList.kind === 'none') return html``;
  return html`<p class="soft" style="${style}">
    The list of ${hotLeadsText(hotLeads)} is too large for a mail.
    <a class="link" href="${hotList.url}" style="color:#a3480b">Download it as CSV</a>; the link is good for ${hotList.days} days.
  </p>`;
};

const hotSection = (data: SummaryMailData, leads: readonly MailLead[]): Html => {
  if (leads.length === 0) {
    return html`${heading('Hot leads')}
      <p class="soft" style="margin:0;${FONT}font-size:14px;line-height:20px;color:#5c6370">${NO_HOT_LEADS}</p>`;
  }
  const hot = data.figures.hot_leads;
  return html`${heading(hotHeading(hot, leads.length), 'Score')}
    <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
      ${leads.map(leadRow)}
    </table>
    ${listNote(data.hotList, hot)}`;
};

const composeHtml = (data: SummaryMailData, leads: readonly MailLead[]): string => {
  const name = oneLine(data.campaignName);
  const calls = dispositionRows(data.figures);
  return mailPage({
    title: `Campaign complete: ${name}`,
    preview: headFigures(data.figures)
      .map(({ label, value }) => `${label}: ${value}`)
      .join(' · '),
    body: html`<tr>
        <td class="pad" style="padding:28px 32px 20px">
          <div class="soft" style="${FONT}font-size:14px;line-height:20px;color:#5c6370">Campaign complete</div>
          <h1
            class="ink"
            style="margin:2px 0 0;${FONT}font-size:24px;line-height:30px;font-weight:700;color:#16181d;word-break:break-word"
          >
            ${personal(name)}
          </h1>
        </td>
      </tr>
      <tr>
        <td class="pad" style="padding:0 32px 8px">
          <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
            <tr>
              ${figureCells(data.figures)}
            </tr>
          </table>
        </td>
      </tr>
      ${section(hotSection(data, leads))}
      ${
        calls.length === 0
          ? ''
          : section(
              html`${heading(OUTCOMES, OUTCOMES_NOTE)}
                <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
                  ${calls}
                </table>`,
            )
      }
      ${section(button('Open the campaign', data.campaignUrl))}`,
    footer: html`Sent to ${personal(oneLine(data.accountName))} because a campaign ended.
      <a class="soft" href="${data.preferencesUrl}" style="color:#5c6370">Choose which mails you get</a>`,
  });
};

// ---------------------------------------------------------------- text

const columns = (rows: readonly { label: string; value: string }[]): string[] => {
  const left = Math.max(0, ...rows.map(({ label }) => label.length));
  const right = Math.max(0, ...rows.map(({ value }) => value.length));
  return rows.map(({ label, value }) => `${label.padEnd(left)}  ${value.padStart(right)}`);
};

const listLine = (hotList: HotList, hotLeads: number): string[] => {
  if (hotList.kind === 'none') return [];
  if (hotList.kind === 'link') {
    return ['', `All ${hotLeadsText(hotLeads)} as CSV (the link is good for ${hotList.days} days):`, hotList.url];
  }
  const all = hotLeads === 1 ? 'It is' : `All ${hotLeadsText(hotLeads)} are`;
  return ['', `${all} in the attached file ${hotList.fileName}.`];
};

const composeText = (data: SummaryMailData, leads: readonly MailLead[]): string => {
  const hot = data.figures.hot_leads;
  const calls = columns(dispositionFigures(data.figures));
  const hotLines =
    leads.length === 0
      ? [NO_HOT_LEADS]
      : [
          hotHeading(hot, leads.length),
          ...leads.flatMap(({ name, phone, badge, note }, i) => [
            '',
            `${i + 1}. ${name === '' ? '(no name)' : isolated(name)}`,
            `   ${phone}  score ${badge}`,
            ...(note === '' ? [] : [`   ${isolated(note)}`]),
          ]),
          ...listLine(data.hotList, hot),
        ];
  return [
    `Campaign complete: ${isolated(oneLine(data.campaignName))}`,
    '',
    ...columns(headFigures(data.figures)),
    '',
    ...hotLines,
    '',
    ...(calls.length === 0 ? [] : [`${OUTCOMES} (${OUTCOMES_NOTE.toLowerCase()})`, ...calls, '']),
    `The campaign: ${data.campaignUrl}`,
    `Choose which mails you get: ${data.preferencesUrl}`,
    '',
  ].join('\n');
};

/** The whole mail. Every name and text of others is made one line, escaped and isolated. */
export const composeSummary = (data: SummaryMailData): ComposedMail => {
  const leads = data.top.slice(0, TOP_LEADS).map(shown);
  return {
    subject: summarySubject(data.campaignName, data.figures.hot_leads),
    html: composeHtml(data, leads),
    text: composeText(data, leads),
  };
};
