// Plain JavaScript for any Node: installs the packages when they are missing or older than the lockfile, so that
// `npm start` and `npm test` work right after a clone or a pull.
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** @param {string} name */
const modified = (name) => (existsSync(root + name) ? statSync(root + name).mtimeMs : 0);

if (modified('node_modules/.package-lock.json') < modified('package-lock.json')) {
  console.log('Installing packages …');
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const [program, ...first] = npm ? [process.execPath, npm] : ['npm'];
  try {
    execFileSync(program, [...first, ...args], { cwd: root, stdio: 'inherit' });
  } catch {
    console.error('The packages could not be installed: npm says why above.');
    process.exit(1);
  }
}
if (!existsSync(`${root}node_modules/node/bin/node`) && process.platform !== 'win32') {
  console.error('node_modules has no Node of its own: run "npm ci" without --ignore-scripts.');
  process.exit(1);
}
