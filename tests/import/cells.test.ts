import { describe, expect, it } from 'vitest';
import { guardCell, unguardCell } from '../../lib/domain/csv-cells.ts';
import { HOT_LEAD_COLUMNS, hotLeadRows, hotLeadsFileName } from '../../lib/domain/hot-leads-csv.ts';
import { isoClock } from '../../lib/domain/time-text.ts';

const LEFT_ALONE: (string | number | null | undefined)[] = [
  '+14155550123',
  '-12',
  '0',
  '42',
  42,
  0,
  -3,
  null,
  undefined,
  '',
  'Ann',
  "O'Neil",
  ' Ann',
  'a=b',
  '1+1',
  '12.5',
  'x\ty',
  'mail@example.com',
  "'=1+1",
  '–dash',
];
const GUARDED = [
  '=1+1',
  '=HYPERLINK("http://x","y")',
  '+1 (415) 555-0123',
  '+',
  '-',
  '-12.5',
  '-2+3',
  '@SUM(A1)',
  '\tx',
  '\rx',
  '\nx',
  ' =1',
  '  \t=1',
  ' \n x',
  '\u00a0=1',
  '\ufeff=1',
  '＝1+1',
  '＋14155550123',
  '－1',
  '＠x',
  ' ＝1',
  '+1415\n',
  ' +14155550123',
  '+1415x',
  '+١٢٣',
];

describe('a cell that leaves the house', () => {
  it('is left alone when no spreadsheet can take it for a formula (class 35)', () => {
    let rows = 0;
    for (const value of LEFT_ALONE) {
      expect(guardCell(value)).toBe(value === null || value === undefined ? '' : String(value));
      rows += 1;
    }
    expect(rows).toBe(20);
  });

  it('gets an apostrophe when it could run as a formula, behind white space and in full width too (class 35)', () => {
    let rows = 0;
    for (const value of GUARDED) {
      expect(guardCell(value)).toBe(`'${value}`);
      expect(unguardCell(guardCell(value))).toBe(value);
      rows += 1;
    }
    expect(rows).toBe(25);
  });

  it('comes back as it was when it was never guarded', () => {
    for (const value of ["'Ann", "'+14155550123", "'", '', 'x']) expect(unguardCell(value)).toBe(value);
  });
});

describe('an instant as text', () => {
  it('carries the offset that the zone has at that instant, across daylight-saving nights and odd offsets (class 22)', () => {
    const rows: [string, string, string][] = [
      ['2026-03-08T06:59:59Z', 'America/New_York', '2026-03-08T01:59:59-05:00'],
      ['2026-03-08T07:00:00Z', 'America/New_York', '2026-03-08T03:00:00-04:00'],
      ['2026-11-01T05:30:00Z', 'America/New_York', '2026-11-01T01:30:00-04:00'],
      ['2026-11-01T06:30:00Z', 'America/New_York', '2026-11-01T01:30:00-05:00'],
      ['2026-07-01T11:00:00Z', 'Asia/Kolkata', '2026-07-01T16:30:00+05:30'],
      ['2026-07-01T11:00:00.987Z', 'Asia/Kathmandu', '2026-07-01T16:45:00+05:45'],
      ['2026-12-31T23:30:00Z', 'Europe/Paris', '2027-01-01T00:30:00+01:00'],
      ['2026-07-01T00:00:00Z', 'UTC', '2026-07-01T00:00:00+00:00'],
      ['2026-07-01T00:00:00Z', 'America/St_Johns', '2026-06-30T21:30:00-02:30'],
      ['2026-07-01T02:00:00+02:00', 'Pacific/Kiritimati', '2026-07-01T14:00:00+14:00'],
    ];
    for (const [instant, zone, expected] of rows) {
      expect(isoClock(zone)(instant)).toBe(expected);
      expect(Math.floor(Date.parse(expected) / 1000)).toBe(Math.floor(Date.parse(instant) / 1000));
    }
    expect(rows).toHaveLength(10);
  });
});

describe('a hot lead as a row', () => {
  it('keeps its columns in order, its number dialable and its texts harmless (class 35)', () => {
    const lead = {
      name: '=cmd()',
      phone: '+14155550100',
      score: 84,
      temperature: 'hot',
      email: null,
      company: '@Acme',
      call_at: '2026-07-01T11:00:00.5Z',
      summary: 'Said "yes", twice',
    };
    expect(HOT_LEAD_COLUMNS.join(',')).toBe('name,phone,score,temperature,email,company,call_at,summary');
    expect(hotLeadRows([lead], 'Asia/Kolkata')[0]).toEqual([
      "'=cmd()",
      '+14155550100',
      '84',
      'hot',
      '',
      "'@Acme",
      '2026-07-01T16:30:00+05:30',
      'Said "yes", twice',
    ]);
  });

  it('lies in a file whose name holds only safe characters', () => {
    expect(hotLeadsFileName('Spring / Été: "renewals"')).toBe('Spring_t_renewals__hot_leads.csv');
    expect(hotLeadsFileName('../../etc')).toBe('_etc_hot_leads.csv');
  });
});
