/** What a CSV's first lines say about the rest: a spreadsheet's `sep=` line, and the delimiter. */

export interface Shape {
  delimiter: string;
  /** Characters to leave out before the header row: a `sep=` line, and the blank ones above it. */
  skip: number;
}

const SEP_LINE = /^\s*"?sep=([^"\r\n\w\ud800-\udfff])"?[\s,;]*?(?:\r\n|\n|\r|$)/i;
/** In order of preference where the header row does not decide. */
const DELIMITERS = [',', ';', '\t', '|'] as const;

/** Cells of the first record that holds anything, as far as the text goes; quotes are honoured, line breaks in them too. */
const firstCells = (text: string, delimiter: string): string[] => {
  const cells: string[] = [];
  let cell = '';
  let quoted = false;
  for (const char of text) {
    if (char === '"') {
      quoted = !quoted;
    } else if (quoted) {
      cell += char;
    } else if (char === delimiter) {
      cells.push(cell);
      cell = '';
    } else if (char !== '\n' && char !== '\r') {
      cell += char;
    } else if ([...cells, cell].some((each) => each.trim() !== '')) {
      break;
    } else {
      cells.length = 0;
      cell = '';
    }
  }
  return [...cells, cell];
};

/**
 * The delimiter under which the header row makes most sense: one that yields a column recognised by `understood` beats one
 * that does not, then the one with more columns wins, then comma, semicolon, tab, bar in this order. A `sep=` line decides alone.
 *
 * @param head the beginning of the decoded text, with the whole header row in it
 */
export const shapeOf = (head: string, understood: (header: readonly string[]) => boolean): Shape => {
  const sep = SEP_LINE.exec(head);
  if (sep) return { delimiter: sep[1]!, skip: sep[0].length };
  let best: { delimiter: string; rank: number } = { delimiter: ',', rank: -1 };
  for (const delimiter of DELIMITERS) {
    const cells = firstCells(head, delimiter);
    const rank = cells.length + (understood(cells) ? 1_000_000 : 0);
    if (rank > best.rank) best = { delimiter, rank };
  }
  return { delimiter: best.delimiter, skip: 0 };
};
