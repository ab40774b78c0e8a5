/** Numbers nobody may dial, from a CSV streamed from a request body. Read like a list of leads: same columns, same numbers, same remarks. */
import * as z from 'zod';
import { RowError } from './contract.ts';
import { readRecords } from './csv-rows.ts';
import type { Deps } from './deps.ts';
import { columnsOf, hasPhoneColumn, reasonColumn, type Columns } from './domain/columns.ts';
import { cellProblem } from './domain/lead-row.ts';
import { normalisePhone } from './domain/phone.ts';
import { Refusal } from './errors.ts';
import { MAX_CSV_BYTES } from './import-leads.ts';

/** `rows = added + duplicates + invalid`; `duplicates` were suppressed already; the first 100 errors. */
export const SuppressionReport = z.object({
  rows: z.int(),
  added: z.int(),
  duplicates: z.int(),
  invalid: z.int(),
  errors: z.array(RowError),
});
type Report = z.infer<typeof SuppressionReport>;

const BATCH_ROWS = 1_000;
const REPORTED_ERRORS = 100;
const LONGEST_REASON = 500;

export interface SuppressionOptions {
  /** Content-Length, when the request had one: a body that is shorter was cut. */
  declaredBytes?: number | null;
}

type RowResult =
  { ok: true; phone: string; reason: string | null } | { ok: false; column: string | null; code: string; message: string };

const suppressionOf = (
  record: readonly string[],
  { headers, fields, reason: reasonAt }: Columns & { reason: number },
): RowResult => {
  const reason = record[reasonAt]?.trim() ?? '';
  const problem = cellProblem(reason, LONGEST_REASON);
  if (problem) return { ok: false, column: headers[reasonAt] ?? null, ...problem };
  const phone = normalisePhone(record[fields.phone] ?? '', null);
  if (!phone.ok) return { ok: false, column: headers[fields.phone] ?? null, code: phone.code, message: phone.message };
  return { ok: true, phone: phone.e164, reason: reason === '' ? null : reason };
};

/**
 * Adds the numbers of a CSV to the account's suppressions, with the text of a `reason` column if there is one. The same file twice
 * changes nothing.
 *
 * @throws {Refusal} 400, 413, 415 as for leads; a file found bad half-way carries the counts so far beside the error
 */
export const importSuppressions = async (
  deps: Pick<Deps, 'now' | 'verbs'>,
  account: string,
  body: ReadableStream<Uint8Array>,
  options: SuppressionOptions = {},
): Promise<Report> => {
  const report: Report = { rows: 0, added: 0, duplicates: 0, invalid: 0, errors: [] };
  let batch = new Map<string, { phone: string; reason: string | null }>();
  const flush = async (): Promise<void> => {
    if (batch.size === 0) return;
    const { added } = await deps.verbs.addSuppressions(account, deps.now(), [...batch.values()]);
    report.added += added;
    report.duplicates += batch.size - added;
    batch = new Map();
  };

  const records = readRecords(body, {
    understood: (header) => hasPhoneColumn(header, {}),
    maxBytes: MAX_CSV_BYTES,
    declaredBytes: options.declaredBytes ?? null,
  });
  try {
    let step = await records.next();
    const header = step.done ? null : columnsOf(step.value, {});
    if (header && !header.ok) throw new Refusal(400, header.code, header.message, [{ field: header.field, rule: header.rule }]);
    if (header) {
      const reader = { ...header.columns, reason: reasonColumn(header.columns.headers) };
      for (step = await records.next(); !step.done; step = await records.next()) {
        const result = suppressionOf(step.value, reader);
        report.rows += 1;
        if (!result.ok) {
          const { column, code, message } = result;
          report.invalid += 1;
          if (report.errors.length < REPORTED_ERRORS) report.errors.push({ row: report.rows + 1, column, code, message });
        } else if (batch.has(result.phone)) {
          report.duplicates += 1;
        } else {
          batch.set(result.phone, { phone: result.phone, reason: result.reason });
        }
        if (batch.size >= BATCH_ROWS) await flush();
      }
    }
    await flush();
    const fault = step.done ? step.value : null;
    if (!fault) return report;
    const { errors: _errors, ...counts } = report;
    throw new Refusal(fault.status, fault.code, fault.message, fault.details, header ? counts : {});
  } finally {
    await records.return(null);
  }
};
