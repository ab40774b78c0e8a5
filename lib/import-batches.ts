/** The batches of one import: rows are taken one by one and stored by the thousand, while the next thousand is being read. */
import type * as z from 'zod';
import type { ImportReport } from './contract.ts';
import type { RowResult } from './domain/lead-row.ts';
import { Refusal } from './errors.ts';
import type { ImportError, ImportRow } from './verb-shapes.ts';

type Report = z.infer<typeof ImportReport>;

const BATCH_ROWS = 1_000;
/** Characters of one batch, for lists with very long cells. */
const BATCH_CHARACTERS = 1_000_000;
const REPORTED_ERRORS = 100;

/** A refusal in the midst of an import: what went in before stays, and is said beside the error. */
export const withCounts = (refusal: Refusal, counts: object): Refusal =>
  new Refusal(refusal.status, refusal.code, refusal.message, refusal.details, { ...refusal.extra, ...counts });

export interface Batches {
  /** Takes one row; `cells` gives what is kept of a bad one (told whether it is the first bad row). */
  add(result: RowResult, characters: number, cells: (firstBad: boolean) => Record<string, string>): Promise<void>;
  /** Resolves when everything taken is stored. */
  flush(): Promise<void>;
  counts(): { rows: number; imported: number; duplicates: number; invalid: number };
  report(): Report;
}

/**
 * @param store stores one batch; idempotent on the rows' numbers
 * @param firstRow number of the first row that is added
 */
export const createBatches = (
  store: (rows: ImportRow[], errors: ImportError[]) => Promise<{ imported: number; duplicates: number; suppressed: number }>,
  newId: () => string,
  firstRow: number,
): Batches => {
  let row = firstRow;
  let rows: ImportRow[] = [];
  let errors: ImportError[] = [];
  let characters = 0;
  let anyBad = false;
  const total: Report = { rows: 0, imported: 0, suppressed: 0, duplicates: 0, invalid: 0, errors: [] };

  const counts = (): ReturnType<Batches['counts']> => {
    const { rows, imported, duplicates, invalid } = total;
    return { rows, imported, duplicates, invalid };
  };
  /** The batch on its way: the database stores one while the next is read. Never rejects; what went wrong is kept. */
  let underway: Promise<void> = Promise.resolve();
  let failure: { error: unknown } | null = null;
  const settled = async (): Promise<void> => {
    await underway;
    if (failure) throw failure.error instanceof Refusal ? withCounts(failure.error, counts()) : failure.error;
  };
  const send = async (rows: ImportRow[], errors: ImportError[]): Promise<void> => {
    try {
      const { imported, duplicates, suppressed } = await store(rows, errors);
      total.rows += rows.length + errors.length;
      total.imported += imported;
      total.duplicates += duplicates;
      total.suppressed += suppressed;
      total.invalid += errors.length;
      for (const { row, column, code, message } of errors.slice(0, REPORTED_ERRORS - total.errors.length)) {
        total.errors.push({ row, column, code, message });
      }
    } catch (error) {
      failure = { error };
    }
  };
  const next = async (): Promise<void> => {
    await settled();
    if (rows.length + errors.length > 0) underway = send(rows, errors);
    [rows, errors, characters] = [[], [], 0];
  };

  return {
    async flush() {
      await next();
      await settled();
    },
    async add(result, size, cells) {
      if (result.ok) {
        rows.push({ id: newId(), row, ...result.lead });
      } else {
        const { column, code, message } = result;
        errors.push({ row, column, code, message, cells: cells(!anyBad) });
        anyBad = true;
      }
      row += 1;
      characters += size;
      if (rows.length + errors.length >= BATCH_ROWS || characters >= BATCH_CHARACTERS) await next();
    },
    counts,
    report: () => total,
  };
};
