/** A real Postgres from npm's packages alone: started, guarded against our own death, and stopped. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { canEnter, checkOwner, postgresBinaries, postgresUser, type RunAs, stagedPath } from './postgres-binaries.ts';
import { commandOf, isAlive, waitUntil, workersIn } from './process-table.ts';

export interface PostgresOptions {
  /** Postgres's own data directory; made when it does not exist. */
  dataDir: string;
  /** For tests: nothing survives a crash of the machine, everything is quicker. */
  fast?: boolean;
  /** Further server settings, e.g. `{ log_statement: 'all' }`. */
  settings?: Readonly<Record<string, string>>;
  /** Loopback TCP port; a free one when absent or 0. */
  port?: number;
  /** Told, one line each, what the user should know. */
  say?: (line: string) => void;
  /** Receives the server's log. */
  log?: (text: string) => void;
}

export interface Postgres {
  host: '127.0.0.1';
  port: number;
  /** The unix socket itself, for the Neon stand-in. */
  socketPath: string;
  /** Its directory, for us alone; removed at the end. */
  socketDir: string;
  /** Superuser, database `postgres`. */
  url: string;
  password: string;
  /** Where the data really lies: elsewhere than asked when Postgres's user cannot get there. */
  dataDir: string;
  /** The postmaster. */
  pid: number;
  /** Resolves when the server is gone, whoever ended it. */
  ended: Promise<void>;
  /** Ends every session and the server (a fast shutdown); at most some seconds. Safe to call twice. */
  stop(): Promise<void>;
}

const FAST = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  autovacuum: 'off',
  checkpoint_timeout: '1h',
  max_wal_size: '2GB',
  deadlock_timeout: '100ms',
};
const PASSWORD_FILE = 'superuser.password';
/** How long what a killed postmaster left may take to notice that it is alone, in real milliseconds. */
const ALONE_MS = 2000;

/**
 * Runs Postgres ("$@") and waits for it. Our end of descriptor 3 closes when we die, even by SIGKILL: then it is stopped. A
 * shell in a session of its own, so that Ctrl-C in the terminal does not reach it.
 */
const GUARD = `"$@" </dev/null 3<&- & server=$!
(trap '' INT TERM HUP; read -r _ <&3; kill -s INT $server 2>/dev/null) & watcher=$!
exec 3<&-
wait $server; code=$?
kill -s KILL $watcher 2>/dev/null
rm -rf "$SOCKET_DIR"
exit $code`;

/** An environment that the caller's PG… variables cannot change. */
const serverEnv = (extra: Record<string, string> = {}): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
  ...extra,
});

/** Where the data of `dataDir` lies for that user: there, or in the system's temporary directory when it cannot get there. */
const placeFor = (dataDir: string, as: RunAs, say: (line: string) => void): string => {
  const wanted = path.resolve(dataDir);
  fs.mkdirSync(path.dirname(wanted), { recursive: true });
  if (canEnter(path.dirname(wanted), as)) return wanted;
  const staged = stagedPath('data', wanted);
  say(`Postgres keeps its data in ${staged}: its user cannot reach ${path.dirname(wanted)}.`);
  if (fs.existsSync(staged)) checkOwner(staged, [process.getuid?.(), as['uid']]);
  return staged;
};

/** Removes the data of `dataDir`, wherever it lies. Postgres must not be running on it. */
export const erasePostgres = (dataDir: string): void => {
  const wanted = path.resolve(dataDir);
  fs.rmSync(wanted, { recursive: true, force: true });
  const staged = stagedPath('data', wanted);
  if (!fs.existsSync(staged)) return;
  checkOwner(staged, [process.getuid?.(), postgresUser()['uid']]);
  fs.rmSync(staged, { recursive: true, force: true });
};

