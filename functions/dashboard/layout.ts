/** The frame around every page, and the pieces more than one page uses. */
import { html, raw } from 'hono/html';
import { APP_JS } from './live.ts';
import { APP_CSS } from './styles.ts';
import type { Html, Viewer } from './words.ts';

/** FNV-1a, enough to give an asset a new address whenever its text changes. */
const fingerprint = (text: string): string => {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16);
};
export const ASSETS = {
  css: { path: '/assets/app.css', href: `/assets/app.css?v=${fingerprint(APP_CSS)}`, type: 'text/css', text: APP_CSS },
  js: { path: '/assets/app.js', href: `/assets/app.js?v=${fingerprint(APP_JS)}`, type: 'text/javascript', text: APP_JS },
} as const;

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='9' fill='%231d1b19'/%3E%3Ccircle cx='16' cy='16' r='8' fill='none' stroke='%23fff' stroke-width='3'/%3E%3Ccircle cx='22' cy='10' r='5' fill='%23e4572e'/%3E%3C/svg%3E";

const mark = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
  <circle cx="16" cy="16" r="10" />
  <circle class="dot" cx="23.5" cy="8.5" r="5.5" />
</svg>`;

const head = (title: string): Html =>
  html`<head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>${title} · Ringleader</title>
    <link rel="icon" href="${raw(ICON)}" />
    <link rel="stylesheet" href="${ASSETS.css.href}" />
    <script src="${ASSETS.js.href}" defer></script>
  </head>`;

/** A whole page. Without a viewer nobody is signed in, and the bar at the top stays empty. */
export const layout = (page: { title: string; viewer: Viewer | null; body: Html }): Html =>
  html`<!doctype html>
    <html lang="en">
      ${head(page.title)}
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        <header class="bar">
          <a class="brand" href="/">${mark}<span>Ringleader</span></a>
          ${
            page.viewer &&
            html`<nav aria-label="Pages"><a href="/mails">Mails</a></nav>
              <span class="who">${page.viewer.account.name}</span>
              <form method="post" action="/sign-out"><button class="quiet">Sign out</button></form>`
          }
        </header>
        <main id="main">${page.body}</main>
        ${page.viewer && html`<footer>Times are in ${page.viewer.account.timezone}.</footer>`}
      </body>
    </html>`;

/** A sentence that must not be missed: read out at once, and marked by more than its colour. */
export const alert = (message: string | null): Html | null =>
  message === null ? null : html`<p class="note bad" role="alert">${message}</p>`;

/** A page that only says something: not found, or gone wrong. */
export const messagePage = (viewer: Viewer | null, title: string, message: string): Html =>
  layout({
    title,
    viewer,
    body: html`<section class="card narrow">
      <h1>${title}</h1>
      <p>${message}</p>
      <p><a href="/">To the campaigns</a></p>
    </section>`,
  });
