/** Signatures of webhooks: keyed hashes over the raw body, compared in constant time, under every secret that is live. */
import { sameSecret } from '../auth.ts';
import { utf8 } from '../seal.ts';

export type Hash = 'SHA-1' | 'SHA-256' | 'SHA-512';
type Bytes = Uint8Array<ArrayBuffer>;

/** Base64 with padding, for bytes as short as a signature or a password. */
export const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

/** HMAC of `message` (UTF-8) under `key`. */
export const hmac = async (hash: Hash, key: Bytes, message: string): Promise<Uint8Array> => {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, utf8(message)));
};

/** Whether `given` is what any of the candidates makes; all are computed, so that the time taken does not tell which. */
export const isOneOf = async (given: string, candidates: readonly Promise<string>[]): Promise<boolean> => {
  const matches = await Promise.all(candidates.map(async (candidate) => sameSecret(await candidate, given)));
  return matches.includes(true);
};

/** The secrets that can be used: an empty one signs for nobody. */
export const live = (...secrets: readonly (string | undefined)[]): readonly string[] =>
  secrets.filter((secret): secret is string => secret !== undefined && secret !== '');

/** Whether `at` is no older than `back` and no more than `ahead` in the future; all in milliseconds. */
export const isFresh = (at: number, now: Date, back: number, ahead: number): boolean =>
  at >= now.getTime() - back && at <= now.getTime() + ahead;
