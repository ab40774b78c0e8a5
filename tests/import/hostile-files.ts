/** CSV files as the world sends them, and what must become of each. */
import { Buffer } from 'node:buffer';
import { deflateRawSync, gzipSync } from 'node:zlib';
import type { ImportOptions } from '../../lib/import-leads.ts';
import { utf16, windows1252 } from './fake-verbs.ts';

export interface HostileFile {
  title: string;
  bytes: Uint8Array;
  options?: ImportOptions;
  /** The connection breaks behind so many bytes. */
  cutAt?: number;
  /** Of the campaign; US unless said. */
  country?: string | null;
  /** The leads that must be in the campaign afterwards: number → (part of) the lead. */
  leads?: Record<string, object>;
  duplicates?: number;
  /** The bad rows: number, column, code. */
  bad?: [row: number, column: string | null, code: string][];
  /** When the file is refused: status and code, and a sentence it says. */
  refused?: [status: number, code: string, says: RegExp];
  /** True when the refusal tells how far it came. */
  counted?: boolean;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const bytes = (...parts: (string | number[])[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? utf8(part) : Uint8Array.from(part))));
const A = '+12025550101';
const B = '+12025550102';
const C = '+12025550103';
const two = { [A]: { name: 'Ann' }, [B]: { name: 'Bob' } };
const anyLead = (...phones: string[]): Record<string, object> => Object.fromEntries(phones.map((phone) => [phone, {}]));
/** A ZIP archive with one stored entry, as much of it as a reader would look at. */
const zip = (name: string): Uint8Array =>
  Buffer.concat([
    Uint8Array.from([0x50, 0x4b, 3, 4, 20, 0, 0, 0, 8, 0]),
    new Uint8Array(20),
    utf8(name),
    deflateRawSync(utf8('phone\n')),
  ]);

