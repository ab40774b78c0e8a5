/** The whole system on this machine: everything real but the two ends, in one call. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { type Clock, createClock } from './clock.ts';
import { type DataDirectory, openDataDirectory } from './data-directory.ts';
import { ensureAccount, LOCAL_EMAIL } from './first-account.ts';
import { startInbox } from './inbox.ts';
import { openJournal } from './journal.ts';
import { APP_ROLE, migrate } from './migrate.ts';
import { type NeonProxy, startNeonProxy } from './neon-proxy.ts';
import { providerUrls, startPhoneNetwork } from './phone-network.ts';
import { freePort, type Postgres } from './postgres.ts';
import { keepPostgres } from './postgres-keeper.ts';
import { startScheduler, fireAt } from './scheduler.ts';
import { startSentrySink } from './sentry-sink.ts';
import { StateFile } from './state.ts';
import { keepClock, settingFor } from './stored-clock.ts';
import { Unwind } from './unwind.ts';
import { startWorker } from './worker-process.ts';

export interface StackOptions {
  dataDir: string;
  fresh: boolean;
  /** The worker's; 0 takes a free one. */
  port: number;
  speed: number;
  /** Milliseconds since 1970; undefined goes on where the stored clock stopped. */
  now: number | undefined;
  cron: boolean;
  callingRules: boolean;
  /** What the caller's environment sets of the worker's variables; wins over ours. */
  variables: Readonly<Record<string, string>>;
  /** For tests: a Postgres that forgets when the machine crashes. */
  fastPostgres?: boolean;
  /** Told, one line each, how far the start is. */
  say: (line: string) => void;
  /** Called when the worker cannot be kept alive. */
  gaveUp?: (reason: string) => void;
}

export interface Stack {
  url: string;
  clock: Clock;
  apiKey: string;
  adminKey: string;
  agentId: string;
  email: string;
  inboxUrl: string;
  phoneNetworkUrl: string;
  sentryUrl: string;
  /** Superuser. */
  databaseUrl: string;
  /** The way of the worker's connections to the database. */
  neon: Pick<NeonProxy, 'counters' | 'faults' | 'log'>;
  directory: DataDirectory;
  state: StateFile;
}

const assertFree = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new Error(
          error.code === 'EADDRINUSE'
            ? `port ${port} is taken: give another --port (0 for a free one)`
            : `port ${port}: ${error.message}`,
        ),
      ),
    );
    server.listen(port, '127.0.0.1', () => server.close(() => resolve()));
  });

/** A log file of this start; that of the one before is kept beside it. */
const logTo = (directory: DataDirectory, name: string): ((text: string) => void) => {
  fs.mkdirSync(directory.at('logs'), { recursive: true });
  const file = directory.at(`logs/${name}.log`);
  if (fs.existsSync(file)) fs.renameSync(file, `${file}.before`);
  return (text) => fs.appendFileSync(file, text);
};

interface Ends {
  inbox: string;
  phoneNetwork: string;
  sentry: string;
}

const startEnds = async (clock: Clock, directory: DataDirectory, unwind: Unwind): Promise<Ends> => {
  const phoneNetwork = await startPhoneNetwork({ clock, journal: openJournal(directory.at('phone-network/asked.jsonl')) });
  await unwind.add(() => phoneNetwork.stop());
  const inbox = await startInbox({ clock, journal: openJournal(directory.at('inbox/messages.jsonl')) });
  await unwind.add(() => inbox.stop());
  const sentry = await startSentrySink({});
  await unwind.add(() => sentry.stop());
  return { inbox: inbox.url, phoneNetwork: phoneNetwork.url, sentry: sentry.url };
};

