/** Reading a body that somebody else wrote, of a webhook or of an answer: lenient in what is taken. */
import * as z from 'zod';
import { Refusal } from '../errors.ts';
import type { WebhookRequest } from './provider.ts';

/** Levels of nesting that a body may have: real ones have about ten, and what is stored must fit the database's own stack. */
const MAX_NESTING = 100;

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
