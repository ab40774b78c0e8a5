import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isTimeZone } from '../../lib/contract.ts';
import { testDatabase } from '../support/database.ts';
import { createWallClock, isOpen } from '../sim/windows.ts';

const db = await testDatabase();

interface Golden {
  days: number[];
  start: string;
  end: string;
  zone: string;
  at: string;
  opens: string;
  closes: string;
}
/** Made by golden/windows.py, which never saw a line of SQL. */
const GOLDEN = JSON.parse(fs.readFileSync(new URL('golden/windows.json', import.meta.url), 'utf8')) as Golden[];

const windowsOf = async (rows: readonly Golden[]): Promise<{ opens: Date; closes: Date }[]> => {
  const found = await db.pool.query<{ opens: Date; closes: Date }>(
    `select w.opens_at as opens, w.closes_at as closes
     from jsonb_to_recordset($1) as g(nth int, days int[], start time, "end" time, zone text, at timestamptz)
     cross join lateral ringleader.window_after(g.days, g.start, g."end", g.zone, g.at) w order by g.nth`,
    [JSON.stringify(rows.map((row, nth) => ({ ...row, nth })))],
  );
  return found.rows;
};

test('windows open and close as another implementation says: overnight, half hours, nights of changing clocks, skipped days, 24:00 (class 22)', async () => {
  const found = await windowsOf(GOLDEN);
  expect(found).toHaveLength(GOLDEN.length);
  expect(GOLDEN.length).toBeGreaterThanOrEqual(300);
  const wrong = GOLDEN.filter(
    ({ opens, closes }, i) => found[i]!.opens.toISOString() !== opens || found[i]!.closes.toISOString() !== closes,
  ).map((row) => ({ ...row, got: found[GOLDEN.indexOf(row)] }));
  expect(wrong).toEqual([]);
});

test('nobody is dialled at an hour that the clock on his wall calls outside, on any night of changing clocks', async () => {
  const clock = createWallClock();
  const found = await windowsOf(GOLDEN);
  let looked = 0;
  for (const [i, row] of GOLDEN.entries()) {
    const { opens, closes } = found[i]!;
    for (let at = opens.getTime(); at < closes.getTime(); at += 5 * 60_000) {
      looked += 1;
      if (!isOpen(clock, row, row.zone, at)) expect.fail(`${JSON.stringify(row)} was open at ${new Date(at).toISOString()}`);
    }
  }
  expect(looked).toBeGreaterThan(10_000);
});

test('every zone that is taken is one that Postgres knows, the names that IANA has withdrawn included (class 22)', async () => {
  const { rows } = await db.pool.query<{ name: string }>('select lower(name) as name from pg_timezone_names');
  const known = new Set(rows.map(({ name }) => name));
  // All that the runtime takes and Postgres lacks: found by trying every word in the binaries of Node 20 and 22 that looks like a zone.
  const systemV = 'AST4 AST4ADT CST6 CST6CDT EST5 EST5EDT HST10 MST7 MST7MDT PST8 PST8PDT YST9 YST9YDT'.split(' ');
  const withdrawn = ['US/Pacific-New', 'us/pacific-new', 'Canada/East-Saskatchewan', ...systemV.map((zone) => `SystemV/${zone}`)];
  const candidates = [...Intl.supportedValuesOf('timeZone'), 'US/Pacific', 'Canada/Saskatchewan', ...withdrawn];
  const taken = candidates.filter((name) => isTimeZone(name));
  expect(taken.filter((name) => !known.has(name.toLowerCase()))).toEqual([]);
  expect(taken).toHaveLength(candidates.length - withdrawn.length);
  expect(taken.length).toBeGreaterThan(400);
});

describe('a zone whose name is three letters (class 22)', () => {
  /** Which Postgres takes for abbreviations: without summer time, or of another country. */
  const LETTERS = Array.from({ length: 26 }, (_, i) => String.fromCodePoint(65 + i));
  const names = LETTERS.flatMap((a) => LETTERS.flatMap((b) => LETTERS.map((c) => `${a}${b}${c}`)));
  const IANA = ['CET', 'EET', 'EST', 'GMT', 'HST', 'MET', 'MST', 'PRC', 'ROC', 'ROK', 'UCT', 'UTC', 'WET'];
  const NINE = { days: [1, 2, 3, 4, 5, 6, 7], start: '09:00', end: '18:00', opens: '', closes: '' };
  const SEASONS = ['2026-01-14T18:30:00Z', '2026-03-15T18:30:00Z', '2026-07-14T18:30:00Z'];

  test('is one of IANA’s, and no abbreviation that the runtime takes for some country', () => {
    expect(names.filter((name) => isTimeZone(name))).toEqual(IANA);
    expect(['cet', 'Utc', 'Japan', 'GB', 'EST5EDT', 'Europe/Paris'].filter((name) => !isTimeZone(name))).toEqual([]);
  });

  test('opens its window when the clock on its walls says so, in winter and in summer', async () => {
    const clock = createWallClock();
    const rows = [...IANA, 'cet', 'utc'].flatMap((zone) => SEASONS.map((at) => ({ ...NINE, zone, at })));
    const found = await windowsOf(rows);
    const shown = rows.map(({ zone, at }, i) => ({ zone, at, ...clock(zone, found[i]!.opens.getTime()) }));
    expect(shown.filter(({ minute }) => minute !== 9 * 60)).toEqual([]);
  });

  test('stays shut when it is an abbreviation that was stored before they were refused', async () => {
    const found = await windowsOf(['IST', 'PST', 'bst', 'JST'].map((zone) => ({ ...NINE, zone, at: SEASONS[0]! })));
    expect(found).toEqual(found.map(() => ({ opens: null, closes: null })));
  });
});
