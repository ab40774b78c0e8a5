/**
 * A campaign as CSV: all its leads, its hot leads, the rows that an import could not take. Streamed page by page, so that memory is
 * one page whatever the campaign's size; UTF-8 with byte order mark, CRLF, every cell guarded against spreadsheets.
 *
 * The first page is read before the stream is handed out: what does not exist is refused, not answered with half a file. The
 * connection that `deps.verbs` use must live until the stream has ended.
 */
import { writeToBuffer } from 'fast-csv';
import type { Deps } from './deps.ts';
import { ERROR_COLUMN, MAX_COLUMNS, uniqueHeaders } from './domain/columns.ts';
import { guardCell } from './domain/csv-cells.ts';
import { HOT_LEAD_COLUMNS, hotLeadRows } from './domain/hot-leads-csv.ts';
import { ORDER_KEY } from './domain/lead-row.ts';
import { notFound } from './errors.ts';
import { placeOf } from './verb-shapes.ts';
import { type Verbs } from './verbs.ts';

type ExportDeps = Pick<Deps, 'now' | 'verbs'>;
type Rows<V extends 'exportLeads' | 'listImportErrors'> = NonNullable<Awaited<ReturnType<Verbs[V]>>>;

/** Fixed columns of `leads.csv`; one for every variable follows, and `other_variables` (JSON) for what the first leads do not have. */
export const LEAD_COLUMNS = [
  'phone',
  'name',
  'email',
  'company',
  'timezone',
  'status',
  'disposition',
  'attempts',
  'score',
  'temperature',
  'evidence',
  'reason',
  'next_attempt_at',
  'last_call_at',
] as const;
const OTHER_VARIABLES = 'other_variables';

const LARGEST_PAGE = 1_000;
/** Characters that a page should hold about; pages shrink where rows are long. */
const PAGE_CHARACTERS = 500_000;

/**
 * Every lead once, in the order of import. Times are UTC; `reason` says why a lead was never dialled or ended without a call.
 * @throws {Refusal} 404
 */
export const streamLeadsCsv = async (
  deps: ExportDeps,
  account: string,
  campaign: string,
): Promise<ReadableStream<Uint8Array>> => {
  const pages = pagesOf(seqOf, (after, limit) => deps.verbs.exportLeads(account, deps.now(), campaign, after, limit));
  const first = await firstOf(pages);
  const names = [...new Set(first.flatMap((lead) => Object.keys(lead.variables)))].slice(0, MAX_COLUMNS);
  const header = uniqueHeaders([...LEAD_COLUMNS, OTHER_VARIABLES, ...names]);
  const columns = [...header.slice(0, LEAD_COLUMNS.length), ...header.slice(LEAD_COLUMNS.length + 1), OTHER_VARIABLES];
  const shown = new Set(names);
  const rowOf = (lead: Rows<'exportLeads'>[number]): string[] => {
    const others = Object.entries(lead.variables).filter(([name]) => !shown.has(name));
    return [
      ...LEAD_COLUMNS.map((column) => guardCell(lead[column])),
      ...names.map((name) => guardCell(textOf(Object.hasOwn(lead.variables, name) ? lead.variables[name] : null))),
      others.length === 0 ? '' : guardCell(JSON.stringify(Object.fromEntries(others))),
    ];
  };
  return csvStream(columns, first, pages, (leads) => leads.map(rowOf));
};

/**
 * The hot leads, best first: the same columns and cells as the summary mail's attachment.
 * @throws {Refusal} 404
 */
export const streamHotLeadsCsv = async (
  deps: ExportDeps,
  account: string,
  campaign: string,
): Promise<ReadableStream<Uint8Array>> => {
  const owner = await deps.verbs.getAccount(account, deps.now());
  if (owner === null) throw notFound();
  const pages = pagesOf(placeOf, (after, limit) => deps.verbs.listHotLeads(account, deps.now(), campaign, after, limit));
  const first = await firstOf(pages);
  // A score that changes while we page may bring a lead a second time.
  const seen = new Set<string>();
  const unseen = (lead: { lead_id: string }): boolean => !seen.has(lead.lead_id) && seen.add(lead.lead_id).size > 0;
  return csvStream(HOT_LEAD_COLUMNS, first, pages, (leads) => hotLeadRows(leads.filter(unseen), owner.timezone));
};

