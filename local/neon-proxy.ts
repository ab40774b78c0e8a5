/**
 * A stand-in for Neon's front door: a WebSocket at `/v2` whose bytes go to a Postgres, with faults on request.
 *
 * It accepts the WebSocket before it reaches Postgres, as Neon does, refuses the startup parameters that Neon's pooler refuses, and
 * counts what an invocation costs. No encryption: loopback only.
 */
import http from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import { fatal, POOLER_ALLOWS, readStartup } from './startup-message.ts';

/** Where Postgres listens: the path of its unix socket (`…/.s.PGSQL.5432`) or a TCP address. */
export type PostgresTarget = { socketPath: string } | { host: string; port: number };
/** A WebSocket close code, or a TCP reset without one. */
export type DropHow = 1000 | 1001 | 1011 | 'reset';
export type ProxyEvent = 'opened' | 'started' | 'refused' | 'closed' | 'fault';

export interface ProxyLogLine {
  /** Milliseconds since the epoch. */
  at: number;
  /** The connection's number, counted from 1; 0 when there is none. */
  id: number;
  event: ProxyEvent;
  detail: string;
}
export interface ProxyCounters {
  opened: number;
  closed: number;
  openNow: number;
  /** The most that were open at one time. */
  openMax: number;
  /** Upgrades answered with an HTTP error, startup packets refused, and Postgres not reached. */
  refused: number;
  bytesFromClient: number;
  bytesFromServer: number;
  /** Runs of bytes in one direction, over all connections: a question and its answer are two flights, or one round trip. */
  flights: number;
  /** By {@link ProxyFaults.killSome}; of these, between a statement and its answer, and between an answer and the next statement. */
  killed: number;
  killedInFlight: number;
  killedIdle: number;
}
/** Cut the connection when these bytes come by. They are not forwarded: `client` loses the question, `server` the answer. */
export interface Cut {
  from: 'client' | 'server';
  contains: string;
  /**
   * `freeze`: held back instead, and with them whatever comes after, until `thaw()`. `mute`: from here on this connection, and no
   * other, is answered nothing, not even a close; `thaw()` drops it.
   */
  how: DropHow | 'freeze' | 'mute';
  /** How often (default 1). */
  times?: number;
  /** One in so many that match (default 1, every one), beginning with the last of the first so many. */
  every?: number;
}
export interface Kill {
  oneIn: number;
  withinMs: number;
  random: () => number;
  /** Drawn with every statement and every answer instead, and from there on are the milliseconds: none is killed while it signs in. */
  everyFlight?: boolean;
}
export interface ProxyFaults {
  /** Closes every WebSocket that is open. */
  dropWebSockets(how: DropHow): void;
  /** Destroys every connection to Postgres; the WebSocket closes after it. */
  dropTcp(): void;
  /** A black hole: no byte passes either way, now or on new connections, until `thaw()`. */
  freeze(): void;
  thaw(): void;
  /** Answers upgrades with this HTTP status, `times` of them (default: until null). */
  refuseUpgrades(status: number | null, times?: number): void;
  /** Accepts the WebSocket, then waits before it reaches Postgres: a compute that wakes. */
  delayConnect(ms: number): void;
  /** Answers the next `times` startup packets (default 1) with this FATAL error, as a full or starting server does. */
  refuseStartups(code: string, message: string, times?: number): void;
  /** One-way delay of every message, to make round trips visible. */
  latency(ms: number): void;
  cutOn(cut: Cut): void;
  /** Kills one in so many new connections, each at a random moment of so many milliseconds; `random` is uniform in [0, 1). */
  killSome(kill: Kill | null): void;
  /** Back to normal; what was frozen flows again. */
  clear(): void;
}
export interface NeonProxy {
  port: number;
  /** For the driver's `wsProxy`. */
  wsProxy: string;
  counters(): ProxyCounters;
  /** The last 10,000 events, oldest first. */
  log: readonly ProxyLogLine[];
  faults: ProxyFaults;
  stop(): Promise<void>;
}
export interface NeonProxyOptions {
  postgres: PostgresTarget;
  /** 0 (the default) takes a free one. */
  port?: number;
  /** Called before Postgres is reached, so that a sleeping one can be woken; connections wait for it. */
  wake?: () => Promise<void>;
}

const LOG_LINES = 10_000;
const HIGH_WATER = 1 << 22;

interface Tunnel {
  id: number;
  ws: WebSocket;
  tcp: net.Socket | undefined;
  lastFrom: 'client' | 'server' | undefined;
  /** A statement has come by: what went before was signing in. */
  asked: boolean;
}
interface FaultState {
  frozen: boolean;
  upgrades: { status: number; left: number } | undefined;
  startups: { code: string; message: string; left: number } | undefined;
  connectDelay: number;
  latency: number;
  cuts: (Cut & { left: number; seen: number })[];
  kill: Kill | null;
}
const noFaults = (): FaultState => ({
  frozen: false,
  upgrades: undefined,
  startups: undefined,
  connectDelay: 0,
  latency: 0,
  cuts: [],
  kill: null,
});