export const HOSTILE_FILES: readonly HostileFile[] = [
  // ---- line ends, byte order marks, delimiters
  { title: 'LF, no line break at the end', bytes: utf8(`phone,name\n${A},Ann\n${B},Bob`), leads: two },
  { title: 'CRLF', bytes: utf8(`phone,name\r\n${A},Ann\r\n${B},Bob\r\n`), leads: two },
  { title: 'CR alone, as old Macs write', bytes: utf8(`phone,name\r${A},Ann\r${B},Bob\r`), leads: two },
  { title: 'line ends mixed', bytes: utf8(`phone,name\r\n${A},Ann\n${B},Bob\r`), leads: two },
  { title: 'UTF-8 byte order mark', bytes: bytes([0xef, 0xbb, 0xbf], `phone,name\n${A},Ann\n${B},Bob\n`), leads: two },
  { title: 'a mark, then a quoted header', bytes: utf8(`\ufeff"phone","name"\n${A},Ann\n${B},Bob\n`), leads: two },
  { title: 'the mark twice', bytes: utf8(`\ufeff\ufeffphone,name\n${A},Ann\n${B},Bob\n`), leads: two },
  { title: 'semicolons', bytes: utf8(`phone;name\n${A};Ann\n${B};Bob\n`), leads: two },
  { title: 'tabs', bytes: utf8(`phone\tname\n${A}\tAnn\n${B}\tBob\n`), leads: two },
  {
    title: 'tabs, an empty cell between',
    bytes: utf8(`name\tplan\tphone\nAnn\t\t${A}\n\t\t${B}\n`),
    leads: { [A]: { name: 'Ann', variables: { plan: '' } }, [B]: { name: null } },
  },
  {
    title: 'semicolons, with more commas than semicolons in the header',
    bytes: utf8(`Last, First, Middle;Phone\nLee, Ann, B;${A}\n`),
    leads: { [A]: { variables: { 'Last, First, Middle': 'Lee, Ann, B' } } },
  },
  { title: 'sep= line', bytes: utf8(`sep=;\r\nphone;name\r\n${A};Ann\r\n${B};Bob\r\n`), leads: two },
  {
    title: 'sep= line behind a mark, naming an odd delimiter',
    bytes: utf8(`\ufeffSEP=^\nphone^name\n${A}^Ann\n${B}^Bob\n`),
    leads: two,
  },
  {
    title: 'sep= line below blank ones; the line of a fault counts them all',
    bytes: utf8(`\r\n  \n\nsep=;\nphone;name\n${A};Ann, Lee\n${B};"Bob\n`),
    leads: { [A]: { name: 'Ann, Lee' } },
    refused: [400, 'malformed_csv', /row 3 \(line 7\)/],
    counted: true,
  },
  { title: 'sep= line, quoted', bytes: utf8(`"sep=\t"\nphone\tname\n${A}\tAnn\n${B}\tBob\n`), leads: two },
  { title: 'one column only', bytes: utf8(`phone\n${A}\n${B}\n`), leads: anyLead(A, B) },
  {
    title: 'blank lines, before the header too, and rows of commas',
    bytes: utf8(`\n  \nphone,name\n\n${A},Ann\n,\n \r\n${B},Bob\n,,\n\nbad,Eve\n`),
    leads: two,
    bad: [[4, 'phone', 'invalid_phone']],
  },
  // ---- quotes
  {
    title: 'delimiters, line breaks and doubled quotes inside quotes',
    bytes: utf8(`phone,name,notes\n${A},"Ann ""the boss"" Lee, Jr","line 1\r\nline 2,\n"";"""\n${B},Bob,\n`),
    leads: { [A]: { name: 'Ann "the boss" Lee, Jr', variables: { notes: 'line 1\r\nline 2,\n";"' } }, [B]: { name: 'Bob' } },
  },
  {
    title: 'a quote in the midst of a bare cell',
    bytes: utf8(`phone,size\n${A},5" pipe\n`),
    leads: { [A]: { variables: { size: '5" pipe' } } },
  },
  { title: 'spaces around quoted cells', bytes: utf8(`phone, name\n${A} , "Ann" \n ${B},  "Bob"  \n`), leads: two },
  { title: 'a header with a line break', bytes: utf8(`"Phone\nnumber",name\n${A},Ann\n${B},Bob\n`), leads: two },
  { title: 'everything quoted', bytes: utf8(`"phone","name"\r\n"${A}","Ann"\r\n"${B}","Bob"`), leads: two },
  {
    title: 'a quote never closed, at the end',
    bytes: utf8(`phone,name\n${A},Ann\n${B},"Bob\nx,y\n`),
    leads: { [A]: { name: 'Ann' } },
    refused: [400, 'malformed_csv', /row 3 \(line 3\) is never closed/],
    counted: true,
  },
  {
    title: 'a quote never closed, in a long file',
    bytes: utf8(`phone,name\n${A},Ann\n${B},"Bob\n${'+12025550150,x\n'.repeat(90_000)}`),
    leads: { [A]: { name: 'Ann' } },
    refused: [400, 'malformed_csv', /never closed/],
    counted: true,
  },
  {
    title: 'text behind a closing quote',
    bytes: utf8(`phone,name\n${A},Ann\n\n${B},"Bob" Smith\n${C},Cy\n`),
    leads: { [A]: { name: 'Ann' } },
    refused: [400, 'malformed_csv', /row 3 \(line 4\) text follows/],
    counted: true,
  },
  {
    title: 'a quote never closed in the header',
    bytes: utf8(`phone,"name\n${A},Ann\n`),
    refused: [400, 'malformed_csv', /row 1/],
  },
  // ---- encodings
  {
    title: 'Windows-1252',
    bytes: windows1252(`phone;name;notes\r\n${A};José Müller;“5 €” – gut\r\n`),
    leads: { [A]: { name: 'José Müller', variables: { notes: '“5 €” – gut' } } },
  },
  {
    title: 'Windows-1252 whose first strange byte comes late',
    bytes: Buffer.concat([
      utf8(`phone,name\n${A},Ann\n${`bad,${'x'.repeat(90)}\n`.repeat(900)}`),
      windows1252(`${B},José\n${C},Zoë\n`),
    ]),
    leads: { [A]: { name: 'Ann' }, [B]: { name: 'José' }, [C]: { name: 'Zoë' } },
    bad: Array.from({ length: 900 }, (_, i) => [i + 3, 'phone', 'invalid_phone']),
  },
  {
    title: 'UTF-8 with one stray byte of Windows-1252',
    bytes: Buffer.concat([utf8(`phone,name\n${A},Zoë – 東京\n${B},Jos`), Uint8Array.from([0xe9]), utf8(`\n${C},Ångström\n`)]),
    leads: { [A]: { name: 'Zoë – 東京' }, [B]: { name: 'José' }, [C]: { name: 'Ångström' } },
  },
  {
    title: 'UTF-16, little-endian',
    bytes: utf16(`phone\tname\r\n${A}\tZoë 東京\r\n`, true),
    leads: { [A]: { name: 'Zoë 東京' } },
  },
  { title: 'UTF-16, big-endian', bytes: utf16(`phone\tname\r\n${A}\tZoë 東京\r\n`, false), leads: { [A]: { name: 'Zoë 東京' } } },
  { title: 'UTF-16 without a mark', bytes: utf16(`phone,name\n${A},Zoë\n`, true).slice(2), leads: { [A]: { name: 'Zoë' } } },
  { title: 'emoji', bytes: utf8(`phone,name\n${A},Ann 👩‍🚀\n`), leads: { [A]: { name: 'Ann 👩‍🚀' } } },
  // ---- columns
  {
    title: 'the names of an address book',
    bytes: utf8(
      `First Name,Last Name,Organization Name,E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value\nAnn,Lee,Acme,a@x.com,Mobile,${A}\n`,
    ),
    leads: {
      [A]: {
        name: 'Ann Lee',
        company: 'Acme',
        email: 'a@x.com',
        variables: { 'First Name': 'Ann', 'Last Name': 'Lee', 'Phone 1 - Type': 'Mobile' },
      },
    },
  },
  {
    title: 'names in any case and spelling',
    bytes: utf8(` PHONE_NUMBER ,FULL-NAME,E-Mail,Organisation,Time Zone\n${A},Ann,a@x.com,Acme,Europe/Paris\n`),
    leads: { [A]: { name: 'Ann', email: 'a@x.com', company: 'Acme', timezone: 'Europe/Paris', variables: {} } },
  },
  {
    title: 'several columns of numbers: the best name wins, the others stay variables',
    bytes: utf8(`tel,mobile,phone\n1,${B},${A}\n`),
    leads: { [A]: { variables: { tel: '1', mobile: B } } },
  },
  {
    title: 'empty and repeated headers',
    bytes: utf8(`phone,,tag,tag,\n${A},x,1,2,\n${B},,3,4,y\n`),
    leads: {
      [A]: { variables: { column_2: 'x', tag: '1', tag_2: '2' } },
      [B]: { variables: { tag: '3', tag_2: '4', column_5: 'y' } },
    },
  },
  {
    title: 'headers that are properties of every object',
    bytes: utf8(`phone,__proto__,constructor,toString\n${A},x,y,z\n`),
    leads: {
      [A]: {
        variables: Object.fromEntries([
          ['column_2', 'x'],
          ['constructor', 'y'],
          ['toString', 'z'],
        ]),
      },
    },
  },
  {
    title: 'a mapping',
    bytes: utf8(`phone,Rufnummer privat,Wer\nx,${A},Ann\n`),
    options: { mapping: '{"phone":"Rufnummer privat","name":"Wer"}' },
    leads: { [A]: { name: 'Ann', variables: { phone: 'x' } } },
  },
  {
    title: 'a mapping decides the delimiter, too',
    bytes: utf8(`a,b,c;Nr\n1,2,3;${A}\n`),
    options: { mapping: '{"phone":"Nr"}' },
    leads: { [A]: { variables: { 'a,b,c': '1,2,3' } } },
  },
  {
    title: 'a mapping to no column',
    bytes: utf8(`phone\n${A}\n`),
    options: { mapping: '{"name":"Who"}' },
    refused: [400, 'validation', /"Who"/],
  },
  {
    title: 'a mapping of an unknown field',
    bytes: utf8(`phone\n${A}\n`),
    options: { mapping: '{"fone":"phone"}' },
    refused: [400, 'validation', /mapping/],
  },
  {
    title: 'a mapping that is no JSON',
    bytes: utf8(`phone\n${A}\n`),
    options: { mapping: 'phone' },
    refused: [400, 'validation', /mapping/],
  },
  { title: 'no column of numbers', bytes: utf8(`name,city\nAnn,Rome\n`), refused: [400, 'no_phone_column', /name, city/] },
  { title: '201 columns', bytes: utf8(`phone${',x'.repeat(200)}\n${A}\n`), refused: [400, 'too_many_columns', /201/] },
  {
    title: 'a thousand empty columns',
    bytes: utf8(`phone,name${','.repeat(1000)}\n${A},Ann${','.repeat(1000)}\n${B},Bob\n`),
    leads: two,
  },
  {
    title: 'a header of 101 characters',
    bytes: utf8(`phone,${'h'.repeat(101)}\n${A},x\n`),
    refused: [400, 'header_too_long', /column 2/],
  },
  // ---- rows
  {
    title: 'a short row',
    bytes: utf8(`phone,name,plan\n${A}\n${B},Bob\n`),
    leads: { [A]: { name: null, variables: { plan: '' } }, [B]: { name: 'Bob' } },
  },
  {
    title: 'a long row',
    bytes: utf8(`phone,name\n${A},Lee, Ann\n${B},Bob,,\n`),
    leads: { [B]: { name: 'Bob' } },
    bad: [[2, null, 'too_many_columns']],
  },
  {
    title: 'numbers that a call cannot dial',
    bytes: utf8(`Phone,name\n9.19877E+11,a\n202 555 0101 x5,b\n,c\n555-0101,d\n${A},Ann\n`),
    leads: { [A]: { name: 'Ann' } },
    bad: [
      [2, 'Phone', 'scientific_notation'],
      [3, 'Phone', 'extension'],
      [4, 'Phone', 'missing_phone'],
      [5, 'Phone', 'invalid_phone'],
    ],
  },
  {
    title: 'national numbers without a country',
    bytes: utf8(`phone\n(202) 555-0101\n0012025550102\n`),
    country: null,
    leads: anyLead(B),
    bad: [[2, 'phone', 'no_country']],
  },
  {
    title: 'one number in five spellings',
    bytes: utf8(`phone\n${A}\n(202) 555-0101\n1-202-555-0101\n001 202 555 0101\n202.555.0101\n`),
    leads: anyLead(A),
    duplicates: 4,
  },
  {
    title: 'a time zone that is none',
    bytes: utf8(`phone,timezone\n${A},Mars/Olympus\n${B},Asia/Kolkata\n${C},\n`),
    leads: { [B]: { timezone: 'Asia/Kolkata' }, [C]: { timezone: null } },
    bad: [[2, 'timezone', 'invalid_timezone']],
  },
  {
    title: 'a strange e-mail address stops no call',
    bytes: utf8(`phone,email\n${A},not an address\n`),
    leads: { [A]: { email: 'not an address' } },
  },
  {
    title: 'a NUL in a cell',
    bytes: utf8(`phone,name\n${A},A\0nn\n${B},Bob\n`),
    leads: { [B]: { name: 'Bob' } },
    bad: [[2, 'name', 'invalid_character']],
  },
  { title: 'a NUL in the header', bytes: utf8(`pho\0ne,na\0me\n${A},Ann\n${B},Bob\n`), leads: two },
  {
    title: 'a giant cell',
    bytes: utf8(`phone,notes\n${A},${'x'.repeat(10_001)}\n${B},${'y'.repeat(10_000)}\n`),
    leads: { [B]: { variables: { notes: 'y'.repeat(10_000) } } },
    bad: [[2, 'notes', 'cell_too_long']],
  },
  {
    title: 'a giant name',
    bytes: utf8(`phone,name\n${A},${'x'.repeat(501)}\n${B},Bob\n`),
    leads: { [B]: { name: 'Bob' } },
    bad: [[2, 'name', 'cell_too_long']],
  },
  {
    title: 'a row that never ends',
    bytes: utf8(`phone,notes\n${A},ok\n${B},${'x'.repeat(1_100_000)}\n`),
    leads: anyLead(A),
    refused: [413, 'record_too_large', /row 3/],
    counted: true,
  },
  {
    title: 'formulas are data on the way in',
    bytes: utf8(`phone,name\n${A},"=HYPERLINK(""http://x"")"\n${B},@Bob\n`),
    leads: { [A]: { name: '=HYPERLINK("http://x")' }, [B]: { name: '@Bob' } },
  },
  {
    title: "a spreadsheet's ways to keep a number text",
    bytes: utf8(`phone\n="2025550101"\n'2025550102\n"=""2025550103"""\n`),
    leads: anyLead(A, B, C),
  },
  {
    title: 'our own bad rows, corrected',
    bytes: utf8(`phone,name,import_error\n${A},'=Ann,"row 2, phone: no (invalid_phone)"\n${B},Bob,\n`),
    leads: { [A]: { name: '=Ann', variables: {} }, [B]: { name: 'Bob', variables: {} } },
  },
  {
    title: 'a last column of their own that is named error',
    bytes: utf8(`phone,name,error\n${A},'=Ann,E42\n`),
    leads: { [A]: { name: "'=Ann", variables: { error: 'E42' } } },
  },
  // ---- no CSV at all
  { title: 'gzip', bytes: gzipSync(`phone\n${A}\n`), refused: [415, 'unsupported_media_type', /gzip/] },
  { title: 'an .xlsx workbook', bytes: zip('[Content_Types].xml'), refused: [415, 'unsupported_media_type', /ZIP/] },
  {
    title: 'a ZIP archive written in pieces',
    bytes: bytes([0x50, 0x4b, 7, 8], [...zip('leads.csv')]),
    refused: [415, 'unsupported_media_type', /ZIP/],
  },
  {
    title: 'an .xls workbook',
    bytes: bytes([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], 'x'),
    refused: [415, 'unsupported_media_type', /xls/],
  },
  {
    title: 'HTML',
    bytes: utf8(`\ufeff \n<!DOCTYPE html><html><table><tr><td>phone`),
    refused: [415, 'unsupported_media_type', /HTML/],
  },
  { title: 'a PDF', bytes: utf8('%PDF-1.7\n'), refused: [415, 'unsupported_media_type', /PDF/] },
  { title: 'JSON', bytes: utf8(`{"leads":[{"phone":"${A}"}]}`), refused: [415, 'unsupported_media_type', /JSON/] },
  // ---- next to nothing
  { title: 'an empty file', bytes: utf8(''), refused: [400, 'empty_file', /empty/] },
  { title: 'a byte order mark and nothing else', bytes: utf8('\ufeff'), refused: [400, 'empty_file', /empty/] },
  { title: 'blank lines and nothing else', bytes: utf8('\r\n \n\n'), refused: [400, 'empty_file', /empty/] },
  { title: 'a sep= line and nothing else', bytes: utf8('sep=,\r\n'), refused: [400, 'empty_file', /empty/] },
  { title: 'a header row and nothing else', bytes: utf8('phone,name\n'), leads: {} },
  // ---- cut, or too much
  {
    title: 'a connection that breaks in the midst of a row',
    bytes: utf8(`phone,name\n${A},Ann\n${B},Bob\n`),
    cutAt: 40,
    leads: { [A]: { name: 'Ann' } },
    refused: [400, 'upload_interrupted', /Upload the file again/],
    counted: true,
  },
  {
    title: 'a connection that breaks in the midst of a number that would do',
    bytes: utf8(`phone\n${A}\n+4930901820123\n`),
    cutAt: 29,
    leads: anyLead(A),
    refused: [400, 'upload_interrupted', /Upload/],
    counted: true,
  },
  {
    title: 'a connection that breaks at once',
    bytes: utf8(`phone\n${A}\n`),
    cutAt: 0,
    refused: [400, 'upload_interrupted', /Upload/],
  },
  {
    title: 'a Content-Length that promised more',
    bytes: utf8(`phone,name\n${A},Ann\n${B},Bo`),
    options: { declaredBytes: 1000 },
    leads: { [A]: { name: 'Ann' } },
    refused: [400, 'upload_interrupted', /Upload/],
    counted: true,
  },
  {
    title: 'a Content-Length that promised less',
    bytes: utf8(`phone,name\n${A},Ann\n${B},Bob\n`),
    options: { declaredBytes: 5 },
    leads: two,
  },
  {
    title: 'more bytes than allowed',
    bytes: utf8(`phone,name\n${A},Ann\n${B},Bob\n`),
    options: { maxBytes: 40 },
    leads: { [A]: { name: 'Ann' } },
    refused: [413, 'too_large', /several parts/],
    counted: true,
  },
];
