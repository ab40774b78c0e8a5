/** The inbox as a person sees it: the list of mails, and one mail. No script; what a mail brings is shown in a sandbox. */
import { escapeHtml } from '../edge-server.ts';
import type { Stored } from './store.ts';

/** Pages show mails from anywhere: nothing but their own styles and the framed mail may load. */
export const PAGE_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'";
/** The mail itself: no scripts, no forms, no origin; its links open in a tab of their own. */
export const MAIL_CSP =
  "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: https:; style-src 'unsafe-inline'; font-src data:";

const STYLE = `
:root {
  color-scheme: light dark;
  --back: light-dark(#f4f5f7, #0f1115); --card: light-dark(#fff, #171a20); --line: light-dark(#e4e7ec, #2a2e37);
  --ink: light-dark(#101828, #eef0f4); --dim: light-dark(#5d6679, #98a1b2); --hue: light-dark(#3538cd, #a4bcfd); --tint: light-dark(#eef0ff, #232741)
}
* { box-sizing: border-box }
html, body { height: 100% }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif }
main { max-width: 60rem; min-height: 100%; margin: 0 auto; padding: 2rem 1.25rem; display: flex; flex-direction: column; gap: 1rem }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0; overflow-wrap: anywhere }
a { color: var(--hue); text-decoration: none } a:hover { text-decoration: underline }
a:focus-visible { outline: 2px solid var(--hue); outline-offset: 2px; border-radius: .3rem }
.dim { color: var(--dim) }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; overflow: hidden }
.mails { list-style: none; margin: 0; padding: 0 }
.mails a { display: grid; grid-template-columns: 2.5rem 1fr auto; gap: .15rem .9rem; align-items: center; padding: .9rem 1.1rem; color: inherit; border-top: 1px solid var(--line) }
.mails li:first-child a { border-top: 0 }
.mails a:hover { background: var(--tint); text-decoration: none }
.mails strong, .mails .dim { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0 }
.face { grid-row: span 2; width: 2.5rem; height: 2.5rem; border-radius: 50%; display: grid; place-items: center; background: var(--tint); color: var(--hue); font-weight: 600 }
.head { padding: 1.25rem 1.4rem; display: grid; gap: .75rem }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem 1rem; margin: 0 } dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
.row { display: flex; flex-wrap: wrap; gap: .5rem }
.chip { border: 1px solid var(--line); border-radius: 2rem; padding: .15rem .75rem; font-size: .85rem; overflow-wrap: anywhere }
.file { border: 1px solid var(--line); border-radius: .6rem; padding: .45rem .8rem; background: var(--back); overflow-wrap: anywhere }
nav { display: flex; gap: .25rem; padding: .5rem 1.1rem; border-block: 1px solid var(--line) }
nav a { padding: .25rem .8rem; border-radius: .5rem; color: var(--dim) } nav [aria-current] { background: var(--tint); color: var(--hue) }
.mail { flex: 1; display: flex; flex-direction: column; min-height: 32rem }
iframe { flex: 1; width: 100%; min-height: 32rem; border: 0 }
pre { margin: 0; padding: 1.25rem 1.4rem; font: 13.5px/1.6 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
.clip { width: 1em; height: 1em; margin-right: .35rem; vertical-align: -.12em; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round }
summary { color: var(--dim); cursor: pointer; font-size: .85rem } details[open] summary { margin-bottom: .5rem }
.empty { padding: 4rem 1rem; text-align: center }
@media (max-width: 36rem) { .mails a { grid-template-columns: 2.5rem 1fr } .face { grid-row: span 3 } }`;

