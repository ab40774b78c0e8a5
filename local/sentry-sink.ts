/**
 * The Sentry sink: takes envelopes as Sentry does and shows them. `GET /events`: the reports in short; `GET /envelopes`: the
 * bodies as they came; `DELETE /events` forgets both.
 */
import type { Buffer } from 'node:buffer';
import { gunzipSync } from 'node:zlib';
import { isRecord, json, parseJson, serve } from './edge-server.ts';
import type { Answer, Edge, EdgeRequest } from './edge-server.ts';

export interface SentrySink extends Edge {
  /** What `SENTRY_DSN` is to be. */
  dsn: string;
  /** How many reports it holds. */
  count(): number;
}

/** One report. Absent parts are null or empty. */
export interface SinkEvent {
  error_type: string | null;
  level: string | null;
  tags: Readonly<Record<string, unknown>>;
  contexts: Readonly<Record<string, unknown>>;
  message: string | null;
}

const MAX_BODY = 20 * 1024 * 1024;
const NEWLINE = 10;

/** Splits off the line that begins at `start`, and says where the next one does. */
const lineAt = (bytes: Buffer, start: number): { line: Buffer; next: number } => {
  const end = bytes.indexOf(NEWLINE, start);
  return end === -1 ? { line: bytes.subarray(start), next: bytes.length } : { line: bytes.subarray(start, end), next: end + 1 };
};

/**
 * The items of an envelope: a header line, then per item a header line and a payload, which is `length` bytes when the header says
 * so and else one line. Null when it is none.
 */
export const parseEnvelope = (bytes: Buffer): { type: string; payload: unknown }[] | null => {
  const head = lineAt(bytes, 0);
  if (!isRecord(parseJson(head.line))) return null;
  const items: { type: string; payload: unknown }[] = [];
  let at = head.next;
  while (at < bytes.length) {
    const { line, next } = lineAt(bytes, at);
    at = next;
    if (line.length === 0) continue;
    const header = parseJson(line);
    if (!isRecord(header) || typeof header['type'] !== 'string') return null;
    const length = header['length'];
    if (typeof length === 'number' && next + length > bytes.length) return null;
    const end = typeof length === 'number' ? next + length : next + lineAt(bytes, next).line.length;
    items.push({ type: header['type'], payload: parseJson(bytes.subarray(next, end)) });
    at = bytes[end] === NEWLINE ? end + 1 : end;
  }
  return items;
};

const record = (value: unknown): Readonly<Record<string, unknown>> => (isRecord(value) ? value : {});
const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** What a report says: its own message, else its last exception's. */
const messageOf = (event: Readonly<Record<string, unknown>>): string | null => {
  const values = record(event['exception'])['values'];
  const exception = record(Array.isArray(values) ? values.at(-1) : undefined);
  return text(event['message']) ?? text(record(event['logentry'])['message']) ?? text(exception['value']);
};

const summarize = (payload: unknown): SinkEvent => {
  const event = record(payload);
  const tags = record(event['tags']);
  return {
    error_type: text(tags['error_type']),
    level: text(event['level']),
    tags,
    contexts: record(event['contexts']),
    message: messageOf(event),
  };
};

/** An envelope out of whatever it was packed in. Null when there is none. */
const open = ({ headers, body }: EdgeRequest) => {
  try {
    const bytes = headers['content-encoding'] === 'gzip' ? gunzipSync(body, { maxOutputLength: MAX_BODY }) : body;
    const items = parseEnvelope(bytes);
    return items && { items, text: bytes.toString('utf8'), id: record(parseJson(lineAt(bytes, 0).line))['event_id'] ?? '' };
  } catch {
    // Damaged gzip; the sender is told with a 400.
    return null;
  }
};

/** Starts the sink on loopback. @throws when the port is taken */
export const startSentrySink = async ({ port = 0 }: { port?: number } = {}): Promise<SentrySink> => {
  const events: SinkEvent[] = [];
  const envelopes: string[] = [];

  const take = (request: EdgeRequest): Answer => {
    if (request.tooLarge) return json(413, { detail: 'envelope too large' });
    const envelope = open(request);
    if (envelope === null) return json(400, { detail: 'invalid envelope' });
    envelopes.push(envelope.text);
    events.push(...envelope.items.filter(({ type }) => type === 'event').map(({ payload }) => summarize(payload)));
    return json(200, { id: envelope.id });
  };

  const edge = await serve({ port, maxBody: MAX_BODY }, (request) => {
    if (request.method === 'POST' && /^\/api\/[^/]+\/envelope\/?$/.test(request.path)) return take(request);
    switch (`${request.method} ${request.path}`) {
      case 'GET /events':
        return json(200, events);
      case 'GET /envelopes':
        return json(200, envelopes);
      case 'DELETE /events':
        events.length = 0;
        envelopes.length = 0;
        return json(200, events);
      default:
        return json(404, { detail: 'not found' });
    }
  });
  return { ...edge, dsn: edge.url.replace('//', '//local@') + '/1', count: () => events.length };
};
