/** The pages of the operator, as routes: who may come in, and what an error looks like. What a visit does is in `visits.ts`. */
import { compose, type Invocation } from '../../lib/compose.ts';
import { withDb } from '../../lib/db.ts';
import type { Deps } from '../../lib/deps.ts';
import { Refusal } from '../../lib/errors.ts';
import { errorToResponse } from '../respond.ts';
import type { AnswerShape, Method, PlainRoute } from '../route.ts';
import { pageAnswer, seeOther } from './answers.ts';
import { ASSETS, messagePage } from './layout.ts';
import { FORM_LIMIT, readForm } from './read-form.ts';
import { beginSession, endSession, fromOurPages, readSession, safeNext, sessionKey } from './session.ts';
import { signInPage } from './sign-in.ts';
import { sendMailAgain, showMails, switchMail } from './mail-visits.ts';
import { beginSystemSession, showSystem, SYSTEM_PATH, systemSignIn } from './system.ts';
import { createCampaign, move, showCampaign, showCampaigns, showForm, showLive, upload, type Visit } from './visits.ts';
import type { Viewer } from './words.ts';

/** Runs `work` with a database of its own. */
const open = (invocation: Invocation, work: (deps: Deps) => Promise<Response>): Promise<Response> =>
  withDb(invocation, (db) => work(compose(invocation, db)));

/** Answers a request of the API. */
type Api = (invocation: Invocation, request: Request) => Promise<Response>;

const tag = 'Pages';
const one = '/campaigns/:id';

/** Whatever went wrong, with the status and the report it has everywhere, as a page. */
const failed = async (error: unknown, invocation: Invocation, viewer: Viewer | null): Promise<Response> => {
  const { status } = errorToResponse(error, invocation.report);
  if (status === 404) return pageAnswer(404, messagePage(viewer, 'Not found', 'There is no such page, or it is not yours.'));
  if (error instanceof Refusal) return pageAnswer(status, messagePage(viewer, 'That did not work', error.message));
  const message = 'This could not be done right now. Nothing is lost; try again in a moment.';
  return pageAnswer(status, messagePage(viewer, 'Something went wrong', message));
};
const foreign = (): Promise<Response> =>
  pageAnswer(403, messagePage(null, 'Not from here', 'This form was not sent by a page of ours. Open the page again and retry.'));

const moved = { 303: null, 409: 'text/html' } as const;
const HTML = { 200: 'text/html', 401: 'text/html', 404: 'text/html', 503: 'text/html' } as const;

const asset = ({ path, type, text }: (typeof ASSETS)['css' | 'js']): PlainRoute => ({
  method: 'GET',
  path,
  tag,
  summary: `The pages' ${type === 'text/css' ? 'style' : 'script'}`,
  responses: { 200: type },
  plain: () =>
    new Response(text, {
      headers: { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'public, max-age=31536000, immutable' },
    }),
});

/** A route for whoever is signed in; everybody else is asked to sign in, and comes back to where they were. */
const visited = (
  method: Method,
  path: string,
  summary: string,
  handler: (visit: Visit) => Promise<Response>,
  responses: Readonly<Record<number, AnswerShape>> = {},
): PlainRoute => ({
  method,
  path,
  tag,
  summary,
  responses: { ...HTML, ...(method === 'POST' ? { 403: 'text/html' } : {}), ...responses },
  plain: async (invocation, request, params) => {
    if (method === 'POST' && !fromOurPages(invocation.config, request)) return foreign();
    let viewer: Viewer | null = null;
    try {
      return await open(invocation, async (deps) => {
        const session = await readSession(deps, request);
        if (!session) {
          const { pathname } = new URL(request.url);
          const campaign = /^\/campaigns\/[^/]+/.exec(pathname)?.[0];
          const next = campaign ?? (pathname.startsWith('/mails') ? '/mails' : pathname);
          return pageAnswer(path === '/' ? 200 : 401, signInPage(safeNext(next), null));
        }
        viewer = session.viewer;
        if (method === 'POST') await invocation.wake();
        const response = await handler({ deps, viewer, account: viewer.account.id, request, params });
        if (session.renewed !== null) response.headers.append('set-cookie', session.renewed);
        return response;
      });
    } catch (error) {
      return failed(error, invocation, viewer);
    }
  },
});

