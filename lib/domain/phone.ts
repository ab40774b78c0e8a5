/**
 * The one normaliser of telephone numbers: whatever enters (CSV, JSON, direct calls, suppressions) passes here and is E.164
 * afterwards, so that a number is the same number everywhere.
 *
 * Judged by what is *possible* (calling code and length in the numbering plan), not by what is assigned: plans change faster
 * than metadata, and the numbers set aside for fiction are possible without being assigned.
 */
import {
  isSupportedCountry,
  ParseError,
  parsePhoneNumberWithError,
  validatePhoneNumberLength,
  type CountryCode,
} from 'libphonenumber-js/min';

export type PhoneCode = 'missing_phone' | 'invalid_phone' | 'scientific_notation' | 'extension' | 'no_country';
export type PhoneResult = { ok: true; e164: string } | { ok: false; code: PhoneCode; message: string };

const E164 = /^\+[1-9]\d{6,14}$/;
/** `9.19877E+11`, also with the decimal comma of other locales: the spreadsheet has thrown digits away. */
const SCIENTIFIC = /^[+-]?\d+(?:[.,]\d+)?e[+-]?\d+$/i;
/** What an extension looks like where the parser would see only an unreadable number: `ext`, `x`, `#` and friends, digits or none behind. */
const EXTENSION = /\d[\s.,;:(]*(?:ext(?:n|ension)?|x|#|доб)[\s.:)#]*\d*\)?$/iu;
/** Digits of any script and what people put between them. */
const NATIONAL = /^[\p{Nd}\s().\p{Pd}\u2212/]+$/u;
const LONGEST_INPUT = 100;

/**
 * A number of the North American plan as nearly everybody there writes it. Such lists are long, and this spares them half of the
 * cost of an import; a test holds it to the answer of the parser.
 */
const NORTH_AMERICAN = /^(\+?)(1?)[ .-]?\(?([2-9]\d\d)\)?[ .-]?(\d{3})[ .-]?(\d{4})$/;
const NORTH_AMERICANS: readonly (string | null)[] = ['US', 'CA'];

const northAmerican = (text: string, defaultCountry: string | null): string | null => {
  const [, plus, one, area, exchange, line] = NORTH_AMERICAN.exec(text) ?? [];
  const itself = plus === '+' ? one === '1' : NORTH_AMERICANS.includes(defaultCountry);
  return area !== undefined && itself ? `+1${area}${exchange}${line}` : null;
};

const no = (code: PhoneCode, message: string): PhoneResult => ({ ok: false, code, message });

const WHY: Readonly<Record<string, string>> = {
  TOO_SHORT: 'The number has too few digits.',
  TOO_LONG: 'The number has too many digits, or the cell holds more than one number.',
  INVALID_LENGTH: 'The number has a length that its country does not use.',
  INVALID_COUNTRY: 'The number begins with a country code that does not exist.',
};
const NOT_A_NUMBER = 'This is not a telephone number.';

/**
 * What exports wrap around a number and what carries no meaning: full-width forms, invisible characters (directional marks
 * of copied contacts), a spreadsheet's text marks `'…` and `="…"`, `tel:` and the `p:` of lead-form exports, and the `.0` of a
 * number that was once kept as a fraction (no digit is lost there).
 */
const unwrap = (text: string): string =>
  text
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .trim()
    .replace(/^="(.*)"$/, '$1')
    .replace(/^['‘’`]/, '')
    .replace(/^(?:tel|p):\s*/i, '')
    .replace(/^(\+?\d{7,15})\.0$/, '$1')
    .trim();

/** True for a country code (ISO 3166, capitals) whose numbering plan is known. */
export const isKnownCountry = (country: string): boolean => isSupportedCountry(country);

/**
 * A number as people write it, in E.164. A leading `00` means `+` whatever the country; a number without either is read
 * in the numbering plan of `defaultCountry`.
 *
 * @param text as it came, e.g. `+1 (415) 555-0123`, `0091 98…`, `(415) 555-0123`
 * @param defaultCountry ISO 3166 in capitals, or null when only international numbers can be told
 */
export const normalisePhone = (text: string, defaultCountry: string | null): PhoneResult => {
  const usual = northAmerican(text, defaultCountry);
  if (usual !== null) return { ok: true, e164: usual };
  const written = unwrap(text.slice(0, LONGEST_INPUT + 1));
  if (written === '') return no('missing_phone', 'There is no telephone number.');
  if (text.length > LONGEST_INPUT) return no('invalid_phone', NOT_A_NUMBER);
  if (SCIENTIFIC.test(written)) {
    return no(
      'scientific_notation',
      'A spreadsheet has turned the number into scientific notation and lost digits. Format the column as text and export it again.',
    );
  }
  const number = written.replace(/^\(?(?:00|\+)\)?[\s(]*/, '+');
  const international = number.startsWith('+');
  if (EXTENSION.test(number)) return extension();
  if (!international && !NATIONAL.test(number)) return no('invalid_phone', NOT_A_NUMBER);
  if (!international && (defaultCountry === null || !isSupportedCountry(defaultCountry))) {
    return no('no_country', 'The number has no country code. Write it with + and the country code.');
  }
  return parse(number, international ? null : (defaultCountry as CountryCode));
};

const extension = (): PhoneResult =>
  no('extension', 'The number has an extension, which a call cannot dial. Give a direct number.');

const parse = (number: string, country: CountryCode | null): PhoneResult => {
  try {
    const parsed = parsePhoneNumberWithError(number, { extract: false, ...(country ? { defaultCountry: country } : {}) });
    if (parsed.ext !== undefined) return extension();
    if (!parsed.isPossible() || !E164.test(parsed.number)) {
      return no('invalid_phone', WHY[validatePhoneNumberLength(parsed.number) ?? 'INVALID_LENGTH'] ?? NOT_A_NUMBER);
    }
    return { ok: true, e164: parsed.number };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return no('invalid_phone', WHY[error.message] ?? NOT_A_NUMBER);
  }
};
