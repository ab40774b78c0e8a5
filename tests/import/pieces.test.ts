import { describe, expect, it } from 'vitest';
import { createRecordCutter, type Fault } from '../../lib/domain/csv-records.ts';
import { createDecoder, sniff, type Encoding } from '../../lib/domain/decode.ts';
import { seeded, writeFile } from './csv-writer.ts';
import { HOSTILE_FILES } from './hostile-files.ts';

const SMALL = HOSTILE_FILES.filter((file) => file.bytes.length < 100_000);

const decoded = (bytes: Uint8Array, encoding: Encoding, size: number): string => {
  const decoder = createDecoder(encoding);
  let text = '';
  for (let at = 0; at < bytes.length; at += size) text += decoder.decode(bytes.slice(at, at + size));
  return text + decoder.end();
};

const cut = (text: string, delimiter: string, size: number): { pieces: string[]; fault: Fault | null } => {
  const cutter = createRecordCutter(delimiter, 50_000);
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += size) pieces.push(cutter.push(text.slice(at, at + size)));
  pieces.push(cutter.end());
  return { pieces: pieces.filter((piece) => piece !== ''), fault: cutter.fault() };
};

/** Where records end, found in the plainest way: a line break with an even number of quotes before it. */
const endsOfRecords = (text: string): Set<number> => {
  const ends = new Set([text.length]);
  let quotes = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '"') quotes += 1;
    const lineEnds = text[at] === '\n' || (text[at] === '\r' && text[at + 1] !== '\n');
    if (lineEnds && quotes % 2 === 0) ends.add(at + 1);
  }
  return ends;
};

describe('a stream in pieces', () => {
  it('decodes to the same text whatever the pieces, down to single bytes', () => {
    const encodings: Encoding[] = ['utf-8', 'windows-1252', 'utf-16le', 'utf-16be'];
    const random = seeded(3);
    const noise = Uint8Array.from({ length: 20_000 }, () => Math.floor(random() * 256));
    const characters = new TextEncoder().encode('aé€🚀\u0000\ufeff߿ࠀ￿\u{10ffff}'.repeat(50));
    let tried = 0;
    for (const bytes of [noise, characters, ...SMALL.map((file) => file.bytes)]) {
      for (const encoding of encodings) {
        const whole = decoded(bytes, encoding, bytes.length + 1);
        for (const size of [1, 2, 3, 5, 4096]) expect(decoded(bytes, encoding, size) === whole).toBe(true);
        tried += 1;
      }
    }
    expect(tried).toBe((SMALL.length + 2) * 4);
  });

  it('decodes as the platform does where the bytes are good UTF-8, and loses no byte where they are not', () => {
    const text = 'aé€🚀\u0000\ufeff߿ࠀ￿\u{10ffff}';
    expect(decoded(new TextEncoder().encode(text), 'utf-8', 1)).toBe(text);
    // Overlong, surrogate, too high, cut short: each byte as Windows-1252.
    expect(decoded(Uint8Array.from([0xc0, 0xaf]), 'utf-8', 1)).toBe('À¯');
    expect(decoded(Uint8Array.from([0xed, 0xa0, 0x80]), 'utf-8', 1)).toBe('í\u00a0€');
    expect(decoded(Uint8Array.from([0xf4, 0x90, 0x80, 0x80]), 'utf-8', 1)).toBe('ô\u0090€€');
    expect(decoded(Uint8Array.from([0xe2, 0x82]), 'utf-8', 1)).toBe('â‚');
  });

  it('is cut where records end, and nowhere else, whatever the pieces', () => {
    let records = 0;
    for (let seed = 1; seed <= 100; seed += 1) {
      const { bytes, delimiter } = writeFile(seed);
      const seen = sniff(bytes);
      if (!seen.text) throw new Error(`seed ${seed} is no text`);
      const text = decoded(bytes.subarray(seen.mark), seen.encoding, 1000);
      for (const size of [1, 2, 3, 17]) {
        const { pieces, fault } = cut(text, delimiter, size);
        expect(fault).toBeNull();
        expect(pieces.join('')).toBe(text);
        const ends = endsOfRecords(text);
        let at = 0;
        for (const piece of pieces) expect(ends.has((at += piece.length))).toBe(true);
        expect(at).toBe(text.length);
        records += pieces.length;
      }
    }
    expect(records).toBeGreaterThan(5000);
  });

  it('keeps what stands before a broken record, and tells its line, whatever the pieces', () => {
    const rows: [text: string, kept: string, fault: Fault][] = [
      ['a,b\r\n"c', 'a,b\r\n', { kind: 'unclosed_quote', line: 2 }],
      ['a\r"b\r\n\rc"\r"d" e\rf', 'a\r"b\r\n\rc"\r', { kind: 'text_after_quote', line: 5 }],
      [`a\n${'x'.repeat(50_001)}\nb`, 'a\n', { kind: 'record_too_large', line: 2 }],
      [`a\n"${'x'.repeat(50_001)}"\nb`, 'a\n', { kind: 'unclosed_quote', line: 2 }],
    ];
    for (const [text, kept, fault] of rows) {
      for (const size of [1, 2, 7, 100_000]) {
        const result = cut(text, ',', size);
        expect([result.pieces.join(''), result.fault]).toEqual([kept, fault]);
      }
    }
  });
});
