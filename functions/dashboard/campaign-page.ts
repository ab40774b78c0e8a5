/** One campaign, live: where it stands, what can be done, its leads with the hot ones first. */
import { html } from 'hono/html';
import { DISPOSITIONS, LEAD_STATUSES } from '../../lib/domain/vocabulary.ts';
import { alert, layout } from './layout.ts';
import { progressBar } from './progress.ts';
import { uploadCard, uploadKept, type UploadShown } from './upload.ts';
import {
  count,
  counted,
  label,
  leadTotal,
  percent,
  pill,
  time,
  weekdays,
  type CampaignView,
  type Html,
  type LeadView,
  type Viewer,
} from './words.ts';

/** How many leads the page shows; the rest is in the CSV. */
export const LEADS_SHOWN = 100;

/** Something may still change by itself: the page keeps asking. */
const isLive = (campaign: CampaignView): boolean => campaign.status === 'active' || (campaign.counts.leads.calling ?? 0) > 0;

/** One sentence: what is going on, or what to do next. */
const story = (campaign: CampaignView, viewer: Viewer): Html => {
  const calling = campaign.counts.leads.calling ?? 0;
  const underWay = calling > 0 ? ` ${counted(calling, 'call')} under way.` : '';
  if (campaign.status === 'draft') {
    return leadTotal(campaign) === 0
      ? html`Not started. Upload leads to begin.`
      : html`Ready. Press start, and calls go out inside the calling window.`;
  }
  if (campaign.status === 'paused') {
    return html`Paused${campaign.pause_reason !== null && html`: ${campaign.pause_reason}`}. Nobody new is called.${underWay}`;
  }
  if (campaign.status === 'completed') {
    return html`Completed${campaign.completed_at !== null && html` ${time(campaign.completed_at, viewer)}`}.`;
  }
  if (campaign.status === 'canceled') return html`Canceled. Nobody is called any more.${underWay}`;
  if (campaign.starts_at !== null && Date.parse(campaign.starts_at) > viewer.now.getTime()) {
    return html`Starts ${time(campaign.starts_at, viewer)}.`;
  }
  if (campaign.progress >= 1) return html`Every lead is final. Waiting for the last analyses.`;
  if (campaign.pause_reason !== null) return html`Nobody is called. ${campaign.pause_reason}.${underWay}`;
  const next = campaign.next_dial_at;
  if (next === null) return html`Running.${underWay}`;
  if (Date.parse(next) > viewer.now.getTime()) return html`Running.${underWay} Next call ${time(next, viewer)}.`;
  return html`Calling now.${underWay}`;
};

const action = (campaign: CampaignView, verb: string, kind: string, disabled = false): Html =>
  html`<form method="post" action="/campaigns/${campaign.id}/${verb}" data-once>
    <button id="do-${verb}" class="${kind}" ${disabled && html`disabled`}>${label(verb)}</button>
  </form>`;

const cancel = (campaign: CampaignView): Html =>
  html`<details class="confirm" id="cancel">
    <summary class="button" id="cancel-ask">Cancel…</summary>
    <div class="sheet">
      <p>Leads that were not reached yet will not be called. This cannot be undone.</p>
      <form method="post" action="/campaigns/${campaign.id}/cancel" data-once>
        <button id="do-cancel" class="danger">Cancel the campaign</button>
      </form>
    </div>
  </details>`;

const actions = (campaign: CampaignView): Html => {
  const { status } = campaign;
  return html`<div class="actions" id="actions">
    ${status === 'draft' && action(campaign, 'start', 'primary', leadTotal(campaign) === 0)}
    ${status === 'active' && action(campaign, 'pause', '')} ${status === 'paused' && action(campaign, 'resume', 'primary')}
    ${['draft', 'active', 'paused'].includes(status) && cancel(campaign)}
  </div>`;
};

