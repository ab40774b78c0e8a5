/**
 * `npm run migrate`: brings the database of MIGRATE_DATABASE_URL (the owner's direct connection) to `schema.sql`, and gives
 * the app role the password that DATABASE_URL carries. Says what it did; safe to run again.
 */
import { APP_ROLE, migrate, type MigrateReport } from '../local/migrate.ts';
import { misusedBy, optionsOf, readEnvFile } from './command-line.ts';

const misused = misusedBy('migrate', 'npm run migrate [-- --env-file FILE]');
const OPTIONS = {
  /** Where MIGRATE_DATABASE_URL and DATABASE_URL stand; what the environment sets wins. */
  'env-file': { type: 'string' },
} as const;
const { 'env-file': file } = optionsOf(OPTIONS, misused).values;
const environment = { ...(file === undefined ? {} : readEnvFile(file, misused)), ...process.env };

const fail = (line: string): never => {
  console.error(line);
  process.exit(1);
};

const parse = (name: string, text: string): URL => {
  const url = URL.parse(text);
  return url && /^postgres(ql)?:$/.test(url.protocol)
    ? url
    : fail(`${name} must be a URL such as postgres://user:password@host/database`);
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

const ownerUrl =
  environment['MIGRATE_DATABASE_URL'] ||
  fail(
    'MIGRATE_DATABASE_URL is missing: the owner\'s direct connection (Neon console, Connect, "Connection pooling" off). Set it, or name its file with --env-file.',
  );
if (parse('MIGRATE_DATABASE_URL', ownerUrl).username === APP_ROLE)
  fail(`MIGRATE_DATABASE_URL signs in as ${APP_ROLE}: it must be the owner of the database.`);
const appUrl = environment['DATABASE_URL'] || undefined;
const app = appUrl === undefined ? undefined : parse('DATABASE_URL', appUrl);
if (app && app.username !== APP_ROLE) fail(`DATABASE_URL must sign in as ${APP_ROLE}, the role without rights of its own.`);
const appPassword = app ? decodeURIComponent(app.password) : undefined;
if (appPassword === '') fail('DATABASE_URL has no password.');

try {
  const report = await migrate({ ownerUrl, appPassword });
  for (const line of describe(report)) console.log(line);
  if (appPassword === undefined) console.log(`Role ${APP_ROLE}: password left as it is (DATABASE_URL is not set).`);
  else
    console.log(
      `Role ${APP_ROLE}: ${report.passwordSet ? 'password set from DATABASE_URL' : 'already signs in as DATABASE_URL says'}.`,
    );
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
