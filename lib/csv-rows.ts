/**
 * Reads a CSV from a stream of bytes, record by record, in constant memory: bytes → text → whole records → cells. Each stage takes
 * from the one before only when it is asked, so a slow reader slows the sender down.
 */
import { parse } from 'fast-csv';
import { pipeline, Readable } from 'node:stream';
import { joined } from './domain/bytes.ts';
import { createRecordCutter, type Fault, type RecordCutter } from './domain/csv-records.ts';
import { shapeOf } from './domain/csv-shape.ts';
import { createDecoder, HEAD_BYTES, sniff, type Decoder } from './domain/decode.ts';
import { Refusal } from './errors.ts';

/** Characters of one record; a longer one is a quote that is never closed, or no CSV. */
export const LONGEST_RECORD = 1_000_000;
/** Characters handed to the parser at a time, whatever the chunks on the wire. */
const PORTION = 65_536;

export interface ReadOptions {
  /** True when a header row makes sense: how the delimiter is told. */
  understood(header: readonly string[]): boolean;
  /** Bytes after which the file is refused with 413. */
  maxBytes: number;
  /** What Content-Length said, when it did: a body that ends before was cut. */
  declaredBytes: number | null;
}

/**
 * The records of a CSV, the header row first; blank lines (and rows of nothing but empty cells) are no records. What is wrong
 * with the file is *returned*, after every whole record before it has been yielded: null for a good file.
 *
 * Line breaks are LF, CRLF or CR; a record cut off by the end of a broken upload is left out. However it ends, once begun the
 * rest of the body is read and dropped: a sender who is cut off would not get to see the answer.
 */
export async function* readRecords(
  body: ReadableStream<Uint8Array>,
  options: ReadOptions,
): AsyncGenerator<string[], Refusal | null> {
  const source = byteSource(body, options);
  try {
    const file = await open(source, options);
    if (file instanceof Refusal) return file;
    let row = 0;
    for await (const record of cellsOf(file)) {
      if (record.every((cell) => cell.trim() === '')) continue;
      row += 1;
      yield record;
    }
    const fault = file.cutter.fault();
    if (fault && source.fault() === null) return malformed(fault, row + 1, file.linesBefore);
    return source.fault() ?? (row === 0 ? emptyFile() : null);
  } finally {
    await source.close();
  }
}

interface OpenFile {
  source: ByteSource;
  decoder: Decoder;
  cutter: RecordCutter;
  delimiter: string;
  /** Text that was read to find all this out. */
  head: string;
  linesBefore: number;
}

const emptyFile = (): Refusal =>
  new Refusal(400, 'empty_file', 'The file is empty.', [{ field: 'body', rule: 'must be a CSV with a header row' }]);

/** Looks at the beginning of the file: what it is, its encoding, its delimiter. */
const open = async (source: ByteSource, options: ReadOptions): Promise<OpenFile | Refusal> => {
  const bytes = await source.head();
  const sniffed = sniff(bytes.subarray(0, HEAD_BYTES));
  if (!sniffed.text) {
    const message = `This is ${sniffed.looksLike}, not CSV. Export the list as CSV and send that.`;
    return new Refusal(415, 'unsupported_media_type', message, [{ field: 'body', rule: 'must be CSV text' }]);
  }
  const decoder = createDecoder(sniffed.encoding);
  const text = decoder.decode(bytes.subarray(sniffed.mark));
  if (bytes.length < HEAD_BYTES && text.trim() === '') return source.fault() ?? emptyFile();
  const { delimiter, skip } = shapeOf(text.slice(0, HEAD_BYTES), (header) => options.understood(header));
  const cutter = createRecordCutter(delimiter, LONGEST_RECORD);
  const linesBefore = text.slice(0, skip).match(/\r\n|\n|\r/g)?.length ?? 0;
  return { source, decoder, cutter, delimiter, head: text.slice(skip), linesBefore };
};

/** The text in portions that end where records end. */
async function* portions({ source, decoder, cutter, head }: OpenFile): AsyncGenerator<string> {
  let waiting = head;
  for (let bytes = await source.next(); bytes !== null && cutter.fault() === null; bytes = await source.next()) {
    waiting += decoder.decode(bytes);
    if (waiting.length < PORTION) continue;
    const whole = cutter.push(waiting);
    waiting = '';
    if (whole !== '') yield whole;
  }
  const whole = cutter.push(waiting + decoder.end());
  if (whole !== '') yield whole;
  // The last record of a cut upload may have lost its end.
  const last = source.fault() === null ? cutter.end() : '';
  if (last !== '') yield last;
}