/** A client's message that begins a statement: Query or Parse. */
const isStatement = (bytes: Buffer): boolean => bytes[0] === 0x51 || bytes[0] === 0x50;

const later = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const bytesOf = (data: RawData): Buffer =>
  Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);

/** `ws` keeps its socket private; a reset needs it. */
const socketOf = (ws: WebSocket): net.Socket | undefined => (ws as unknown as { _socket?: net.Socket })._socket;
const drop = (ws: WebSocket, how: DropHow): void => {
  if (how === 'reset') socketOf(ws)?.resetAndDestroy();
  else ws.close(how);
};

/** Nothing is written to its client any more; answers with how to drop it. */
const mute = (ws: WebSocket): (() => void) => {
  const socket = socketOf(ws);
  if (socket) Object.assign(socket, { write: () => true, end: () => socket });
  return () => socket?.destroy();
};

/**
 * Starts the proxy on loopback.
 * @throws when the port is taken
 */
export const startNeonProxy = async (options: NeonProxyOptions): Promise<NeonProxy> => {
  const tunnels = new Set<Tunnel>();
  const log: ProxyLogLine[] = [];
  const counts: Omit<ProxyCounters, 'openNow'> = {
    opened: 0,
    closed: 0,
    openMax: 0,
    refused: 0,
    bytesFromClient: 0,
    bytesFromServer: 0,
    flights: 0,
    killed: 0,
    killedInFlight: 0,
    killedIdle: 0,
  };
  let faults = noFaults();
  let held: (() => void)[] = [];

  const note = (id: number, event: ProxyEvent, detail: string): void => {
    log.push({ at: Date.now(), id, event, detail });
    if (log.length > LOG_LINES) log.shift();
  };

  /** Lets bytes pass, late or never as the faults say; the order within a direction is kept. */
  const pass = (deliver: () => void): void => {
    if (faults.frozen) held.push(deliver);
    else if (faults.latency > 0) setTimeout(deliver, faults.latency);
    else deliver();
  };
  const thaw = (): void => {
    faults.frozen = false;
    const waiting = held;
    held = [];
    for (const deliver of waiting) deliver();
  };

  /** Counts bytes; false when a fault ate them and cut the connection. */
  const inspect = (tunnel: Tunnel, from: 'client' | 'server', bytes: Buffer): boolean => {
    tunnel.asked ||= from === 'client' && isStatement(bytes);
    if (tunnel.lastFrom !== from) {
      counts.flights += 1;
      if (tunnel.asked && faults.kill?.everyFlight) doom(tunnel, faults.kill);
    }
    tunnel.lastFrom = from;
    counts[from === 'client' ? 'bytesFromClient' : 'bytesFromServer'] += bytes.length;
    const cut = faults.cuts.find((c) => c.left > 0 && c.from === from && bytes.includes(c.contains));
    if (!cut || ++cut.seen % (cut.every ?? 1) !== 0) return true;
    cut.left -= 1;
    note(tunnel.id, 'fault', `cut (${cut.how}) on ${cut.from} bytes`);
    if (cut.how === 'freeze') {
      faults.frozen = true;
      return true;
    }
    if (cut.how === 'mute') held.push(mute(tunnel.ws));
    else drop(tunnel.ws, cut.how);
    return false;
  };

  const refuse = (tunnel: Tunnel, code: string, message: string): void => {
    counts.refused += 1;
    note(tunnel.id, 'refused', `${code} ${message}`);
    pass(() => {
      tunnel.ws.send(fatal(code, message));
      tunnel.ws.close(1000);
    });
  };

  /** Decides whether, when and how a new connection is to die. */
  const doom = (tunnel: Tunnel, kill: Kill): void => {
    if (kill.random() * kill.oneIn >= 1) return;
    const how = Math.floor(kill.random() * 4);
    setTimeout(() => {
      if (tunnel.ws.readyState !== tunnel.ws.OPEN || tunnel.tcp?.destroyed) return;
      const moment = !tunnel.asked ? 'signing in' : tunnel.lastFrom === 'client' ? 'in flight' : 'idle';
      counts.killed += 1;
      if (moment === 'in flight') counts.killedInFlight += 1;
      if (moment === 'idle') counts.killedIdle += 1;
      note(tunnel.id, 'fault', `killed at random, ${moment}`);
      if (how === 3) tunnel.tcp?.destroy();
      else drop(tunnel.ws, ([1000, 1001, 'reset'] as const)[how] ?? 'reset');
    }, kill.random() * kill.withinMs);
  };

  /** Reads the startup packet, then joins the WebSocket to Postgres. */
  const open = (ws: WebSocket): void => {
    const tunnel: Tunnel = { id: ++counts.opened, ws, tcp: undefined, lastFrom: undefined, asked: false };
    tunnels.add(tunnel);
    counts.openMax = Math.max(counts.openMax, tunnels.size);
    note(tunnel.id, 'opened', '');
    if (faults.kill !== null && !faults.kill.everyFlight) doom(tunnel, faults.kill);
    let early = Buffer.alloc(0);
    let started = false;

    const toServer = (bytes: Buffer): void => {
      if (tunnel.tcp?.writable && !tunnel.tcp.write(bytes)) ws.pause();
    };
    const toClient = (bytes: Buffer): void => {
      if (ws.readyState !== ws.OPEN) return;
      ws.send(bytes, () => tunnel.tcp?.resume());
      if (ws.bufferedAmount > HIGH_WATER) tunnel.tcp?.pause();
    };
    const join = async (): Promise<void> => {
      if (faults.connectDelay > 0) await later(faults.connectDelay);
      await options.wake?.();
      if (ws.readyState !== ws.OPEN) return;
      const to = options.postgres;
      const tcp = 'socketPath' in to ? net.connect(to.socketPath) : net.connect(to.port, to.host);
      tunnel.tcp = tcp;
      let reached = false;
      tcp.on('connect', () => {
        reached = true;
        tcp.write(early);
      });
      tcp.on('drain', () => ws.resume());
      tcp.on('data', (bytes) => {
        if (inspect(tunnel, 'server', bytes)) pass(() => toClient(bytes));
      });
      tcp.on('error', (error) => {
        if (reached) note(tunnel.id, 'fault', error.message);
        else refuse(tunnel, 'XX000', "Couldn't connect to compute node");
      });
      tcp.on('close', () => {
        // A write under way when Postgres went is never drained: held back for it, the client's good-bye would not be read.
        ws.resume();
        pass(() => ws.close(1000));
      });
    };
    const start = (): void => {
      const startup = readStartup(early);
      if (startup.kind === 'incomplete') return;
      started = true;
      const parameters = startup.kind === 'startup' ? startup.parameters : {};
      const unwelcome = Object.keys(parameters).find((name) => !POOLER_ALLOWS.has(name));
      note(tunnel.id, 'started', `${parameters['user'] ?? ''} ${parameters['application_name'] ?? ''}`.trim());
      if (unwelcome) refuse(tunnel, '08P01', `unsupported startup parameter: ${unwelcome}`);
      else if (faults.startups && faults.startups.left-- > 0) refuse(tunnel, faults.startups.code, faults.startups.message);
      else
        join().catch((error: unknown) => {
          note(tunnel.id, 'fault', String(error));
          ws.close(1011);
        });
    };

    ws.on('message', (data) => {
      const bytes = bytesOf(data);
      if (!inspect(tunnel, 'client', bytes)) return;
      pass(() => {
        if (tunnel.tcp && !tunnel.tcp.connecting) return toServer(bytes);
        early = Buffer.concat([early, bytes]);
        if (!started) start();
      });
    });
    ws.on('error', (error) => note(tunnel.id, 'fault', error.message));
    ws.on('close', (code) => {
      tunnels.delete(tunnel);
      counts.closed += 1;
      note(tunnel.id, 'closed', String(code));
      // A frozen network swallows the good-bye too: Postgres does not learn of it until the thaw.
      pass(() => tunnel.tcp?.destroy());
    });
  };

  const server = http.createServer((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const refuseUpgrade = (socket: Duplex, status: number): void => {
    counts.refused += 1;
    note(0, 'refused', `upgrade ${status}`);
    socket.end(`HTTP/1.1 ${status} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
  };
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', (error) => note(0, 'fault', error.message));
    if (!request.url?.startsWith('/v2')) return refuseUpgrade(socket, 404);
    if (faults.upgrades && faults.upgrades.left-- > 0) return refuseUpgrade(socket, faults.upgrades.status);
    pass(() => sockets.handleUpgrade(request, socket, head, open));
  });

  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new Error(`port ${options.port} is taken`) : error),
    );
    server.listen(options.port ?? 0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port));
  });

  return {
    port,
    wsProxy: `127.0.0.1:${port}/v2`,
    log,
    counters: () => ({ ...counts, openNow: tunnels.size }),
    faults: {
      dropWebSockets: (how) => tunnels.forEach((tunnel) => drop(tunnel.ws, how)),
      dropTcp: () => tunnels.forEach((tunnel) => tunnel.tcp?.destroy()),
      freeze: () => {
        faults.frozen = true;
      },
      thaw,
      refuseUpgrades: (status, times = Infinity) => {
        faults.upgrades = status === null ? undefined : { status, left: times };
      },
      delayConnect: (ms) => {
        faults.connectDelay = ms;
      },
      refuseStartups: (code, message, times = 1) => {
        faults.startups = { code, message, left: times };
      },
      latency: (ms) => {
        faults.latency = ms;
      },
      cutOn: (cut) => {
        faults.cuts.push({ ...cut, left: cut.times ?? 1, seen: 0 });
      },
      killSome: (kill) => {
        faults.kill = kill;
      },
      clear: () => {
        thaw();
        faults = noFaults();
      },
    },
    stop: async () => {
      for (const tunnel of tunnels) {
        tunnel.ws.terminate();
        tunnel.tcp?.destroy();
      }
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
};
