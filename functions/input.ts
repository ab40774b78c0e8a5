/** Reads what a request carries: bodies cut at their limit while they stream, and the field and rule of whatever is wrong. */
import type * as z from 'zod';
import { joined } from '../lib/domain/bytes.ts';
import { isStorable } from '../lib/domain/storable.ts';
import { Refusal, type Detail } from '../lib/errors.ts';

/** Bytes of a JSON body. */
export const JSON_LIMIT = 1_048_576;
const MAX_DETAILS = 100;

/** `text/csv; charset=utf-8` → `text/csv`. */
export const mediaType = (headers: Headers): string => (headers.get('content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase();

const tooLarge = (limit: number): Refusal => {
  const size = limit >= 1_048_576 ? `${limit / 1_048_576} MB` : `${limit} bytes`;
  return new Refusal(413, 'too_large', `The body is larger than ${size}.`, [{ field: 'body', rule: `at most ${size}` }]);
};

/** The stream itself; `seen` gets every chunk that passes. */
export const tapped = (stream: ReadableStream<Uint8Array>, seen: (chunk: Uint8Array) => void): ReadableStream<Uint8Array> =>
  stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        seen(chunk);
        controller.enqueue(chunk);
      },
    }),
  );

/** Refuses compressed bodies: their size is not the size they claim. */
export const refuseEncoded = (headers: Headers): void => {
  const encoding = headers.get('content-encoding') ?? 'identity';
  if (encoding.toLowerCase() === 'identity') return;
  throw new Refusal(415, 'unsupported_media_type', 'Send the body as it is, not compressed.', [
    { field: 'Content-Encoding', rule: 'must be identity' },
  ]);
};

/**
 * Bytes that are read and thrown away: who answers in the midst of a body that he reads resets the connection, and nobody hears why. What nobody has
 * begun to read the platform drops itself, however long it is.
 */
const LEEWAY = 16 * 1_048_576;

const declaredBytes = (request: Request): number => Number(request.headers.get('content-length') ?? 0);

/** True when there is not a single byte of body; else it is of no use any more. */
export const isEmpty = async (request: Request): Promise<boolean> => {
  if (declaredBytes(request) > 0) return false;
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > LEEWAY) break;
  }
  return bytes === 0;
};

/** The whole body as bytes. @throws {Refusal} 413 */
export const readBytes = async (request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> => {
  if (declaredBytes(request) > limit) throw tooLarge(limit);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > limit + LEEWAY) break;
    if (bytes <= limit) chunks.push(chunk);
  }
  if (bytes > limit) throw tooLarge(limit);
  return joined(chunks);
};

/** Bytes of a webhook: a transcript of an hour is below 1 MB, a bounce may quote the whole mail. */
const WEBHOOK_LIMIT = 10 * 1_048_576;

/** The text of a webhook as it was sent (and signed). @throws {Refusal} 413, 415 when compressed, 400 when it is no UTF-8 */
export const readWebhook = async (request: Request): Promise<string> => {
  refuseEncoded(request.headers);
  const bytes = await readBytes(request, WEBHOOK_LIMIT);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refusal(400, 'validation', 'body: must be UTF-8', [{ field: 'body', rule: 'must be UTF-8' }]);
  }
};

/** Levels of arrays and objects in a JSON body: whoever reads it goes down level by level, and a stack has an end. */
const DEEPEST = 100;

interface Fault {
  path: string;
  rule: string;
}

const faultOf = (value: unknown, path: string, depth: number): Fault | null => {
  const strange = { path, rule: 'must not hold NUL or half a surrogate pair' };
  if (typeof value === 'string') return isStorable(value) ? null : strange;
  if (typeof value !== 'object' || value === null) return null;
  if (depth === DEEPEST) return { path: '', rule: `must not be nested deeper than ${DEEPEST} levels` };
  for (const [key, item] of Object.entries(value)) {
    const here = path === '' ? key : `${path}.${key}`;
    // The schemas would drop it without a word.
    if (key === '__proto__') return { path: here, rule: 'must have another name' };
    const found = isStorable(key) ? faultOf(item, here, depth + 1) : strange;
    if (found !== null) return found;
  }
  return null;
};

/** Parses a JSON body; an empty one is `{}`. @throws {Refusal} 400 */
export const parseJson = (bytes: Uint8Array): unknown => {
  if (bytes.byteLength === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new Refusal(400, 'bad_json', 'The body is not JSON.', [{ field: 'body', rule: 'must be JSON in UTF-8' }]);
  }
  const fault = faultOf(value, '', 0);
  if (fault === null) return value;
  const detail = { field: fault.path || 'body', rule: fault.rule };
  throw new Refusal(400, 'validation', `${detail.field} ${detail.rule}.`, [detail]);
};

type Issue = z.core.$ZodIssue;

const ruleOf = (issue: Issue): string => {
  if (issue.code === 'invalid_union') {
    const expected = issue.errors.flat().map((inner) => ('expected' in inner ? String(inner.expected) : inner.message));
    return `must be ${[...new Set(expected)].join(' or ')}`;
  }
  if (issue.code === 'invalid_type') {
    return issue.message.endsWith('received undefined')
      ? 'is required'
      : `must be ${issue.expected === 'int' ? 'a whole number' : `of type ${issue.expected}`}`;
  }
  return issue.message;
};

/** What zod found, as our contract says it: one entry per field, dotted. */
export const detailsOf = (issues: readonly Issue[], root: string): Detail[] =>
  issues
    .flatMap((issue): Detail[] => {
      const path = issue.path.map(String);
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) => ({ field: [...path, key].join('.'), rule: 'unknown field' }));
      }
      return [{ field: path.join('.') || root, rule: ruleOf(issue) }];
    })
    .slice(0, MAX_DETAILS);

/** @throws {Refusal} 400 `validation`, naming every field and its rule. `root` names the whole. */
export const validate = <T>(schema: z.ZodType<T>, value: unknown, root: 'body' | 'query'): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const details = detailsOf(parsed.error.issues, root);
  const first = details[0];
  throw new Refusal(400, 'validation', first ? `${first.field}: ${first.rule}` : 'The request is not valid.', details);
};

/** The query string as an object; a name given twice is a 400. */
export const queryOf = (url: URL): Record<string, string> => {
  const query = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (query.has(name) || !isStorable(value)) {
      const rule = isStorable(value) ? 'must be given once' : 'must not hold NUL';
      throw new Refusal(400, 'validation', `${name}: ${rule}`, [{ field: name, rule }]);
    }
    query.set(name, value);
  }
  return Object.fromEntries(query);
};
