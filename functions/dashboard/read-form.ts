/**
 * Reads what the pages send. Browsers take an answer that comes before they have sent everything for a broken connection, so
 * that whatever is not wanted is read all the same, and dropped.
 */
import { Refusal } from '../../lib/errors.ts';
import { readBytes } from '../input.ts';

/** Bytes of a form without a file. */
export const FORM_LIMIT = 65_536;

const dropAll = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> => {
  try {
    while (!(await reader.read()).done);
  } catch {
    return; // the sender is gone: nobody is left to answer
  }
};

/** A form, whole: forms are small. @throws {Refusal} 413 above `limit` bytes; 400 when it is no form */
export const readForm = async (request: Request, limit: number): Promise<FormData> => {
  if (request.body && Number(request.headers.get('content-length')) > limit) {
    const reader = request.body.getReader();
    await dropAll(reader);
    reader.releaseLock();
  }
  const bytes = await readBytes(request, limit);
  try {
    const headers = { 'content-type': request.headers.get('content-type') ?? '' };
    return await new Response(bytes, { headers }).formData();
  } catch {
    throw new Refusal(400, 'validation', 'The form could not be read.');
  }
};

/** A body that can be read to its end whatever becomes of whoever reads it first. */
export interface Arriving {
  stream: ReadableStream<Uint8Array>;
  /** Reads and drops what is left. */
  rest(): Promise<void>;
}
export const arriving = (request: Request): Arriving => {
  const reader = (request.body ?? new Blob([]).stream()).getReader();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  return { stream, rest: () => dropAll(reader) };
};
