/** Which column of a list is what: recognised by the names that CRMs and address books give them, or told by a mapping. */
import { unguardCell } from './csv-cells.ts';

export const LEAD_FIELDS = ['phone', 'name', 'first_name', 'last_name', 'email', 'company', 'timezone'] as const;
export type LeadField = (typeof LEAD_FIELDS)[number];
/** Field → header text. */
export type Mapping = Readonly<Partial<Record<LeadField, string>>>;

/**
 * Names by field, best first: where several columns of a file fit one field, the earlier name wins and the other columns become
 * variables. Compared in lower case without accents, spaces and punctuation, so `E-mail Address` is `emailaddress`.
 */
const NAMES: Readonly<Record<LeadField, string>> = {
  phone: `phone phonenumber phoneno mobile mobilephone mobilenumber mobilephonenumber mobileno cell cellphone cellnumber
    cellphonenumber tel telephone telephonenumber telno phone1value phone1 primaryphone mainphone businessphone workphone
    homephone otherphone contactnumber contactphone customerphone leadphone phonemobile phonework phonehome whatsapp
    whatsappnumber msisdn e164 telefon telefonnummer mobil mobiltelefon handy handynummer rufnummer numerodetelephone portable
    telefono movil celular telefone`,
  name: `name fullname contactname leadname customername displayname contactfullname nomcomplet nombrecompleto`,
  first_name: `firstname first givenname forename fname vorname prenom nombre`,
  last_name: `lastname last surname familyname lname nachname nom apellidos apellido`,
  email: `email emailaddress emailid email1value email1 primaryemail workemail mail mailaddress emailadresse courriel correo
    correoelectronico`,
  company: `company companyname organization organisation organizationname organisationname organization1name org business
    businessname accountname employer firma unternehmen entreprise societe empresa`,
  timezone: `timezone tz timezoneid timezonename timezonesidkey zeitzone fuseauhoraire zonahoraria`,
};

/** The header of the column that our own file of bad rows adds, and nobody's own (many have an `error`); as the last column of an upload it is left out. */
export const ERROR_COLUMN = 'import_error';
export const MAX_COLUMNS = 200;
export const MAX_HEADER_LENGTH = 100;

/** A header as it is compared. */
const keyOf = (header: string): string =>
  header
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '');

/** How one file is read: positions of its columns. */
export interface Columns {
  /** A name for every column, unique: the header, `column_N` for an empty one (or `__proto__`), `…_2` for a repeated one. */
  headers: readonly string[];
  fields: Readonly<Partial<Record<LeadField, number>>> & { readonly phone: number };
  /** Columns that become variables under their header: everything but the fields; first and last names stay variables, too. */
  variables: readonly number[];
  /** Columns without a header: variables only where a row holds something there. */
  unnamed: readonly number[];
  /** The column with our own remarks, when this is our file of bad rows coming back. */
  remarks: number | null;
}
export type ColumnsResult =
  { ok: true; columns: Columns } | { ok: false; code: string; message: string; field: string; rule: string };

const wrong = (code: string, message: string, field: string, rule: string): ColumnsResult => ({
  ok: false,
  code,
  message,
  field,
  rule,
});

/** Names for columns: the header, `column_N` for an empty one, with a number behind where it was there before. */
export const uniqueHeaders = (header: readonly string[]): string[] => {
  const taken = new Set<string>();
  return header.map((text, i) => {
    // What checks objects drops a key of this name without a word.
    const base = text === '' || text === '__proto__' ? `column_${i + 1}` : text;
    let name = base;
    for (let n = 2; taken.has(name); n += 1) name = `${base}_${n}`;
    taken.add(name);
    return name;
  });
};

const recognise = (keys: readonly string[], field: LeadField): number => {
  for (const name of NAMES[field].split(/\s+/)) {
    const at = keys.indexOf(name);
    if (at >= 0) return at;
  }
  return -1;
};

