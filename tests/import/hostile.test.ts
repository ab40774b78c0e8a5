import { describe, expect, it } from 'vitest';
import { Refusal } from '../../lib/errors.ts';
import { importCsv } from '../../lib/import-leads.ts';
import { ACCOUNT, bodyOf, CAMPAIGN, fakeStore, type FakeStore } from './fake-verbs.ts';
import { HOSTILE_FILES, type HostileFile } from './hostile-files.ts';

/** Chunk sizes on the wire: whole, odd, and byte by byte. */
const CHUNKS = [10_000_000, 4093, 7, 1];

const outcome = async (store: FakeStore, file: HostileFile, chunk: number): Promise<unknown> => {
  try {
    const body = bodyOf(file.bytes, chunk, file.cutAt ?? null);
    return await importCsv(store.deps, ACCOUNT, CAMPAIGN, body, file.options);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { status, code, message, extra } = error;
    return { status, code, message, extra };
  }
};

const check = async (file: HostileFile, chunk: number): Promise<void> => {
  const store = fakeStore(file.country === undefined ? 'US' : file.country);
  const result = await outcome(store, file, chunk);
  const leads = file.leads ?? {};
  const bad = file.bad ?? [];
  const duplicates = file.duplicates ?? 0;
  expect([...store.leads.keys()].sort()).toEqual(Object.keys(leads).sort());
  for (const [phone, part] of Object.entries(leads)) expect(store.leads.get(phone)).toMatchObject(part);
  for (const [phone, part] of Object.entries(leads)) {
    if ('variables' in part) expect(store.leads.get(phone)!.variables).toEqual(part.variables);
  }
  expect(store.errors.map(({ row, column, code }) => [row, column, code])).toEqual(bad);
  const counts = {
    rows: store.leads.size + duplicates + bad.length,
    imported: store.leads.size,
    duplicates,
    invalid: bad.length,
  };
  if (file.refused) {
    const [status, code, says] = file.refused;
    expect(result).toMatchObject({ status, code, message: expect.stringMatching(says), extra: file.counted ? counts : {} });
  } else {
    const errors = store.errors.slice(0, 100).map(({ row, column, code, message }) => ({ row, column, code, message }));
    expect(result).toEqual({ ...counts, suppressed: 0, errors });
  }
  expect([store.opened, store.finished]).toEqual([1, 1]);
};

describe('a file as the world sends it', () => {
  let ran = 0;
  for (const file of HOSTILE_FILES) {
    // Byte by byte only what is small: a megabyte that way takes a minute and shows nothing new.
    const sizes = CHUNKS.filter((chunk) => file.bytes.length / chunk < 20_000);
    it(`is imported or refused for what it is, however it is cut into chunks: ${file.title}`, async () => {
      for (const chunk of sizes) await check(file, chunk);
      ran += 1;
    });
  }

  it('was tried in every hostile form of the table', () => {
    expect(ran).toBe(HOSTILE_FILES.length);
    expect(ran).toBeGreaterThanOrEqual(75);
    expect(new Set(HOSTILE_FILES.map((file) => file.title)).size).toBe(ran);
  });
});
