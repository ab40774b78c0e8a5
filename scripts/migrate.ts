/**
 * `npm run migrate`: brings the database of MIGRATE_DATABASE_URL (the owner's direct connection) to `schema.sql`, and gives
 * the app role the password that DATABASE_URL carries. Safe to run again.
 */
import { APP_ROLE, migrate, type MigrateReport } from '../local/migrate.ts';

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

const describe = ({ made, changed, dropped }: MigrateReport): string => {
  if (made + changed + dropped === 0) return 'Schema: up to date, nothing changed.';
  return `Schema: ${made} made, ${changed} changed, ${dropped} dropped (tables, columns, indexes, constraints, policies, functions).`;
};

const ownerUrl = process.env['MIGRATE_DATABASE_URL'] ?? fail("MIGRATE_DATABASE_URL is missing: the owner's direct connection.");
parse('MIGRATE_DATABASE_URL', ownerUrl);
const appUrl = process.env['DATABASE_URL'];
const app = appUrl === undefined ? undefined : parse('DATABASE_URL', appUrl);
if (app && app.username !== APP_ROLE) fail(`DATABASE_URL must sign in as ${APP_ROLE}, the role without rights of its own.`);
const appPassword = app ? decodeURIComponent(app.password) : undefined;
if (appPassword === '') fail('DATABASE_URL has no password.');

try {
  const report = await migrate({ ownerUrl, appPassword });
  console.log(describe(report));
  if (appPassword === undefined) console.log(`Role ${APP_ROLE}: password left as it is (DATABASE_URL is not set).`);
  else
    console.log(
      `Role ${APP_ROLE}: ${report.passwordSet ? 'password set from DATABASE_URL' : 'already signs in as DATABASE_URL says'}.`,
    );
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
