/** A worker's configuration for use cases that are run without the worker. */
import { randomBytes } from 'node:crypto';
import { parseEnv, type Config } from '../lib/env.ts';

const random = (): string => randomBytes(32).toString('hex');

export const CONFIG: Config = parseEnv(
  {
    DATABASE_URL: 'postgres://nobody:none@localhost/none',
    ADMIN_KEY: random(),
    PUBLIC_URL: 'https://calls.example.com',
    SECRETS_KEY: random(),
    POSTMARK_SERVER_TOKEN: random(),
    MAIL_FROM: 'calls@example.com',
    SYSTEM_MAX_CONCURRENT_CALLS: '1000',
  },
  { allowLoopbackHttp: false },
);
