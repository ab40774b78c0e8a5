/**
 * Structured logs, one line of JSON per event, and the rules for what may be read by anybody who can read them. Reports obey the
 * same rules.
 *
 * A field passes when its name is on the list and its value is a count, a boolean, a UUID or a word of code; anything else is left
 * out, so that a phone number, name, transcript or key handed over by mistake stops here.
 */
import { DbError, Misconfigured, Refusal } from './errors.ts';

/** Names of fields that may be logged or reported. Values are judged apart, by {@link safeValue}. */
const FIELDS: ReadonlySet<string> = new Set(
  [
    // what and where
    'error_type error_name route status code task cron phase outcome reason verb provider provider_status operation refusal fate',
    'type stage step kind notification_type state',
    // whose
    'request_id account_id agent_id campaign_id lead_id call_id attempt_id notification_id event_id import_id row_id',
    // how long and how often
    'ms connect_ms query_ms elapsed_ms waited_ms attempt attempts verbs failed slow retried count calls claimed placed rows bytes',
    'sent skipped completed limit seq row',
    'opened terminated_idle lost_in_flight connect_failed refused_full connection_terminated',
  ].flatMap((names) => names.split(' ')),
);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** A word of code: no capital, no space, nothing a person is called, no run of digits that could be dialled. */
const WORD = /^[a-z*][a-z0-9_.:/-]{0,63}$/;
const SQLSTATE = /^[0-9A-Z]{5}$/;
const ERROR_NAME = /^[A-Z][A-Za-z]{0,39}$/;
const ROUTE = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \/[a-z0-9_.:/*-]{0,80}$/;
const CRON = /^([\d*/,-]+ ){4}[\d*/,-]+$/;
const DIALABLE = /\d(?:[ ()./-]{0,2}\d){6}/;
const LONG_RUN = /[A-Za-z0-9]{24}/;

const isSafeText = (name: string, text: string): boolean => {
  if (UUID.test(text)) return true;
  if (DIALABLE.test(text) || LONG_RUN.test(text)) return false;
  if (name === 'cron') return CRON.test(text);
  if (name === 'code' && SQLSTATE.test(text)) return true;
  if (name === 'error_name') return ERROR_NAME.test(text);
  return WORD.test(text) || (name === 'route' && ROUTE.test(text));
};

export type SafeValue = string | number | boolean;

/** The value if anybody may read it, else undefined. What is not known to be harmless is dropped. */
const safeValue = (name: string, value: unknown): SafeValue | undefined => {
  if (typeof value === 'boolean') return value;
  // A telephone number written as a number has seven digits or more; counts and milliseconds here have fewer.
  if (typeof value === 'number') return Number.isFinite(value) && Math.abs(value) < 1e6 ? value : undefined;
  return typeof value === 'string' && isSafeText(name, value) ? value : undefined;
};

/** Those of the fields that anybody may read. */
export const safeFields = (fields: Readonly<Record<string, unknown>>): Record<string, SafeValue> => {
  const safe: Record<string, SafeValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    const passed = FIELDS.has(name) ? safeValue(name, value) : undefined;
    if (passed !== undefined) safe[name] = passed;
  }
  return safe;
};

/**
 * What an error says, when its words are our own and name no value; else undefined. A stranger's message (a parser's, the
 * engine's, a provider's) may quote what it stumbled over.
 */
export const safeMessage = (error: unknown): string | undefined => {
  const ours = error instanceof DbError || error instanceof Misconfigured || error instanceof Refusal;
  if (!ours) return undefined;
  const text = error.message.replaceAll(/\S+@\S+/g, '…').slice(0, 300);
  return DIALABLE.test(text) || LONG_RUN.test(text) ? undefined : text;
};

/** The class of an error; `Error` for what has no decent name. */
export const errorName = (error: unknown): string =>
  error instanceof Error && ERROR_NAME.test(error.name) ? error.name : 'Error';

export type LogLevel = 'info' | 'warning' | 'error';
/** Writes one event; fields that may not be logged are left out. */
export type Log = (level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>, error?: unknown) => void;

/** A log that hands each line to `write`. */
export const createLog =
  (write: (line: string) => void): Log =>
  (level, event, fields = {}, error) => {
    const said = error === undefined ? {} : { error_name: errorName(error), error_message: safeMessage(error) };
    write(JSON.stringify({ level, event, ...safeFields(fields), ...said }));
  };

/** The platform's own log. */
export const log: Log = createLog((line) => console.log(line));
