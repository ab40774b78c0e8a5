/** The campaigns of an account, newest first as the verb lists them, or what to do when there are none. */
import { html } from 'hono/html';
import { layout } from './layout.ts';
import { progressBar } from './progress.ts';
import { count, counted, leadTotal, percent, pill, time, type CampaignView, type Html, type Viewer } from './words.ts';

const row = (campaign: CampaignView, viewer: Viewer): Html =>
  html`<li>
    <a class="campaign" href="/campaigns/${campaign.id}">
      <span class="title">${campaign.name} ${pill(campaign.status)}</span>
      ${progressBar(campaign)}
      <span class="facts">
        <span>${percent(campaign.progress)} %</span>
        <span>${counted(leadTotal(campaign), 'lead')}</span>
        <span class="${campaign.hot_leads > 0 ? 'hot-text' : ''}">${count(campaign.hot_leads)} hot</span>
        <span>created ${time(campaign.created_at, viewer)}</span>
      </span>
    </a>
  </li>`;

const empty = html`<section class="card empty">
  <h2>No campaigns yet</h2>
  <p>A campaign is a list of leads plus the hours in which they may be called.</p>
  <ol>
    <li>Name it and choose the voice agent.</li>
    <li>Upload a CSV of leads.</li>
    <li>Press start. When the last lead is done, the summary with the hot leads is mailed to you.</li>
  </ol>
  <p><a class="button primary" href="/campaigns/new">Make the first campaign</a></p>
</section>`;

/** `older`: the address of the next page, null on the last one. */
export const campaignListPage = (viewer: Viewer, campaigns: readonly CampaignView[], older: string | null): Html =>
  layout({
    title: 'Campaigns',
    viewer,
    body: html`<div class="heading">
        <h1>Campaigns</h1>
        ${campaigns.length > 0 && html`<a class="button primary" href="/campaigns/new">New campaign</a>`}
      </div>
      ${
        campaigns.length === 0
          ? empty
          : html`<ul class="campaigns">
              ${campaigns.map((campaign) => row(campaign, viewer))}
            </ul>`
      }
      ${older !== null && html`<p><a href="${older}">Older campaigns</a></p>`}`,
  });
