/** Who is signed in: the API key itself, sealed in a cookie that no script can read, and asked for again at every request. */
import * as z from 'zod';
import { hashKey } from '../../lib/auth.ts';
import type { Invocation } from '../../lib/compose.ts';
import type { Deps } from '../../lib/deps.ts';
import type { Config } from '../../lib/env.ts';
import { createSealer } from '../../lib/seal.ts';
import { sealedCookie } from './sealed-cookie.ts';
import type { Viewer } from './words.ts';

/** A session in use is renewed when it is this old, so that it ends twelve hours after its last use. */
const RENEW_MS = 3_600_000;

const COOKIE = sealedCookie('ringleader_session', '/', z.strictObject({ dashboard_key: z.string(), at: z.int() }));

export interface Session {
  viewer: Viewer;
  /** A `Set-Cookie` that renews the session, when it is due. */
  renewed: string | null;
}

/** A `Set-Cookie` that signs out. */
export const endSession = (config: Config): string => COOKIE.forget(config);

const accountOf = async (deps: Deps, key: string): Promise<Viewer | null> => {
  const now = deps.now();
  const who = await deps.verbs.authenticate(now, await hashKey(key));
  const account = who && (await deps.verbs.getAccount(who.account_id, now));
  return account ? { account, now } : null;
};

/** The `Set-Cookie` of a new session; null when the key is unknown, revoked or none at all. */
export const beginSession = async (deps: Deps, key: string): Promise<string | null> =>
  key !== '' && (await accountOf(deps, key)) ? COOKIE.seal(deps, { dashboard_key: key }) : null;

/** Whose request this is; null when nobody is signed in or the key no longer holds. */
export const readSession = async (deps: Deps, request: Request): Promise<Session | null> => {
  const held = await COOKIE.open(deps, request);
  const viewer = held && (await accountOf(deps, held.dashboard_key));
  if (!viewer) return null;
  const due = deps.now().getTime() - held.at > RENEW_MS;
  return { viewer, renewed: due ? await COOKIE.seal(deps, { dashboard_key: held.dashboard_key }) : null };
};

/** The key in the cookie, not yet checked: for a request that is handed on to the API, which checks it. */
export const sessionKey = async (invocation: Invocation, request: Request): Promise<string | null> => {
  const sealer = createSealer(invocation.config.secretsKey);
  return (await COOKIE.open({ sealer, now: () => invocation.now() }, request))?.dashboard_key ?? null;
};

/**
 * True for a form of our own pages. Browsers say where a request comes from; one that says nothing is no browser, and the
 * pages are for browsers.
 */
export const fromOurPages = (config: Config, request: Request): boolean => {
  const site = request.headers.get('sec-fetch-site');
  if (site !== null) return site === 'same-origin';
  const origin = request.headers.get('origin');
  return origin !== null && [new URL(config.publicUrl).origin, new URL(request.url).origin].includes(origin);
};

/** A path of ours to go to after signing in; anything else becomes the first page. */
export const safeNext = (next: unknown): string =>
  typeof next === 'string' && /^\/(mails|campaigns\/[0-9a-z-]+)?$/.test(next) ? next : '/';