/** Makes the cluster, unless it exists. Made beside its place and renamed, so that one cut short is never taken for whole. */
const initialise = (dataDir: string, native: string, as: RunAs, fast: boolean): void => {
  if (fs.existsSync(path.join(dataDir, PASSWORD_FILE))) return;
  if (fs.existsSync(dataDir) && fs.readdirSync(dataDir).length > 0)
    throw new Error(`${dataDir} is not empty and no database of ours.`);
  const draft = `${dataDir}.new`;
  fs.rmSync(draft, { recursive: true, force: true });
  fs.mkdirSync(draft, { mode: 0o700 });
  const passwordFile = `${draft}.password`;
  fs.rmSync(passwordFile, { force: true });
  fs.writeFileSync(passwordFile, randomBytes(18).toString('base64url'), { mode: 0o600, flag: 'wx' });
  if (as.uid !== undefined && as.gid !== undefined) {
    fs.chownSync(draft, as.uid, as.gid);
    fs.chownSync(passwordFile, as.uid, as.gid);
  }
  // `password` is cleartext: the Neon driver sends the password with its first packet and understands no other demand.
  const args = ['-D', draft, '-U', 'postgres', '--auth=password', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C'];
  args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8', ...(fast ? ['--no-sync'] : []));
  const made = spawnSync(path.join(native, 'bin', 'initdb'), args, { ...as, env: serverEnv(), cwd: '/', encoding: 'utf8' });
  if (made.status !== 0) {
    fs.rmSync(draft, { recursive: true, force: true });
    fs.rmSync(passwordFile, { force: true });
    throw new Error(
      `initdb failed: ${(made.error?.message ?? `${made.stderr}${made.stdout}`).trim().split('\n').slice(-3).join(' ')}`,
    );
  }
  fs.renameSync(passwordFile, path.join(draft, PASSWORD_FILE));
  fs.rmSync(dataDir, { recursive: true, force: true });
  fs.renameSync(draft, dataDir);
};

interface PidFile {
  pid: number;
  status: string;
}
/** `postmaster.pid`, in which Postgres says who serves this directory and how far it is. */
const readPidFile = (dataDir: string): PidFile | undefined => {
  try {
    const lines = fs.readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), status: (lines[7] ?? '').trim() };
  } catch {
    return undefined;
  }
};

const isPostgres = (pid: number): boolean => isAlive(pid) && /(^|\/)postgres(:|\s|$)/.test(commandOf(pid));

/** The postmaster that serves `dataDir` now, if one does, wherever its data lies. */
export const runningPostgres = (dataDir: string): number | undefined => {
  const wanted = path.resolve(dataDir);
  for (const place of [wanted, stagedPath('data', wanted)]) {
    const found = readPidFile(place);
    if (found && isPostgres(found.pid)) return found.pid;
  }
  return undefined;
};

/**
 * Makes room for a server: waits for one that is on its way out, and ends what outlived a postmaster that was killed. Most of its
 * processes notice that and end by themselves; one in the midst of a statement, or waiting for a lock whose holder was killed, may
 * not, and while it has the old memory no server starts on the directory.
 * @throws when another server runs on it
 */
const clearLeftovers = async (dataDir: string): Promise<void> => {
  if (!fs.existsSync(dataDir)) return;
  const server = (): number | undefined => {
    const pid = readPidFile(dataDir)?.pid;
    return pid !== undefined && isPostgres(pid) ? pid : undefined;
  };
  if (readPidFile(dataDir)?.status === 'stopping') await waitUntil(() => server() === undefined, 10_000);
  // Whatever belongs to a server works in its data directory. The newest may still bear the postmaster's name.
  const orphans = (): number[] => workersIn(dataDir).filter(isPostgres);
  await waitUntil(() => server() !== undefined || orphans().length === 0, ALONE_MS);
  const other = server();
  if (other !== undefined) throw new Error(`another Postgres (pid ${other}) is already running on ${dataDir}`);
  for (const pid of orphans()) process.kill(pid, 'SIGKILL');
  await waitUntil(() => orphans().length === 0, 10_000);
  fs.rmSync(path.join(dataDir, 'postmaster.pid'), { force: true });
};

