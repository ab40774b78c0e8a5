/**
 * The few verbs of imports and exports over plain maps, for tests that look at what the reader makes of a file. What the
 * database itself does with a batch is tested against the database.
 */
import type { Deps } from '../../lib/deps.ts';
import type { ImportError, ImportRow } from '../../lib/verb-shapes.ts';
import type { Verbs } from '../../lib/verbs.ts';

export const ACCOUNT = '00000000-0000-4000-8000-000000000001';
export const CAMPAIGN = '00000000-0000-4000-8000-000000000002';

export interface FakeStore {
  deps: Pick<Deps, 'now' | 'newId' | 'verbs'>;
  leads: Map<string, ImportRow>;
  errors: ImportError[];
  batches: number[];
  suppressed: Map<string, string | null>;
  opened: number;
  finished: number;
}

/** @param defaultCountry of the one campaign there is */
export const fakeStore = (defaultCountry: string | null = 'US'): FakeStore => {
  let ids = 0;
  const store: FakeStore = {
    leads: new Map(),
    errors: [],
    batches: [],
    suppressed: new Map(),
    opened: 0,
    finished: 0,
    deps: {
      now: () => new Date('2026-07-01T12:00:00Z'),
      newId: () => `00000000-0000-4000-9000-${String((ids += 1)).padStart(12, '0')}`,
      verbs: {} as Verbs,
    },
  };
  const verbs: Partial<Verbs> = {
    beginImport: async (_account, _now, _id, campaign) => {
      if (campaign !== CAMPAIGN) return null;
      store.opened += 1;
      return { default_country: defaultCountry };
    },
    importLeads: async (_account, _now, _id, _campaign, rows, errors) => {
      store.batches.push(rows.length + errors.length);
      store.errors.push(...errors);
      const fresh = rows.filter((row) => {
        if (store.leads.has(row.phone)) return false;
        store.leads.set(row.phone, row);
        return true;
      });
      const suppressed = fresh.filter((row) => store.suppressed.has(row.phone)).length;
      return { imported: fresh.length, duplicates: rows.length - fresh.length, suppressed };
    },
    finishImport: async () => {
      store.finished += 1;
      return { completed: false };
    },
    addSuppressions: async (_account, _now, rows) => {
      const fresh = rows.filter(({ phone, reason }) => {
        const known = store.suppressed.has(phone);
        store.suppressed.set(phone, reason);
        return !known;
      });
      return { added: fresh.length, mail_due: false };
    },
  };
  Object.assign(store.deps.verbs, verbs);
  return store;
};

/** Bytes as a request body that arrives in chunks of `size`; `cutAt`: the connection breaks there. */
export const bodyOf = (bytes: Uint8Array, size = 65_536, cutAt: number | null = null): ReadableStream<Uint8Array> => {
  let at = 0;
  const end = cutAt ?? bytes.length;
  return new ReadableStream({
    pull(controller) {
      if (at < end) {
        controller.enqueue(bytes.slice(at, Math.min(at + size, end)));
        at += size;
      } else if (cutAt === null) {
        controller.close();
      } else {
        controller.error(new Error('Network connection lost.'));
      }
    },
  });
};

/** What Windows-1252 has at 0x80–0x8c and 0x91–0x9c, where Latin-1 has control characters. */
const HIGH = '€\0‚ƒ„…†‡ˆ‰Š‹Œ\0\0\0\0‘’“”•–—˜™š›œ';

/** Text as Windows-1252. */
export const windows1252 = (text: string): Uint8Array =>
  Uint8Array.from({ length: text.length }, (_, i) => {
    const code = text.charCodeAt(i);
    const byte = code < 256 ? code : 0x80 + HIGH.indexOf(text.charAt(i));
    if (byte < 0x80 && code > 255) throw new RangeError(`${text.charAt(i)} is not in Windows-1252`);
    return byte;
  });

export const utf16 = (text: string, littleEndian: boolean): Uint8Array => {
  const view = new DataView(new ArrayBuffer(text.length * 2 + 2));
  for (let i = 0; i <= text.length; i += 1) view.setUint16(i * 2, i === 0 ? 0xfeff : text.charCodeAt(i - 1), littleEndian);
  return new Uint8Array(view.buffer);
};
