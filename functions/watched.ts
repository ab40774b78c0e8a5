/** An answer that streams: whoever lends it a database connection learns when that is no longer needed. */
import { within } from '../lib/db-session.ts';

/** Real milliseconds within which the platform begins to read an answer. It does so at once, or never. */
const FIRST_READ_MS = 5000;

export interface Watched {
  /** The same bytes, asked for one chunk at a time. */
  stream: ReadableStream<Uint8Array>;
  /**
   * Resolves when it was read to the last byte, broke, or was given up by its reader; or when nobody had begun to read it: a client
   * that hangs up before its answer is there never reads it, and nothing says so.
   */
  ended: Promise<void>;
}

/** Watches over a stream. What is asked of it once it was given up is an error, never a shorter file. */
export const watched = (source: ReadableStream<Uint8Array>): Watched => {
  const begun = Promise.withResolvers<true>();
  const over = Promise.withResolvers<void>();
  const reader = source.getReader();
  let gone = false;
  const giveUp = async (reason?: unknown): Promise<void> => {
    gone = true;
    try {
      await reader.cancel(reason); // a page that is being read is read to its end: cut off, it would be a lost connection
    } finally {
      over.resolve();
    }
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        begun.resolve(true);
        if (gone) throw new Error('the answer was not read in time');
        try {
          const { done, value } = await reader.read();
          if (gone) return; // given up meanwhile
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        over.resolve();
      },
      cancel: giveUp,
    },
    { highWaterMark: 0 },
  );
  const ended = async (): Promise<void> => {
    if (!(await within(FIRST_READ_MS, Promise.race([begun.promise, over.promise.then(() => true)])))) await giveUp();
    await over.promise;
  };
  return { stream, ended: ended() };
};
