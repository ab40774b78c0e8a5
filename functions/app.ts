/** The table of routes, and what happens around each: authorise, validate, answer, and turn errors into statuses. */
import { createHash } from 'node:crypto';
import { Hono, type Context } from 'hono';
import { bearerKey, hashKey, sameSecret } from '../lib/auth.ts';
import { compose, type Invocation } from '../lib/compose.ts';
import type { DbStats } from '../lib/db-session.ts';
import { withDb } from '../lib/db.ts';
import { reportAbout, type Deps } from '../lib/deps.ts';
import { notFound, Refusal } from '../lib/errors.ts';
import { accountRoutes } from './accounts.ts';
import { agentRoutes } from './agents.ts';
import { callRoutes } from './calls.ts';
import { campaignRoutes } from './campaigns.ts';
import { dashboardRoutes } from './dashboard/pages.ts';
import { exportRoutes } from './exports.ts';
import { derivedMint, freshMint, hashOf, idempotencyKey, idempotently, type Streamed, type Use } from './idempotency.ts';
import { isEmpty, JSON_LIMIT, mediaType, parseJson, queryOf, readBytes, refuseEncoded, tapped, validate } from './input.ts';
import { leadRoutes } from './leads.ts';
import { linkRoutes } from './links.ts';
import { mailWebhook } from './mail-webhook.ts';
import { notificationRoutes } from './notifications.ts';
import { docsOf, openapiOf } from './openapi.ts';
import { errorToResponse, secured, toResponse, unauthorized } from './respond.ts';
import type { Answer, ApiRoute, Call, CsvBody, PlainRoute, Route } from './route.ts';
import { statusRoutes } from './status.ts';
import { suppressionRoutes } from './suppressions.ts';
import { watched } from './watched.ts';
import { onWebhook } from './webhooks.ts';
import * as z from 'zod';

type Bindings = { Bindings: { invocation: Invocation } };

const Nothing = z.strictObject({});

/** The account that the key belongs to; null for the admin key. @throws {Refusal} one and the same 401 */
const authorise = async (route: ApiRoute, deps: Deps, headers: Headers): Promise<string | null> => {
  if (route.auth === 'none') return null;
  const key = bearerKey(headers);
  if (key === null) throw unauthorized();
  if (route.auth !== 'account' && (await sameSecret(key, deps.config.adminKey))) return null;
  if (route.auth === 'admin') throw unauthorized();
  const owner = await deps.verbs.authenticate(deps.now(), await hashKey(key));
  if (owner === null) throw unauthorized();
  return owner.account_id;
};

interface Body {
  value: unknown;
  csv: CsvBody | null;
  /** Of the bytes; empty for a stream, whose digest is known only at its end. */
  hash: string;
  streamed: Streamed | null;
}

/** A CSV body, hashed as it passes when its answer is to be remembered. Whoever reads it counts its bytes. */
const csvBody = (request: Request, hashed: boolean): Body => {
  const length = request.headers.get('content-length');
  const declaredBytes = length === null ? null : Number(length);
  const arriving = request.body ?? new Blob([]).stream();
  if (!hashed) return { value: undefined, csv: { stream: arriving, declaredBytes }, hash: '', streamed: null };
  const hash = createHash('sha256');
  const stream = tapped(arriving, (chunk) => void hash.update(chunk));
  const drain = async (): Promise<void> => {
    for await (const _ of stream);
  };
  return { value: undefined, csv: { stream, declaredBytes }, hash: '', streamed: { drain, digest: () => hash.digest('hex') } };
};

/** @throws {Refusal} 400, 413, 415 */
const bodyOf = async (route: ApiRoute, request: Request, hashed: boolean): Promise<Body> => {
  if (route.method === 'GET' || route.method === 'DELETE') return { value: {}, csv: null, hash: '', streamed: null };
  refuseEncoded(request.headers);
  const type = mediaType(request.headers);
  if (route.csv && type === 'text/csv') return csvBody(request, hashed);
  if (type !== 'application/json' && !(await isEmpty(request))) {
    const rule = route.csv ? 'must be application/json or text/csv' : 'must be application/json';
    throw new Refusal(415, 'unsupported_media_type', `The Content-Type ${rule}.`, [{ field: 'Content-Type', rule }]);
  }
  const bytes = await readBytes(request, JSON_LIMIT);
  const value: unknown = validate(route.body ?? Nothing, parseJson(bytes), 'body');
  return { value, csv: null, hash: hashed ? await hashOf(bytes) : '', streamed: null };
};

const paramsOf = (route: ApiRoute, given: Record<string, string>): unknown => {
  const parsed = route.params?.safeParse(given);
  if (parsed && !parsed.success) throw notFound();
  return parsed?.data ?? {};
};

/** Runs the handler, under its idempotency key when the request has one. */
const answerOnce = async (
  route: ApiRoute,
  deps: Deps,
  request: Request,
  key: string | null,
  body: Body,
  call: Omit<Call<unknown, unknown, unknown>, 'mint'>,
): Promise<Answer> => {
  if (key === null) return route.handler({ ...call, mint: freshMint(deps) });
  const { pathname, search } = new URL(request.url);
  const name = `${route.method} ${route.path}`;
  const bodyHash = await hashOf(pathname, search, body.hash);
  const useFor = (account: string): Use => ({ account, key, route: name, bodyHash });
  if (call.account !== null) {
    const mint = derivedMint(deps.config.secretsKey, `${call.account}/${name}/${bodyHash}/${key}`);
    return idempotently(deps, useFor(call.account), body.streamed, () => route.handler({ ...call, mint }));
  }
  // An account in the making has nobody to remember the key, so it is made first, under an id that follows from the key: made
  // again, it stays as it was, and the note then tells whether the body was the same.
  const mint = derivedMint(deps.config.secretsKey, `${name}/${key}`);
  const made = await route.handler({ ...call, mint });
  return idempotently(deps, useFor(await mint.id('account')), null, () => Promise.resolve(made));
};

