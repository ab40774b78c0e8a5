/**
 * `npm run smoke -- --url … --api-key …`: one real call through a deployed instance, to a number that the deployer types: health,
 * configuration, a campaign of one lead, its outcome, its mail. Ends with 0 when all of it worked.
 */
import readline from 'node:readline/promises';
import { ApiError } from '../local/api-client.ts';
import { misusedBy, optionsOf } from './command-line.ts';
import { smoke, SmokeFailure } from './smoke/run.ts';

const USAGE =
  'npm run smoke -- --url https://… --api-key rl_… [--phone +14155550123] [--agent ID] [--yes] [--call-minutes 20] [--mail-minutes 10]';

const misused = misusedBy('smoke', USAGE);

const OPTIONS = {
  url: { type: 'string' },
  'api-key': { type: 'string' },
  phone: { type: 'string' },
  agent: { type: 'string' },
  yes: { type: 'boolean', default: false },
  'call-minutes': { type: 'string', default: '20' },
  'mail-minutes': { type: 'string', default: '10' },
} as const;
const { values } = optionsOf(OPTIONS, misused);

const minutes = (name: 'call-minutes' | 'mail-minutes'): number => {
  const value = values[name];
  return /^\d{1,3}$/.test(value) && Number(value) > 0
    ? Number(value) * 60_000
    : misused(`--${name} must be a whole number from 1 to 999`);
};
const LOOPBACK = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;
const base = (): string => {
  const url = (values.url ?? misused('--url is missing: the address of the worker')).replace(/\/+$/, '');
  const parsed = URL.parse(url);
  if (!parsed || (parsed.protocol !== 'https:' && !LOOPBACK.test(url)))
    return misused('--url must be an https URL such as https://ringleader.you.workers.dev');
  return url;
};

const ask = async (question: string): Promise<string> => {
  if (!process.stdin.isTTY) return misused('nobody is at the terminal to be asked: give --phone and --yes');
  const terminal = readline.createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await terminal.question(question)).trim();
  } finally {
    terminal.close();
  }
};

const url = base();
const apiKey =
  values['api-key'] ??
  process.env['RINGLEADER_API_KEY'] ??
  misused('--api-key is missing (or RINGLEADER_API_KEY in the environment)');
const limits = { callMs: minutes('call-minutes'), mailMs: minutes('mail-minutes') };
const phone = values.phone ?? (await ask('Number to call, with + and country code (your own): '));
if (!/^\+[1-9]\d{6,14}$/.test(phone)) misused('the number must be + and country code, such as +14155550123');
if (!values.yes && (await ask(`Call ${phone} now, at the provider's price? [y/N] `)).toLowerCase() !== 'y') {
  console.log('smoke: nobody was called');
  process.exit(1);
}

try {
  await smoke({ url, apiKey, phone, agent: values.agent, ...limits, say: (line) => console.log(line) }, new Date());
  console.log('smoke: it works');
} catch (error) {
  if (error instanceof SmokeFailure || error instanceof ApiError) console.error(`smoke: ${error.message}`);
  else console.error(`smoke: ${error instanceof Error ? error.message : String(error)}; npm run doctor tells more`);
  process.exitCode = 1;
}
