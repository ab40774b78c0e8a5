/** The one part of `node:crypto` that is used: WebCrypto cannot hash what arrives in pieces. Runs under `nodejs_compat`. */
declare module 'node:crypto' {
  interface Hash {
    update(chunk: Uint8Array): Hash;
    digest(encoding: 'hex'): string;
  }
  export const createHash: (algorithm: 'sha256') => Hash;
}
