/** The bar that shows where a campaign's leads stand, drawn as SVG because the content policy allows no inline style. */
import { html } from 'hono/html';
import { LEAD_STATUSES } from '../../lib/domain/vocabulary.ts';
import { leadTotal, percent, type CampaignView, type Html } from './words.ts';

/** In the order of the bar: what is final, what is on the line; whoever waits is the empty rest. */
const SEGMENTS: readonly (typeof LEAD_STATUSES)[number][] = [
  'reached',
  'unreached',
  'suppressed',
  'invalid',
  'expired',
  'canceled',
  'calling',
];
const WIDTH = 1000;

/** One segment per lead status, as wide as its share of all leads. */
export const progressBar = (campaign: CampaignView): Html => {
  const total = leadTotal(campaign);
  let x = 0;
  const segments = SEGMENTS.map((status) => {
    const width = total === 0 ? 0 : ((campaign.counts.leads[status] ?? 0) / total) * WIDTH;
    const from = x;
    x += width;
    return width > 0 && html`<rect class="${status}" x="${from.toFixed(1)}" width="${width.toFixed(1)}" height="10" />`;
  });
  return html`<span
    class="progress"
    role="progressbar"
    aria-label="Leads that are final"
    aria-valuemin="0"
    aria-valuemax="100"
    aria-valuenow="${percent(campaign.progress)}"
    ><svg viewBox="0 0 ${WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">${segments}</svg></span
  >`;
};
