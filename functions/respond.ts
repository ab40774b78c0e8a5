/** Turns answers and errors into responses: status, headers, error bodies, pages of lists. */
import { DbError, Misconfigured, notFound, Refusal, type Detail } from '../lib/errors.ts';
import type { Report } from '../lib/deps.ts';
import type { Answer } from './route.ts';

/** On every answer of the API. Pages bring their own policy. */
const HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'strict-transport-security': 'max-age=31536000',
};

/** Adds the security headers that a response does not set itself. */
export const secured = (response: Response): Response => {
  const out = new Response(response.body, response);
  for (const [name, value] of Object.entries(HEADERS)) if (!out.headers.has(name)) out.headers.set(name, value);
  return out;
};

const json = (status: number, body: unknown, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers } });

/** An answer as it travels. */
export const toResponse = (answer: Answer): Response => {
  if ('stream' in answer) {
    return new Response(answer.stream, {
      status: answer.status,
      headers: { 'content-type': answer.type, 'content-disposition': `attachment; filename="${answer.filename}"` },
    });
  }
  return answer.body === undefined ? new Response(null, { status: answer.status }) : json(answer.status, answer.body);
};

/** The body of every error. */
export const errorBody = (code: string, message: string, details: readonly Detail[] = [], extra: object = {}): object => ({
  error: { code, message, ...(details.length > 0 ? { details } : {}) },
  ...extra,
});

/** One and the same for a missing, a wrong and a revoked key. */
export const unauthorized = (): Refusal => new Refusal(401, 'unauthorized', 'A valid API key is required.');

/** `verb` answered null: no such row in this account. @throws {Refusal} 404 */
export const found = <T>(value: T | null): T => {
  if (value === null) throw notFound();
  return value;
};

/** True for a statement that the server understood and refused for what it said: a fault of ours, not of the moment. */
const ourFault = (error: DbError): boolean =>
  error.failure.outcome === 'rejected' && /^(0A|22|23|42|P0)/.test(error.failure.code ?? '');

/** For what nobody foresaw; it says nothing of the inside. */
export const internalError = (): Response =>
  json(500, errorBody('internal', 'Something went wrong on our side. It has been reported.'));

/** An error as it travels; what nobody foresaw is reported. */
export const errorToResponse = (error: unknown, report: Report): Response => {
  if (error instanceof Refusal) {
    const headers: Record<string, string> = error.status === 401 ? { 'www-authenticate': 'Bearer' } : {};
    return json(error.status, errorBody(error.code, error.message, error.details, error.extra), headers);
  }
  if (error instanceof Misconfigured) return json(503, errorBody('misconfigured', error.message));
  if (error instanceof DbError && !ourFault(error)) {
    const message = 'The database cannot be reached right now. Try again in a moment.';
    return json(503, errorBody('database_unavailable', message), { 'retry-after': '5' });
  }
  // What the database threw has been reported where it happened.
  if (!(error instanceof DbError)) report('unhandled_error', error);
  return internalError();
};

// ---------------------------------------------------------------- pages of lists

const LARGEST_SEQ = 2n ** 63n - 1n;

const encode = (seq: string): string => btoa(seq).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');

const decode = (cursor: string): string | null => {
  try {
    const seq = atob(cursor.replaceAll('-', '+').replaceAll('_', '/'));
    return /^\d{1,19}$/.test(seq) && BigInt(seq) <= LARGEST_SEQ ? seq : null;
  } catch {
    return null;
  }
};

/**
 * One page of a list verb: asks for one row more than wanted, to know whether another page follows.
 * @throws {Refusal} 400 for a cursor that is not ours
 */
export const paged = async <T extends { seq: string }>(
  query: { limit: number; cursor?: string | undefined },
  list: (after: string | null, limit: number) => Promise<T[] | null>,
): Promise<Answer> => {
  const after = query.cursor === undefined ? null : decode(query.cursor);
  if (query.cursor !== undefined && after === null) {
    const detail = { field: 'cursor', rule: 'must be a next_cursor' };
    throw new Refusal(400, 'validation', `${detail.field}: ${detail.rule}`, [detail]);
  }
  const rows = found(await list(after, query.limit + 1));
  const shown = rows.slice(0, query.limit);
  const last = shown.at(-1);
  return {
    status: 200,
    body: {
      data: shown.map(({ seq: _seq, ...row }) => row),
      next_cursor: rows.length > query.limit && last ? encode(last.seq) : null,
    },
  };
};
