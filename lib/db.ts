/**
 * THE database wrapper, and the only file that knows the driver: a connection per invocation, opened at the first verb and gone
 * with the invocation on every path. Whatever it throws is ours ({@link DbError}, {@link Misconfigured}) and has been reported;
 * the driver's own objects, which carry the password, stay in here.
 */
import { neonConfig, Pool, type Client, type PoolClient } from '@neondatabase/serverless';
import { sessionSurvives } from './db-errors.ts';
import { DbSession, within, type DbInvocation, type DbLimits, type DbStats, type Link } from './db-session.ts';
import { log as platformLog, type Log } from './log.ts';
import type { VerbRunner } from './verbs.ts';

/** A late write after the server hung up is dropped, not thrown: the driver writes from a timer, where nobody can catch it. */
class QuietWebSocket extends WebSocket {
  override send(data: Parameters<WebSocket['send']>[0]): void {
    if (this.readyState === WebSocket.OPEN) super.send(data);
  }
}
neonConfig.webSocketConstructor = QuietWebSocket;
neonConfig.disableWarningInBrowsers = true;

/** Sends every connection to a Neon stand-in (`host:port/path`), unencrypted. For the local worker and tests only. */
export function useLocalEndpoint(wsProxy: string): void {
  neonConfig.wsProxy = wsProxy;
  neonConfig.useSecureWebSocket = false;
}

export interface DbOptions {
  limits?: Partial<DbLimits>;
  log?: Log;
  sleep?: (ms: number) => Promise<void>;
  /** Uniform in [0, 1). */
  random?: () => number;
}
export interface Db extends VerbRunner {
  /**
   * Runs `work` between BEGIN and COMMIT, on this connection, while other verbs wait. `work` runs again after 40001 and 40P01, so
   * it must have no effect outside the database, and it must use the `tx` it is given: the outer `db` waits for its end.
   * @throws {DbError} `database_transaction_error` with outcome `unknown` when the answer to COMMIT was lost
   */
  transaction<T>(name: string, work: (tx: Pick<VerbRunner, 'query'>) => Promise<T>): Promise<T>;
  readonly stats: Readonly<DbStats>;
}

const LIMITS: DbLimits = { connectMs: 5000, queryMs: 10_000, endMs: 2000, retryMs: 8000, queueMs: 25_000 };
const realSleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/**
 * Opens a connection with its listeners in place first. With the driver's pipelined start this resolves when the WebSocket is
 * open; whether the server accepts us shows at the first answer.
 */
const openLink = async (pool: Pool, terminated: (error: unknown) => void): Promise<Link> => {
  const is = { ready: false, dead: false, busy: false, closing: false };
  let fatal: unknown;
  const ended = Promise.withResolvers<void>();
  const fell = (error: unknown): void => {
    if (is.dead || is.closing) return;
    fatal = error;
    if (is.busy) return; // its statement speaks for it, unless the answer was in before
    is.dead = true;
    if (is.ready) terminated(error);
  };
  const listen = (client: PoolClient): void => {
    client.on('error', fell);
    client.once('end', ended.resolve);
    (client as unknown as Client).connection.once('readyForQuery', () => {
      is.ready = true;
    });
  };
  pool.once('connect', listen);
  const client = await pool.connect().finally(() => pool.removeListener('connect', listen));
  return {
    async query(text, params) {
      is.busy = true;
      try {
        const { rows, command } = await client.query<Record<string, unknown>>(text, [...params]);
        return { rows, command };
      } catch (error) {
        if (!sessionSurvives(error)) is.dead = true;
        throw error;
      } finally {
        is.busy = false;
        if (fatal !== undefined) fell(fatal);
      }
    },
    ready: () => is.ready,
    dead: () => is.dead,
    close() {
      if (!is.closing) client.release(true);
      is.closing = true;
      return ended.promise;
    },
  };
};

/** A pool of one, made at the first connection. */
class Connections {
  readonly #invocation: DbInvocation;
  readonly #limits: DbLimits;
  readonly #over = Promise.withResolvers<void>();
  #pool: Pool | undefined;

  constructor(invocation: DbInvocation, limits: DbLimits) {
    this.#invocation = invocation;
    this.#limits = limits;
  }

  open(terminated: (error: unknown) => void): Promise<Link> {
    if (!this.#pool) {
      this.#pool = new Pool({
        connectionString: this.#invocation.config.databaseUrl,
        application_name: 'ringleader',
        max: 1,
        connectionTimeoutMillis: this.#limits.connectMs,
        query_timeout: this.#limits.queryMs,
      });
      // Fires for connections that nobody holds, which are ours only while closing. Unheard, it would be an uncaught error.
      this.#pool.on('error', () => undefined);
      // From here on the invocation lives until the connection is closed, also when its client hangs up.
      this.#invocation.ctx.waitUntil(this.#over.promise);
    }
    return openLink(this.#pool, terminated);
  }

  /** Closes the pool behind the invocation's back; a close that fails or hangs is left to the end of the invocation. `after` is then told. */
  end(closing: Promise<void>, after: () => Promise<void>): void {
    const all = Promise.allSettled([closing, this.#pool?.end()]);
    void within(this.#limits.endMs, all)
      .then(after)
      .finally(() => this.#over.resolve());
  }
}

/**
 * Runs `work` with a database connection of its own: opened at the first verb, released when `work` ends in any way, closed in
 * `waitUntil`. Verbs of one `db` run one after the other, however many branches ask. A verb that `work` does not await is cut off.
 * @throws what `work` throws; of the database only {@link DbError} and {@link Misconfigured}, already reported
 */
export const withDb = async <T>(invocation: DbInvocation, work: (db: Db) => Promise<T>, options: DbOptions = {}): Promise<T> => {
  const limits = { ...LIMITS, ...options.limits };
  const connections = new Connections(invocation, limits);
  const session = new DbSession({
    invocation,
    limits,
    log: options.log ?? platformLog,
    sleep: options.sleep ?? realSleep,
    random: options.random ?? (() => Math.random()),
    open: (terminated) => connections.open(terminated),
  });
  const db: Db = {
    stats: session.stats,
    query: (text, params, { verb, retry }) => session.query(text, params, verb, retry),
    transaction: (name, work) => session.transaction(name, work),
  };
  try {
    return await work(db);
  } finally {
    connections.end(session.close(), async () => {
      const { stats, times } = session;
      if (stats.verbs > 0) await invocation.counted?.({ stats, times });
    });
  }
};
