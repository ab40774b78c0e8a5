/** A lead as our mails show it: the same in the summary, in a hot-lead mail, and among the calls of a pause. */
import { html, type Html } from './html.ts';
import { FONT } from './mail-page.ts';
import { oneLine, shortLine } from './plain-text.ts';

/** Longest line under a lead, in UTF-16 units. */
const NOTE_LENGTH = 200;

/** One line each, ready to be shown. */
export interface MailLead {
  /** Empty when the lead has no name: its number then stands alone. */
  name: string;
  /** E.164. */
  phone: string;
  /** In the badge on the right; empty: no badge. */
  badge: string;
  /** Evidence or reason; empty when there is none. */
  note: string;
}

/** A lead made ready to be shown: each text on one line, the note cut to fit. */
export const mailLead = (lead: { name: string | null; phone: string; badge: string; note: string | null }): MailLead => ({
  name: oneLine(lead.name ?? ''),
  phone: lead.phone,
  badge: lead.badge,
  note: shortLine(lead.note ?? '', NOTE_LENGTH),
});

/** Text of a person's choosing, set apart so that its direction cannot reorder what stands around it. */
export const personal = (text: string): Html => html`<span dir="auto" style="unicode-bidi:isolate">${text}</span>`;

const badgeCell = (badge: string): Html =>
  html`<td valign="top" align="right" width="56" style="padding:10px 0 10px 12px">
    <table role="presentation" cellpadding="0" cellspacing="0" border="0" align="right">
      <tr>
        <td
          class="score"
          align="center"
          bgcolor="#fdebd8"
          style="min-width:36px;padding:4px 8px;border-radius:14px;background:#fdebd8;${FONT}font-size:15px;line-height:20px;font-weight:700;color:#8a3b06"
        >
          ${badge}
        </td>
      </tr>
    </table>
  </td>`;

/** A row of a table of leads. */
export const leadRow = ({ name, phone, badge, note }: MailLead): Html =>
  html`<tr>
    <td valign="top" style="padding:10px 0;word-break:break-word">
      ${name === '' ? '' : html`<div class="ink" style="${FONT}font-size:15px;line-height:21px;font-weight:700;color:#16181d">${personal(name)}</div>`}
      <div style="${FONT}font-size:14px;line-height:20px">
        <a class="link" dir="ltr" href="tel:${phone}" style="color:#a3480b;text-decoration:none">${phone}</a>
      </div>
      ${note === '' ? '' : html`<div class="soft" style="${FONT}font-size:14px;line-height:20px;color:#5c6370">${personal(note)}</div>`}
    </td>
    ${badge === '' ? '' : badgeCell(badge)}
  </tr>`;
