/** The network's own page: the latest calls, as they go. */
import { escapeHtml } from '../edge-server.ts';
import type { CallRecord, Exchange } from './exchange.ts';

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#e3e5ea, #2c2f36); --dim: light-dark(#667085, #98a2b3); --back: light-dark(#fbfbfc, #14161a) }
* { box-sizing: border-box }
body { font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem; background: var(--back) }
h1 { font-size: 1.25rem; margin: 0 0 .25rem }
p { color: var(--dim); margin: 0 0 1.5rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--dim); font-weight: 500 }
td:last-child { white-space: normal; color: var(--dim) }
.completed { color: light-dark(#067647, #47cd89) } .in-progress, .ringing, .initiated { color: light-dark(#175cd3, #84caff) }
@media (max-width: 50rem) {
  thead { position: absolute; clip-path: inset(50%) }
  tr { display: flex; flex-wrap: wrap; gap: 0 .75rem; padding: .45rem 0; border-bottom: 1px solid var(--line) }
  td { border: 0; padding: 0 } td:last-child { flex-basis: 100% }
}
.failed, .refused { color: light-dark(#b42318, #f97066) } .busy, .no-answer { color: light-dark(#b54708, #fdb022) }`;

const row = (record: CallRecord): string => {
  const state = record.status ?? 'refused';
  const events = record.events.map(({ status, lost, deliveries }) => {
    const answer = lost ?? deliveries.at(-1)?.answer ?? '…';
    return `${status} ${answer}${deliveries.length > 1 ? ` ×${deliveries.length}` : ''}`;
  });
  const cells = [
    record.received_at.slice(11, 19),
    record.provider,
    typeof record.recipient_phone_number === 'string' ? record.recipient_phone_number : '?',
    `${record.answered ?? 'never'}`,
  ].map((cell) => `<td>${escapeHtml(cell)}</td>`);
  return `<tr>${cells.join('')}<td class="${state}">${state}</td><td>${escapeHtml(events.join(' · '))}</td></tr>`;
};

/** The latest 100 calls, newest first; reloads itself every two seconds. */
export const callsPage = (exchange: Exchange): string => {
  const { calls_created, live, max_live, webhooks } = exchange.stats();
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2"><title>Phone network</title><style>${STYLE}</style></head><body>
<main><h1>Phone network</h1>
<p>${calls_created} calls · ${live} live, ${max_live} at most · webhooks: ${webhooks.sent} sent, ${webhooks.repeated} repeated, ${webhooks.dropped} lost</p>
<table><thead><tr><th>received</th><th>provider</th><th>number</th><th>answer</th><th>status</th><th>webhooks and their answers</th></tr></thead>
<tbody>${exchange.records.slice(-100).toReversed().map(row).join('\n')}</tbody></table></main></body></html>`;
};
