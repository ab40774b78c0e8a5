/**
 * The little of Node's streams that the worker uses (workerd provides it under `nodejs_compat`). Node's own types cannot stand
 * beside the worker's in one program; `fast-csv`'s types refer to these.
 */
declare module 'stream' {
  export class Readable {
    static from(source: AsyncIterable<string>, options?: { highWaterMark?: number }): Readable;
    [Symbol.asyncIterator](): AsyncIterableIterator<unknown>;
  }
  export class Writable {
    end(): void;
  }
  export class Transform extends Readable {}
  export function pipeline(source: Readable, last: Transform, callback: (error?: Error | null) => void): Transform;
}
declare module 'node:stream' {
  export * from 'stream';
}
