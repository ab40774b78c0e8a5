/**
 * Cuts a stream of CSV text where records end, without reading the cells. The parser behind it therefore only ever sees whole
 * records: it cannot be made to hold or rescan an endless one, and what stands before a broken record is complete whatever
 * the chunks were.
 */

export interface Fault {
  kind: 'unclosed_quote' | 'text_after_quote' | 'record_too_large';
  /** Line of the text (1 = first) on which the broken record begins. */
  line: number;
}

export interface RecordCutter {
  /** The whole records that `text` completes; '' when none. Nothing comes any more after a fault. */
  push(text: string): string;
  /** The last record, which no line break ended. */
  end(): string;
  /** Set when the text cannot be read on. */
  fault(): Fault | null;
}

const QUOTE = 0x22;
const LF = 0x0a;
const CR = 0x0d;
const isSpace = (code: number): boolean =>
  code === 0x20 || (code >= 9 && code <= 13) || (code > 0x7f && /\s/.test(String.fromCharCode(code)));

/** Where in a cell the cutter stands. `seenQuote`: behind a quote that either ends the cell or is doubled. */
type State = 'start' | 'plain' | 'quoted' | 'seenQuote' | 'closed';

/**
 * @param delimiter one UTF-16 code unit
 * @param longest characters that one record may have
 */
export const createRecordCutter = (delimiter: string, longest: number): RecordCutter => {
  const separator = delimiter.charCodeAt(0);
  let held = '';
  let scanned = 0;
  let state: State = 'start';
  let fault: Fault | null = null;
  let line = 1;
  let recordLine = 1;

  /** What a character that is neither quoted nor a line break does. */
  const step = (code: number): State | null => {
    if (code === separator) return 'start';
    if (state === 'plain') return 'plain';
    if (state === 'start') return code === QUOTE ? 'quoted' : isSpace(code) ? 'start' : 'plain';
    return isSpace(code) ? 'closed' : null;
  };

  /** Scans on; returns where the last whole record ends. */
  const scan = (last: boolean): number => {
    let boundary = 0;
    for (; scanned < held.length; scanned += 1) {
      const code = held.charCodeAt(scanned);
      if (scanned - boundary >= longest) {
        fault = { kind: state === 'quoted' ? 'unclosed_quote' : 'record_too_large', line: recordLine };
        return boundary;
      }
      const lineBreak = code === LF || code === CR;
      if (lineBreak) {
        if (code === CR && scanned + 1 === held.length && !last) return boundary;
        if (code === LF || held.charCodeAt(scanned + 1) !== LF) line += 1;
      }
      if (state === 'quoted') {
        if (code === QUOTE) state = 'seenQuote';
        continue;
      }
      if (state === 'seenQuote') {
        state = code === QUOTE ? 'quoted' : 'closed';
        if (code === QUOTE) continue;
      }
      if (lineBreak) {
        state = 'start';
        boundary = scanned + 1;
        recordLine = line;
        continue;
      }
      const next = step(code);
      if (next === null) {
        fault = { kind: 'text_after_quote', line: recordLine };
        return boundary;
      }
      state = next;
    }
    return boundary;
  };

  const take = (end: number): string => {
    const whole = held.slice(0, end);
    held = held.slice(end);
    scanned -= end;
    return whole;
  };

  return {
    push(text) {
      if (fault) return '';
      held += text;
      return take(scan(false));
    },
    end() {
      if (fault) return '';
      const boundary = scan(true);
      if (!fault && state === 'quoted') fault = { kind: 'unclosed_quote', line: recordLine };
      return take(fault ? boundary : held.length);
    },
    fault: () => fault,
  };
};