const workerVariables = (
  options: StackOptions,
  state: StateFile,
  postgres: Postgres,
  proxy: string,
  ends: Ends,
  url: string,
  clock: Clock,
) => ({
  DATABASE_URL: `postgres://${APP_ROLE}:${state.value.app_password}@127.0.0.1:${postgres.port}/postgres`,
  ADMIN_KEY: state.value.admin_key,
  PUBLIC_URL: url,
  SECRETS_KEY: state.value.secrets_key,
  POSTMARK_SERVER_TOKEN: randomBytes(16).toString('hex'),
  MAIL_FROM: 'Ringleader <campaigns@ringleader.example>',
  EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true',
  SENTRY_DSN: ends.sentry.replace('://', '://local@') + '/1',
  BOLNA_BASE_URL: providerUrls(ends.phoneNetwork).bolna,
  VAPI_BASE_URL: providerUrls(ends.phoneNetwork).vapi,
  RETELL_BASE_URL: providerUrls(ends.phoneNetwork).retell,
  POSTMARK_BASE_URL: ends.inbox,
  ...options.variables,
  LOCAL_CLOCK: JSON.stringify(clock.setting),
  NEON_WS_PROXY: proxy,
});

/**
 * Starts everything, in the order in which one needs the other. Whatever was started is in `unwind`, also when this throws.
 * @throws {Error} in one line, saying what could not be started and why
 */
export async function startStack(options: StackOptions, unwind: Unwind): Promise<Stack> {
  const { say } = options;
  const directory = await openDataDirectory(options.dataDir);
  await unwind.add(() => directory.release());
  if (options.port !== 0) await assertFree(options.port); // before anything is erased
  if (options.fresh) directory.erase();
  const clock = createClock(settingFor(directory.at('clock.json'), options.speed, options.now, Date.now()));
  await unwind.add(keepClock(directory.at('clock.json'), clock));

  const belongings = { groups: [] as number[], directories: [] as string[] };
  const own = (changed: Partial<typeof belongings>): void => directory.own(Object.assign(belongings, changed));
  const kept = await keepPostgres({
    dataDir: directory.postgres,
    fast: options.fastPostgres ?? false,
    say,
    log: logTo(directory, 'postgres'),
    started: ({ socketDir }) => own({ directories: [socketDir] }),
  });
  await unwind.add(() => kept.stop());
  const postgres = kept.current;
  const state = new StateFile(directory.at('state.json'));
  const { made, changed } = await migrate({ ownerUrl: postgres.url, appPassword: state.value.app_password });
  say(`Postgres is up${made.length + changed.length > 0 ? ', the schema applied' : ''}.`);

  const proxy = await startNeonProxy({
    postgres: {
      get socketPath() {
        return kept.current.socketPath;
      },
    },
  });
  await unwind.add(() => proxy.stop());
  const ends = await startEnds(clock, directory, unwind);
  say('Neon stand-in, phone network, inbox and Sentry sink are up.');

  const port = options.port || (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const variables = workerVariables(options, state, postgres, proxy.wsProxy, ends, url, clock);
  unwind.check();
  const workerLog = logTo(directory, 'worker');
  await startWorker({
    port,
    variables,
    stateDir: directory.at('wrangler'),
    variablesFile: directory.at('worker.env'),
    log: workerLog,
    started: (group) => own({ groups: [group] }),
    gaveUp: options.gaveUp ?? (() => undefined),
    unwind,
  });
  say(`The worker is up on ${url}.`);

  const account = await ensureAccount(url, variables.ADMIN_KEY, state);
  if (options.cron)
    await unwind.add(
      startScheduler(
        clock,
        fireAt(url, (line) => workerLog(`${line}\n`)),
      ),
    );
  return {
    url,
    clock,
    apiKey: account.api_key,
    adminKey: variables.ADMIN_KEY,
    agentId: account.agent_id,
    email: LOCAL_EMAIL,
    inboxUrl: ends.inbox,
    phoneNetworkUrl: ends.phoneNetwork,
    sentryUrl: ends.sentry,
    databaseUrl: postgres.url,
    neon: proxy,
    directory,
    state,
  };
}
