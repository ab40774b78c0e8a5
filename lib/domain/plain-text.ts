/** Text that came from outside (a lead's name, a provider's words) made fit for one line of ours. */

/** C0, DEL, C1, the Unicode line separators: never wanted in a line of text, fatal in a header. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;
/** Embeddings, overrides and isolates: a name must not turn the text around it. Plain direction marks stay, they do no harm. */
const BIDI_CONTROL = /[\u202A-\u202E\u2066-\u2069]/g;
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;

/** One line of well-formed text: control characters and runs of white space become one space, direction overrides go. */
export const oneLine = (text: string): string =>
  text.toWellFormed().replace(CONTROL, ' ').replace(BIDI_CONTROL, '').replace(/\s+/g, ' ').trim();

/**
 * {@link oneLine}, cut at a word to at most `max` UTF-16 units, the `…` that marks the cut included. A single word longer than
 * that is cut inside.
 */
export const shortLine = (text: string, max: number): string => {
  const line = oneLine(text);
  if (line.length <= max) return line;
  const head = line.slice(0, max - 1);
  const space = line[max - 1] === ' ' ? max - 1 : head.lastIndexOf(' ');
  const kept = space > max / 2 ? head.slice(0, space) : head.replace(/[\uD800-\uDBFF]$/, '');
  return `${kept.trimEnd()}…`;
};

/** True when the text holds right-to-left letters, so that its surroundings need protection from it in plain text. */
export const isRightToLeft = (text: string): boolean => RIGHT_TO_LEFT.test(text);

/** For plain text: a right-to-left name set apart with first-strong isolates, so that it does not reorder its line. */
export const isolated = (text: string): string => (isRightToLeft(text) ? `\u2068${text}\u2069` : text);