const page = (title: string, content: string, reloads: boolean): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
${reloads ? '<meta http-equiv="refresh" content="3">' : ''}<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main>${content}</main></body></html>`;

const e = escapeHtml;
const CLIP =
  '<svg class="clip" viewBox="0 0 24 24" role="img" aria-label="Attachment"><path d="M21 11.5l-8.6 8.6a5.5 5.5 0 0 1-7.8-7.8l8.9-8.9a3.7 3.7 0 0 1 5.2 5.2l-8.9 8.9a1.8 1.8 0 0 1-2.6-2.6l8.2-8.2"/></svg>';
const when = (mail: Stored): string => `${mail.ReceivedAt.slice(0, 10)} ${mail.ReceivedAt.slice(11, 16)} UTC`;
const initial = (mail: Stored): string => (/[\p{L}\p{N}]/u.exec(mail.From)?.[0] ?? '?').toUpperCase();

const item = (mail: Stored): string => `<li><a href="/messages/${e(mail.MessageID)}">
<span class="face" aria-hidden="true">${e(initial(mail))}</span>
<strong>${e(mail.Subject)}</strong><span class="dim">${mail.Attachments.length > 0 ? CLIP : ''}${when(mail)}</span>
<span class="dim">${e(mail.From)} to ${e(mail.To)}</span></a></li>`;

/** The list, newest first; reloads itself every three seconds. */
export const listPage = (mails: readonly Stored[]): string => {
  const list =
    mails.length === 0
      ? '<div class="card empty dim">No mail yet. It appears here as soon as it is sent.</div>'
      : `<div class="card"><ul class="mails">${mails.map(item).join('\n')}</ul></div>`;
  return page(`Inbox (${mails.length})`, `<h1>Inbox <span class="dim">${mails.length}</span></h1>${list}`, true);
};

const size = (base64: string): string => {
  const bytes = Buffer.byteLength(base64, 'base64');
  return bytes < 1_000
    ? `${bytes} bytes`
    : bytes < 1_000_000
      ? `${Math.round(bytes / 1_000)} kB`
      : `${(bytes / 1_000_000).toFixed(1)} MB`;
};

const files = (mail: Stored): string =>
  mail.Attachments.map(
    ({ Name, Content }, index) =>
      `<a class="file" href="/messages/${e(mail.MessageID)}/attachments/${index}" download="${e(Name)}">${CLIP} ${e(Name)} <span class="dim">${size(Content)}</span></a>`,
  ).join('');

const metadata = (mail: Stored): string => {
  const chips = Object.entries(mail.Metadata).map(
    ([name, value]) => `<span class="chip"><span class="dim">${e(name)}</span> ${e(value)}</span>`,
  );
  return chips.length === 0 ? '' : `<details><summary>Metadata</summary><div class="row">${chips.join('')}</div></details>`;
};

/** One mail: its head, and its HTML or its text. */
export const mailPage = (mail: Stored, view: 'html' | 'text'): string => {
  const tab = (name: 'html' | 'text', label: string): string =>
    `<a href="?view=${name}"${name === view ? ' aria-current="page"' : ''}>${label}</a>`;
  const body =
    view === 'html'
      ? `<iframe title="The mail" sandbox="allow-popups allow-popups-to-escape-sandbox" src="/messages/${e(mail.MessageID)}/html"></iframe>`
      : `<pre>${e(mail.TextBody)}</pre>`;
  return page(
    mail.Subject,
    `<a href="/">← Inbox</a>
<article class="card mail"><div class="head"><h1>${e(mail.Subject)}</h1>
<dl><dt>From</dt><dd>${e(mail.From)}</dd><dt>To</dt><dd>${e(mail.To)}</dd><dt>Received</dt><dd>${when(mail)}</dd></dl>
<div class="row">${files(mail)}</div>${metadata(mail)}</div>
<nav aria-label="Version">${tab('html', 'HTML')}${tab('text', 'Text')}</nav>${body}</article>`,
    false,
  );
};

/** The mail's own HTML, whose links are to leave the frame. */
export const mailHtml = (mail: Stored): string =>
  mail.HtmlBody === '' ? `<!doctype html><pre>${e(mail.TextBody)}</pre>` : `<base target="_blank">${mail.HtmlBody}`;
