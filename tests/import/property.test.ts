import { expect, it } from 'vitest';
import { ORDER_KEY } from '../../lib/domain/lead-row.ts';
import { importCsv } from '../../lib/import-leads.ts';
import { seeded, writeFile } from './csv-writer.ts';
import { ACCOUNT, bodyOf, CAMPAIGN, fakeStore } from './fake-verbs.ts';

const CASES = 500;

it('whatever an independent writer writes is read back cell by cell, in any encoding and any chunks', async () => {
  const seen = { leads: 0, bad: 0, duplicates: 0, files: 0 };
  for (let seed = 1; seed <= CASES; seed += 1) {
    const file = writeFile(seed);
    const store = fakeStore();
    const chunk = 1 + Math.floor(seeded(seed * 7919)() * 400);
    const report = await importCsv(store.deps, ACCOUNT, CAMPAIGN, bodyOf(file.bytes, chunk));
    const where = `seed ${seed}: ${file.manner}`;
    const read = new Map([...store.leads].map(([phone, { row, name, variables }]) => [phone, { row, name, variables }] as const));
    expect(read, where).toEqual(file.leads);
    const bad = store.errors.map(({ row, code, cells: { [ORDER_KEY]: _order, ...cells } }) => ({ row, code, cells }));
    expect(bad, where).toEqual(file.bad);
    expect(report, where).toMatchObject({
      rows: file.leads.size + file.duplicates + file.bad.length,
      imported: file.leads.size,
      duplicates: file.duplicates,
      invalid: file.bad.length,
    });
    seen.files += 1;
    seen.leads += read.size;
    seen.bad += bad.length;
    seen.duplicates += file.duplicates;
  }
  expect(seen.files).toBe(CASES);
  // The generator must really make every kind of row.
  expect(Math.min(seen.leads, seen.bad * 5, seen.duplicates * 20)).toBeGreaterThan(1000);
});
