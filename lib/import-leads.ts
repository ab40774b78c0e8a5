/**
 * Leads from a list: CSV streamed from a request body, or JSON. Rows are normalised one by one and stored in batches, so that a
 * list of any length takes the memory of two: one being read, one being stored. What is stored stays stored whatever happens to
 * the rest.
 *
 * A row's number counts the records of the file, the header row being 1; blank lines and a spreadsheet's `sep=` line do not count,
 * and a record with line breaks in quotes counts once. In JSON the first lead is row 1.
 */
import * as z from 'zod';
import { isTimeZone, type ImportReport, type LeadsIn } from './contract.ts';
import { readRecords } from './csv-rows.ts';
import type { Deps } from './deps.ts';
import { columnsOf, hasPhoneColumn, LEAD_FIELDS, type Columns, type Mapping } from './domain/columns.ts';
import { cellProblem, cellsByHeader, checkLead, leadOfRecord, ORDER_KEY, type RowResult, type Rules } from './domain/lead-row.ts';
import { storable } from './domain/storable.ts';
import { notFound, Refusal } from './errors.ts';
import { createBatches, withCounts, type Batches } from './import-batches.ts';
import type { ImportError, ImportRow } from './verb-shapes.ts';

type Report = z.infer<typeof ImportReport>;
type ImportDeps = Pick<Deps, 'now' | 'newId' | 'verbs'>;

/** Bytes of one CSV file: about five million rows. */
export const MAX_CSV_BYTES = 512 * 1_048_576;

export interface ImportOptions {
  /** The text of `?mapping=`: JSON, field → header. */
  mapping?: string | null;
  /** Content-Length, when the request had one: a body that is shorter was cut. */
  declaredBytes?: number | null;
  maxBytes?: number;
}

/** `?mapping=` parsed, or the 400 that it earns. */
const mappingOf = (text: string | null | undefined): Mapping | Refusal => {
  if (text === null || text === undefined || text === '') return {};
  const fields = Object.fromEntries(LEAD_FIELDS.map((field) => [field, z.string().min(1).optional()]));
  const parsed = z.strictObject(fields).safeParse(jsonOrNull(text));
  if (parsed.success) return parsed.data;
  const rule = `must be a JSON object from ${LEAD_FIELDS.join(', ')} to headers of the file`;
  return new Refusal(400, 'validation', `mapping ${rule}.`, [{ field: 'mapping', rule }]);
};

const jsonOrNull = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
};

/**
 * Imports a CSV into a campaign. Good rows go in, bad rows are kept beside it to be corrected; numbers that the campaign has
 * already are counted as duplicates, so the same file twice changes nothing. It keeps the campaign open from its first byte on.
 *
 * @param body the file as it arrives; it is read to its end or canceled
 * @throws {Refusal} 404; 409 `campaign_closed`; 400 for a mapping or header row that will not do, an empty file, or (with the counts
 *   so far beside the error) a malformed or interrupted one; 413 too large; 415 no CSV at all
 */
export const importCsv = async (
  deps: ImportDeps,
  account: string,
  campaign: string,
  body: ReadableStream<Uint8Array>,
  options: ImportOptions = {},
): Promise<Report> => {
  const mapping = mappingOf(options.mapping);
  const records = readRecords(body, {
    understood: (header) => hasPhoneColumn(header, mapping instanceof Refusal ? {} : mapping),
    maxBytes: options.maxBytes ?? MAX_CSV_BYTES,
    declaredBytes: options.declaredBytes ?? null,
  });
  // Reading begins whatever becomes of the import: what has begun is read to its end, and its sender gets to see the answer.
  const first = records.next();
  first.catch(() => undefined); // heard below, unless there is no such campaign
  try {
    return await withImport(deps, account, campaign, async (batches, rules) => {
      let step = await first;
      if (mapping instanceof Refusal) throw mapping;
      const columns = step.done ? null : headerColumns(step.value, mapping);
      if (columns) {
        for (step = await records.next(); !step.done; step = await records.next()) {
          const record = step.value;
          const result = leadOfRecord(record, columns, rules);
          await batches.add(result, lengthOf(record), (firstBad) => inOrder(cellsByHeader(record, columns), firstBad));
        }
      }
      await batches.flush();
      const fault = step.done ? step.value : null;
      if (fault) throw columns ? withCounts(fault, batches.counts()) : fault;
      return batches.report();
    });
  } finally {
    await records.return(null);
  }
};

