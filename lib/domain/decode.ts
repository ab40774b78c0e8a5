/**
 * From bytes to text, as spreadsheets and CRMs write CSV: UTF-8 (with or without a byte order mark), UTF-16 (a spreadsheet's
 * "Unicode text"), or Windows-1252. Decided on the first {@link HEAD_BYTES}; a file that turns out mixed later on is read
 * byte by byte rather than refused, so that one stray character cannot cost the whole list.
 */
import { joined } from './bytes.ts';

/** How much of a file is looked at before its encoding is decided. */
export const HEAD_BYTES = 65_536;

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252';
export type Sniffed =
  | { text: true; encoding: Encoding; /** Bytes of the byte order mark, to be skipped. */ mark: number }
  | { text: false; /** What the file is instead, for people. */ looksLike: string };

const MAGIC: readonly (readonly [looksLike: string, ...bytes: number[]])[] = [
  ['a gzip archive', 0x1f, 0x8b],
  ['a ZIP archive or an .xlsx workbook', 0x50, 0x4b, 0x03, 0x04],
  ['a ZIP archive or an .xlsx workbook', 0x50, 0x4b, 0x05, 0x06],
  ['a ZIP archive or an .xlsx workbook', 0x50, 0x4b, 0x07, 0x08],
  ['an .xls workbook', 0xd0, 0xcf, 0x11, 0xe0],
  ['a PDF', 0x25, 0x50, 0x44, 0x46, 0x2d],
  ['a picture', 0x89, 0x50, 0x4e, 0x47],
  ['a picture', 0xff, 0xd8, 0xff],
  ['a 7z archive', 0x37, 0x7a, 0xbc, 0xaf],
  ['an xz archive', 0xfd, 0x37, 0x7a, 0x58, 0x5a],
  ['a zstd archive', 0x28, 0xb5, 0x2f, 0xfd],
  ['a bzip2 archive', 0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59],
];
const MARKS: readonly (readonly [Encoding, ...bytes: number[]])[] = [
  ['utf-8', 0xef, 0xbb, 0xbf],
  ['utf-16le', 0xff, 0xfe],
  ['utf-16be', 0xfe, 0xff],
];
const MARKUP = /^\s*<(?:[a-z!?])/i;
const JSON_TEXT = /^\s*(?:\{\s*["}]|\[\s*[[{"\]])/;

const begins = (bytes: Uint8Array, signature: readonly number[]): boolean => signature.every((byte, i) => bytes[i] === byte);

/**
 * Length of the UTF-8 sequence that begins at `at` (1 to 4), 0 when there is none, -1 when the bytes end before it does.
 * The table is that of the Unicode standard (3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
 */
const sequenceLength = (bytes: Uint8Array, at: number): number => {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  for (let i = 1; i < length; i += 1) {
    const byte = bytes[at + i];
    if (byte === undefined) return -1;
    if (byte < (i === 1 ? lowest : 0x80) || byte > (i === 1 ? highest : 0xbf)) return 0;
  }
  return length;
};

/** UTF-8 unless the head holds more bytes that are not UTF-8 than characters that only UTF-8 explains. */
const eightBit = (head: Uint8Array): Encoding => {
  let explained = 0;
  let strange = 0;
  for (let at = 0; at < head.length;) {
    const length = sequenceLength(head, at);
    if (length > 1) explained += 1;
    if (length === 0) strange += 1;
    at += Math.max(length, 1);
  }
  return strange > explained ? 'windows-1252' : 'utf-8';
};

/** UTF-16 without a mark: every other byte of the first characters is zero. */
const unmarkedWide = (head: Uint8Array): Encoding | null => {
  const zeros = (from: number): boolean => [0, 2, 4].every((i) => head[from + i] === 0);
  if (head.length < 6 || zeros(0) === zeros(1)) return null;
  return zeros(1) ? 'utf-16le' : 'utf-16be';
};

/** What the first bytes say the file is. `head` is the whole file when it is shorter than {@link HEAD_BYTES}. */
export const sniff = (head: Uint8Array): Sniffed => {
  const magic = MAGIC.find(([, ...signature]) => begins(head, signature));
  if (magic) return { text: false, looksLike: magic[0] };
  const marked = MARKS.find(([, ...signature]) => begins(head, signature));
  const mark = marked ? marked.length - 1 : 0;
  const encoding = marked?.[0] ?? unmarkedWide(head) ?? eightBit(head);
  const start = new TextDecoder(encoding, { fatal: false, ignoreBOM: true }).decode(head.subarray(mark, mark + 1024));
  if (MARKUP.test(start)) return { text: false, looksLike: 'HTML or XML' };
  if (JSON_TEXT.test(start)) return { text: false, looksLike: 'JSON' };
  return { text: true, encoding, mark };
};

export interface Decoder {
  /** Text of the next bytes; a character that is not complete yet waits for the next call. */
  decode(bytes: Uint8Array): string;
  /** What was still waiting. */
  end(): string;
}

/** A decoder for a stream of bytes; the text does not depend on how the bytes are cut into chunks. */
export const createDecoder = (encoding: Encoding): Decoder => {
  if (encoding === 'utf-8') return tolerantUtf8();
  const decoder = new TextDecoder(encoding, { fatal: false, ignoreBOM: true });
  return { decode: (bytes) => decoder.decode(bytes, { stream: true }), end: () => decoder.decode() };
};

/** UTF-8 in which a byte that is none is read as Windows-1252. */
const tolerantUtf8 = (): Decoder => {
  let waiting: Uint8Array = new Uint8Array();
  return {
    decode(chunk) {
      const bytes = waiting.length === 0 ? chunk : joined([waiting, chunk]);
      const complete = completeEnd(bytes);
      waiting = bytes.slice(complete);
      return mixedText(bytes.subarray(0, complete));
    },
    end() {
      const rest = waiting;
      waiting = new Uint8Array();
      return mixedText(rest);
    },
  };
};

/** Where the last complete character ends: at most three bytes before the end. */
const completeEnd = (bytes: Uint8Array): number => {
  for (let at = Math.max(0, bytes.length - 3); at < bytes.length; at += 1) {
    if (sequenceLength(bytes, at) === -1) return at;
  }
  return bytes.length;
};

const mixedText = (bytes: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return mixedTextSlowly(bytes);
  }
};

const mixedTextSlowly = (bytes: Uint8Array): string => {
  const strict = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
  const western = new TextDecoder('windows-1252');
  const parts: string[] = [];
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    parts.push(strict.decode(bytes.subarray(from, at)), western.decode(bytes.subarray(at, at + 1)));
    at += 1;
    from = at;
  }
  parts.push(strict.decode(bytes.subarray(from)));
  return parts.join('');
};
