/** Small JSON files that only we may read, and that are never seen half written. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';

/** Writes beside the place and renames. */
export const writeJson = (file: string, value: unknown): void => {
  const draft = `${file}.${randomUUID().slice(0, 8)}`;
  fs.writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  fs.renameSync(draft, file);
};

/** What the file holds; undefined when there is none or it is no JSON. */
export const readJson = (file: string): unknown => {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as unknown;
  } catch {
    return undefined;
  }
};
