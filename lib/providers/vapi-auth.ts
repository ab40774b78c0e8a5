/**
 * How Vapi proves a webhook: a credential of the deployer's, whose id goes with every call. Either a bearer token (in
 * `Authorization`, or in `X-Vapi-Secret` as of old) or an HMAC, whose form is free: what differs from Vapi's defaults stands in
 * the agent's credentials under the names in {@link schemeOf}.
 */
import { bearerKey } from '../auth.ts';
import { toHex } from '../domain/bytes.ts';
import { fromBase64Url, utf8 } from '../seal.ts';
import { told } from './facts.ts';
import type { ProviderAgent, WebhookRequest } from './provider.ts';
import { type Hash, hmac, isFresh, isOneOf, live, toBase64 } from './signatures.ts';

const TOLERANCE_MS = 5 * 60_000;
const HASHES: Readonly<Record<string, Hash>> = { sha1: 'SHA-1', sha256: 'SHA-256', sha512: 'SHA-512' };

interface Scheme {
  hash: Hash;
  signatureHeader: string;
  timestampHeader: string;
  /** What is signed, with placeholders. */
  payload: string;
  prefix: string;
  encode(bytes: Uint8Array): string;
  secretIsBase64: boolean;
}

const schemeOf = (credentials: ProviderAgent['credentials']): Scheme => ({
  hash: told(HASHES, credentials.hmac_algorithm) ?? 'SHA-256',
  signatureHeader: credentials.hmac_signature_header ?? 'x-signature',
  timestampHeader: credentials.hmac_timestamp_header ?? 'x-timestamp',
  payload: credentials.hmac_payload ?? '{timestamp}.{body}',
  prefix: credentials.hmac_prefix ?? '',
  encode: credentials.hmac_encoding === 'base64' ? toBase64 : toHex,
  secretIsBase64: credentials.hmac_secret_is_base64 === 'true',
});

const headerOf = (headers: Headers, name: string): string | null => (/^[\w-]+$/.test(name) ? headers.get(name) : null);

/** Seconds or milliseconds: the unit is not documented, so its length tells. */
const timeOf = (stamp: string): number => {
  if (/^\d{10}$/.test(stamp)) return Number(stamp) * 1000;
  return /^\d{13}$/.test(stamp) ? Number(stamp) : Number.NaN;
};

const signed = async (scheme: Scheme, secret: string, message: string): Promise<string> => {
  const key = scheme.secretIsBase64 ? fromBase64Url(secret) : utf8(secret);
  // A secret that is not in the form it is said to be in signs for nobody.
  return key === null || key.length === 0 ? '' : scheme.prefix + scheme.encode(await hmac(scheme.hash, key, message));
};

/** Whether a webhook of Vapi's carries the proof that the agent's secrets make. */
export const verifyVapi = async (agent: ProviderAgent, request: WebhookRequest, now: Date): Promise<boolean> => {
  const { headers, body, url } = request;
  const secrets = live(...agent.webhook_secrets);
  const scheme = schemeOf(agent.credentials);
  const signature = headerOf(headers, scheme.signatureHeader);
  if (!signature) {
    const token = bearerKey(headers) ?? headers.get('x-vapi-secret');
    return (
      token !== null &&
      isOneOf(
        token,
        secrets.map((secret) => Promise.resolve(secret)),
      )
    );
  }
  const timestamp = headerOf(headers, scheme.timestampHeader) ?? '';
  const isStamped = scheme.payload.includes('{timestamp}');
  if (isStamped && !isFresh(timeOf(timestamp), now, TOLERANCE_MS, TOLERANCE_MS)) return false;
  const parts: Readonly<Record<string, string>> = {
    timestamp,
    body,
    method: 'POST',
    url,
    'svix-id': headers.get('svix-id') ?? '',
  };
  const message = scheme.payload.replace(/\{(timestamp|body|method|url|svix-id)\}/g, (_, name: string) => parts[name] ?? '');
  return isOneOf(
    signature,
    secrets.map((secret) => signed(scheme, secret, message)),
  );
};