/**
 * Imports leads given as JSON; the same rules and the same report as for a CSV, columns named as in the request.
 * @throws {Refusal} 404; 409 `campaign_closed`
 */
export const importJson = (
  deps: ImportDeps,
  account: string,
  campaign: string,
  leads: z.infer<typeof LeadsIn>['leads'],
): Promise<Report> =>
  withImport(
    deps,
    account,
    campaign,
    async (batches, rules) => {
      for (const lead of leads) {
        const texts = textsOf(lead);
        await batches.add(jsonLead(lead, texts, rules), lengthOf(Object.values(texts)), (firstBad) => inOrder(texts, firstBad));
      }
      await batches.flush();
      return batches.report();
    },
    1,
  );

type JsonLead = z.infer<typeof LeadsIn>['leads'][number];

const jsonLead = (lead: JsonLead, texts: Record<string, string>, rules: Rules): RowResult => {
  for (const [column, text] of Object.entries(texts)) {
    const problem = cellProblem(column) ?? cellProblem(text);
    if (problem) return { ok: false, column: storable(column), ...problem };
  }
  const { phone, name = null, email = null, company = null, timezone = null, variables = {} } = lead;
  return checkLead({ phone, name, email, company, timezone, variables }, rules);
};

/** A lead as the cells of a row: what it would be in a CSV. */
const textsOf = ({ variables = {}, ...fields }: JsonLead): Record<string, string> =>
  Object.fromEntries(
    [...Object.entries(fields), ...Object.entries(variables).filter(([key]) => !Object.hasOwn(fields, key))].map(
      ([key, value]) => [key === '' ? 'variable' : key, value === null ? '' : String(value)],
    ),
  );

const lengthOf = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + text.length, 0);

const headerColumns = (header: readonly string[], mapping: Mapping): Columns => {
  const found = columnsOf(header, mapping);
  if (found.ok) return found.columns;
  throw new Refusal(400, found.code, found.message, [{ field: found.field, rule: found.rule }]);
};

/** Cells as they are kept to be corrected, the first bad row of a file with the order of its columns. */
const inOrder = (cells: Record<string, string>, firstBad: boolean): Record<string, string> => {
  const kept = Object.fromEntries(Object.entries(cells).map(([header, cell]) => [storable(header), storable(cell)]));
  return firstBad ? { [ORDER_KEY]: JSON.stringify(Object.keys(kept)), ...kept } : kept;
};

/** Opens an import, lends its batches to `work`, and closes it however `work` ends. */
const withImport = async <T>(
  deps: ImportDeps,
  account: string,
  campaign: string,
  work: (batches: Batches, rules: Rules) => Promise<T>,
  firstRow = 2,
): Promise<T> => {
  const importId = deps.newId();
  const begun = await deps.verbs.beginImport(account, deps.now(), importId, campaign);
  if (begun === null) throw notFound();
  const store = (rows: ImportRow[], errors: ImportError[]): ReturnType<ImportDeps['verbs']['importLeads']> =>
    deps.verbs.importLeads(account, deps.now(), importId, campaign, rows, errors);
  const rules: Rules = { defaultCountry: begun.default_country, isTimeZone: rememberingZones() };
  let done: { value: T } | null = null;
  try {
    done = {
      value: await work(
        createBatches(store, () => deps.newId(), firstRow),
        rules,
      ),
    };
    return done.value;
  } finally {
    const finished = deps.verbs.finishImport(account, deps.now(), importId, campaign);
    // When the work failed, its own error says more than a failure to close, which the lease makes up for.
    await (done ? finished : finished.catch(() => undefined));
  }
};

/** Asking the runtime for a zone is slow, and a list repeats the same few. */
const rememberingZones = (): ((name: string) => boolean) => {
  const known = new Set<string>();
  return (name) => {
    if (known.has(name)) return true;
    const good = name.length <= 64 && isTimeZone(name);
    if (good) known.add(name);
    return good;
  };
};
