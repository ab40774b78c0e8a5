/** Reads the variables as the worker will, and then as somebody who knows what usually goes wrong. Asks nobody. */
import { databaseFault, isLoopback, parseEnv } from '../../lib/env.ts';
import { Misconfigured } from '../../lib/errors.ts';
import { fail, type Line, ok, type Raw, warn } from './line.ts';
import { OURS, PROVIDER_HOSTS, type Variable, WORKER } from './variables.ts';

/** By name: what the worker's own parser says is wrong. */
const faultsOf = (raw: Raw): Map<string, string> => {
  try {
    parseEnv(raw, { allowLoopbackHttp: true });
    return new Map();
  } catch (error) {
    if (!(error instanceof Misconfigured)) throw error;
    return new Map(error.message.split('; ').map((fault) => [fault.split(' ', 1)[0] ?? '', fault.slice(fault.indexOf(' ') + 1)]));
  }
};

/** A Neon host that goes through the pooler. */
const isPooled = (host: string): boolean => /^[^.]+-pooler\./.test(host);
const isNeon = (host: string): boolean => /\.neon\.(tech|build)$/.test(host);
/** Whether both lead to one database, through the pooler or not. */
const samePlace = (a: URL, b: URL): boolean =>
  a.hostname.replace('-pooler.', '.') === b.hostname.replace('-pooler.', '.') && a.pathname === b.pathname;

type Doubt = readonly [says: string, remedy?: string];
type Verdict = { fail: Doubt } | { warn: Doubt } | undefined;

const here = 'names this machine, which a deployed worker refuses';

/** What is well formed and still wrong, or likely to be. */
const SECOND_LOOK: Readonly<Record<string, (value: string, raw: Raw) => Verdict>> = {
  DATABASE_URL: (value) => {
    const { username, hostname } = new URL(value);
    if (username !== 'ringleader_app')
      return { fail: [`signs in as another role than ringleader_app, the one without rights of its own`] };
    if (isLoopback(hostname)) return { warn: [here] };
    if (!isNeon(hostname))
      return { warn: ['names a host that is not Neon’s: the worker’s driver speaks through Neon’s WebSocket'] };
    return isPooled(hostname) ? undefined : { warn: ['is not pooled: its host has no -pooler'] };
  },
  ADMIN_KEY: (value, raw) => {
    const twin = ['SECRETS_KEY', 'POSTMARK_WEBHOOK_SECRET', 'POSTMARK_SERVER_TOKEN'].find((name) => raw[name] === value);
    return twin === undefined ? undefined : { fail: [`is the same as ${twin}`] };
  },
  PUBLIC_URL: (value) => {
    const { hostname, pathname } = new URL(value);
    if (isLoopback(hostname)) return { warn: [here] };
    return pathname === '/' ? undefined : { fail: ['has a path, but the worker answers at the root of its host'] };
  },
  MAIL_FROM: (value) =>
    /@(gmail|googlemail|yahoo|outlook|hotmail|live|icloud|aol|gmx)\.[a-z.]+>?$/i.test(value)
      ? { fail: ['is an address of a public mail service, in whose name Postmark cannot send'] }
      : undefined,
  EMAIL_CAMPAIGN_SUMMARY_ENABLED: (value) => {
    if (value === 'true') return undefined;
    return value === 'false'
      ? { warn: ['is false: no summary mail is sent'] }
      : { fail: ['must be exactly true; anything else switches the summary mail off'] };
  },
  MIGRATE_DATABASE_URL: (value, raw) => {
    const fault = databaseFault(value);
    if (fault !== undefined) return { fail: [fault] };
    const url = new URL(value);
    if (url.username === 'ringleader_app') return { fail: ['signs in as the app role; it must be the owner of the database'] };
    if (isPooled(url.hostname))
      return { fail: ['goes through the pooler (-pooler in its host); a migration needs the direct connection'] };
    const app = URL.parse(raw['DATABASE_URL'] ?? '');
    return app && !samePlace(app, url) ? { fail: ['names another database than DATABASE_URL'] } : undefined;
  },
  TWILIO_ACCOUNT_SID: (value, raw) => {
    if (!/^AC[0-9a-f]{32}$/.test(value)) return { fail: ['must be AC and 32 hexadecimal digits'] };
    return raw['TWILIO_AUTH_TOKEN'] ? undefined : { fail: ['is set without TWILIO_AUTH_TOKEN'] };
  },
  TWILIO_AUTH_TOKEN: (_, raw) => (raw['TWILIO_ACCOUNT_SID'] ? undefined : { fail: ['is set without TWILIO_ACCOUNT_SID'] }),
};
const printable = (value: string): Verdict =>
  /^[\x21-\x7e]+$/.test(value) ? undefined : { fail: ['must be printable ASCII without spaces'] };
const redirected =
  (host: string) =>
  (value: string): Verdict =>
    new URL(value).origin === host ? undefined : { warn: [`is set: its calls go to ${new URL(value).host}`] };

const lookAgain = ({ name }: Variable, value: string, raw: Raw): Verdict => {
  const host = Object.entries(PROVIDER_HOSTS).find(([known]) => known === name)?.[1];
  if (host !== undefined) return redirected(host)(value);
  const own = OURS.some((known) => known.name === name && name !== 'MIGRATE_DATABASE_URL') ? printable(value) : undefined;
  return own ?? SECOND_LOOK[name]?.(value, raw);
};

const judge = (variable: Variable, raw: Raw, faults: ReadonlyMap<string, string>): Line[] => {
  const { name, how, unset, missed } = variable;
  const value = raw[name];
  const fault = faults.get(name);
  if (fault !== undefined) return [fail(name, fault, how)];
  if (value === undefined || value === '') {
    if (unset === undefined) return [];
    return [missed === true ? warn(name, unset, how) : ok(name, unset)];
  }
  const doubt = lookAgain(variable, value, raw);
  if (doubt === undefined) return [ok(name, 'is well formed')];
  if ('fail' in doubt) return [fail(name, doubt.fail[0], doubt.fail[1] ?? how)];
  return [warn(name, doubt.warn[0], doubt.warn[1] ?? how)];
};

/** One line per variable that is required, set, or missed. */
export const checkConfiguration = (raw: Raw): Line[] => {
  const faults = faultsOf(raw);
  return [...WORKER, ...OURS].flatMap((variable) => judge(variable, raw, faults));
};

/** A line for each name in a file of ours that nobody reads: most often a slip of the pen. */
export const checkNames = (names: readonly string[]): Line[] => {
  const known = [...WORKER, ...OURS].map(({ name }) => name);
  return names
    .filter((name) => !known.includes(name))
    .map((name) => warn(name, 'is read by nobody', 'look at its spelling: the README lists every variable'));
};

/** Whether this variable can be used at all; the later checks ask no one with what is malformed. */
export const usable = (lines: readonly Line[], name: string): boolean =>
  lines.some(({ about, verdict }) => about === name && verdict !== 'FAIL');