const cleaned = (header: readonly string[]): string[] => {
  const texts = header.map((text) => text.replace(/[\0\ufeff]/g, '').trim());
  return isOurs(texts) ? texts.map(unguardCell) : texts;
};

/** True for the header row of our own file of bad rows, whose cells are guarded against spreadsheets. */
const isOurs = (texts: readonly string[]): boolean => texts.length > 1 && texts.at(-1)?.toLowerCase() === ERROR_COLUMN;

/** True when some column of the header row would be taken for the phone number: how a delimiter is told from another. */
export const hasPhoneColumn = (header: readonly string[], mapping: Mapping): boolean => {
  const texts = cleaned(header);
  return mapping.phone === undefined ? recognise(texts.map(keyOf), 'phone') >= 0 : texts.includes(mapping.phone.trim());
};

/** Where a list of suppressions says why; -1 when it does not. */
export const reasonColumn = (headers: readonly string[]): number =>
  headers.findIndex((header) => ['reason', 'note', 'notes', 'comment'].includes(keyOf(header)));

/** Which column is what, or why the header row will not do. A mapping goes before recognition, field by field. */
export const columnsOf = (header: readonly string[], mapping: Mapping): ColumnsResult => {
  const texts = cleaned(header);
  const named = texts.findLastIndex((text) => text !== '') + 1;
  if (named > MAX_COLUMNS) {
    return wrong('too_many_columns', `The header row has ${named} columns.`, 'header', `at most ${MAX_COLUMNS} columns`);
  }
  texts.length = Math.min(texts.length, MAX_COLUMNS); // spreadsheets write thousands of empty columns at the end
  const long = texts.findIndex((text) => text.length > MAX_HEADER_LENGTH);
  if (long >= 0) {
    const rule = `at most ${MAX_HEADER_LENGTH} characters`;
    return wrong('header_too_long', `The header of column ${long + 1} is too long.`, `column_${long + 1}`, rule);
  }
  const remarks = isOurs(texts) ? texts.length - 1 : null;
  const keys = texts.map((text, i) => (i === remarks ? '' : keyOf(text)));
  const fields: Partial<Record<LeadField, number>> = {};
  for (const field of LEAD_FIELDS) {
    const wanted = mapping[field]?.trim();
    if (wanted === undefined) continue;
    const key = keyOf(wanted);
    const at = texts.includes(wanted) || key === '' ? texts.indexOf(wanted) : keys.indexOf(key);
    if (at < 0 || wanted === '') {
      const message = `The mapping names the column ${JSON.stringify(wanted)}, which the file does not have.`;
      return wrong('validation', message, `mapping.${field}`, 'must be a header of the file');
    }
    fields[field] = at;
  }
  const free = keys.map((key, i) => (Object.values(fields).includes(i) ? '' : key));
  for (const field of LEAD_FIELDS) {
    const at = fields[field] ?? recognise(free, field);
    if (at >= 0) fields[field] = at;
  }
  const headers = uniqueHeaders(texts);
  const { phone, first_name: first, last_name: last, ...single } = fields;
  if (phone === undefined) {
    const seen = headers.slice(0, 20).join(', ');
    const message = `No column is recognised as the telephone number. The header row says: ${seen}. Rename the column to phone, or name it with ?mapping={"phone":"…"}.`;
    return wrong('no_phone_column', message, 'phone', 'a column with the telephone numbers is required');
  }
  const used = new Set([phone, remarks, ...Object.values(single)]);
  const others = headers.map((_, i) => i).filter((i) => !used.has(i));
  const [variables, unnamed] = [others.filter((i) => texts[i] !== ''), others.filter((i) => texts[i] === '')];
  const people = { ...(first === undefined ? {} : { first_name: first }), ...(last === undefined ? {} : { last_name: last }) };
  return { ok: true, columns: { headers, fields: { ...single, ...people, phone }, variables, unnamed, remarks } };
};
