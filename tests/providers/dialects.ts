/** How each provider speaks, for the tests: what an agent of it has, how its webhooks are wrapped and signed, what its API answers. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ProviderAgent, WebhookRequest } from '../../lib/providers/provider.ts';
import { baseUrls, createProviders, type ProviderName } from '../../lib/providers/table.ts';

export const CALL = {
  attempt_id: '6f1c1a52-5b0e-4f0a-9c1d-0d7b6f3f1a01',
  campaign_id: '6f1c1a52-5b0e-4f0a-9c1d-0d7b6f3f1a02',
  lead_id: '6f1c1a52-5b0e-4f0a-9c1d-0d7b6f3f1a03',
  to: '+12025550123',
  variables: { plan: 'Gold', seats: 3, trial: true, nothing: null, attempt_id: 'stolen', system__time: 'x' },
  webhook_url: 'https://dialer.example.com/webhooks/provider/key',
};
/** The adapters, for what asks nobody: where their APIs should be, nothing listens. */
export const providers = createProviders({ providerBaseUrls: baseUrls(() => 'http://127.0.0.1:9') });
/** When the samples' calls take place. */
export const NOW = new Date('2026-03-02T10:00:41.000Z');
export const SECRET = 'secret-of-today';
export const OTHER = 'secret-of-yesterday';

/** One sample of a webhook; `expect` is what the fact must hold, null: none of our business. */
export interface Sample {
  name: string;
  query?: string;
  body: Record<string, unknown>;
  expect: Record<string, unknown> | null;
}
interface Refused {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
  expect: Record<string, unknown>;
}
interface Api {
  created: { status: number; body: unknown };
  refusals: Refused[];
  /** 2xx answers that neither accept nor refuse. */
  silent: unknown[];
  reads: { name: string; body: Record<string, unknown>; expect: Record<string, unknown> | 'missing' }[];
}

/** What is filled into the samples: the provider's id, ours, and who calls in. */
interface Ids {
  call: string;
  attempt: string;
  caller: string;
}
const CALLER = '+14155550000';

/** Reads a fixture, the ids of one call filled in. */
export const fixture = (
  file: string,
  { call = 'call-1', attempt = CALL.attempt_id, caller = CALLER }: Partial<Ids> = {},
): unknown => {
  const text = readFileSync(path.join(import.meta.dirname, 'fixtures', file), 'utf8');
  const spaced = `${caller.slice(0, 2)} ${caller.slice(2)}`;
  return JSON.parse(
    text
      .replaceAll('{call}', call)
      .replaceAll('{attempt}', attempt)
      .replaceAll('{caller}', caller)
      .replaceAll('{caller spaced}', spaced),
  );
};
export const samplesOf = (name: ProviderName, ids?: Partial<Ids>): Sample[] => fixture(`${name}/events.json`, ids) as Sample[];
export const apiOf = (name: ProviderName, ids?: Partial<Ids>): Api => fixture(`${name}/api.json`, ids) as Api;

const mac = (hash: string, key: string, text: string, encoding: 'hex' | 'base64'): string =>
  createHmac(hash, key).update(text).digest(encoding);

export interface Dialect {
  agent: ProviderAgent;
  contentType: string;
  /** The agent with other live secrets: today's, and the one being rotated out. */
  withSecrets: (...secrets: string[]) => ProviderAgent;
  /** The headers that sign a webhook; none for an unsigned provider. */
  sign: (request: Pick<WebhookRequest, 'url' | 'body'>, secret: string, at: Date) => Record<string, string>;
  /** Whether a signature says when it was made, and how long it holds. */
  timed: { backMs: number; aheadMs: number } | null;
  /** What the list of calls answers when it holds these calls. */
  list: (calls: readonly unknown[]) => unknown;
}

const base = { provider_agent_id: 'agent-7', from_number: '+12025550100', webhook_secrets: [], analysis_mapping: null };
const json = 'application/json';
const MINUTE = 60_000;

