/** A provider's API on loopback, which answers as a test says and counts what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll } from 'vitest';
import type { Provider } from '../../lib/providers/provider.ts';
import { baseUrls, createProviders, type ProviderName } from '../../lib/providers/table.ts';

export interface Asked {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}
type Handler = (asked: Asked, response: ServerResponse, request: IncomingMessage) => void;

export interface LocalApi {
  provider: Provider;
  url: string;
  asked: Asked[];
  /** What it does from now on; forgets what it was asked before. */
  does(handler: Handler): void;
  /** Answers everything so; a string is sent as it is. */
  answers(status: number, body: unknown, headers?: Record<string, string>): void;
}

/** One for the calling test file, closed after its last test. */
export const localApi = async (name: ProviderName): Promise<LocalApi> => {
  let handle: Handler = (_, response) => response.end();
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      asked.push({ method, path: url, headers, body: Buffer.concat(chunks).toString() });
      handle(asked.at(-1)!, response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const providerBaseUrls = baseUrls(() => url);
  const does = (handler: Handler): void => {
    asked.length = 0;
    handle = handler;
  };
  return {
    provider: createProviders({ providerBaseUrls })[name],
    url,
    asked,
    does,
    answers: (status, body, headers = {}) =>
      does((_, response) =>
        response
          .writeHead(status, { 'content-type': 'application/json', ...headers })
          .end(typeof body === 'string' ? body : JSON.stringify(body)),
      ),
  };
};
