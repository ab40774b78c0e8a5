/**
 * WebCrypto works on other threads, which finish in whatever order they like. Under simulation what the worker asks of it is done at
 * once, by Node's own synchronous functions; nothing here judges cryptography.
 */
import { createHmac } from 'node:crypto';

type Keyed = { material: string };
const material = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? Buffer.from(part).toString('hex') : part));

const INSTANT = {
  importKey: (...args: unknown[]): Promise<Keyed> => Promise.resolve({ material: material(args) }),
  deriveKey: (...args: unknown[]): Promise<Keyed> => Promise.resolve({ material: material(args) }),
  sign: (_algorithm: unknown, key: Keyed, data: Uint8Array): Promise<ArrayBuffer> => {
    const tag = createHmac('sha256', key.material).update(data).digest();
    return Promise.resolve(tag.buffer.slice(tag.byteOffset, tag.byteOffset + tag.length));
  },
};

/** Replaces WebCrypto's slow ways by instant ones; the answer puts them back. */
export const withInstantCrypto = (): (() => void) => {
  const subtle = globalThis.crypto.subtle as unknown as Record<string, unknown>;
  const names = Object.keys(INSTANT);
  for (const [name, instant] of Object.entries(INSTANT))
    Object.defineProperty(subtle, name, { value: instant, configurable: true });
  return () => {
    for (const name of names) delete subtle[name];
  };
};
