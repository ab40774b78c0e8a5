/** `npm start`: the whole system on this machine, and a campaign running in it. Up until Ctrl-C; then nothing is left running. */
import { ApiError } from './api-client.ts';
import { runDemo } from './demo.ts';
import { fromEnvironment } from './environment.ts';
import { parseOptions, USAGE, type StartOptions } from './options.ts';
import { readyOf, removeReady, writeReady } from './ready-file.ts';
import { type Stack, startStack } from './stack.ts';
import { Interrupted, Unwind } from './unwind.ts';

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const lineOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n', 1).join('');

/** Everything must be gone ten seconds after Ctrl-C; the guards end what is not. */
const LAST_MOMENT_MS = 9000;

const banner = ({ speed, callingRules, cron }: StartOptions, stack: Stack): string[] => [
  `Local time runs ${speed} times as fast; it is ${stack.clock.now().toISOString().slice(0, 16)}Z now.`,
  `Legal hours and frequency rules are ${callingRules ? 'on, but this version brings none yet' : 'off (--calling-rules on switches them on)'}; a campaign's own window always holds.`,
  ...(cron ? [] : [`Crons are off: fire them at ${stack.url}/cdn-cgi/handler/scheduled?cron=…`]),
];

const addresses = (stack: Stack): string[] => [
  '',
  `  Page           ${stack.url}/   sign in with the key ${stack.apiKey}`,
  `  Inbox          ${stack.inboxUrl}/`,
  `  Phone network  ${stack.phoneNetworkUrl}/`,
  `  Sentry sink    ${stack.sentryUrl}/events`,
  `  Database       psql ${stack.databaseUrl}`,
  '',
  'Ctrl-C ends everything.',
];

/** A demo that cannot go on is said; the system stays up, so that one can look. */
const demo = async (stack: Stack, csv: string | undefined, stopped: () => boolean): Promise<void> => {
  try {
    await runDemo({ stack, csv, say, stopped });
  } catch (error) {
    if (!stopped()) say(`The demo ends here: ${lineOf(error)}`);
  }
};

/** Under npm the working directory is the project's; the paths that the caller typed are relative to his own. */
const callersDirectory = (): string =>
  process.env['npm_lifecycle_event'] === 'start' && process.env['INIT_CWD'] !== undefined
    ? process.env['INIT_CWD']
    : process.cwd();

const main = async (): Promise<void> => {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) return say(USAGE);
  const options = parseOptions(args, callersDirectory());
  const variables = fromEnvironment(process.env);
  const unwind = new Unwind();
  let stopping = false;
  const stop = (code: number): void => {
    if (stopping) return;
    stopping = true;
    process.exitCode = code;
    setTimeout(() => process.exit(1), LAST_MOMENT_MS).unref();
    unwind.run().then(
      () => process.exit(),
      (error: unknown) => {
        console.error(lineOf(error));
        process.exit(1);
      },
    );
  };
  const fail = (line: string): void => {
    if (!stopping) console.error(line);
    stop(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stopping) say('Stopping …');
      stop(0);
    });
  }
  process.on('uncaughtException', (error) => fail(lineOf(error)));
  try {
    const stack = await startStack({ ...options, variables, say, gaveUp: fail }, unwind);
    await unwind.add(() => removeReady(options.dataDir));
    writeReady(options.dataDir, readyOf(stack));
    for (const line of [`Ready: ${stack.url}`, ...banner(options, stack)]) say(line);
    const { EMAIL_CAMPAIGN_SUMMARY_ENABLED: summaries = 'true' } = variables;
    if (summaries !== 'true') say('Summary mails are off: EMAIL_CAMPAIGN_SUMMARY_ENABLED is not "true".');
    if (options.demo) say(`Watch the campaign on ${stack.url}/ (key ${stack.apiKey}).`);
    if (options.demo) await demo(stack, options.csv, () => stopping);
    if (!stopping) for (const line of addresses(stack)) say(line);
  } catch (error) {
    if (stopping || error instanceof Interrupted) return;
    if (error instanceof ApiError && error.code === 'misconfigured') say(`The worker refuses every request: ${error.message}`);
    else fail(lineOf(error));
  }
};

// Whoever reads our output may go away (`npm start | head`); that is no reason to leave processes behind.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
main().catch((error: unknown) => {
  console.error(lineOf(error));
  process.exit(1);
});
