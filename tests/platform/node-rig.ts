/** The application in this process: the same code and the real driver, on Node. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { vi } from 'vitest';
import { createWorker } from '../../functions/worker.ts';
import { useLocalEndpoint } from '../../lib/db.ts';
import { startAppRig, type AppRig } from './app-rig.ts';
import { memoryMeter } from './memory-meter.ts';

/** A request as the platform hands it over, its body still arriving. */
const requestOf = (incoming: IncomingMessage, url: string): Request => {
  const { method = 'GET', headers } = incoming;
  const bodyless = method === 'GET' || method === 'HEAD';
  return new Request(url + incoming.url, {
    method,
    headers: Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]),
    ...(bodyless ? {} : { body: Readable.toWeb(incoming), duplex: 'half' }),
  } as RequestInit);
};
const respond = async (answer: Response, response: ServerResponse): Promise<void> => {
  response.writeHead(answer.status, [...answer.headers].flat());
  for await (const chunk of answer.body ?? []) response.write(chunk);
  response.end();
};

/** One per test file: `const rig = await startNodeRig()` at its top. */
export const startNodeRig = (variables: Readonly<Record<string, string>> = {}): Promise<AppRig> =>
  startAppRig(async ({ port, variables: environment, unwind }, proxy) => {
    useLocalEndpoint(proxy.wsProxy);
    const lines: string[] = [];
    const print = vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(String(line)));
    await unwind.add(() => print.mockRestore());
    const loose: string[] = [];
    const note = (error: unknown): void => void loose.push(String(error));
    process.on('uncaughtExceptionMonitor', note).on('unhandledRejection', note);
    await unwind.add(() => void process.off('uncaughtExceptionMonitor', note).off('unhandledRejection', note));

    const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
    const worker = createWorker({ now: () => new Date(), sleep, allowLoopbackHttp: true });
    const env = { ...environment, METER: memoryMeter() };
    const waiting = new Set<Promise<unknown>>();
    const waitUntil = (promise: Promise<unknown>): void => {
      const ended = promise.catch(note).finally(() => waiting.delete(ended));
      waiting.add(ended);
    };
    const url = `http://127.0.0.1:${port}`;
    const server = http.createServer((incoming, response) => {
      waitUntil(worker.fetch(requestOf(incoming, url), env, { waitUntil }).then((answer) => respond(answer, response)));
    });
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
    await unwind.add(async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await Promise.all(waiting);
    });
    return { url, output: () => lines.join('\n'), uncaught: () => loose };
  }, variables);
