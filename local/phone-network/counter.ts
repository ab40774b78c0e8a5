/** The way of a create-call from the wire to the exchange: the same for all dialects, answered in the words of each. */
import { isRecord, parseJson } from '../edge-server.ts';
import type { Answer, EdgeRequest, Reply } from '../edge-server.ts';
import type { Call, Dialect } from './call.ts';
import type { CreateCall, Exchange, Shown } from './exchange.ts';

export const E164 = /^\+[1-9]\d{6,14}$/;
/** Whom a call comes from when nobody says. */
export const DEFAULT_FROM = '+12025550100';

/** One provider's side of the counter. */
export interface Counter {
  dialect: Dialect;
  /** The key of a request, or the answer that the provider gives without a good one. */
  keyOf: (request: EdgeRequest) => string | Answer;
  /** What `GET /calls` shows of the body; empty when it is none. */
  shown: (body: Readonly<Record<string, unknown>>) => Shown;
  /** The call, or what is wrong with it. */
  parse: (body: unknown, key: string) => CreateCall | string;
  refuse: (status: 400 | 413 | 429 | 500, message: string) => Answer;
  accepted: (call: Call) => Answer;
}

/** A provider as the network speaks it: `path` is without the prefix under which it stands. */
export type Wire = (request: EdgeRequest, path: string) => Reply;

/** Takes one create-call: written down, judged, and answered unless the number says otherwise. */
export const takeCall = (exchange: Exchange, counter: Counter, request: EdgeRequest): Reply => {
  const body = parseJson(request.body);
  const shown = counter.shown(isRecord(body) ? body : {});
  const record = exchange.receive(counter.dialect.name, body ?? request.body.toString('utf8'), shown);
  const answer = ((): Reply => {
    const key = counter.keyOf(request);
    if (typeof key !== 'string') return key;
    if (request.tooLarge) return counter.refuse(413, 'Request body too large');
    const asked = counter.parse(body, key);
    if (typeof asked === 'string') return counter.refuse(400, asked);
    const fate = exchange.create(asked, counter.dialect, key, record);
    if (fate.accepted) return fate.call.script.answersCreate ? counter.accepted(fate.call) : 'silence';
    return fate.status === 500 ? counter.refuse(500, 'Internal server error') : counter.refuse(429, 'Rate limit exceeded');
  })();
  record.answered = answer === 'silence' ? null : answer.status;
  return answer;
};

/** What a 429 carries. */
export const SLOW_DOWN = { 'retry-after': '1' };

/** The bearer key of a request; undefined without one, or when it is one of those that no provider knows (`bad-…`). */
export const goodKey = ({ headers }: EdgeRequest): string | undefined => {
  const key = bearerKey(headers.authorization);
  return key?.startsWith('bad-') ? undefined : key;
};
export const bearerKey = (header: string | undefined): string | undefined => /^Bearer (\S+)$/i.exec(header ?? '')?.[1];

/** A path segment as it was meant; one that is badly encoded stands for itself and matches nothing. */
export const decodeSegment = (segment: string): string => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
};

export const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
export const record = (value: unknown): Readonly<Record<string, unknown>> => (isRecord(value) ? value : {});
export const isWebUrl = (value: unknown): value is string =>
  typeof value === 'string' && /^https?:$/.test(URL.parse(value)?.protocol ?? '');
