/**
 * A file that only grows, one JSON value a line: what the world outside remembers. It is written before anybody is told, so that
 * not even a SIGKILL makes a phone network or an inbox forget a call or a mail that it has taken.
 */
import fs from 'node:fs';
import path from 'node:path';

export interface Journal<T> {
  /** What was written before this start, oldest first. */
  readonly past: readonly T[];
  append(entry: T): void;
}

/** Remembers nothing from one start to the next. */
export const forgetful = <T>(): Journal<T> => ({ past: [], append: () => undefined });

/**
 * Opens the journal, or begins it. A last line that a kill cut short was told to nobody: it is dropped.
 * @throws {Error} in one line, when another line is no JSON
 */
export const openJournal = <T>(file: string): Journal<T> => {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) fs.truncateSync(file, Buffer.byteLength(whole));
  const past = whole
    .split('\n')
    .slice(0, -1)
    .map((line, i): T => {
      try {
        return JSON.parse(line) as T;
      } catch {
        throw new Error(`${file} cannot be understood (line ${i + 1}): start with --fresh to begin anew`);
      }
    });
  return { past, append: (entry) => fs.appendFileSync(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 }) };
};
