/** Who may do what: API keys, webhook keys that prove themselves, and signed links. */
import { toHex, uuidOf } from './domain/bytes.ts';
import { fromBase64Url, sameBytes, tagOf, toBase64Url, utf8 } from './seal.ts';

const API_KEY_BYTES = 32;
const UUID_BYTES = 16;
/** 128 bits: 48 bytes in all, which are 64 characters with no bit to spare, so that every key has one spelling. */
const WEBHOOK_TAG_BYTES = 16;

const sha256 = async (text: string): Promise<Uint8Array> => new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(text)));

// ---------------------------------------------------------------- API keys

/** Writes 32 random bytes as an API key: `rl_` and their base64url. */
export const apiKeyFrom = (bytes: Uint8Array): string => {
  if (bytes.length !== API_KEY_BYTES) throw new Error('an API key is made of 32 bytes');
  return `rl_${toBase64Url(bytes)}`;
};

/** What is kept of a key: its SHA-256, in hex. A key has 256 bits, so that no salt is needed. */
export const hashKey = async (key: string): Promise<string> => toHex(await sha256(key));

/** Whether two secrets are equal, in a time that tells nothing of either, nor of their lengths. */
export const sameSecret = async (a: string, b: string): Promise<boolean> => sameBytes(await sha256(a), await sha256(b));

/** The key of `Authorization: Bearer <key>`; null for none or anything else. */
export const bearerKey = (headers: Headers): string | null =>
  /^Bearer +([\x21-\x7e]{1,500})$/i.exec(headers.get('authorization') ?? '')?.[1] ?? null;

// ---------------------------------------------------------------- webhook keys

const uuidBytes = (uuid: string): Uint8Array => {
  const digits = uuid.replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/i.test(digits)) throw new Error('not a UUID');
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
};

const webhookTag = async (secretsKey: string, ids: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
  (await tagOf(secretsKey, 'webhook', ids)).slice(0, WEBHOOK_TAG_BYTES);

/** The key in an agent's webhook URL: both ids and a tag over them, 64 characters. It can be believed without asking the database. */
export const webhookKey = async (secretsKey: string, accountId: string, agentId: string): Promise<string> => {
  const ids = new Uint8Array([...uuidBytes(accountId), ...uuidBytes(agentId)]);
  return toBase64Url(new Uint8Array([...ids, ...(await webhookTag(secretsKey, ids))]));
};

/** Whose webhook this is; null for a key that this worker did not make. */
export const openWebhookKey = async (secretsKey: string, key: string): Promise<{ accountId: string; agentId: string } | null> => {
  const bytes = /^[\w-]{64}$/.test(key) ? fromBase64Url(key) : null;
  if (!bytes) return null;
  const ids = bytes.slice(0, 2 * UUID_BYTES);
  if (!sameBytes(await webhookTag(secretsKey, ids), bytes.slice(2 * UUID_BYTES))) return null;
  return { accountId: uuidOf(ids.slice(0, UUID_BYTES)), agentId: uuidOf(ids.slice(UUID_BYTES)) };
};

// ---------------------------------------------------------------- signed links

/**
 * A token that carries `payload` until `expires`. Signed, not encrypted: ids only, nothing personal.
 */
export const signLink = async (
  secretsKey: string,
  payload: Readonly<Record<string, unknown>>,
  expires: Date,
): Promise<string> => {
  const body = toBase64Url(utf8(JSON.stringify({ payload, expires: expires.toISOString() })));
  return `${body}.${toBase64Url(await tagOf(secretsKey, 'link', utf8(body)))}`;
};

/** The payload of a token of ours that has not expired at `now`; null for any other. */
export const openLink = async (secretsKey: string, token: string, now: Date): Promise<unknown> => {
  const [body, tag, ...rest] = token.split('.');
  const given = fromBase64Url(tag ?? '');
  if (!body || !given || rest.length > 0) return null;
  const own = await tagOf(secretsKey, 'link', utf8(body));
  // The text is compared as well: a spelling other than ours of the same bytes is not ours.
  if (!sameBytes(own, given) || toBase64Url(own) !== tag) return null;
  const bytes = fromBase64Url(body);
  if (!bytes) return null;
  const { payload, expires } = JSON.parse(new TextDecoder().decode(bytes)) as { payload: unknown; expires: string };
  return Date.parse(expires) > now.getTime() ? payload : null;
};