/**
 * The rows that could not be imported, in the columns of their files, with an `import_error` column behind: to correct and to upload
 * again (that column is left out then). Files with different columns share one table.
 * @throws {Refusal} 404
 */
export const streamErrorsCsv = async (
  deps: ExportDeps,
  account: string,
  campaign: string,
): Promise<ReadableStream<Uint8Array>> => {
  const read = (): AsyncGenerator<Rows<'listImportErrors'>> =>
    pagesOf(seqOf, (after, limit) => deps.verbs.listImportErrors(account, deps.now(), campaign, after, limit));
  const names = new Set<string>();
  for await (const page of read()) for (const { cells } of page) for (const name of orderOf(cells)) names.add(name);
  const columns = [...names];
  const pages = read();
  const first = await firstOf(pages);
  return csvStream([...columns, ERROR_COLUMN], first, pages, (rows) =>
    rows.map(({ row, column, code, message, cells }) => [
      ...columns.map((name) => guardCell(Object.hasOwn(cells, name) ? cells[name] : '')),
      guardCell(`row ${row}${column === null ? '' : `, ${column}`}: ${message} (${code})`),
    ]),
  );
};

/** The headers of a kept row; the first one of every file knows their order. */
const orderOf = (cells: Readonly<Record<string, string>>): string[] => {
  const order = cells[ORDER_KEY];
  return order === undefined ? Object.keys(cells) : (JSON.parse(order) as string[]);
};

const textOf = (value: unknown): string | number | null => {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number') return value;
  return JSON.stringify(value);
};

const seqOf = ({ seq }: { seq: string }): string => seq;

/** The pages of a list verb, each from the last row's place on, their size fitted to the rows. @throws {Refusal} 404 when the verb knows no such campaign */
async function* pagesOf<T, P>(
  placeIn: (row: T) => P,
  list: (after: P | null, limit: number) => Promise<T[] | null>,
): AsyncGenerator<T[]> {
  let after: P | null = null;
  for (let limit = 100; ;) {
    const rows: T[] | null = await list(after, limit);
    if (rows === null) throw notFound();
    const last = rows.at(-1);
    if (!last) return;
    yield rows;
    after = placeIn(last);
    const each = JSON.stringify(rows).length / rows.length;
    limit = Math.max(1, Math.min(LARGEST_PAGE, Math.floor(PAGE_CHARACTERS / each)));
  }
}

const firstOf = async <T>(pages: AsyncGenerator<T[]>): Promise<T[]> => {
  const step = await pages.next();
  return step.done ? [] : step.value;
};

/** Rows as CSV bytes; the next page is read when the receiver has taken the one before. */
const csvStream = <T>(
  header: readonly string[],
  first: T[],
  rest: AsyncGenerator<T[]>,
  rowsOf: (page: T[]) => string[][],
): ReadableStream<Uint8Array> => {
  let started = false;
  const write = (rows: string[][], writeBOM: boolean): Promise<Uint8Array> =>
    writeToBuffer(rows, { headers: false, rowDelimiter: '\r\n', includeEndRowDelimiter: true, writeBOM });
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!started) {
          started = true;
          controller.enqueue(await write([header.map(guardCell), ...rowsOf(first)], true));
          return;
        }
        const step = await rest.next();
        if (step.done) return controller.close();
        const rows = rowsOf(step.value);
        // An empty chunk would count as a pull without an answer.
        controller.enqueue(rows.length > 0 ? await write(rows, false) : new Uint8Array());
      },
      async cancel() {
        await rest.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
};