const signIn: PlainRoute = {
  method: 'POST',
  path: '/sign-in',
  tag,
  summary: 'Sign in with an API key',
  responses: { 303: null, 400: 'text/html', 401: 'text/html', 403: 'text/html', 503: 'text/html' },
  plain: async (invocation, request) => {
    if (!fromOurPages(invocation.config, request)) return foreign();
    try {
      return await open(invocation, async (deps) => {
        const form = await readForm(request, FORM_LIMIT);
        const key = form.get('key');
        const next = safeNext(form.get('next'));
        const system = typeof key === 'string' ? await beginSystemSession(deps, key.trim()) : null;
        if (system !== null) return seeOther(SYSTEM_PATH, { 'set-cookie': system });
        const cookie = typeof key === 'string' ? await beginSession(deps, key.trim()) : null;
        if (cookie === null) return pageAnswer(401, signInPage(next, 'This key is not valid. Check it for missing characters.'));
        return seeOther(next, { 'set-cookie': cookie });
      });
    } catch (error) {
      return failed(error, invocation, null);
    }
  },
};

const signOut: PlainRoute = {
  method: 'POST',
  path: '/sign-out',
  tag,
  summary: 'Sign out',
  responses: { 303: null, 403: 'text/html' },
  plain: ({ config }, request) =>
    fromOurPages(config, request) ? seeOther('/', { 'set-cookie': endSession(config) }) : foreign(),
};

const system: PlainRoute = {
  method: 'GET',
  path: SYSTEM_PATH,
  tag,
  summary: 'The system and its connections, for the admin key',
  responses: HTML,
  plain: async (invocation, request) => {
    try {
      return await open(invocation, async (deps) => (await showSystem(deps, invocation, request)) ?? systemSignIn());
    } catch (error) {
      return failed(error, invocation, null);
    }
  },
};

/** A download: the API's own export, asked for with the key that the session holds. */
const download = (api: Api, file: string, summary: string): PlainRoute => ({
  method: 'GET',
  path: `${one}/${file}`,
  tag,
  summary,
  responses: { ...HTML, 200: 'text/csv' },
  plain: async (invocation, request, params) => {
    const key = await sessionKey(invocation, request);
    const again = (): Promise<Response> => pageAnswer(401, signInPage(safeNext(`/campaigns/${params['id'] ?? ''}`), null));
    if (key === null) return again();
    const from = new URL(`/v1/campaigns/${encodeURIComponent(params['id'] ?? '')}/${file}`, request.url);
    const answer = await api(invocation, new Request(from, { headers: { authorization: `Bearer ${key}` } }));
    if (answer.ok) return answer;
    if (answer.status === 401) return again();
    const title = answer.status === 404 ? 'Not found' : 'Something went wrong';
    const message = answer.status === 404 ? 'There is no such page, or it is not yours.' : 'Try again in a moment.';
    return pageAnswer(answer.status, messagePage(null, title, message));
  },
});

/** Every page and form, to be mounted as they are; downloads are exports of the `api`. */
export const dashboardRoutes = (api: Api): readonly PlainRoute[] => [
  asset(ASSETS.css),
  asset(ASSETS.js),
  signIn,
  signOut,
  system,
  visited('GET', '/', 'The campaigns, or the page to sign in', showCampaigns),
  visited('GET', '/campaigns/new', 'The form that makes a campaign', showForm),
  visited('POST', '/campaigns', 'Make a campaign from the form', createCampaign, { 303: null, 400: 'text/html' }),
  visited('GET', one, 'One campaign, live', (visit) => showCampaign(visit)),
  visited('GET', `${one}/live`, 'The part of the page that changes', showLive, { 304: null }),
  visited('POST', `${one}/leads`, 'Upload a CSV', upload, {
    400: 'text/html',
    409: 'text/html',
    413: 'text/html',
    415: 'text/html',
  }),
  download(api, 'leads.csv', 'Every lead as CSV'),
  download(api, 'hot-leads.csv', 'The hot leads as CSV'),
  download(api, 'errors.csv', 'The rows that could not be imported, as CSV'),
  visited('GET', '/mails', 'Which mails go out, and what became of each', (visit) => showMails(visit)),
  visited('POST', '/mails/preferences', 'Switch a type of mail on or off', switchMail, { 303: null, 400: 'text/html' }),
  visited('POST', '/mails/:id/send', 'Send a mail again', sendMailAgain, moved),
  visited('POST', `${one}/start`, 'Start', move('start'), moved),
  visited('POST', `${one}/pause`, 'Pause', move('pause'), moved),
  visited('POST', `${one}/resume`, 'Resume', move('resume'), moved),
  visited('POST', `${one}/cancel`, 'Cancel', move('cancel'), moved),
];
