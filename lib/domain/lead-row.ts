/** One row of a list as a lead, or why it cannot be one. The same rules for CSV and JSON. */
import type { Columns, LeadField } from './columns.ts';
import { unguardCell } from './csv-cells.ts';
import { normalisePhone } from './phone.ts';
import { isStorable } from './storable.ts';

export const MAX_CELL_LENGTH = 10_000;
/** Of name, email and company, which have columns of their own. */
export const MAX_FIELD_LENGTH = 500;

/** As it came; null and empty mean the same. */
export interface RawLead {
  phone: string;
  name: string | null;
  email: string | null;
  company: string | null;
  timezone: string | null;
  variables: Record<string, unknown>;
}
export type LeadResult = { ok: true; lead: RawLead } | { ok: false; column: LeadField | null; code: string; message: string };

export interface Rules {
  /** ISO 3166, for numbers without a country code. */
  defaultCountry: string | null;
  isTimeZone(name: string): boolean;
}

/** Where there is a campaign there is another way. */
const NO_COUNTRY =
  'The number has no country code. Write it with + and the country code, or give the campaign a default_country.';

const bad = (column: LeadField | null, code: string, message: string): LeadResult => ({ ok: false, column, code, message });
const filled = (text: string | null): string | null => (text === null || text.trim() === '' ? null : text.trim());

/** Why a text of the row cannot be kept as it is, if so. */
export const cellProblem = (text: string, longest = MAX_CELL_LENGTH): { code: string; message: string } | null => {
  if (text.length > longest) return { code: 'cell_too_long', message: `The cell is longer than ${longest} characters.` };
  if (!isStorable(text)) return { code: 'invalid_character', message: 'The cell holds a NUL or a broken character.' };
  return null;
};

/** Normalises the phone number and checks what has a rule; a strange e-mail address is kept, since it stops no call. */
export const checkLead = (raw: RawLead, rules: Rules): LeadResult => {
  const phone = normalisePhone(raw.phone, rules.defaultCountry);
  if (!phone.ok) return bad('phone', phone.code, phone.code === 'no_country' ? NO_COUNTRY : phone.message);
  const lead = {
    phone: phone.e164,
    name: filled(raw.name),
    email: filled(raw.email),
    company: filled(raw.company),
    timezone: filled(raw.timezone),
    variables: raw.variables,
  };
  for (const field of ['name', 'email', 'company'] as const) {
    const problem = cellProblem(lead[field] ?? '', MAX_FIELD_LENGTH);
    if (problem) return bad(field, problem.code, problem.message);
  }
  if (lead.timezone !== null && !rules.isTimeZone(lead.timezone)) {
    return bad('timezone', 'invalid_timezone', 'This is not an IANA time zone such as Europe/Paris.');
  }
  return { ok: true, lead };
};

/** Under this key (no header is empty) the first bad row of a file keeps the order of its columns, which JSON in Postgres does not. */
export const ORDER_KEY = '';

/** Cells by header, as they are kept for correction; cells beyond the last header as `column_N`. */
export const cellsByHeader = (cells: readonly string[], columns: Columns): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: Math.max(cells.length, columns.headers.length) }, (_, i) => i)
      .filter((i) => i !== columns.remarks)
      .map((i) => [columns.headers[i] ?? `column_${i + 1}`, cells[i] ?? '']),
  );

export type RowResult = { ok: true; lead: RawLead } | { ok: false; column: string | null; code: string; message: string };

/** A record of a CSV file as a lead. A short record ends in empty cells; the column of a problem is named by its header. */
export const leadOfRecord = (record: readonly string[], columns: Columns, rules: Rules): RowResult => {
  const { headers, fields, variables, unnamed, remarks } = columns;
  if (record.length > headers.length && record.slice(headers.length).some((cell) => cell.trim() !== '')) {
    const message = `The row has ${record.length} cells, the header row ${headers.length}: perhaps a comma in a cell without quotes.`;
    return { ok: false, column: null, code: 'too_many_columns', message };
  }
  for (const [i, cell] of record.entries()) {
    const problem = i === remarks ? null : cellProblem(cell);
    if (problem) return { ok: false, column: headers[i] ?? null, ...problem };
  }
  // Cells of our own file of bad rows come back guarded against spreadsheets.
  const cell = (i: number | undefined): string =>
    i === undefined ? '' : remarks === null ? (record[i] ?? '') : unguardCell(record[i] ?? '');
  const full = [cell(fields.first_name).trim(), cell(fields.last_name).trim()].filter((part) => part !== '').join(' ');
  const named = [...variables, ...unnamed.filter((i) => cell(i).trim() !== '')];
  const result = checkLead(
    {
      phone: cell(fields.phone),
      name: filled(cell(fields.name)) ?? full,
      email: cell(fields.email),
      company: cell(fields.company),
      timezone: cell(fields.timezone),
      variables: Object.fromEntries(named.map((i) => [headers[i]!, cell(i)])),
    },
    rules,
  );
  if (result.ok) return result;
  const at = result.column === null ? undefined : fields[result.column];
  return { ...result, column: at === undefined ? result.column : headers[at]! };
};
