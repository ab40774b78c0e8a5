/** A CSV reader of our own, by RFC 4180 and nothing else, to judge what the product writes. */

/**
 * Reads a whole file strictly: CRLF after every record, a quote only around a whole field or doubled inside one.
 *
 * @throws {Error} at the first departure from the RFC
 */
export const readCsv = (text: string): string[][] => {
  const rows: string[][] = [];
  let at = 0;
  const field = (): string => {
    if (text[at] !== '"') {
      const start = at;
      while (at < text.length && !',\r\n'.includes(text.charAt(at))) {
        if (text[at] === '"') throw new Error(`a quote inside a bare field at ${at}`);
        at += 1;
      }
      return text.slice(start, at);
    }
    let value = '';
    for (at += 1; ; at += 1) {
      if (at >= text.length) throw new Error('an unclosed quote');
      if (text[at] !== '"') value += text[at];
      else if (text[at + 1] === '"') {
        value += '"';
        at += 1;
      } else break;
    }
    at += 1;
    return value;
  };
  while (at < text.length) {
    const row = [field()];
    while (text[at] === ',') {
      at += 1;
      row.push(field());
    }
    if (text.slice(at, at + 2) !== '\r\n') throw new Error(`no CRLF after a record at ${at}`);
    at += 2;
    rows.push(row);
  }
  return rows;
};
