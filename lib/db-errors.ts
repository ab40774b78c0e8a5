/**
 * What a failed statement means: judged from the state of its connection first, from the server's words second, because a
 * connection that dies has no words.
 */
import { DbError, type DbFailure } from './errors.ts';
import type { RetryClass } from './verbs.ts';

/** How far a statement had come when it failed. */
export interface Progress {
  /** The verb that was asked, by name. */
  verb: string;
  /** The connection had been accepted: the server said that it is ready. */
  ready: boolean;
  /** The statement was handed to the socket. */
  sent: boolean;
}

interface ServerError {
  code: string;
  severity: string;
  message: string;
  constraint: string | undefined;
}

/** Rolled back by the server for the sake of others: to be done again. */
const ROLLED_BACK: ReadonlySet<string> = new Set(['40001', '40P01']);
/** While connecting, these are answers, not accidents: access, no such database, a parameter that is refused, a missing right. */
const DEFINITE = /^(28|3D|42|0A|08P01)/;
/** Classes whose messages speak of the schema or the server and never quote a row. */
const QUOTABLE = /^(08|0A|25|3D|3F|40|42|53|54|55|57|58)/;
/** Raised by the schema when the worker's role may do more than a worker should. */
const MISCONFIGURED = 'RL503';
const TOO_MANY = '53300';
const DRIVER_TIMEOUT = 'Query read timeout';

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** The server's own error, when `error` is one. What a socket throws (an ErrorEvent, a bare Error) is none. */
const serverError = (error: unknown): ServerError | undefined => {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, severity, message, constraint } = error as Readonly<Record<string, unknown>>;
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || typeof severity !== 'string') return undefined;
  return { code, severity, message: text(message) ?? '', constraint: text(constraint) };
};

/** False when the session is gone: FATAL, PANIC, a lost socket, an answer that never came. */
export const sessionSurvives = (error: unknown): boolean => serverError(error)?.severity === 'ERROR';

/** The sentence of the schema that finds the role misconfigured, if `error` is that. */
export const misconfiguration = (error: unknown): string | undefined => {
  const said = serverError(error);
  return said?.code === MISCONFIGURED ? said.message : undefined;
};

const describe = (said: ServerError): string => {
  if (QUOTABLE.test(said.code)) return `${said.code} ${said.message}`;
  return said.constraint ? `${said.code} ${said.constraint}` : said.code;
};

/** Turns whatever the driver threw into an error of ours. Nothing of the driver's object remains in it. */
export const toDbError = (error: unknown, { verb, ready, sent }: Progress): DbError => {
  const said = serverError(error);
  const base = { code: said?.code, verb };
  if (!sent || (!ready && said)) {
    const why = said ? `: ${describe(said)}` : '';
    return new DbError(`cannot connect to the database${why}`, {
      ...base,
      phase: 'connect',
      outcome: 'not_applied',
      errorType: 'database_connection_error',
    });
  }
  if (said?.severity === 'ERROR') {
    const errorType = ROLLED_BACK.has(said.code) ? 'database_transaction_error' : 'database_query_error';
    return new DbError(`${verb} was rejected: ${describe(said)}`, { ...base, phase: 'sent', outcome: 'rejected', errorType });
  }
  const late = error instanceof Error && error.message === DRIVER_TIMEOUT;
  const what = late ? `no answer to ${verb} in time` : `the connection was lost under ${verb}`;
  return new DbError(said ? `${what}: ${describe(said)}` : what, {
    ...base,
    phase: ready ? 'sent' : 'connect',
    outcome: 'unknown',
    errorType: ready ? 'database_query_error' : 'database_connection_error',
  });
};

/** Whether the same may be sent again: by what is known of the first try, never by hope. */
export const mayRepeat = ({ code, errorType, outcome }: DbFailure, retry: RetryClass): boolean => {
  if (outcome === 'unknown') return retry === 'idempotent';
  if (outcome === 'rejected') return code !== undefined && ROLLED_BACK.has(code);
  return errorType === 'database_connection_error' && !(code !== undefined && DEFINITE.test(code));
};

/** True when the server had no connection left for us. */
export const refusedForLack = ({ code }: DbFailure): boolean => code === TOO_MANY;

/** A failure inside a transaction that was never committed: whatever became of the statement, nothing of it stays. */
export const uncommitted = (error: DbError): DbError =>
  error.failure.outcome === 'unknown' ? new DbError(error.message, { ...error.failure, outcome: 'not_applied' }) : error;
