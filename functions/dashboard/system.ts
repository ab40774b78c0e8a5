/** The page of the deployer: the system, what its connections went through, and how that stands against the goals. */
import { html } from 'hono/html';
import * as z from 'zod';
import { sameSecret } from '../../lib/auth.ts';
import type { Invocation } from '../../lib/compose.ts';
import type { Deps } from '../../lib/deps.ts';
import { pictureOf, type Count, type Figure, type FigureName, type Picture } from '../../lib/domain/connections.ts';
import { systemStatusOf } from '../status.ts';
import { pageAnswer } from './answers.ts';
import { layout } from './layout.ts';
import { sealedCookie } from './sealed-cookie.ts';
import { signInPage } from './sign-in.ts';
import { count, label, type Html } from './words.ts';

export const SYSTEM_PATH = '/system';
const COOKIE = sealedCookie('ringleader_system', SYSTEM_PATH, z.strictObject({ system_key: z.string(), at: z.int() }));

/** The `Set-Cookie` of a session on this page alone; null for any key but the admin's. */
export const beginSystemSession = async (deps: Deps, key: string): Promise<string | null> =>
  (await sameSecret(key, deps.config.adminKey)) ? COOKIE.seal(deps, { system_key: key }) : null;

const isSignedIn = async (deps: Deps, request: Request): Promise<boolean> => {
  const held = await COOKIE.open(deps, request);
  return held !== null && sameSecret(held.system_key, deps.config.adminKey);
};

/** For whoever has not shown the admin key. */
export const systemSignIn = (): Promise<Response> =>
  pageAnswer(401, signInPage('/', null, 'The ADMIN_KEY of this deployment. You stay signed in for 12 hours.'));

const ABOUT: Readonly<Record<FigureName, string>> = {
  opened: 'One per invocation that asked the database anything',
  terminated_idle: 'Ended by Neon with no statement in flight: a warning, nothing was lost',
  lost_in_flight: 'Died under a statement, whose outcome was then unknown',
  connect_failed: 'Tries to connect that failed; most succeed at the next try',
  retried: 'Statements and connections tried again, where that is known to be harmless',
  refused_full: 'The server had no connection left (53300)',
  query_error_rate: 'Verbs that ended in an error, of all verbs',
  mail_failures: 'Mails that could not be made or sent',
  forged_webhooks: 'Webhooks that nobody could prove, refused',
};

const amount = (name: FigureName, value: number): string =>
  name === 'query_error_rate' ? `${(value * 100).toFixed(2)} %` : count(value);
const goalOf = (name: FigureName, { goal }: Figure): string => {
  if (goal === null) return 'none';
  return 'below' in goal ? `< ${amount(name, goal.below)}` : amount(name, goal.at_most);
};
const verdict = ({ met }: Figure): Html | string => {
  if (met === null) return '';
  return met ? html`<span class="pill met">Met</span>` : html`<span class="pill missed">Missed</span>`;
};

const BAR = 4;
const HEIGHT = 24;
/** One bar an hour, drawn as SVG because the content policy allows no inline style. */
const bars = (name: FigureName, hours: Picture['hours']): Html => {
  const drawn: Count = name === 'query_error_rate' ? 'failed' : name;
  const most = Math.max(1, ...hours.map((hour) => hour[drawn]));
  const bar = (n: number, i: number): Html => {
    const height = n === 0 ? 1 : Math.max(2, (n / most) * HEIGHT);
    const at = { x: i * BAR, y: (HEIGHT - height).toFixed(1), height: height.toFixed(1) };
    return html`<rect class="${n === 0 ? 'none' : ''}" x="${at.x}" y="${at.y}" width="${BAR - 1}" height="${at.height}" />`;
  };
  return html`<svg class="hours" viewBox="0 0 ${hours.length * BAR} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    ${hours.map((hour, i) => bar(hour[drawn], i))}
  </svg>`;
};

const figures = ({ figures, hours }: Picture): Html =>
  html`<div class="wide" role="region" aria-label="Connections" tabindex="0">
    <table class="figures">
      <thead>
        <tr>
          <th>Connections</th>
          <th class="number">This hour</th>
          <th class="number">48 hours</th>
          <th>Hour by hour</th>
          <th class="number">Goal</th>
          <th><span class="sr">Met or missed</span></th>
        </tr>
      </thead>
      <tbody>
        ${Object.entries(figures).map(
          ([name, figure]) =>
            html`<tr>
              <td>${label(name)}<span class="hint">${ABOUT[name as FigureName]}</span></td>
              <td class="number">${amount(name as FigureName, figure.current)}</td>
              <td class="number">${amount(name as FigureName, figure.last_48_hours)}</td>
              <td>${bars(name as FigureName, hours)}</td>
              <td class="number">${goalOf(name as FigureName, figure)}</td>
              <td>${verdict(figure)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;

const verbs = (picture: Picture, slowMs: number): Html =>
  html`<div class="wide" role="region" aria-label="Verbs" tabindex="0">
    <table class="figures">
      <thead>
        <tr>
          <th>Verb</th>
          <th class="number">Statements</th>
          <th class="number">Slow (≥ ${count(slowMs)} ms)</th>
          <th class="number">This hour</th>
          <th class="number">Goal</th>
          <th class="number">p50</th>
          <th class="number">p99</th>
        </tr>
      </thead>
      <tbody>
        ${picture.verbs.slice(0, 20).map(
          (one) =>
            html`<tr>
              <td><code>${one.verb}</code></td>
              <td class="number">${count(one.count)}</td>
              <td class="number">${count(one.slow)}</td>
              <td class="number">${count(one.current.slow)} of ${count(one.current.count)}</td>
              <td class="number">0</td>
              <td class="number">${count(one.p50_ms)} ms</td>
              <td class="number">${count(one.p99_ms)} ms</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;

const tile = (name: string, value: string): Html =>
  html`<div class="tile">
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;

/** The page, for whoever holds the admin key; null for anybody else. It asks the database once and does not refresh itself. */
export const showSystem = async (deps: Deps, invocation: Invocation, request: Request): Promise<Response | null> => {
  if (!(await isSignedIn(deps, request))) return null;
  const measured = await invocation.measured();
  const system = await systemStatusOf(deps, measured);
  const picture = measured && pictureOf(measured);
  const { server } = system.connections;
  const body = html`<h1>System</h1>
    <section class="card">
      <h2>Now</h2>
      <dl class="tiles small">
        ${tile('Live calls', `${count(system.live_calls)} of ${count(system.system_max_concurrent_calls)}`)}
        ${tile('Waiting leads', count(system.waiting_leads))} ${tile('Summary mails', system.summary_mails)}
        ${tile('Mail webhook', system.mail_webhook)}
      </dl>
      <h2>Sessions at the server</h2>
      <dl class="tiles small">${server.map((one) => tile(one.state ?? 'starting', count(one.count)))}</dl>
      <p class="hint">
        As the database itself counts them (pg_stat_activity), this page’s own included. Goal: none idle in transaction.
      </p>
    </section>
    ${
      picture
        ? html`${figures(picture)}
            <h2>Verbs of the last 48 hours, slowest first</h2>
            <p class="hint">Goal: none slow. A connection’s first statement includes the waking of the database.</p>
            ${verbs(picture, deps.config.slowQueryMs)}`
        : html`<p class="note warn">The counts cannot be read right now. It has been reported.</p>`
    }`;
  return pageAnswer(200, layout({ title: 'System', viewer: null, body }));
};
