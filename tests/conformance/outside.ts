/**
 * The world as the worker's requests find it: everything the bundle sends out, to whatever host, comes by here as to a forward proxy,
 * is written down, and goes on to the stand-in of that host. TLS ends before this point, as it does on the platform.
 */
import http from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';

/** One request or WebSocket of the worker, from the moment it arrives until its last byte has gone. */
export interface Passage {
  kind: 'fetch' | 'websocket';
  method: string;
  host: string;
  path: string;
  /** Of the answer; null while there is none. */
  status: number | null;
  over: boolean;
  /** How many were open at the moment this one came, itself included. */
  openThen: number;
}

export interface Outside {
  port: number;
  /** Everything that came by, oldest first. */
  journal: readonly Passage[];
  open(): number;
  /**
   * Holds what comes for a host until `together` wait, so that what is sent at the same time is open at the same time; fewer go on
   * when nothing has joined them for a while.
   */
  gather(host: string, together: number): void;
  /** Holds what comes for a host until {@link release}. */
  hold(host: string): void;
  release(host: string): void;
  stop(): Promise<void>;
}

/** Real milliseconds after which a gathering that is not complete goes on. */
const LONELY_MS = 250;

interface Gate {
  together: number;
  waiting: (() => void)[];
  timer: NodeJS.Timeout | undefined;
}

const letGo = (gate: Gate): void => {
  clearTimeout(gate.timer);
  for (const go of gate.waiting.splice(0)) go();
};

/** Runs `go` when the gate lets it pass. */
const pass = (gate: Gate | undefined, go: () => void): void => {
  if (gate === undefined) return go();
  gate.waiting.push(go);
  clearTimeout(gate.timer);
  if (gate.waiting.length >= gate.together) letGo(gate);
  else if (Number.isFinite(gate.together)) gate.timer = setTimeout(() => letGo(gate), LONELY_MS);
};

/**
 * Starts on loopback.
 * @param hosts host name → where its stand-in listens (no trailing slash); a WebSocket needs one without a path
 */
export const startOutside = async (hosts: Readonly<Record<string, string>>): Promise<Outside> => {
  const journal: Passage[] = [];
  const gates = new Map<string, Gate>();
  let open = 0;

  const begin = (kind: Passage['kind'], request: http.IncomingMessage): { passage: Passage; url: URL; end: () => void } => {
    const url = new URL(request.url ?? '/', 'https://nowhere.invalid');
    open += 1;
    const { hostname: host, pathname: path } = url;
    const passage: Passage = { kind, method: request.method ?? 'GET', host, path, status: null, over: false, openThen: open };
    journal.push(passage);
    const end = (): void => {
      if (passage.over) return;
      passage.over = true;
      open -= 1;
    };
    return { passage, url, end };
  };

  const forward = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const { passage, url, end } = begin('fetch', request);
    response.on('close', end);
    const target = hosts[passage.host];
    if (target === undefined) {
      response.writeHead(502).end('nobody lives there');
      return;
    }
    const { hostname, port, pathname } = new URL(target);
    const path = `${pathname === '/' ? '' : pathname}${url.pathname}${url.search}`;
    const { host: _named, ...headers } = request.headers;
    pass(gates.get(passage.host), () => {
      if (passage.over) return;
      const onwards = http.request({ hostname, port, path, method: passage.method, headers }, (answer) => {
        passage.status = answer.statusCode ?? null;
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onwards.on('error', () => response.destroy());
      response.on('close', () => onwards.destroy());
      request.pipe(onwards);
    });
  };

  /** Joins the two sockets; the stand-in answers the handshake itself. */
  const tunnel = (request: http.IncomingMessage, socket: Duplex, head: Buffer): void => {
    const { passage, url, end } = begin('websocket', request);
    const target = hosts[passage.host];
    const onwards = target === undefined ? undefined : net.connect(Number(new URL(target).port), '127.0.0.1');
    const over = (): void => {
      end();
      socket.destroy();
      onwards?.destroy();
    };
    socket.on('error', over).on('close', over);
    if (onwards === undefined) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    const lines = Object.entries({ host: passage.host, ...request.headers }).map(
      ([name, value]) => `${name}: ${String(value)}\r\n`,
    );
    onwards.on('error', over).on('close', over);
    onwards.once('data', () => (passage.status = 101));
    onwards.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`);
    onwards.write(head);
    socket.pipe(onwards).pipe(socket);
  };

  // A request to a proxy names its host in its first line, and there alone.
  const server = http.createServer({ requireHostHeader: false, keepAliveTimeout: 60_000 }, forward);
  server.on('upgrade', tunnel);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const gate = (host: string, together: number): void => {
    const before = gates.get(host);
    gates.set(host, { together, waiting: [], timer: undefined });
    if (before) letGo(before);
  };
  return {
    port: (server.address() as net.AddressInfo).port,
    journal,
    open: () => open,
    gather: gate,
    hold: (host) => gate(host, Infinity),
    release: (host) => gate(host, 1),
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
};
