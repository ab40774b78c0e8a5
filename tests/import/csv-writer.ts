/**
 * A writer of CSV that shares nothing with the product: RFC 4180 by hand, with every liberty that real writers take (delimiter, line
 * end, encoding, quotes where none are needed, blank lines, short rows), and the leads that must come out of it.
 */
import { utf16, windows1252 } from './fake-verbs.ts';

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

export interface WrittenFile {
  bytes: Uint8Array;
  delimiter: string;
  /** How it was written, for the message of a failing case. */
  manner: string;
  leads: Map<string, { row: number; name: string | null; variables: Record<string, string> }>;
  duplicates: number;
  bad: { row: number; code: string; cells: Record<string, string> }[];
}

const WESTERN = [
  'a',
  'B',
  '7',
  ' ',
  '-',
  "'",
  '.',
  '=',
  '+',
  '@',
  '#',
  'é ',
  'Ü',
  'ñ.',
  '€ ',
  '\t',
  ',',
  ';',
  '|',
  '"',
  '""',
  '\n',
  '\r\n',
  '\r',
];
const WIDE = [...WESTERN, '東', '京', '\u{1f680}', 'ا', '\u00a0', '\u2028', 'ﬃ'];
const PHONES: readonly ((area: string, line: string) => string)[] = [
  (area, line) => `+1${area}555${line}`,
  (area, line) => `(${area}) 555-${line}`,
  (area, line) => `${area}.555.${line}`,
  (area, line) => `001 ${area} 555 ${line}`,
  (area, line) => `1-${area}-555-${line}`,
  (area, line) => ` +1 (${area}) 555-${line} `,
];
const BAD_PHONES: readonly (readonly [text: string, code: string])[] = [
  ['9.19877E+11', 'scientific_notation'],
  ['555-0101', 'invalid_phone'],
  ['+1 212 555 0101 ext 4', 'extension'],
  ['unknown', 'invalid_phone'],
];

/** One file, wholly decided by its seed. */
export const writeFile = (seed: number): WrittenFile => {
  const random = seeded(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)];

  const encoding = pick(['utf-8', 'utf-8 with mark', 'windows-1252', 'utf-16le', 'utf-16be'] as const);
  const delimiter = pick([',', ';', '\t']);
  const lineEnd = pick(['\n', '\r\n', '\r']);
  const quoting = pick(['needed', 'always', 'sometimes'] as const);
  const sepLine = random() < 0.15;
  const alphabet = encoding === 'windows-1252' ? WESTERN : WIDE;

  const text = (longest: number): string => Array.from({ length: below(longest) }, () => pick(alphabet)).join('');
  const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;
  const written = (cell: string): string => {
    const needed = [delimiter, '"', '\n', '\r'].some((char) => cell.includes(char)) || cell.trim() === '';
    const wanted = quoting === 'always' || (quoting === 'sometimes' && random() < 0.5);
    return (needed && cell !== '') || wanted ? quoted(cell) : cell;
  };
  const line = (cells: readonly string[]): string => cells.map(written).join(delimiter);

  const width = 1 + below(6);
  const phoneAt = below(width);
  const nameAt = width > 1 && random() < 0.6 ? (phoneAt + 1) % width : -1;
  const header = Array.from({ length: width }, (_, i) => {
    if (i === phoneAt) return pick(['phone', 'Mobile', 'Phone Number', ' tel ']);
    return i === nameAt ? 'Name' : `h${i}${text(4)}z`.trim();
  });
  const lines = [line(header)];
  const file: Omit<WrittenFile, 'bytes' | 'delimiter' | 'manner'> = { leads: new Map(), duplicates: 0, bad: [] };
  const rows = below(30);
  for (let row = 2; row < rows + 2; row += 1) {
    if (random() < 0.1) lines.push(pick(['', '  ', delimiter.repeat(width - 1)]));
    const broken = random() < 0.1 ? pick(BAD_PHONES) : null;
    const [area, lineNumber] = [String(201 + below(8)), `01${String(below(30)).padStart(2, '0')}`];
    const cells = header.map((_, i) => (i === phoneAt ? (broken?.[0] ?? pick(PHONES)(area, lineNumber)) : text(12)));
    const kept = random() < 0.1 ? cells.slice(0, phoneAt + 1) : cells;
    lines.push(line(kept));
    const cell = (i: number): string => kept[i] ?? '';
    const names = header.map((text) => text.trim());
    const phone = `+1${area}555${lineNumber}`;
    if (broken) {
      file.bad.push({ row, code: broken[1], cells: Object.fromEntries(names.map((name, i) => [name, cell(i)])) });
    } else if (file.leads.has(phone)) {
      file.duplicates += 1;
    } else {
      const others = names.map((name, i) => [name, cell(i)] as const).filter((_, i) => i !== phoneAt && i !== nameAt);
      const name = nameAt < 0 ? '' : cell(nameAt).trim();
      file.leads.set(phone, { row, name: name === '' ? null : name, variables: Object.fromEntries(others) });
    }
  }
  const whole = (sepLine ? `sep=${delimiter}${lineEnd}` : '') + lines.join(lineEnd) + (random() < 0.7 ? lineEnd : '');
  const bytes = {
    'utf-8': () => new TextEncoder().encode(whole),
    'utf-8 with mark': () => new TextEncoder().encode(`\ufeff${whole}`),
    'windows-1252': () => windows1252(whole),
    'utf-16le': () => utf16(whole, true),
    'utf-16be': () => utf16(whole, false),
  }[encoding]();
  return { ...file, bytes, delimiter, manner: `${encoding}, ${JSON.stringify([delimiter, lineEnd])}, quotes ${quoting}` };
};
