/**
 * `npm run migrate`: brings the database of MIGRATE_DATABASE_URL (the owner's direct connection) to `schema.sql`, and gives
 * the app role the password that DATABASE_URL carries. Says what it did; safe to run again.
 */
import { APP_ROLE, migrate, type MigrateReport } from '../local/migrate.ts';
import { misusedBy, optionsOf, readEnvFile } from './command-line.ts';
import { checkConfiguration } from './doctor/configuration.ts';
import { refused } from './doctor/database.ts';
import { fail as failed, type Line, print, type Raw, secretsIn } from './doctor/line.ts';
import { howToGet } from './doctor/variables.ts';

const misused = misusedBy('migrate', 'npm run migrate [-- --env-file FILE]');
const OPTIONS = {
  /** Where MIGRATE_DATABASE_URL and DATABASE_URL stand; what the environment sets wins. */
  'env-file': { type: 'string' },
} as const;
const { 'env-file': file } = optionsOf(OPTIONS, misused).values;
const environment: Raw = { ...(file === undefined ? {} : readEnvFile(file, misused)), ...process.env };

const fail = (text: string): never => {
  console.error(text);
  process.exit(1);
};

/** More names than this are counted. */
const MOST = 20;
const PLURAL: Readonly<Record<string, string>> = { index: 'indexes', policy: 'policies' };

/** How many of each kind: `14 tables, 103 functions`. */
const counted = (names: readonly string[]): string => {
  const kinds = names.map((name) => name.slice(0, name.indexOf(' ')));
  const each = [...new Set(kinds)].map((kind) => [kinds.filter((known) => known === kind).length, kind] as const);
  return each.map(([n, kind]) => `${n} ${n === 1 ? kind : (PLURAL[kind] ?? `${kind}s`)}`).join(', ');
};

const describe = ({ made, changed, dropped }: MigrateReport): string[] => {
  const parts = Object.entries({ made, changed, dropped }).filter(([, names]) => names.length > 0);
  if (parts.length === 0) return ['Schema: up to date, nothing changed.'];
  return parts.flatMap(([verb, names]) => [
    `Schema: ${verb} ${counted(names)}.`,
    ...(names.length > MOST ? [] : names.map((name) => `  ${verb} ${name}`)),
  ]);
};

/** What the doctor finds wrong with the two variables, by reading them. */
const wrong = (): Line[] => {
  const about = ['MIGRATE_DATABASE_URL', 'DATABASE_URL'].filter((name) => environment[name]);
  if (!environment['MIGRATE_DATABASE_URL'])
    return [
      failed(
        'MIGRATE_DATABASE_URL',
        'is missing',
        `${howToGet('MIGRATE_DATABASE_URL')}; set it, or name its file: --env-file FILE`,
      ),
    ];
  return checkConfiguration(environment).filter((line) => line.verdict === 'FAIL' && about.includes(line.about));
};

/** A failure of the migration itself; nothing was changed by it. */
const explain = (error: unknown): Line => {
  const { message, cause } = error as Error & { cause?: { code?: string } };
  if (!message.startsWith('schema.sql')) return refused('MIGRATE_DATABASE_URL', error);
  const remedy =
    cause?.code === '55P03'
      ? "another session holds a table: look for state = 'idle in transaction' in pg_stat_activity, end it, and run this again"
      : 'nothing was changed; npm run doctor says whether this role may migrate';
  return failed('migrate', message, remedy);
};

const secrets = secretsIn(environment);
const show = (lines: readonly Line[]): string => lines.map((line) => print(line, secrets)).join('\n');

const faults = wrong();
if (faults.length > 0) fail(show(faults));
const ownerUrl = environment['MIGRATE_DATABASE_URL'] ?? '';
const appUrl = environment['DATABASE_URL'] || undefined;
const appPassword = appUrl === undefined ? undefined : decodeURIComponent(new URL(appUrl).password);

try {
  const report = await migrate({ ownerUrl, appPassword });
  for (const line of describe(report)) console.log(line);
  if (appPassword === undefined) console.log(`Role ${APP_ROLE}: password left as it is (DATABASE_URL is not set).`);
  else
    console.log(
      `Role ${APP_ROLE}: ${report.passwordSet ? 'password set from DATABASE_URL' : 'already signs in as DATABASE_URL says'}.`,
    );
} catch (error) {
  fail(show([explain(error)]));
}