const tile = (id: string, name: string, value: string, kind = ''): Html =>
  html`<div class="tile ${kind}" id="n-${id}">
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;

/** Hot, warm and cold. The campaign counts only the hot; the others are known where the page shows every lead. */
const temperatures = (campaign: CampaignView, leads: readonly LeadView[]): Html => {
  const all = leads.length === leadTotal(campaign);
  const many = (temperature: string): string => count(leads.filter((lead) => lead.temperature === temperature).length);
  return html`${tile('hot', 'Hot', count(campaign.hot_leads), 'hot')}
  ${all && [tile('warm', 'Warm', many('warm'), 'warm'), tile('cold', 'Cold', many('cold'), 'cold')]}`;
};

const counts = (campaign: CampaignView, leads: readonly LeadView[]): Html => {
  const always = ['reached', 'unreached', 'calling', 'waiting'];
  const statuses = LEAD_STATUSES.filter((status) => always.includes(status) || (campaign.counts.leads[status] ?? 0) > 0);
  const calls = DISPOSITIONS.filter((disposition) => (campaign.counts.calls[disposition] ?? 0) > 0);
  return html`<dl class="tiles" id="temperatures" aria-label="Leads by temperature">${temperatures(campaign, leads)}</dl>
    <dl class="tiles small" id="statuses" aria-label="Leads by status">
      ${statuses.map((status) => tile(status, label(status), count(campaign.counts.leads[status] ?? 0), `key ${status}`))}
    </dl>
    <p class="calls" id="dispositions">
      ${
        calls.length === 0
          ? 'No call has ended yet.'
          : html`<b>Calls</b>
              ${calls.map((disposition) => html`<span class="fact" id="c-${disposition}">${label(disposition)} <b>${count(campaign.counts.calls[disposition] ?? 0)}</b></span> `)}`
      }
    </p>`;
};

/** Of a lead no call of which has ended. */
const uncalled = ({ status }: LeadView): string => {
  if (status === 'calling') return 'Call under way';
  return status === 'waiting' ? 'Not called yet' : 'Not called';
};

const leadRow = (lead: LeadView, viewer: Viewer): Html => {
  const retry = lead.status === 'waiting' && lead.attempts > 0 && lead.next_attempt_at !== null;
  return html`<tr id="l-${lead.id}" class="${lead.temperature ?? ''}">
    <td class="score">
      ${lead.temperature !== null && pill(lead.temperature)} ${lead.score !== null && html`<b>${lead.score}</b>`}
    </td>
    <td class="person">
      <b>${lead.name ?? 'No name'}</b>${lead.company !== null && html`<span class="hint">${lead.company}</span>`}
    </td>
    <td class="phone"><a id="p-${lead.id}" href="tel:${lead.phone}">${lead.phone}</a></td>
    <td class="status">
      ${pill(lead.status)}
      ${retry && lead.next_attempt_at !== null ? html`<span class="hint">again ${time(lead.next_attempt_at, viewer)}</span>` : ''}
    </td>
    <td class="last">
      ${lead.disposition === null ? html`<span class="hint">${uncalled(lead)}</span>` : label(lead.disposition)}
      ${lead.attempts > 1 && html`<span class="hint">${lead.attempts} attempts</span>`}
    </td>
    <td class="evidence">${lead.evidence ?? ''}</td>
  </tr>`;
};

const standing = (campaign: CampaignView, leads: readonly LeadView[]): Html => {
  const done = percent(campaign.progress);
  const total = leadTotal(campaign);
  const final = total - (campaign.counts.leads.waiting ?? 0) - (campaign.counts.leads.calling ?? 0);
  return html`<section class="card" id="standing" aria-label="Progress">
    <p class="done" id="done"><b>${done} %</b> <span>${count(final)} of ${counted(total, 'lead')} final</span></p>
    ${progressBar(campaign)}
    <p class="sr" role="status" id="spoken">
      ${Math.floor(done / 10) * 10} percent of leads are final. ${label(campaign.status)}.
    </p>
    ${counts(campaign, leads)}
  </section>`;
};

const leadTable = (campaign: CampaignView, leads: readonly LeadView[], viewer: Viewer): Html => {
  const total = leadTotal(campaign);
  return html`<section id="leads">
    <div class="heading">
      <h2>Leads</h2>
      <p class="downloads">
        ${campaign.hot_leads > 0 && html`<a id="hot-csv" href="/campaigns/${campaign.id}/hot-leads.csv" download>Hot leads as CSV</a>`}
        <a id="all-csv" href="/campaigns/${campaign.id}/leads.csv" download>All leads as CSV</a>
      </p>
    </div>
    ${leads.length < total && html`<p class="hint">The best ${count(leads.length)} of ${count(total)}. The CSV has them all.</p>`}
    <table class="leads">
      <thead>
        <tr>
          <th scope="col">Score</th>
          <th scope="col">Lead</th>
          <th scope="col">Phone</th>
          <th scope="col">Status</th>
          <th scope="col">Last call</th>
          <th scope="col">Evidence</th>
        </tr>
      </thead>
      <tbody id="rows">
        ${leads.map((lead) => leadRow(lead, viewer))}
      </tbody>
    </table>
  </section>`;
};

/**
 * What is asked for again while the campaign runs. Ids let the script change only what differs; the upload card, which holds
 * what the reader is doing, is left alone then (`upload` null).
 */
export const liveFragment = (
  campaign: CampaignView,
  leads: readonly LeadView[],
  viewer: Viewer,
  upload: UploadShown | null,
): Html => {
  const total = leadTotal(campaign);
  const open = campaign.status !== 'completed' && campaign.status !== 'canceled';
  return html`<div id="live" data-src="/campaigns/${campaign.id}/live" data-live="${isLive(campaign) ? 'yes' : 'no'}">
    <div class="heading" id="head">
      <h1>${campaign.name} <span id="status">${pill(campaign.status)}</span></h1>
      ${actions(campaign)}
    </div>
    <p class="story" id="story">${story(campaign, viewer)}</p>
    ${open && (upload === null ? uploadKept : uploadCard(campaign, upload))} ${total > 0 && standing(campaign, leads)}
    ${total > 0 && leadTable(campaign, leads, viewer)}
  </div>`;
};
const rules = (campaign: CampaignView): string => {
  const { days, start, end } = campaign.window;
  const pace = campaign.calls_per_second === null ? '' : `, ${campaign.calls_per_second} a second`;
  return `${weekdays(days)} ${start}–${end}, ${campaign.timezone} unless the lead's own zone is known · at most ${counted(campaign.max_concurrent_calls, 'call')} at once${pace}`;
};

/** The whole page. `error`: why the last button did nothing. */
export const campaignPage = (shown: {
  viewer: Viewer;
  campaign: CampaignView;
  leads: readonly LeadView[];
  upload: UploadShown;
  error: string | null;
}): Html => {
  const { viewer, campaign } = shown;
  return layout({
    title: campaign.name,
    viewer,
    body: html`<p class="crumbs"><a href="/">Campaigns</a></p>
      ${alert(shown.error)}
      <p class="note bad" id="lost" role="status" hidden>The connection is lost: what you see may be old. Trying again.</p>
      ${liveFragment(campaign, shown.leads, viewer, shown.upload)}
      <p class="hint rules">${rules(campaign)}</p>
      <noscript
        ><p class="note">
          This page does not refresh by itself without scripts. <a href="/campaigns/${campaign.id}">Reload it</a>
        </p></noscript
      >`,
  });
};
