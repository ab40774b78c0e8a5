/**
 * What may stand in a cell of a CSV that people open in a spreadsheet. A spreadsheet runs a cell that looks like a formula,
 * and fast-csv does not prevent it, so every cell that we write (header cells too) passes {@link guardCell}.
 */

const SIGNED_DIGITS = /^[+-]?\d+$/;
/** `= + - @`, their full-width forms, tab, CR or LF, behind any white space. */
const FORMULA_START = /^\s*[=+\-@\t\r\n＝＋－＠]/u;

/**
 * A value as the text of a formula-safe cell; null and undefined are empty. Only an optional sign and digits (E.164 numbers,
 * whole numbers) stays as it is; anything else that a spreadsheet could take for a formula gets a `'` in front.
 */
export const guardCell = (value: string | number | null | undefined): string => {
  const text = value === null || value === undefined ? '' : String(value);
  return !SIGNED_DIGITS.test(text) && FORMULA_START.test(text) ? `'${text}` : text;
};

/** The text that {@link guardCell} was given, for files of ours that come back corrected. */
export const unguardCell = (cell: string): string =>
  cell.startsWith("'") && guardCell(cell.slice(1)) === cell ? cell.slice(1) : cell;
