/** What all adapters share in reading what a provider says: lenient in what they take, strict in what they hand on. */
import * as z from 'zod';
import { normalisePhone } from '../domain/phone.ts';
import { readAnalysis } from '../domain/score.ts';
import { storable } from '../domain/storable.ts';
import { Refusal } from '../errors.ts';
import type { CallFact } from '../verbs.ts';
import type { CreateCall, ProviderAgent, WebhookRequest } from './provider.ts';

/** Levels of nesting that a body may have: real ones have about ten, and what is stored must fit the database's own stack. */
const MAX_NESTING = 100;
/** UTF-16 units kept of a provider's words for why a call ended. */
const REASON_LIMIT = 500;
/** Times outside of 2000 to 2100 are no times of calls. */
const EARLIEST_MS = Date.UTC(2000);
const LATEST_MS = Date.UTC(2100);

const tooDeep = (text: string): boolean => {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (quoted) {
      if (char === '\\') i += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{' || char === '[') {
      depth += 1;
      if (depth > MAX_NESTING) return true;
    } else if (char === '}' || char === ']') depth -= 1;
  }
  return false;
};

/** Parses JSON; undefined when it is none, or nested beyond reason. */
export const readJson = (text: string): unknown => {
  if (tooDeep(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // said by the value: nobody asks why
  }
};

/** A body that is not this provider's: `rule` ends a sentence that begins with "body". */
export const badBody = (rule: string): Refusal => new Refusal(400, 'validation', `body: ${rule}`, [{ field: 'body', rule }]);

const requireType = (headers: Headers, type: RegExp, name: string): void => {
  const given = headers.get('content-type')?.split(';')[0]?.trim() ?? '';
  if (type.test(given)) return;
  const rule = `must be ${name}`;
  throw new Refusal(415, 'unsupported_media_type', `content-type: ${rule}`, [{ field: 'content-type', rule }]);
};

/**
 * The JSON body of a webhook in the shape of `schema`.
 * @throws {Refusal} 415 for another content type, 400 for anything else than that shape
 */
export const jsonBody = <T>(request: WebhookRequest, schema: z.ZodType<T>, must: string): T => {
  requireType(request.headers, /^application\/([\w.+-]+\+)?json$/i, 'application/json');
  const json = readJson(request.body);
  if (json === undefined) throw badBody('must be JSON');
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw badBody(must);
  return parsed.data;
};

/**
 * The form body of a webhook in the shape of `schema`, each name with its first value.
 * @throws {Refusal} 415 for another content type, 400 for anything else than that shape
 */
export const formBody = <T>(request: WebhookRequest, schema: z.ZodType<T>, must: string): T => {
  requireType(request.headers, /^application\/x-www-form-urlencoded$/i, 'application/x-www-form-urlencoded');
  if (request.body.includes('\u0000')) throw badBody('must not hold NUL characters');
  const fields = [...new URLSearchParams(request.body)].toReversed();
  const parsed = schema.safeParse(Object.fromEntries(fields));
  if (!parsed.success) throw badBody(must);
  return parsed.data;
};

/** A field that says nothing when it is missing or of an unexpected type. */
export const lenient = <T extends z.ZodType>(schema: T) => schema.nullish().catch(undefined);
/** A field that may hold anything, or be missing: it is looked at later. */
export const Anything = z.unknown().optional();
/** An id of a provider: it becomes part of keys and addresses. */
export const ProviderId = z.string().regex(/^[\x21-\x7e]{1,200}$/);
/** A word of a provider's vocabulary. */
export const Word = z.string().min(1).max(100);
const numeric = z.string().trim().min(1).transform(Number);
/** Above it there is no length or amount of a call, whatever its unit: a sum over a campaign must stay a number. */
const MOST = 1e9;
/** A length or an amount: a number, or a string that holds one; never negative. */
export const Amount = z.union([z.number(), numeric]).pipe(z.number().min(0).max(MOST));

/** Milliseconds since 1970 as ISO 8601; undefined when they are none of a call. */
export const fromMs = (ms: number | null | undefined): string | undefined =>
  ms !== null && ms !== undefined && ms >= EARLIEST_MS && ms <= LATEST_MS ? new Date(ms).toISOString() : undefined;

/** A written date (ISO 8601, RFC 2822) as ISO 8601; one without a zone is UTC. */
export const fromDate = (text: string | null | undefined): string | undefined => {
  if (!text) return undefined;
  return fromMs(Date.parse(/^\d{4}-\d\d-\d\dT[\d:.]+$/.test(text) ? `${text}Z` : text));
};

/** The caller of an inbound call, for the fact of it; null when the number is withheld or none: then nobody can be known. */
export const inboundFrom = (number: string | null | undefined): { direction: 'inbound'; from: string } | null => {
  const phone = normalisePhone(number ?? '', null);
  return phone.ok ? { direction: 'inbound', from: phone.e164 } : null;
};

/** Our attempt id in the data that a provider echoes; undefined when it is not there. */
export const attemptIn = (...places: readonly unknown[]): string | undefined => {
  for (const place of places) {
    const parsed = z.object({ attempt_id: z.string().min(1).max(100) }).safeParse(place);
    if (parsed.success) return parsed.data.attempt_id;
  }
  return undefined;
};

/** Whatever text there is in a value, down to its last name. A fact's payload is no part of it: that keeps its escapes as they came. */
const storableThroughout = (value: unknown): unknown => {
  if (typeof value === 'string') return storable(value);
  if (Array.isArray(value)) return value.map(storableThroughout);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [storable(key), storableThroughout(inner)]));
};

/** What a table says of a provider's word; undefined when it does not have the word (`constructor` is in no table of ours). */
export const told = <T>(table: Readonly<Record<string, T>>, word: string | null | undefined): T | undefined =>
  typeof word === 'string' && Object.hasOwn(table, word) ? table[word] : undefined;

type Said = Pick<CallFact, 'event_key' | 'source'> & { [K in keyof CallFact]?: CallFact[K] | null | undefined };

/** A fact of what was said: whatever is null, undefined or empty text says nothing. */
export const factFrom = ({ payload, ...said }: Said): CallFact => {
  const reason = said.reason?.slice(0, REASON_LIMIT);
  const fields = Object.entries({ ...said, reason }).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const fact = storableThroughout(Object.fromEntries(fields)) as CallFact;
  return payload ? { ...fact, payload } : fact;
};

/** The structured data that a provider's analysis gave, read; null when there is none and never will be. */
export const analysisOf = (data: unknown, mapping: ProviderAgent['analysis_mapping']): NonNullable<CallFact['analysis']> => {
  const analysis = readAnalysis(data ?? null, mapping);
  // Nothing given says nothing: it must not overwrite what is there.
  return data === null || data === undefined ? analysis : { ...analysis, raw: data };
};

/** Structured data together with what stands beside it (a summary, a verdict), which a mapping may name; its own names win. */
export const besides = (data: unknown, extra: Readonly<Record<string, unknown>>): unknown => {
  if (data !== null && data !== undefined && (typeof data !== 'object' || Array.isArray(data))) return data;
  const said = Object.entries(extra).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const whole = { ...Object.fromEntries(said), ...data };
  return Object.keys(whole).length === 0 ? null : whole;
};

/** Our own ids as a provider is given them to echo. */
export const ours = ({ campaign_id, lead_id, attempt_id }: CreateCall): Record<string, string> => ({
  ...(campaign_id === null ? {} : { campaign_id }),
  ...(lead_id === null ? {} : { lead_id }),
  attempt_id,
});
