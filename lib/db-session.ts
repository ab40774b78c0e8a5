/**
 * One invocation's dealings with the database, whatever the driver: verbs in turn, retries by class, transactions, counts and
 * reports. `lib/db.ts` gives it the connections.
 */
import { mayRepeat, misconfiguration, refusedForLack, toDbError, uncommitted } from './db-errors.ts';
import type { Report } from './deps.ts';
import { note, type Histogram } from './domain/histogram.ts';
import { DbError, Misconfigured, type DbFailure } from './errors.ts';
import type { Log } from './log.ts';
import type { RetryClass, VerbRunner } from './verbs.ts';

/** What of an invocation the database needs. */
export interface DbInvocation {
  config: { databaseUrl: string; slowQueryMs: number };
  report: Report;
  ctx: { waitUntil(promise: Promise<unknown>): void };
  /** Told once, when the connection is closed, what it went through. Never rejects. */
  counted?(counts: DbCounts): Promise<void>;
}
/** All in real milliseconds: the patience of sockets and of the platform, not of the product's clock. */
export interface DbLimits {
  /** Until the WebSocket is open. */
  connectMs: number;
  /** Until a statement is answered; the first of a connection includes the compute's waking. */
  queryMs: number;
  /** Until a closing connection is left to itself. */
  endMs: number;
  /** From the first try of a verb: no further try begins after it. */
  retryMs: number;
  /** Until a verb that waits for another on the same connection gives up. */
  queueMs: number;
}
/** What the connection went through, in counts and milliseconds. */
export interface DbStats {
  connect_ms: number;
  query_ms: number;
  /** Verbs and transactions asked for. */
  verbs: number;
  /** Of them, those that ended in an error. */
  failed: number;
  slow: number;
  retried: number;
  opened: number;
  terminated_idle: number;
  lost_in_flight: number;
  connect_failed: number;
  refused_full: number;
}
/** How long the statements of one verb took. */
export interface VerbTimes {
  /** Of them, those as slow as `SLOW_QUERY_MS`. */
  slow: number;
  steps: Histogram;
}
/** What a connection went through, with the times of its verbs by name. */
export interface DbCounts {
  stats: Readonly<DbStats>;
  times: Readonly<Record<string, VerbTimes>>;
}
export interface Answer {
  rows: unknown[];
  /** The server's word for what it did: `SELECT`, `COMMIT`, `ROLLBACK`. */
  command: string;
}
/** One live connection. What it throws is the driver's: for `toDbError` only. */
export interface Link {
  query(text: string, params: readonly unknown[]): Promise<Answer>;
  /** The server has accepted the connection. */
  ready(): boolean;
  dead(): boolean;
  /** Lets go of it at once; resolves when the socket is closed. */
  close(): Promise<void>;
}
export interface SessionParts {
  invocation: Pick<DbInvocation, 'config' | 'report'>;
  limits: DbLimits;
  log: Log;
  sleep: (ms: number) => Promise<void>;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Opens a connection. `terminated` is called once if it dies with no statement in flight. */
  open: (terminated: (error: unknown) => void) => Promise<Link>;
}
type Transact = Pick<VerbRunner, 'query'>;

/** Each try may cost a subrequest, of which an invocation has 50. */
const TRIES = 8;
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1500;

/** `promise`, or undefined once `ms` are over. No timer is left behind. */
export const within = <T>(ms: number, promise: Promise<T>): Promise<T | undefined> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });

const failure = (verb: string, errorType: DbFailure['errorType'], outcome: DbFailure['outcome']): DbFailure => ({
  code: undefined,
  phase: 'sent',
  outcome,
  verb,
  errorType,
});
const unsent = (verb: string, why: string): DbError =>
  new DbError(`${verb} ${why}`, { ...failure(verb, 'database_query_error', 'not_applied'), phase: 'connect' });

