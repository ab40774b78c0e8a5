/**
 * `npm run doctor`: says in one screen what of a deployment is missing, wrong or off, and how to mend it. Reads the environment and
 * an env file; changes nothing, save for one mail into Postmark's black hole. Ends with 1 when anything fails. Never prints a secret.
 */
import fs from 'node:fs';
import { parseEnv } from '../lib/env.ts';
import { misusedBy, optionsOf, readEnvFile } from './command-line.ts';
import { checkConfiguration, checkNames, usable } from './doctor/configuration.ts';
import { checkDatabase, checkOwner } from './doctor/database.ts';
import { type Line, print, type Raw, secretsIn } from './doctor/line.ts';
import { checkMail } from './doctor/mail.ts';
import { checkGivenKeys, checkStoredKeys } from './doctor/providers.ts';
import { OURS, WORKER } from './doctor/variables.ts';
import { checkWorker } from './doctor/worker.ts';

const USAGE = 'npm run doctor -- [--env-file FILE] [--before-deploy] [--no-test-mail]';
const DEFAULT_FILE = '.dev.vars';

const misused = misusedBy('doctor', USAGE);

const OPTIONS = {
  'env-file': { type: 'string' },
  /** The worker is not deployed yet: it is not asked. */
  'before-deploy': { type: 'boolean', default: false },
  'no-test-mail': { type: 'boolean', default: false },
} as const;
const { values } = optionsOf(OPTIONS, misused);

const readFile = (): Raw => {
  const named = values['env-file'];
  return named === undefined && !fs.existsSync(DEFAULT_FILE) ? {} : readEnvFile(named ?? DEFAULT_FILE, misused);
};

/** Everything that asks somebody, as far as the configuration allows it; all at once. */
const checkOutside = async (raw: Raw, configuration: readonly Line[]): Promise<Line[]> => {
  const may = (...names: string[]): boolean => names.every((name) => usable(configuration, name));
  const owner = raw['MIGRATE_DATABASE_URL'];
  const whole = WORKER.every(({ name }) => !configuration.some((line) => line.about === name && line.verdict === 'FAIL'));
  const config = whole ? parseEnv(raw, { allowLoopbackHttp: true }) : undefined;
  const none = Promise.resolve<Line[]>([]);
  const checks = [
    may('DATABASE_URL') ? checkDatabase(raw['DATABASE_URL'] ?? '') : none,
    owner && may('MIGRATE_DATABASE_URL') ? checkOwner(owner) : none,
    ...(config
      ? [
          checkMail(config, !values['no-test-mail']),
          checkGivenKeys(raw, config),
          owner && may('MIGRATE_DATABASE_URL') ? checkStoredKeys(owner, config) : none,
          values['before-deploy'] ? none : checkWorker(config),
        ]
      : []),
  ];
  return (await Promise.all(checks)).flat();
};

const file = readFile();
const names = [...WORKER, ...OURS].map(({ name }) => name);
const raw: Raw = {
  ...file,
  ...Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
};
const configuration = [...checkConfiguration(raw), ...checkNames(Object.keys(file))];
const secrets = secretsIn(raw);
const show = (lines: readonly Line[]): void => lines.forEach((line) => console.log(print(line, secrets)));

show(configuration);
const broken = configuration.some(({ about, verdict }) => verdict === 'FAIL' && WORKER.some(({ name }) => name === about));
const outside = await checkOutside(raw, configuration);
show(outside);
if (broken) console.log('      (mail, providers and worker are asked once the variables above are right)');
const count = (verdict: Line['verdict']): number =>
  [...configuration, ...outside].filter((line) => line.verdict === verdict).length;
console.log(`\n${count('OK')} ok, ${count('WARN')} to look at, ${count('FAIL')} wrong`);
process.exitCode = count('FAIL') > 0 ? 1 : 0;
