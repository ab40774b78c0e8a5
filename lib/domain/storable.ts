/** What Postgres can keep of a text: neither NUL nor half a surrogate pair. */

/** Whether a text can be kept as it is. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** A text with U+FFFD for every character that cannot be kept. */
export const storable = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed();
