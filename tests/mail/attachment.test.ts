import { expect, test } from 'vitest';
import { collectHotLeads, type HotLeadPages } from '../../lib/hot-leads-attachment.ts';
import type { HotLead } from '../../lib/verb-shapes.ts';
import { readCsv } from './rfc4180.ts';

const lead = (seq: number, changes: Partial<HotLead> = {}): HotLead => ({
  lead_id: `00000000-0000-4000-8000-${String(seq).padStart(12, '0')}`,
  name: `Lead ${seq}`,
  phone: `+1415555${String(seq).padStart(4, '0')}`,
  score: 90,
  temperature: 'hot',
  email: null,
  company: null,
  call_at: '2026-03-29T00:30:00.000Z',
  summary: null,
  ...changes,
});
/** Pages of `size` out of a list, as the database hands them out, counting how often it was asked. */
const paged = (rows: readonly HotLead[], size = 1000): { pages: HotLeadPages; asked: () => number } => {
  let asked = 0;
  return {
    pages: (after) => {
      asked += 1;
      const from = rows.findLastIndex(({ lead_id }) => lead_id === after?.lead_id) + 1;
      return Promise.resolve(rows.slice(from, from + size));
    },
    asked: () => asked,
  };
};
const decoded = (base64: string | null): string => Buffer.from(base64 ?? '', 'base64').toString('utf8');
const HEADER = ['name', 'phone', 'score', 'temperature', 'email', 'company', 'call_at', 'summary'];

test('an independent reader finds in the attachment exactly what the database holds (class 35)', async () => {
  const rows = [
    lead(1, { name: 'Doe, Jane', summary: 'said "yes", twice', company: 'Ácme & Söhne' }),
    lead(2, { name: 'two\r\nlines', summary: 'line\nfeed', email: 'a@b.example', score: 88.5 }),
    lead(3, { name: '🔥 Zoë 👩‍👩‍👧', company: 'نور الهدى', summary: '山田' }),
    lead(4, { name: '=HYPERLINK("https://evil.example","x")', summary: '@SUM(A1)', company: ' +1', email: '-x' }),
    lead(5, { name: '＝cmd', summary: '\t=1', company: '+14155550105', score: null }),
    lead(6, { name: "'quoted", summary: '"', company: '' }),
  ];
  const { base64, count, tooLarge, best } = await collectHotLeads(paged(rows).pages, 'Europe/Berlin', 1_000_000, 5);
  const text = decoded(base64);
  expect(text.startsWith('\uFEFFname,phone,')).toBe(true);
  expect(text.endsWith('\r\n')).toBe(true);
  const at = '2026-03-29T01:30:00+01:00';
  expect(readCsv(text.slice(1))).toEqual([
    HEADER,
    ['Doe, Jane', '+14155550001', '90', 'hot', '', 'Ácme & Söhne', at, 'said "yes", twice'],
    ['two\r\nlines', '+14155550002', '88.5', 'hot', 'a@b.example', '', at, 'line\nfeed'],
    ['🔥 Zoë 👩‍👩‍👧', '+14155550003', '90', 'hot', '', 'نور الهدى', at, '山田'],
    [`'=HYPERLINK("https://evil.example","x")`, '+14155550004', '90', 'hot', `'-x`, `' +1`, at, `'@SUM(A1)`],
    [`'＝cmd`, '+14155550005', '', 'hot', '', '+14155550105', at, `'\t=1`],
    [`'quoted`, '+14155550006', '90', 'hot', '', '', at, '"'],
  ]);
  expect({ count, tooLarge, best: best.map(({ name }) => name) }).toEqual({
    count: 6,
    tooLarge: false,
    best: rows.slice(0, 5).map(({ name }) => name),
  });
});

test('every hot lead is in it once and in order across pages, even one that comes twice (class 36)', async () => {
  const rows = Array.from({ length: 2500 }, (_, i) => lead(i + 1));
  const again = [...rows.slice(0, 1200), lead(7), ...rows.slice(1200)];
  const source = paged(again);
  const { base64, count } = await collectHotLeads(source.pages, 'UTC', 5_000_000, 5);
  const [header, ...read] = readCsv(decoded(base64).slice(1));
  expect(header).toEqual(HEADER);
  expect(read.map(([name]) => name)).toEqual(rows.map(({ name }) => name));
  expect(count).toBe(2500);
  expect(source.asked()).toBe(4);
});

test('no hot leads, no attachment', async () => {
  expect(await collectHotLeads(paged([]).pages, 'UTC', 1000, 5)).toEqual({ best: [], count: 0, tooLarge: false, base64: null });
});

test('above the limit it stops asking and keeps only the best', async () => {
  const rows = Array.from({ length: 50_000 }, (_, i) => lead(i + 1, { summary: 'x'.repeat(100) }));
  const source = paged(rows);
  const { base64, tooLarge, best } = await collectHotLeads(source.pages, 'UTC', 1_000_000, 5);
  expect({ base64, tooLarge, best: best.length }).toEqual({ base64: null, tooLarge: true, best: 5 });
  expect(source.asked()).toBeLessThan(10);
});

test('the base64 of any size is whole', async () => {
  for (const length of [1, 2, 3, 24_400, 24_401, 24_402, 60_000]) {
    const { base64 } = await collectHotLeads(paged([lead(1, { summary: 'é'.repeat(length) })]).pages, 'UTC', 1_000_000, 5);
    expect(base64).toMatch(/^[A-Za-z0-9+/]*={0,2}$/);
    expect(readCsv(decoded(base64).slice(1))[1]?.[7]).toBe('é'.repeat(length));
  }
});
