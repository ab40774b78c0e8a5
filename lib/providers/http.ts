/** One request to a provider: bounded, never repeated, never following a redirect. */
import { storable } from '../domain/storable.ts';
import type { CallOutcome } from '../verb-shapes.ts';
import { readJson } from './body.ts';
import type { ReadResult } from './provider.ts';

export interface HttpAnswer {
  status: number;
  headers: Headers;
  /** The parsed JSON body; undefined when it is none. */
  json: unknown;
}

interface Ask {
  method: 'GET' | 'POST' | 'PATCH';
  headers: Readonly<Record<string, string>>;
  /** Sent as JSON, or as a form when it is one. */
  body?: unknown;
  timeoutMs: number;
}

/** Real milliseconds that a create-call may take; then its outcome is unknown. */
export const CREATE_TIMEOUT_MS = 5000;
/** Real milliseconds that a read may take. */
export const READ_TIMEOUT_MS = 5000;

const bodyOf = (body: unknown): { body?: string; type?: string } => {
  if (body === undefined) return {};
  return body instanceof URLSearchParams
    ? { body: body.toString(), type: 'application/x-www-form-urlencoded' }
    : { body: JSON.stringify(body), type: 'application/json' };
};

/**
 * Sends one request and reads its whole answer.
 * @throws whatever `fetch` throws when there is no answer in time: the request may have been received
 */
export const ask = async (url: string, init: Ask): Promise<HttpAnswer> => {
  const { body, type } = bodyOf(init.body);
  const response = await fetch(url, {
    method: init.method,
    headers: type === undefined ? init.headers : { ...init.headers, 'content-type': type },
    ...(body === undefined ? {} : { body }),
    redirect: 'manual',
    signal: AbortSignal.timeout(init.timeoutMs),
  });
  return { status: response.status, headers: response.headers, json: readJson(await response.text()) };
};

/** Whether the answer is a 2xx. */
export const succeeded = (answer: HttpAnswer): boolean => answer.status >= 200 && answer.status < 300;

/** The longest that an agent is left alone because of one answer: some write an instant where seconds belong. */
const LONGEST_WAIT_SECONDS = 3600;

/** `Retry-After` in seconds, when it is given so (not as a date); an hour at most. */
export const retryAfterSeconds = (headers: Headers): number | undefined => {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  return seconds >= 0 ? Math.min(seconds, LONGEST_WAIT_SECONDS) : undefined;
};

/** Says in a few words why a request had no answer, without anything of the request. */
export const noAnswer = (error: unknown): string =>
  error instanceof Error && error.name === 'TimeoutError' ? 'no answer in time' : 'the connection failed';

export type Outcome = Omit<CallOutcome, 'call_id'>;
export type RefusalKind = NonNullable<CallOutcome['refusal']>;

/** A refusal as the provider put it; the reason carries the status and the first 200 characters of its message. */
export const refused = (refusal: RefusalKind, answer: HttpAnswer, message: string): Outcome => {
  const reason = `${answer.status}${message ? `: ${storable(message.slice(0, 200))}` : ''}`;
  const wait = refusal === 'later' ? retryAfterSeconds(answer.headers) : undefined;
  return { outcome: 'refused', refusal, reason, ...(wait === undefined ? {} : { retry_after_seconds: wait }) };
};

/** The request cannot even be made: the agent lacks something, or its credentials fit in no header. Nothing was sent. */
export const unsendable = (refusal: 'account' | 'agent', reason: string): Outcome => ({ outcome: 'refused', refusal, reason });

const fitsHeaders = (headers: Readonly<Record<string, string>>): boolean => {
  try {
    return new Headers(headers) instanceof Headers;
  } catch {
    return false; // the answer says it all
  }
};

/**
 * Asks for one call, once. Whatever is neither an id nor a clear refusal is `unknown`: the call may be under way.
 * @param accepted the provider's id in a 2xx answer; an {@link Outcome} when a 2xx refuses; undefined when it says neither
 * @param judge what a 4xx means (save 408, which says nothing)
 */
export const createOnce = async (
  url: string,
  request: { headers: Readonly<Record<string, string>>; body: unknown },
  accepted: (json: unknown, answer: HttpAnswer) => string | Outcome | undefined,
  judge: (answer: HttpAnswer) => Outcome,
): Promise<Outcome> => {
  if (!fitsHeaders(request.headers)) return unsendable('account', 'the credentials hold characters that no header can carry');
  let answer: HttpAnswer;
  try {
    answer = await ask(url, { method: 'POST', timeoutMs: CREATE_TIMEOUT_MS, ...request });
  } catch (error) {
    return { outcome: 'unknown', reason: noAnswer(error) };
  }
  if (answer.status >= 400 && answer.status < 500 && answer.status !== 408) return judge(answer);
  const result = succeeded(answer) ? accepted(answer.json, answer) : undefined;
  if (typeof result === 'string') return { outcome: 'accepted', provider_call_id: result };
  return result ?? { outcome: 'unknown', reason: `answered ${answer.status}` };
};

/** Runs a read; one that has no answer has failed. */
export const reading = async (read: () => Promise<ReadResult>): Promise<ReadResult> => {
  try {
    return await read();
  } catch (error) {
    return { state: 'failed', reason: noAnswer(error) };
  }
};

/** An answer that is no call. `missing`: the provider knows of none (so far). */
export const unread = (answer: HttpAnswer): ReadResult =>
  answer.status === 404 ? { state: 'missing' } : { state: 'failed', reason: `answered ${answer.status}` };
