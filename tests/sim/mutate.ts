/** Applies planted bugs to copies: nothing of the project itself is touched, and no real path knows of tests. */
import fs from 'node:fs';
import path from 'node:path';
import { testDirectory } from '../support/directory.ts';
import type { Mutant, Patch } from './mutants.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
/** What the simulator and the suites import, directly or not. */
const COPIED = ['lib', 'functions', 'local', 'scripts', 'tests', 'schema.sql', 'package.json', 'vitest.config.ts'];

/** @throws when the text to replace does not stand there exactly once: the source has moved on, and so must the patch */
export const applied = (text: string, { file, find, put }: Patch): string => {
  const parts = text.split(find);
  if (parts.length !== 2) throw new Error(`a planted bug finds its place ${parts.length - 1} times in ${file}: ${find}`);
  return parts.join(put);
};

/** @throws as {@link applied} */
export const checkPlaces = ({ patches }: Pick<Mutant, 'patches'>): void => {
  for (const patch of patches) applied(fs.readFileSync(path.join(ROOT, patch.file), 'utf8'), patch);
};

/** Whether it is planted in the schema alone, so that no copy of the source is needed. */
export const inSchemaOnly = ({ patches }: Mutant): boolean => patches.every(({ file }) => file === 'schema.sql');

/** The schema with the bugs in it. */
export const patchedSchema = ({ patches }: Pick<Mutant, 'patches'>): string =>
  patches.filter(({ file }) => file === 'schema.sql').reduce(applied, fs.readFileSync(path.join(ROOT, 'schema.sql'), 'utf8'));

/** A copy of the source with the bugs in it, in a directory of its own that the caller removes. */
export const patchedCopy = ({ patches }: Pick<Mutant, 'patches'>): string => {
  const copy = testDirectory('mutant');
  for (const name of COPIED) fs.cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true });
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  for (const patch of patches) {
    const file = path.join(copy, patch.file);
    fs.writeFileSync(file, applied(fs.readFileSync(file, 'utf8'), patch));
  }
  return copy;
};
