/** What all adapters share in turning what a provider says into facts: strict in what they hand on. */
import * as z from 'zod';
import { normalisePhone } from '../domain/phone.ts';
import { readAnalysis } from '../domain/score.ts';
import { storable } from '../domain/storable.ts';
import type { CallFact } from '../verb-shapes.ts';
import type { CreateCall, ProviderAgent } from './provider.ts';

/** UTF-16 units kept of a provider's words for why a call ended. */
const REASON_LIMIT = 500;
/** Times outside of 2000 to 2100 are no times of calls. */
const EARLIEST_MS = Date.UTC(2000);
const LATEST_MS = Date.UTC(2100);

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

/** A value whose texts, names too, can be kept. The payload of a fact is not given here: it keeps its escapes as they came. */
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
