/** GET, POST /links/:token — what a mail links to: signed, good for seven days, no key needed. GET shows, POST changes. */
import { html } from 'hono/html';
import * as z from 'zod';
import { openLink } from '../lib/auth.ts';
import { compose, type Invocation } from '../lib/compose.ts';
import { Id } from '../lib/contract.ts';
import { NOTIFICATION_TYPES } from '../lib/domain/vocabulary.ts';
import { withDb } from '../lib/db.ts';
import type { Deps } from '../lib/deps.ts';
import { notFound, Refusal } from '../lib/errors.ts';
import { streamHotLeadsCsv } from '../lib/export-csv.ts';
import { offTypes } from '../lib/summarise.ts';
import { pageAnswer } from './dashboard/answers.ts';
import { layout, messagePage } from './dashboard/layout.ts';
import { Switch, switches } from './dashboard/preferences.ts';
import { errorToResponse, toResponse } from './respond.ts';
import type { PlainRoute } from './route.ts';
import { watched } from './watched.ts';

const Payload = z.discriminatedUnion('action', [
  z.object({ action: z.literal('hot_leads_csv'), account_id: Id, campaign_id: Id }),
  z.object({ action: z.literal('preference'), account_id: Id, type: z.enum(NOTIFICATION_TYPES) }),
]);
type Payload = z.infer<typeof Payload>;
type Preference = Extract<Payload, { action: 'preference' }>;

/** @throws {Refusal} 404 for a link that is not ours or no longer good */
const payloadOf = async (invocation: Invocation, token: string | undefined): Promise<Payload> => {
  const payload = Payload.safeParse(await openLink(invocation.config.secretsKey, token ?? '', invocation.now()));
  if (!payload.success) throw notFound();
  return payload.data;
};

/** The switches of the account, the one that the mail is about on top. */
const preferencePage = async (deps: Deps, { account_id: account, type }: Preference): Promise<Response> => {
  const preferences = await deps.verbs.getPreferences(account, deps.now());
  return pageAnswer(
    200,
    layout({
      title: 'Mails',
      viewer: null,
      body: html`<div class="medium">
        <h1>Which mails you get</h1>
        <section class="card">${switches(preferences, '', offTypes(deps.config), type)}</section>
      </div>`,
    }),
  );
};

const gone = (): Promise<Response> =>
  pageAnswer(
    404,
    messagePage(
      null,
      'This link does not work',
      'It is incomplete or has expired: links in mails work for seven days. Sign in to find the same there.',
    ),
  );

/** Streams the list on a connection that stays open as long as the reader reads. */
const hotLeads = (invocation: Invocation, payload: Extract<Payload, { action: 'hot_leads_csv' }>): Promise<Response> => {
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const work = withDb(invocation, async (db) => {
    const rows = await streamHotLeadsCsv(compose(invocation, db), payload.account_id, payload.campaign_id);
    const { stream, ended } = watched(rows);
    resolve(toResponse({ status: 200, stream, type: 'text/csv; charset=utf-8', filename: 'hot-leads.csv' }));
    await ended;
  });
  invocation.ctx.waitUntil(work.catch(reject));
  return promise;
};

const guarded =
  (answer: (invocation: Invocation, request: Request, payload: Payload) => Promise<Response>): PlainRoute['plain'] =>
  async (invocation, request, params) => {
    try {
      return await answer(invocation, request, await payloadOf(invocation, params.token));
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return gone();
      return errorToResponse(error, invocation.report);
    }
  };

const path = '/links/:token';
const tag = 'Links';

export const linkRoutes: readonly PlainRoute[] = [
  {
    method: 'GET',
    path,
    tag,
    summary: 'What a mail links to: a CSV, or a page that shows a preference',
    responses: { 200: 'text/html', 404: 'text/html' },
    plain: guarded((invocation, _request, payload) =>
      payload.action === 'hot_leads_csv'
        ? hotLeads(invocation, payload)
        : withDb(invocation, (db) => preferencePage(compose(invocation, db), payload)),
    ),
  },
  {
    method: 'POST',
    path,
    tag,
    summary: 'Change the preference that the link is about',
    responses: { 200: 'text/html', 404: 'text/html' },
    plain: guarded(async (invocation, request, payload) => {
      if (payload.action !== 'preference') throw notFound();
      const form = new URLSearchParams((await request.text()).slice(0, 1000));
      // One-click unsubscribing (RFC 8058) sends a body of its own: without an explicit "true", what the mail is about is switched off.
      const sent = Switch.safeParse({ type: payload.type, on: 'false', ...Object.fromEntries(form) });
      if (!sent.success) throw notFound();
      const { type, on } = sent.data;
      return withDb(invocation, async (db) => {
        const deps = compose(invocation, db);
        await deps.verbs.setPreference(payload.account_id, deps.now(), type, on === 'true');
        return preferencePage(deps, payload);
      });
    }),
  },
];
