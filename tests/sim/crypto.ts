/**
 * WebCrypto works on other threads, which finish in whatever order they like. Under simulation what the worker asks of it is done at
 * once, by Node's own synchronous functions, with randomness from the seed.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
import type { Random } from './random.ts';

type Bytes = Uint8Array<ArrayBuffer>;
/** A key as WebCrypto keeps it: its bytes, and the hash of an HMAC's. */
interface Key {
  bytes: Bytes;
  hash: string;
}
interface Kdf {
  hash: string;
  salt: Bytes;
  info: Bytes;
}
interface Gcm {
  iv: Bytes;
  additionalData: Bytes;
}
const TAG_BYTES = 16;

const named = (algorithm: unknown): string => {
  const hash = (algorithm as { hash?: string }).hash ?? (algorithm as string);
  return hash.replace('SHA-', 'sha');
};
const plain = (buffer: Buffer): ArrayBuffer => new Uint8Array(buffer).buffer;

const INSTANT = {
  digest: (algorithm: string, data: Bytes) => plain(createHash(named(algorithm)).update(data).digest()),
  importKey: (_format: string, bytes: Bytes, algorithm: unknown): Key => ({ bytes, hash: named(algorithm) }),
  deriveKey: ({ hash, salt, info }: Kdf, { bytes }: Key, derived: { length: number; hash?: string }): Key => ({
    bytes: new Uint8Array(hkdfSync(named(hash), bytes, salt, info, derived.length / 8)),
    hash: derived.hash === undefined ? '' : named(derived.hash),
  }),
  sign: (_algorithm: string, { bytes, hash }: Key, data: Bytes) => plain(createHmac(hash, bytes).update(data).digest()),
  encrypt({ iv, additionalData }: Gcm, { bytes }: Key, data: Bytes) {
    const cipher = createCipheriv('aes-256-gcm', bytes, iv).setAAD(additionalData);
    return plain(Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()]));
  },
  decrypt({ iv, additionalData }: Gcm, { bytes }: Key, data: Bytes) {
    const end = data.length - TAG_BYTES;
    const cipher = createDecipheriv('aes-256-gcm', bytes, iv).setAAD(additionalData).setAuthTag(data.subarray(end));
    return plain(Buffer.concat([cipher.update(data.subarray(0, end)), cipher.final()]));
  },
};

/** Replaces WebCrypto's slow ways by instant ones and its randomness by the seed's; the answer puts them back. */
export const withInstantCrypto = (random: Random): (() => void) => {
  const { crypto } = globalThis;
  const put = (on: object, name: string, value: unknown): void =>
    void Object.defineProperty(on, name, { value, configurable: true });
  for (const [name, instant] of Object.entries(INSTANT)) {
    const work = instant as (...args: unknown[]) => unknown;
    put(crypto.subtle, name, async (...args: unknown[]) => work(...args));
  }
  put(crypto, 'getRandomValues', (bytes: Bytes) => {
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = random.int(0, 255);
    return bytes;
  });
  return () => {
    for (const name of Object.keys(INSTANT)) delete (crypto.subtle as unknown as Record<string, unknown>)[name];
    delete (crypto as unknown as Record<string, unknown>)['getRandomValues'];
  };
};