/** Whole records as cells, parsed by fast-csv. */
async function* cellsOf(file: OpenFile): AsyncGenerator<string[]> {
  const parser = parse({ delimiter: file.delimiter, headers: false, ignoreEmpty: false });
  // Whatever fails in the pipeline destroys the parser, hence rejects the iteration below.
  pipeline(Readable.from(portions(file), { highWaterMark: 1 }), parser, () => undefined);
  for await (const record of parser) yield record as string[];
}

const malformed = (fault: Fault, row: number, linesBefore: number): Refusal => {
  const where = `row ${row} (line ${fault.line + linesBefore})`;
  if (fault.kind === 'record_too_large') {
    const rule = `at most ${LONGEST_RECORD} characters a row`;
    return new Refusal(413, 'record_too_large', `The file has a row that is too long: ${where}.`, [{ field: 'body', rule }]);
  }
  const [message, rule] =
    fault.kind === 'unclosed_quote'
      ? [`A quote that opens in ${where} is never closed.`, 'every quote must be closed']
      : [`In ${where} text follows the closing quote of a cell.`, 'a quote inside a quoted cell must be doubled'];
  return new Refusal(400, 'malformed_csv', `${message} The rows before it were read.`, [{ field: 'body', rule }]);
};

interface ByteSource {
  /** The first {@link HEAD_BYTES}, or the whole file when it is shorter. */
  head(): Promise<Uint8Array>;
  /** The next bytes; null at the end, be it good or bad. */
  next(): Promise<Uint8Array | null>;
  /** Why the bytes ended before the file did, if so. */
  fault(): Refusal | null;
  /** Reads and drops what is left (at most the largest file again), and lets go of the body. */
  close(): Promise<void>;
}

const byteSource = (body: ReadableStream<Uint8Array>, { maxBytes, declaredBytes }: ReadOptions): ByteSource => {
  const reader = body.getReader();
  let bytes = 0;
  let ended = false;
  let fault: Refusal | null = null;

  /** One read; one that fails is a cut upload. */
  const readOnce = async (): Promise<Uint8Array | null> => {
    if (ended) return null;
    try {
      const { value } = await reader.read();
      if (value) return value;
      if (declaredBytes !== null && bytes < declaredBytes) fault ??= interrupted();
    } catch {
      fault ??= interrupted();
    }
    ended = true;
    return null;
  };
  /** The parser reads ahead, and workerd takes no second read, nor lets go of a body, while one is pending: they queue up. */
  let last: Promise<Uint8Array | null> = Promise.resolve(null);
  const read = (): Promise<Uint8Array | null> => {
    last = last.then(readOnce);
    return last;
  };

  const next = async (): Promise<Uint8Array | null> => {
    const chunk = fault === null ? await read() : null;
    if (chunk === null) return null;
    bytes += chunk.length;
    if (bytes <= maxBytes) return chunk;
    const rule = `at most ${maxBytes} bytes`;
    fault = new Refusal(413, 'too_large', 'The file is too large. Send it in several parts.', [{ field: 'body', rule }]);
    return chunk.subarray(0, chunk.length - (bytes - maxBytes));
  };

  return {
    next,
    fault: () => fault,
    async head() {
      const chunks: Uint8Array[] = [];
      for (let size = 0; size < HEAD_BYTES;) {
        const chunk = await next();
        if (chunk === null) break;
        chunks.push(chunk);
        size += chunk.length;
      }
      return joined(chunks);
    },
    async close() {
      for (let left = maxBytes; left > 0;) {
        const chunk = await read();
        if (chunk === null) break;
        left -= chunk.length;
      }
      if (!ended) await reader.cancel();
      ended = true;
      await last;
      reader.releaseLock();
    },
  };
};

const interrupted = (): Refusal =>
  new Refusal(
    400,
    'upload_interrupted',
    'The upload ended before the file did. Upload the file again: what was imported is not imported twice.',
    [{ field: 'body', rule: 'must arrive whole' }],
  );