/** A loopback TCP port that was free a moment ago. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });

interface Launched {
  child: ChildProcess;
  socketDir: string;
  pid: number;
}

const launch = async (native: string, dataDir: string, as: RunAs, port: number, options: PostgresOptions): Promise<Launched> => {
  const socketDir = fs.mkdtempSync('/tmp/ringleader-'); // a socket's path may have 107 bytes at most
  if (as.uid !== undefined && as.gid !== undefined) fs.chownSync(socketDir, as.uid, as.gid);
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: socketDir,
    max_connections: '200',
    shared_buffers: '64MB',
    scram_iterations: '1', // random passwords on loopback need no stretching, and every invocation signs in anew
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(options.fast ? FAST : {}),
    ...options.settings,
  };
  const args = ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const child = spawn('/bin/sh', ['-c', GUARD, 'sh', path.join(native, 'bin', 'postgres'), ...args], {
    ...as,
    env: serverEnv({ SOCKET_DIR: socketDir }),
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  let tail = '';
  const keep = (chunk: Buffer): void => {
    tail = (tail + String(chunk)).slice(-4000);
    options.log?.(String(chunk));
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  let failure: string | undefined;
  child.on('error', (error) => (failure = error.message));
  child.on('exit', () => (failure ??= tail.trim()));
  const isReady = (): boolean => readPidFile(dataDir)?.status === 'ready';
  const ready = await waitUntil(() => failure !== undefined || isReady(), 60_000, 5);
  if (failure !== undefined || !ready) {
    child.stdio[3]?.destroy();
    fs.rmSync(socketDir, { recursive: true, force: true });
    throw new Error(`Postgres did not start: ${failure ?? 'not ready within a minute'}`);
  }
  return { child, socketDir, pid: readPidFile(dataDir)?.pid ?? 0 };
};

const launchOnFreePort = async (native: string, dataDir: string, as: RunAs, options: PostgresOptions) => {
  for (let attempt = 1; ; attempt++) {
    const port = options.port || (await freePort());
    try {
      return { ...(await launch(native, dataDir, as, port, options)), port };
    } catch (error) {
      if (!/Address already in use/.test(String(error))) throw error;
      if (options.port) throw new Error(`port ${port} of Postgres is taken on 127.0.0.1`, { cause: error });
      if (attempt === 5) throw error; // somebody took each port in the moment before we did
    }
  }
};

/**
 * Starts a Postgres on `dataDir`, with cleartext password authentication on a unix socket and a loopback TCP port.
 * As root it runs as `postgres` or `nobody`. It ends with us, however we end.
 * @throws {Error} in one line: unsupported platform, a taken port, a second server on the directory, or its own words
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const say = options.say ?? (() => undefined);
  const as = postgresUser();
  const native = postgresBinaries(as, say);
  const dataDir = placeFor(options.dataDir, as, say);
  await clearLeftovers(dataDir);
  initialise(dataDir, native, as, options.fast ?? false);
  const { child, socketDir, pid, port } = await launchOnFreePort(native, dataDir, as, options);
  const password = fs.readFileSync(path.join(dataDir, PASSWORD_FILE), 'utf8');
  let gone = child.exitCode !== null;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  if (gone) end();
  child.on('exit', () => {
    gone = true;
    end();
  });
  const signal = (name: NodeJS.Signals): void => {
    if (!gone && isPostgres(pid)) process.kill(pid, name);
  };
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    child.stdio[3]?.destroy(); // the guard sees it and asks for a fast shutdown
    if (!(await waitUntil(() => gone, 5000))) signal('SIGQUIT');
    if (!(await waitUntil(() => gone, 2000))) signal('SIGKILL');
    await waitUntil(() => gone, 2000);
    fs.rmSync(socketDir, { recursive: true, force: true });
  };
  return {
    host: '127.0.0.1',
    port,
    socketDir,
    socketPath: path.join(socketDir, `.s.PGSQL.${port}`),
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    password,
    dataDir,
    pid,
    ended,
    stop: () => (stopping ??= stop()),
  };
}
