/** The mails of an account: where they go, which are on, and what became of each, with its reason. */
import { html } from 'hono/html';
import type * as z from 'zod';
import type { AccountStatus, Notification, Preferences } from '../../lib/contract.ts';
import { alert, layout } from './layout.ts';
import { switches } from './preferences.ts';
import { label, pill, time, type Html, type Viewer } from './words.ts';

export type MailView = z.infer<typeof Notification>;

export interface MailsShown {
  viewer: Viewer;
  preferences: z.infer<typeof Preferences>;
  status: z.infer<typeof AccountStatus>;
  mails: readonly MailView[];
  /** The types that the configuration switches off. */
  configuredOff: readonly string[];
  /** The address of the next page, null on the last one. */
  older: string | null;
  /** Why the last button did nothing. */
  error: string | null;
}

const SENDABLE: readonly MailView['status'][] = ['failed', 'skipped', 'unknown'];

const about = ({ campaign_id, campaign_name, agent_name }: MailView): Html => {
  if (campaign_name !== null) return html`<a href="/campaigns/${campaign_id}">${campaign_name}</a>`;
  return campaign_id === null ? html`the voice agent ${agent_name}` : html`<span class="hint">a deleted campaign</span>`;
};

const row = (mail: MailView, viewer: Viewer): Html =>
  html`<li id="m-${mail.id}">
    <div>
      <b>${label(mail.type)}</b> ${pill(mail.status)} ${about(mail)}
      <p class="hint">
        ${time(mail.sent_at ?? mail.created_at, viewer)} to ${mail.recipient}${mail.reason !== null && html`<br />${mail.reason}`}
      </p>
    </div>
    ${
      SENDABLE.includes(mail.status) && (mail.campaign_name !== null || mail.campaign_id === null)
        ? html`<form method="post" action="/mails/${mail.id}/send" data-once>
            <button>${mail.status === 'skipped' ? 'Send it' : 'Send again'}</button>
          </form>`
        : ''
    }
  </li>`;

/** The page of mails: the switches, and what became of each mail. */
export const mailsPage = (shown: MailsShown): Html => {
  const { viewer, status } = shown;
  return layout({
    title: 'Mails',
    viewer,
    body: html`<div class="heading"><h1>Mails</h1></div>
      ${alert(shown.error)}
      <p class="story">They go to ${viewer.account.email}.</p>
      ${status.email_problem !== null && html`<p class="note bad" id="email-problem">The mail provider says of this address: ${status.email_problem}. Set another one if mails do not arrive.</p>`}
      <section class="card" aria-label="Which mails you get">
        ${switches(shown.preferences, '/mails/preferences', shown.configuredOff)}
      </section>
      <h2>History</h2>
      ${
        shown.mails.length === 0
          ? html`<p class="hint">No mail yet. The first one comes with the first hot lead, or when a campaign is complete.</p>`
          : html`<section class="card" aria-label="History">
              <ul class="switches" id="history">
                ${shown.mails.map((mail) => row(mail, viewer))}
              </ul>
            </section>`
      }
      ${shown.older !== null && html`<p><a href="${shown.older}">Older mails</a></p>`}`,
  });
};