const answerTo = async (
  route: ApiRoute,
  deps: Deps,
  invocation: Invocation,
  request: Request,
  given: Record<string, string>,
): Promise<Answer> => {
  const account = await authorise(route, deps, request.headers);
  // Before anything is written, so that no tick sleeps over it; after the key, so that strangers keep nobody awake.
  if (route.method !== 'GET') await invocation.wake();
  const params = paramsOf(route, given);
  const query: unknown = validate(route.query ?? Nothing, queryOf(new URL(request.url)), 'query');
  const key = route.creates ? idempotencyKey(request.headers) : null;
  const body = await bodyOf(route, request, key !== null);
  const measured = (): ReturnType<Invocation['measured']> => invocation.measured();
  return answerOnce(route, deps, request, key, body, { deps, account, params, query, body: body.value, csv: body.csv, measured });
};

/** Says what the database cost, when it was asked: milliseconds in verbs, how many they were, and milliseconds to connect. */
const timed = (response: Response, { query_ms, verbs, connect_ms }: Readonly<DbStats>): Response => {
  const verb = `db;dur=${query_ms.toFixed(1)};desc="${verbs} ${verbs === 1 ? 'verb' : 'verbs'}"`;
  if (verbs > 0) response.headers.set('server-timing', `${verb}, connect;dur=${connect_ms.toFixed(1)}`);
  return response;
};

/** Serves one request of the API on a connection of its own, which stays open as long as the answer streams. */
const serve = (route: ApiRoute, invocation: Invocation, request: Request, given: Record<string, string>): Promise<Response> => {
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const work = withDb(invocation, async (db) => {
    try {
      const answer = await answerTo(route, compose(invocation, db), invocation, request, given);
      if (!('stream' in answer)) return resolve(timed(toResponse(answer), db.stats));
      const { stream, ended } = watched(answer.stream);
      resolve(timed(toResponse({ ...answer, stream }), db.stats));
      if (request.method === 'HEAD') await stream.cancel();
      await ended;
    } catch (error) {
      resolve(timed(errorToResponse(error, invocation.report), db.stats));
    }
  });
  invocation.ctx.waitUntil(work.catch(reject));
  return promise;
};

const html = (text: string): Response =>
  new Response(text, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    },
  });

const health: PlainRoute = {
  method: 'GET',
  path: '/health',
  tag: 'Documents',
  summary: 'Whether the worker answers; touches no database',
  responses: { 200: z.object({ status: z.literal('ok') }) },
  plain: () => Response.json({ status: 'ok' }),
};

const webhook: PlainRoute = {
  method: 'POST',
  path: '/webhooks/:provider/:webhook_key',
  tag: 'Webhooks',
  summary: "The telephony provider's callbacks",
  responses: { 200: 'application/json' },
  refusals: [400, 401, 413, 415],
  plain: onWebhook,
};

/** The documents about `routes`, which include themselves. */
const documents = (routes: () => readonly Route[]): readonly PlainRoute[] => [
  {
    method: 'GET',
    path: '/openapi.json',
    tag: 'Documents',
    summary: 'This contract, for machines',
    responses: { 200: 'application/json' },
    plain: ({ config }) => Response.json(openapiOf(routes(), config.publicUrl)),
  },
  {
    method: 'GET',
    path: '/docs',
    tag: 'Documents',
    summary: 'This contract, for people',
    responses: { 200: 'text/html' },
    plain: () => html(docsOf(routes())),
  },
];

const API: readonly Route[] = [
  ...accountRoutes,
  ...agentRoutes,
  ...campaignRoutes,
  ...leadRoutes,
  ...exportRoutes,
  ...callRoutes,
  ...suppressionRoutes,
  ...notificationRoutes,
  ...statusRoutes,
  ...linkRoutes,
  mailWebhook, // before the telephony providers' address, whose pattern it fits
  webhook,
  health,
];

/** The invocation, whose reports say at which route it is. */
const at = (route: string, invocation: Invocation): Invocation => ({
  ...invocation,
  report: reportAbout(invocation.report, { route }),
});

export interface App {
  /** The table: `/openapi.json` is written from it. */
  routes: readonly Route[];
  /** What Hono answers to, as it says itself. */
  mounted: readonly { method: string; path: string }[];
  /** Answers one request, with the headers that every answer carries. */
  answer(request: Request, invocation: Invocation): Promise<Response>;
}

/** The application: every route of the table, and 404 for anything else. */
export const createApp = (): App => {
  const hono = new Hono<Bindings>();
  const answer = async (request: Request, invocation: Invocation): Promise<Response> =>
    secured(await hono.fetch(request, { invocation }));
  const routes: Route[] = [
    ...API,
    ...documents(() => routes),
    ...dashboardRoutes((invocation, request) => answer(request, invocation)),
  ];
  for (const route of routes) {
    hono.on(route.method, route.path, (c: Context<Bindings>) => {
      const invocation = at(`${route.method} ${route.path}`, c.env.invocation);
      const given = c.req.param() as Record<string, string>;
      return 'handler' in route ? serve(route, invocation, c.req.raw, given) : route.plain(invocation, c.req.raw, given);
    });
  }
  hono.notFound((c) => errorToResponse(notFound(), c.env.invocation.report));
  hono.onError((error, c) => errorToResponse(error, at(`${c.req.method} ${c.req.routePath}`, c.env.invocation).report));
  return { routes, mounted: hono.routes.map(({ method, path }) => ({ method, path })), answer };
};
