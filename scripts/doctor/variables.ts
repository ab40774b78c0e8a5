/** Every variable, and how to get it. */

export interface Variable {
  name: string;
  required: boolean;
  /** The end of a sentence that says where the value comes from. */
  how: string;
  /** What is so when it is not set; for optional ones. */
  unset?: string;
  /** Whether being unset is worth a warning. */
  missed?: boolean;
}

const baseUrl = (name: string, host: string): Variable => ({
  name,
  required: false,
  how: `remove it: the worker then calls ${host}`,
});

export const PROVIDER_HOSTS = {
  BOLNA_BASE_URL: 'https://api.bolna.ai',
  VAPI_BASE_URL: 'https://api.vapi.ai',
  RETELL_BASE_URL: 'https://api.retellai.com',
  TWILIO_BASE_URL: 'https://api.twilio.com',
  ELEVENLABS_BASE_URL: 'https://api.elevenlabs.io',
  POSTMARK_BASE_URL: 'https://api.postmarkapp.com',
} as const;

/** What the worker reads. */
export const WORKER: readonly Variable[] = [
  {
    name: 'DATABASE_URL',
    required: true,
    how: 'Neon console, Connect, "Connection pooling" on: take that string, put ringleader_app in place of the user and a password of your own making (openssl rand -hex 24); npm run migrate makes the role and gives it this password',
  },
  { name: 'ADMIN_KEY', required: true, how: 'make one: openssl rand -hex 32; it creates accounts' },
  {
    name: 'PUBLIC_URL',
    required: true,
    how: 'the https address of the worker, as wrangler deploy prints it or your own domain, e.g. https://ringleader-staging.you.workers.dev',
  },
  {
    name: 'SECRETS_KEY',
    required: true,
    how: 'make one: openssl rand -base64 32; keep a copy and do not change it: it opens the stored provider keys and signs webhook addresses',
  },
  { name: 'POSTMARK_SERVER_TOKEN', required: true, how: 'Postmark, your server, API Tokens' },
  {
    name: 'MAIL_FROM',
    required: true,
    how: 'an address of a domain (or a sender signature) confirmed in Postmark, e.g. Ringleader <campaigns@your-domain.com>',
  },
  {
    name: 'EMAIL_CAMPAIGN_SUMMARY_ENABLED',
    required: false,
    how: 'remove it, wrangler.toml sets it to true for each environment; or write exactly true',
    unset: 'not set here; wrangler.toml sets it to true for each environment',
  },
  {
    name: 'SENTRY_DSN',
    required: false,
    how: 'Sentry, your project, Settings, Client Keys (DSN)',
    unset: 'not set: reports go to the log of the worker alone',
    missed: true,
  },
  {
    name: 'SYSTEM_MAX_CONCURRENT_CALLS',
    required: false,
    how: 'write a whole number, not above what your providers allow you at once; or remove it for 100',
    unset: 'not set: 100 calls at once',
  },
  {
    name: 'POSTMARK_WEBHOOK_SECRET',
    required: false,
    how: 'make one: openssl rand -hex 24; it is the password in the HTTP authentication of the Postmark webhook',
    unset: 'not set: bounces and complaints of Postmark are answered 401',
    missed: true,
  },
  { name: 'SLOW_QUERY_MS', required: false, how: 'write milliseconds; or remove it for 1000', unset: 'not set: 1000 ms' },
  ...Object.entries(PROVIDER_HOSTS).map(([name, host]) => baseUrl(name, host)),
];

/** What only `migrate`, `deploy` and `doctor` read. */
export const OURS: readonly Variable[] = [
  {
    name: 'MIGRATE_DATABASE_URL',
    required: false,
    how: 'Neon console, Connect, "Connection pooling" off, the role that owns the database; only for npm run migrate, never a secret of the worker',
    unset: 'not set: npm run migrate cannot run, and stored provider keys are not tried',
    missed: true,
  },
  { name: 'BOLNA_API_KEY', required: false, how: 'Bolna dashboard, Developers' },
  { name: 'VAPI_API_KEY', required: false, how: 'Vapi dashboard, API Keys: the private one' },
  { name: 'RETELL_API_KEY', required: false, how: 'Retell dashboard, API Keys' },
  { name: 'TWILIO_ACCOUNT_SID', required: false, how: 'Twilio console, Account Info; it goes with TWILIO_AUTH_TOKEN' },
  { name: 'TWILIO_AUTH_TOKEN', required: false, how: 'Twilio console, Account Info; it goes with TWILIO_ACCOUNT_SID' },
  { name: 'ELEVENLABS_API_KEY', required: false, how: 'ElevenLabs, Developers, API Keys' },
];

export const howToGet = (name: string): string => [...WORKER, ...OURS].find((known) => known.name === name)?.how ?? '';
