/** The small HTTP server that phone network, inbox and Sentry sink share. Loopback only. */
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A running server: where it listens (no trailing slash), and how to end it with every connection and timer it holds. */
export interface Edge {
  url: string;
  stop(): Promise<void>;
}

export interface EdgeRequest {
  method: string;
  /** Still percent-encoded, so that an encoded slash stays inside its segment. */
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: Buffer;
  /** True when the body was longer than the server takes; `body` is then empty. */
  tooLarge: boolean;
}

export interface Answer {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body: string | Uint8Array;
}

/** What a handler says: an answer, or `silence`: the request is held until the client gives up. */
export type Reply = Answer | 'silence';
export type Handler = (request: EdgeRequest) => Reply | Promise<Reply>;

export const json = (status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
  body: JSON.stringify(value),
});

export const html = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { 'content-type': 'text/html; charset=utf-8', ...headers },
  body,
});

/** The JSON value of a body, or `undefined` when it is none. */
export const parseJson = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
};

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text as it may stand in HTML, attribute values included. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

const read = async (request: IncomingMessage, limit: number): Promise<{ body: Buffer; tooLarge: boolean }> => {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Reads on beyond the limit: closing on a client that is still sending would give it a reset instead of the answer.
    if (length <= limit) chunks.push(chunk);
  }
  return length > limit ? { body: Buffer.alloc(0), tooLarge: true } : { body: Buffer.concat(chunks), tooLarge: false };
};

/**
 * Serves `handle` on 127.0.0.1.
 * @param port 0 takes a free one
 * @param maxBody bytes
 * @throws the listen error (`EADDRINUSE`) when the port is taken
 */
export const serve = async ({ port, maxBody }: { port: number; maxBody: number }, handle: Handler): Promise<Edge> => {
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { body, tooLarge } = await read(request, maxBody);
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const { pathname: path, searchParams: query } = url;
    const reply = await handle({ method: request.method ?? 'GET', path, query, headers: request.headers, body, tooLarge });
    if (reply === 'silence') return;
    response.writeHead(reply.status, { 'content-length': String(Buffer.byteLength(reply.body)), ...reply.headers });
    response.end(request.method === 'HEAD' ? undefined : reply.body);
  };
  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => {
      // A client that went away in mid-body is not our fault and needs no answer.
      if (request.destroyed && !request.complete) return;
      console.error(error);
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'application/json' });
      response.end('{"error":500,"message":"the local server failed"}');
    });
  });
  // A request may be held for ever on purpose, and clients reuse connections for a whole demo.
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
