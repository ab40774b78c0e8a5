/** Keys made from `SECRETS_KEY`, one per purpose, and the sealing of secrets that rest in the database or in a cookie. */
import type { Sealer } from './deps.ts';
import { joined } from './domain/bytes.ts';

const KEY_BYTES = 32;
const IV_BYTES = 12;
const VERSION = 'v1.';

const encoder = new TextEncoder();
type Bytes = Uint8Array<ArrayBuffer>;

/** UTF-8, in a buffer of its own as WebCrypto's types want it. */
export const utf8 = (text: string): Bytes => new Uint8Array(encoder.encode(text));

/** Base64 in the alphabet of addresses, without padding. */
export const toBase64Url = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');

/** Null for anything that is not base64 in either alphabet, with or without padding. */
export const fromBase64Url = (text: string): Bytes | null => {
  const plain = text
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replace(/={1,2}$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(plain) || plain.length % 4 === 1) return null;
  return Uint8Array.from(atob(plain), (char) => char.charCodeAt(0));
};

/** The 32 bytes of `SECRETS_KEY`, written as base64url, base64 or hex; null for anything else. */
export const secretBytes = (secretsKey: string): Bytes | null => {
  if (/^[0-9a-f]{64}$/i.test(secretsKey))
    return Uint8Array.from(secretsKey.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const bytes = fromBase64Url(secretsKey);
  return bytes?.length === KEY_BYTES ? bytes : null;
};

const deriveFrom = async (secretsKey: string): Promise<CryptoKey> => {
  const bytes = secretBytes(secretsKey);
  if (!bytes) throw new Error('SECRETS_KEY is not 32 bytes');
  return crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey']);
};
const hkdf = (purpose: string): { name: string; hash: string; salt: Bytes; info: Bytes } => ({
  name: 'HKDF',
  hash: 'SHA-256',
  salt: new Uint8Array(0),
  info: utf8(`ringleader/${purpose}`),
});

/** HMAC-SHA256 of `message` under the key of this purpose. */
export const tagOf = async (secretsKey: string, purpose: string, message: Bytes): Promise<Uint8Array> => {
  const hmac = { name: 'HMAC', hash: 'SHA-256', length: 256 };
  const key = await crypto.subtle.deriveKey(hkdf(`hmac/${purpose}`), await deriveFrom(secretsKey), hmac, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, message));
};

/** Whether two tags are equal, in a time that says nothing of where they differ. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false;
  let different = 0;
  for (const [i, byte] of a.entries()) different |= byte ^ b[i]!;
  return different === 0;
};

/**
 * Seals with AES-256-GCM: `v1.` and the base64url of a random IV, the ciphertext and its tag. What was sealed for one purpose does
 * not open for another. Opening throws an Error, without a word of the content, when anything was altered or the key is another.
 */
export const createSealer = (secretsKey: string, purpose = 'stored'): Sealer => {
  let derived: Promise<CryptoKey> | undefined;
  const key = (): Promise<CryptoKey> => {
    const aes = { name: 'AES-GCM', length: 256 };
    derived ??= deriveFrom(secretsKey).then((from) =>
      crypto.subtle.deriveKey(hkdf(`seal/${purpose}`), from, aes, false, ['encrypt', 'decrypt']),
    );
    return derived;
  };
  const gcm = (iv: Bytes): { name: string; iv: Bytes; additionalData: Bytes } => ({
    name: 'AES-GCM',
    iv,
    additionalData: utf8(VERSION + purpose),
  });
  return {
    async seal(plain) {
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
      const cipher = new Uint8Array(await crypto.subtle.encrypt(gcm(iv), await key(), utf8(plain)));
      return VERSION + toBase64Url(joined([iv, cipher]));
    },
    async open(sealed) {
      const bytes = sealed.startsWith(VERSION) ? fromBase64Url(sealed.slice(VERSION.length)) : null;
      if (!bytes || bytes.length <= IV_BYTES) throw new Error('what was sealed is malformed');
      const cipher = bytes.slice(IV_BYTES);
      try {
        return new TextDecoder().decode(await crypto.subtle.decrypt(gcm(bytes.slice(0, IV_BYTES)), await key(), cipher));
      } catch {
        throw new Error('what was sealed was altered, or sealed under another SECRETS_KEY');
      }
    },
  };
};
