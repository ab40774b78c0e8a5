/** The worker's configuration, parsed from its environment. It fails closed, and never repeats a value: most are secrets. */
import { Misconfigured } from './errors.ts';
import { baseUrls, type BaseUrls } from './providers/table.ts';
import { secretBytes } from './seal.ts';

export interface Config {
  databaseUrl: string;
  adminKey: string;
  /** Without a trailing slash. */
  publicUrl: string;
  /** 32 bytes as base64url, base64 or hex. */
  secretsKey: string;
  postmarkServerToken: string;
  mailFrom: string;
  summaryEnabled: boolean;
  sentryDsn: string | undefined;
  systemMaxConcurrentCalls: number;
  postmarkWebhookSecret: string | undefined;
  slowQueryMs: number;
  /** Without a trailing slash. */
  providerBaseUrls: BaseUrls;
  /** Without a trailing slash. */
  postmarkBaseUrl: string;
}

export interface EnvOptions {
  /** Whether hosts of ours may be `http:` on loopback; never in a deployment. */
  allowLoopbackHttp: boolean;
}

const POSTMARK_HOST = 'https://api.postmarkapp.com';

const ADDRESS = /^[^\s@<>",;:()]+@[^\s@<>",;:()]+\.[^\s@<>",;:().]+$/;
/** A display name without anything that could start another header or recipient. */
const NAMED_ADDRESS = /^[^<>@,;:\r\n]{1,100} <([^<>]+)>$/;
const PRINTABLE = /^[\x21-\x7e]+$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i;

/** True for a host that leads back to this machine, also in capitals or without brackets, as a `postgres:` URL may name it. */
export const isLoopback = (hostname: string): boolean => LOOPBACK.test(hostname);

/** What is wrong with a value, as the end of a sentence that begins with the variable's name; undefined when it is right. */
type Rule = (value: string) => string | undefined;

/** The parser forgives white space around a URL; whoever joins a path to it does not. */
const urlOf = (value: string): URL | undefined => (/^\S+$/.test(value) ? (URL.parse(value) ?? undefined) : undefined);

/** Whether every % begins an escape: the driver decodes user and password. */
const isDecodable = (text: string): boolean => !/%(?![0-9a-f]{2})/i.test(text);

/** What is wrong with a connection string. */
export const databaseFault: Rule = (value) => {
  const url = urlOf(value);
  const postgres = url && /^postgres(ql)?:$/.test(url.protocol);
  if (!postgres) return 'must be a postgres:// URL';
  if (!url.hostname || !url.username || !url.password) return 'must name a host, a user and a password';
  if (!isDecodable(url.username + url.password)) return 'must have each % of its password written as %25';
  return url.pathname.length > 1 ? undefined : 'must name a database';
};
const webUrl =
  (allowLoopbackHttp: boolean): Rule =>
  (value) => {
    const url = urlOf(value);
    if (!url) return 'must be an https URL';
    const local = allowLoopbackHttp && url.protocol === 'http:' && isLoopback(url.hostname);
    if (url.protocol !== 'https:' && !local) return 'must be an https URL';
    return url.search || url.hash || url.username || url.password ? 'must be a URL without user, query or fragment' : undefined;
  };
const dsn =
  (allowLoopbackHttp: boolean): Rule =>
  (value) => {
    const url = urlOf(value);
    const local = allowLoopbackHttp && url?.protocol === 'http:' && isLoopback(url.hostname);
    const whole = url && (url.protocol === 'https:' || local) && url.username && /\/\w+$/.test(url.pathname);
    return whole ? undefined : 'must be a DSN such as https://key@host/1';
  };
const key: Rule = (value) => {
  if (!PRINTABLE.test(value)) return 'must be printable ASCII without spaces';
  return value.length < 16 ? 'must have at least 16 characters' : undefined;
};
const token: Rule = (value) => (PRINTABLE.test(value) ? undefined : 'must be printable ASCII without spaces');
const secret: Rule = (value) => (secretBytes(value) ? undefined : 'must be 32 bytes as base64url, base64 or hex');
const sender: Rule = (value) =>
  ADDRESS.test(NAMED_ADDRESS.exec(value)?.[1] ?? value) ? undefined : 'must be an address or Name <address>';
const whole =
  (min: number, max: number): Rule =>
  (value) =>
    /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max
      ? undefined
      : `must be a whole number from ${min} to ${max}`;

const unslashed = (url: string): string => url.replace(/\/+$/, '');

/** Where to report that the rest of the environment is wrong; undefined when there is no right DSN. */
export const sentryDsnOf = (raw: Readonly<Record<string, unknown>>, { allowLoopbackHttp }: EnvOptions): string | undefined => {
  const value = raw['SENTRY_DSN'];
  return typeof value === 'string' && dsn(allowLoopbackHttp)(value) === undefined ? value : undefined;
};

/**
 * Parses the worker's environment.
 * @throws {Misconfigured} naming every variable that is missing or malformed, in one sentence
 */
export const parseEnv = (raw: Readonly<Record<string, unknown>>, { allowLoopbackHttp }: EnvOptions): Config => {
  const faults: string[] = [];
  const optional = (name: string, rule: Rule): string | undefined => {
    const value = raw[name];
    if (value === undefined || value === null || value === '') return undefined;
    const fault = typeof value === 'string' ? rule(value) : 'must be a string';
    if (fault) faults.push(`${name} ${fault}`);
    return typeof value === 'string' ? value : undefined;
  };
  const required = (name: string, rule: Rule): string => {
    const value = optional(name, rule);
    if (raw[name] === undefined || raw[name] === null || raw[name] === '') faults.push(`${name} is missing`);
    return value ?? '';
  };
  const url = webUrl(allowLoopbackHttp);
  const config: Config = {
    databaseUrl: required('DATABASE_URL', databaseFault),
    adminKey: required('ADMIN_KEY', key),
    publicUrl: unslashed(required('PUBLIC_URL', url)),
    secretsKey: required('SECRETS_KEY', secret),
    postmarkServerToken: required('POSTMARK_SERVER_TOKEN', token),
    mailFrom: required('MAIL_FROM', sender),
    summaryEnabled: raw['EMAIL_CAMPAIGN_SUMMARY_ENABLED'] === 'true',
    sentryDsn: optional('SENTRY_DSN', dsn(allowLoopbackHttp)),
    systemMaxConcurrentCalls: Number(optional('SYSTEM_MAX_CONCURRENT_CALLS', whole(1, 100_000)) ?? 100),
    postmarkWebhookSecret: optional('POSTMARK_WEBHOOK_SECRET', token),
    slowQueryMs: Number(optional('SLOW_QUERY_MS', whole(1, 600_000)) ?? 1000),
    providerBaseUrls: baseUrls((name) => {
      const given = optional(`${name.toUpperCase()}_BASE_URL`, url);
      return given === undefined ? undefined : unslashed(given);
    }),
    postmarkBaseUrl: unslashed(optional('POSTMARK_BASE_URL', url) ?? POSTMARK_HOST),
  };
  if (faults.length > 0) throw new Misconfigured(faults.join('; '));
  return config;
};