export const DIALECTS: Readonly<Record<ProviderName, Dialect>> = {
  bolna: {
    agent: { ...base, credentials: { api_key: SECRET } },
    contentType: json,
    withSecrets: () => DIALECTS.bolna.agent,
    sign: () => ({}),
    timed: null,
    list: (calls) => ({ data: calls, has_more: false }),
  },
  vapi: {
    agent: {
      ...base,
      credentials: { api_key: 'key', phone_number_id: 'phone-1', webhook_credential_id: 'credential-1' },
      webhook_secrets: [SECRET],
    },
    contentType: json,
    withSecrets: (...secrets) => ({ ...DIALECTS.vapi.agent, webhook_secrets: secrets }),
    sign({ body }, secret, at) {
      const stamp = String(Math.floor(at.getTime() / 1000));
      return { 'x-timestamp': stamp, 'x-signature': mac('sha256', secret, `${stamp}.${body}`, 'hex') };
    },
    timed: { backMs: 5 * MINUTE, aheadMs: 5 * MINUTE },
    list: (calls) => calls,
  },
  retell: {
    agent: { ...base, credentials: { api_key: SECRET } },
    contentType: json,
    withSecrets: (first = '', ...others) => ({ ...base, credentials: { api_key: first }, webhook_secrets: others }),
    sign: ({ body }, secret, at) => ({
      'x-retell-signature': `v=${at.getTime()},d=${mac('sha256', secret, `${body}${at.getTime()}`, 'hex')}`,
    }),
    timed: { backMs: 5 * MINUTE, aheadMs: 5 * MINUTE },
    list: (calls) => ({ items: calls, has_more: false }),
  },
  twilio: {
    agent: { ...base, credentials: { account_sid: 'AC1', auth_token: SECRET, twiml_url: 'https://voice.example.com/answer' } },
    contentType: 'application/x-www-form-urlencoded',
    withSecrets: (first = '', ...others) => ({
      ...base,
      credentials: { account_sid: 'AC1', auth_token: first, twiml_url: 'https://voice.example.com/answer' },
      webhook_secrets: others,
    }),
    sign({ url, body }, secret) {
      const fields = [...new URLSearchParams(body)].sort(([a], [b]) => (a < b ? -1 : 1));
      return { 'x-twilio-signature': mac('sha1', secret, url + fields.map(([name, value]) => name + value).join(''), 'base64') };
    },
    timed: null,
    list: (calls) => ({ calls }),
  },
  elevenlabs: {
    agent: { ...base, credentials: { api_key: 'key', phone_number_id: 'phone-1' }, webhook_secrets: [SECRET] },
    contentType: json,
    withSecrets: (...secrets) => ({ ...DIALECTS.elevenlabs.agent, webhook_secrets: secrets }),
    sign({ body }, secret, at) {
      const stamp = Math.floor(at.getTime() / 1000);
      return { 'elevenlabs-signature': `t=${stamp},v0=${mac('sha256', secret, `${stamp}.${body}`, 'hex')}` };
    },
    timed: { backMs: 30 * MINUTE, aheadMs: 5 * MINUTE },
    list: (calls) => ({ conversations: calls, has_more: false }),
  },
};
export const ROTATED = [SECRET, OTHER] as const;

/** A webhook as the provider sends it, signed with `secret` at `at`. */
export const webhook = (
  name: ProviderName,
  sample: Pick<Sample, 'query' | 'body'>,
  secret = SECRET,
  at = NOW,
): WebhookRequest => {
  const { contentType, sign } = DIALECTS[name];
  const body =
    contentType === json ? JSON.stringify(sample.body) : new URLSearchParams(sample.body as Record<string, string>).toString();
  const url = CALL.webhook_url + (sample.query ?? '');
  return { url, body, headers: new Headers({ 'content-type': contentType, ...sign({ url, body }, secret, at) }) };
};
