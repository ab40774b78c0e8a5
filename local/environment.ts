/** Which variables of the caller's environment reach the worker, and what fills the rest. */
import { isLoopback } from '../lib/env.ts';
import { PROVIDERS } from '../lib/providers/table.ts';
import { UsageError } from './options.ts';

const BASE_URLS = [...PROVIDERS.map((provider) => `${provider.toUpperCase()}_BASE_URL`), 'POSTMARK_BASE_URL'];

/** Everything the worker's configuration knows. */
export const WORKER_VARIABLES: readonly string[] = [
  'DATABASE_URL',
  'ADMIN_KEY',
  'PUBLIC_URL',
  'SECRETS_KEY',
  'POSTMARK_SERVER_TOKEN',
  'MAIL_FROM',
  'EMAIL_CAMPAIGN_SUMMARY_ENABLED',
  'SENTRY_DSN',
  'SYSTEM_MAX_CONCURRENT_CALLS',
  'POSTMARK_WEBHOOK_SECRET',
  'SLOW_QUERY_MS',
  ...BASE_URLS,
];

/** The hosts that a URL names: its own, and the one that Postgres's drivers take from the query. */
const hostsOf = (text: string): string[] => {
  const url = URL.parse(text);
  return url ? [url.hostname, ...url.searchParams.getAll('host'), ...url.searchParams.getAll('hostaddr')] : [];
};

/**
 * The worker's variables as the caller set them, untouched: what is malformed shall be the worker's own to refuse.
 * @throws {UsageError} when a database or base URL would leave this machine
 */
export const fromEnvironment = (env: Readonly<Record<string, string | undefined>>): Record<string, string> => {
  const taken: Record<string, string> = {};
  for (const name of WORKER_VARIABLES) {
    const value = env[name];
    if (value === undefined) continue;
    const foreign =
      name === 'DATABASE_URL' || BASE_URLS.includes(name) ? hostsOf(value).find((host) => !isLoopback(host)) : undefined;
    if (foreign !== undefined)
      throw new UsageError(`${name} names the host "${foreign}": locally only this machine (127.0.0.1) is called; unset it`);
    taken[name] = value;
  }
  return taken;
};