/** The database as one invocation sees it: at most one connection at a time, opened at the first verb. */
export class DbSession {
  readonly stats: DbStats = {
    connect_ms: 0,
    query_ms: 0,
    verbs: 0,
    failed: 0,
    slow: 0,
    retried: 0,
    opened: 0,
    terminated_idle: 0,
    lost_in_flight: 0,
    connect_failed: 0,
    refused_full: 0,
  };
  readonly times: Record<string, VerbTimes> = {};
  readonly #parts: SessionParts;
  #link: Link | undefined;
  #closed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  /**
   * Sends one statement when its turn comes, and again where `retry` allows that.
   * @throws {DbError} when it did not end well, which has been reported; {Misconfigured} for a role that the schema refuses
   */
  query(text: string, params: readonly unknown[], verb: string, retry: RetryClass): Promise<Answer> {
    return this.#inTurn(verb, retry, async () => this.#send(await this.#connected(verb), text, params, verb));
  }

  /** See `Db.transaction` in `lib/db.ts`. */
  transaction<T>(name: string, work: (tx: Transact) => Promise<T>): Promise<T> {
    return this.#inTurn(name, 'once', () => this.#transact(name, work));
  }

  /** Lets go of the connection at once; resolves when its socket is closed. Verbs that come later are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.stats.opened + this.stats.connect_failed > 0) this.#parts.log('info', 'database_session', { ...this.stats });
    await this.#link?.close();
  }

  /** One at a time: the connection is one, and a retry must not be overtaken. */
  async #inTurn<T>(verb: string, retry: RetryClass, attempt: () => Promise<T>): Promise<T> {
    const began = performance.now();
    this.stats.verbs += 1;
    const before = this.#last;
    const done = Promise.withResolvers<void>();
    this.#last = before.then(() => done.promise);
    try {
      const mine = await within(
        this.#parts.limits.queueMs,
        before.then(() => true),
      );
      if (!mine) throw this.#reported(unsent(verb, 'waited too long for its turn'), 0, began);
      return await this.#persist(verb, retry, attempt);
    } finally {
      done.resolve();
    }
  }

  /** Tries, and tries again while that is known to be harmless; counts, reports and throws what remains. */
  async #persist<T>(verb: string, retry: RetryClass, attempt: () => Promise<T>): Promise<T> {
    const { limits, log, sleep, random } = this.#parts;
    const began = performance.now();
    for (let tries = 1; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof DbError)) throw this.#notOurs(error, verb);
        this.#count(error.failure);
        const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
        const wait = Math.round((longest / 2) * (1 + random()));
        const inTime = tries < TRIES && performance.now() - began + wait <= limits.retryMs;
        if (this.#closed || !inTime || !mayRepeat(error.failure, retry)) throw this.#reported(error, tries, began);
        this.stats.retried += 1;
        const { code, phase, outcome } = error.failure;
        log('warning', 'database_retry', { verb, code, phase, outcome, attempt: tries, waited_ms: wait });
        await sleep(wait);
      }
    }
  }

  /** What a transaction's own work threw, or the role that the schema refuses. */
  #notOurs(error: unknown, verb: string): unknown {
    this.stats.failed += 1;
    if (error instanceof Misconfigured) this.#parts.invocation.report('configuration_invalid', error, { verb });
    return error;
  }

  #reported(error: DbError, attempts: number, began: number): DbError {
    this.stats.failed += 1;
    const { errorType, verb, code, phase, outcome } = error.failure;
    const terminated = errorType === 'database_connection_error' ? { connection_terminated: false } : {};
    const { opened, connect_ms, retried } = this.stats;
    const elapsed_ms = Math.round(performance.now() - began);
    const context = { verb, code, phase, outcome, attempts, elapsed_ms, opened, retried, connect_ms, ...terminated };
    this.#parts.invocation.report(errorType, error, context);
    return error;
  }

  #count(failed: DbFailure): void {
    if (failed.errorType === 'database_connection_error') this.stats.connect_failed += 1;
    else if (failed.phase === 'sent' && failed.outcome !== 'rejected') this.stats.lost_in_flight += 1;
    if (refusedForLack(failed)) this.stats.refused_full += 1;
  }

  /** The live connection, opened when there is none. @throws {DbError} */
  async #connected(verb: string): Promise<Link> {
    if (this.#closed) throw unsent(verb, 'came after the end of its invocation');
    if (this.#link && !this.#link.dead()) return this.#link;
    // A dead connection is let go before the next is opened; nobody waits for its end.
    void this.#link?.close();
    this.#link = undefined;
    const began = performance.now();
    try {
      this.#link = await this.#parts.open((error) => this.#terminated(error));
    } catch (error) {
      throw toDbError(error, { verb, ready: false, sent: false });
    } finally {
      this.stats.connect_ms += Math.round(performance.now() - began);
    }
    this.stats.opened += 1;
    if (!this.#closed) return this.#link;
    void this.#link.close();
    throw unsent(verb, 'came after the end of its invocation');
  }

  /** The connection died with nothing at stake, as Neon does to idle ones: one warning. */
  #terminated(error: unknown): void {
    this.stats.terminated_idle += 1;
    const { code } = toDbError(error, { verb: 'idle', ready: true, sent: true }).failure;
    const idle = { ...failure('', 'database_connection_error', 'not_applied'), code, verb: undefined };
    this.#parts.invocation.report('database_connection_error', new DbError('an idle connection was terminated', idle), {
      connection_terminated: true,
      code,
      opened: this.stats.opened,
    });
  }

  /** Sends one statement, once. @throws {DbError} {Misconfigured} */
  async #send(link: Link, text: string, params: readonly unknown[], verb: string): Promise<Answer> {
    const began = performance.now();
    try {
      return await link.query(text, params);
    } catch (error) {
      const misconfigured = misconfiguration(error);
      if (misconfigured !== undefined) throw new Misconfigured(misconfigured);
      throw toDbError(error, { verb, ready: link.ready(), sent: true });
    } finally {
      const ms = Math.round(performance.now() - began);
      this.stats.query_ms += ms;
      const times = (this.times[verb] ??= { slow: 0, steps: {} });
      note(times.steps, ms);
      if (ms >= this.#parts.invocation.config.slowQueryMs) {
        this.stats.slow += 1;
        times.slow += 1;
        this.#parts.log('warning', 'slow_verb', { verb, ms });
      }
    }
  }

  async #transact<T>(name: string, work: (tx: Transact) => Promise<T>): Promise<T> {
    const link = await this.#connected(name);
    const inside = async (text: string, params: readonly unknown[], verb: string): Promise<Answer> => {
      try {
        return await this.#send(link, text, params, verb);
      } catch (error) {
        throw error instanceof DbError ? uncommitted(error) : error;
      }
    };
    await inside('begin', [], name);
    let open = true;
    let value: T;
    try {
      value = await work({
        query: (text, params, { verb }) =>
          open ? inside(text, params, verb) : Promise.reject(unsent(verb, 'came after the end of its transaction')),
      });
    } catch (error) {
      open = false;
      await this.#rollback(link, name);
      throw error;
    }
    open = false;
    await this.#commit(link, name);
    return value;
  }

  /** @throws {DbError} `database_transaction_error` */
  async #commit(link: Link, verb: string): Promise<void> {
    const errorType = 'database_transaction_error';
    const ended = await this.#send(link, 'commit', [], verb).catch((error: unknown) => {
      throw error instanceof DbError ? new DbError(error.message, { ...error.failure, errorType }) : error;
    });
    if (ended.command === 'COMMIT') return;
    // The work swallowed an error of a statement, and the server answered COMMIT with ROLLBACK.
    throw new DbError(`${verb} was rolled back: a statement in it had failed`, failure(verb, errorType, 'rejected'));
  }

  async #rollback(link: Link, verb: string): Promise<void> {
    if (link.dead()) return; // the server rolls back with the connection
    try {
      await this.#send(link, 'rollback', [], verb);
    } catch (error) {
      this.#parts.invocation.report('database_transaction_error', error, { verb, phase: 'sent', outcome: 'not_applied' });
    }
  }
}
