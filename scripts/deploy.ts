/**
 * `npm run deploy -- --env staging`: check, migrate, deploy, in that order; the first that fails ends it. Whoever is not signed in to
 * Cloudflare is told before the database is touched. What stands after a second `--` goes to wrangler as it is. With `--dry-run` the
 * bundle is built and measured, and nothing is migrated or uploaded.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { misusedBy, optionsOf } from './command-line.ts';

const root = path.join(import.meta.dirname, '..');
const WRANGLER = 'node_modules/wrangler/bin/wrangler.js';
const USAGE = 'npm run deploy -- --env staging|production [--env-file FILE] [--dry-run] [-- options of wrangler deploy]';

const misused = misusedBy('deploy', USAGE);

const OPTIONS = {
  env: { type: 'string' },
  /** Where MIGRATE_DATABASE_URL and DATABASE_URL stand, for the migration; what the environment sets wins. */
  'env-file': { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
} as const;
const parsed = optionsOf(OPTIONS, misused, true);
const { env, 'env-file': envFile, 'dry-run': dryRun } = parsed.values;
if (env !== 'staging' && env !== 'production') misused('say where to: --env staging or --env production');

interface Step {
  name: string;
  /** For Node. */
  args: readonly string[];
  /** What holds when it fails. */
  otherwise: string;
}
const check: Step = { name: 'check', args: ['scripts/check.mjs'], otherwise: 'database and worker are as they were' };
const migrate: Step = {
  name: 'migrate',
  args: ['scripts/migrate.ts', ...(envFile === undefined ? [] : ['--env-file', path.resolve(envFile)])],
  otherwise: 'database and worker are as they were',
};
const upload: Step = {
  name: `wrangler deploy --env ${env}${dryRun ? ' --dry-run' : ''}`,
  args: [WRANGLER, 'deploy', '--env', String(env), ...(dryRun ? ['--dry-run'] : []), ...parsed.positionals],
  otherwise: dryRun ? 'nothing was changed' : 'the worker is as it was, the database has the new schema: deploy again soon',
};

/** Says so and ends when wrangler knows that nobody is signed in; when it cannot tell, the deploy will. */
const checkSignIn = (): void => {
  const { stdout } = spawnSync(process.execPath, [WRANGLER, 'whoami', '--json'], { cwd: root, encoding: 'utf8' });
  if (!/"loggedIn":\s*false/.test(stdout)) return;
  console.error(
    'deploy: nobody is signed in to Cloudflare, so it ends here; database and worker are as they were\n      → npx wrangler login, or in CI: CLOUDFLARE_API_TOKEN (template "Edit Cloudflare Workers") and CLOUDFLARE_ACCOUNT_ID',
  );
  process.exit(1);
};

if (!dryRun) checkSignIn();
for (const { name, args, otherwise } of dryRun ? [check, upload] : [check, migrate, upload]) {
  console.log(`deploy: ${name} …`);
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    console.error(`deploy: ${name} failed${error ? ` (${error.message})` : ''}, so it ends here; ${otherwise}`);
    process.exit(1);
  }
}
console.log(
  dryRun ? `deploy: ${env} can be deployed; nothing was changed` : `deploy: ${env} is deployed; npm run doctor tells how it is`,
);
