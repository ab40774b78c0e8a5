/** The command line of `npm start`. */
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

/** A mistake of the caller, told in one line; no stack trace helps him. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export interface StartOptions {
  /** The worker's port; 0 takes a free one. */
  port: number;
  dataDir: string;
  fresh: boolean;
  speed: number;
  /** Milliseconds since 1970; undefined: the real now, or where the stored clock stopped when that is later. */
  now: number | undefined;
  demo: boolean;
  cron: boolean;
  callingRules: boolean;
  /** The leads of the demo; undefined: the project's example. */
  csv: string | undefined;
}

export const DEFAULT_PORT = 8787;
/** A lease of 10 minutes must last, in real seconds, at least twice the create-call time-out of 5 real seconds. */
export const MAX_SPEED = (10 * 60) / (2 * 5);

/** What `npm start -- --help` prints. */
export const USAGE = `npm start -- [options] [leads.csv]   a CSV to run instead of the example
  --port N             the worker's; ${DEFAULT_PORT} by default, 0 takes a free one
  --data-dir DIR       where everything is kept; .local by default
  --fresh              erases the data directory first
  --speed N            local time runs N times as fast; ${MAX_SPEED} by default and at most
  --now ISO            local time begins here, such as 2026-03-01T09:00:00Z
  --no-demo            an account, a key and an agent, but no campaign
  --no-cron            no cron fires by itself
  --calling-rules on   legal hours and frequency rules are on; this version brings none yet
  --help               this`;

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** What each option that takes a value must be. */
const RULES = {
  port: 'a whole number from 0 (a free port) to 65535',
  'data-dir': 'a directory',
  speed: `a number from 1 to ${MAX_SPEED}: beyond that a lease of 10 minutes is shorter than two create-call time-outs of 5 real seconds`,
  now: 'an ISO 8601 instant from 2000 to 2099 with Z or an offset, such as 2026-03-01T09:00:00Z',
  'calling-rules': 'on or off',
} as const;

const broken = (option: keyof typeof RULES): UsageError => new UsageError(`--${option} must be ${RULES[option]}`);

const port = (text: string): number => {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw broken('port');
  return Number(text);
};

const speed = (text: string): number => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1 && value <= MAX_SPEED)) throw broken('speed');
  return value;
};

const instant = (text: string): number => {
  const value = INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  if (!(value >= Date.UTC(2000) && value < Date.UTC(2100))) throw broken('now');
  return value;
};

const onOff = (text: string): boolean => {
  if (text !== 'on' && text !== 'off') throw broken('calling-rules');
  return text === 'on';
};

const directory = (text: string, cwd: string): string => {
  const place = path.resolve(cwd, text);
  if (text === '' || (fs.existsSync(place) && !fs.statSync(place).isDirectory())) throw broken('data-dir');
  return place;
};

const csvFile = (text: string, cwd: string): string => {
  const file = path.resolve(cwd, text);
  try {
    fs.accessSync(file, fs.constants.R_OK);
  } catch {
    throw new UsageError(`the CSV ${file} cannot be read`);
  }
  if (!fs.statSync(file).isFile()) throw new UsageError(`the CSV ${file} is not a file`);
  return file;
};

const SPEC = {
  port: { type: 'string', default: String(DEFAULT_PORT) },
  'data-dir': { type: 'string', default: '.local' },
  fresh: { type: 'boolean', default: false },
  speed: { type: 'string', default: String(MAX_SPEED) },
  now: { type: 'string' },
  'no-demo': { type: 'boolean', default: false },
  'no-cron': { type: 'boolean', default: false },
  'calling-rules': { type: 'string', default: 'off' },
} as const;

const read = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: SPEC, allowPositionals: true, strict: true });
  } catch (error) {
    const text = (error as Error).message; // Node's own: several lines, with advice of their own
    const option = Object.keys(RULES).find((name) => text.startsWith(`Option '--${name}`));
    if (option !== undefined) throw broken(option as keyof typeof RULES);
    const line = text.split(/\n|\. /, 1).join('');
    throw new UsageError(line.startsWith('Unknown') ? `${line}: npm start -- --help lists them` : line, { cause: error });
  }
};

/**
 * Reads the arguments; paths are relative to `cwd`.
 * @throws {UsageError} one line that names the option and its rule
 */
export const parseOptions = (args: readonly string[], cwd: string): StartOptions => {
  const { values, positionals } = read(args);
  if (positionals.length > 1) throw new UsageError(`only one CSV path may be given, not ${positionals.length}`);
  const csv = positionals[0];
  if (csv !== undefined && values['no-demo']) throw new UsageError('--no-demo and a CSV path exclude each other');
  return {
    port: port(values.port),
    dataDir: directory(values['data-dir'], cwd),
    fresh: values.fresh,
    speed: speed(values.speed),
    now: values.now === undefined ? undefined : instant(values.now),
    demo: !values['no-demo'],
    cron: !values['no-cron'],
    callingRules: onOff(values['calling-rules']),
    csv: csv === undefined ? undefined : csvFile(csv, cwd),
  };
};
