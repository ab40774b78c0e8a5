/** One run of `wrangler dev` with the local worker, in a process group of its own that ends with us, however we end. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';
import { endGroup } from './process-table.ts';

export interface WranglerOptions {
  port: number;
  /** A directory for what wrangler writes, and the 0600 file in which it reads the worker's variables. */
  stateDir: string;
  variablesFile: string;
  /** Told what wrangler and the worker print, line by line. */
  line: (line: string) => void;
}

/** A running group: wrangler leads it. */
export interface Wrangler {
  group: number;
  /** Resolves, with the reason, when its leader has ended. */
  ended: Promise<string>;
  /** Ends the whole group, by force after `patience` real milliseconds: workerd may outlive wrangler. Safe to call twice. */
  dismiss(patience?: number): Promise<void>;
}

const ROOT = path.resolve(import.meta.dirname, '..');

/**
 * Ends the group ($1) when our end of its stdin closes. A shell of its own session: Ctrl-C does not reach it.
 */
const GUARD = `read -r _
kill -s INT -- -"$1" 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do kill -s 0 -- -"$1" 2>/dev/null || exit 0; sleep 0.1; done
kill -s KILL -- -"$1" 2>/dev/null`;

/** Where wrangler keeps what the platform would: the Durable Objects. */
export const platformState = (stateDir: string): string => path.join(stateDir, 'state');

/** One line of a dotenv file; wrangler expands `$` in values, so it is escaped. */
export const dotenvLine = (name: string, value: string): string => {
  const quote = ["'", '`', '"'].find((mark) => !value.includes(mark));
  if (quote === undefined || /[\r\n]/.test(value)) throw new Error(`${name} holds a line break or all three kinds of quotes`);
  return `${name}=${quote}${value.replaceAll('$', String.raw`\$`)}${quote}\n`;
};

const quietEnv = (stateDir: string): NodeJS.ProcessEnv => {
  // Not the variables meant for the worker: those come from the file, and only from there.
  const { PATH, HOME, TMPDIR, LANG } = process.env;
  return {
    ...Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR, LANG }).filter(([, value]) => value !== undefined)),
    CI: '1',
    NO_COLOR: '1',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_SEND_ERROR_REPORTS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    // wrangler's own files: the home directory may be unreadable.
    XDG_CONFIG_HOME: path.join(stateDir, 'config'),
    WRANGLER_LOG_PATH: path.join(stateDir, 'logs'),
    WRANGLER_REGISTRY_PATH: path.join(stateDir, 'registry'),
  };
};

/** Starts it; when it answers is for the caller to find out. */
export const launchWrangler = ({ port, stateDir, variablesFile, line }: WranglerOptions): Wrangler => {
  const wranglerPath = path.join(
    path.dirname(createRequire(import.meta.url).resolve('wrangler/package.json')),
    'bin',
    'wrangler.js',
  );
  const args = [
    'dev',
    path.join(ROOT, 'local', 'worker.ts'),
    '--config',
    path.join(ROOT, 'wrangler.toml'),
    '--env-file',
    variablesFile,
  ];
  args.push('--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0', '--persist-to', platformState(stateDir));
  args.push('--show-interactive-dev-session', 'false');
  const wrangler = spawn(process.execPath, [wranglerPath, ...args], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: quietEnv(stateDir),
  });
  // Its line per request is left out: addresses hold webhook keys and signed links.
  const keep = (coloured: string): void => {
    const text = stripVTControlCharacters(coloured);
    if (!/^\[wrangler:info\] [A-Z]+ \//.test(text)) line(text);
  };
  for (const stream of [wrangler.stdout, wrangler.stderr]) createInterface({ input: stream }).on('line', keep);
  const group = wrangler.pid;
  const ended = new Promise<string>((resolve) => {
    wrangler.on('error', (error) => resolve(error.message));
    wrangler.on('exit', (code, signal) => resolve(`wrangler ended (${signal ?? code})`));
  });
  if (group === undefined) return { group: 0, ended, dismiss: () => Promise.resolve() };
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', String(group)], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const dismiss = async (patience = 3000): Promise<void> => {
    await endGroup(group, patience);
    guard.kill('SIGKILL');
  };
  return { group, ended, dismiss };
};
