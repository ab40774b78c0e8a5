/**
 * `npm run deploy -- --env staging`: check, migrate, deploy, in that order; the first that fails ends it. What stands after a
 * second `--` goes to wrangler as it is. With `--dry-run` the bundle is built and measured, and nothing is migrated or uploaded.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.join(import.meta.dirname, '..');
const USAGE = 'npm run deploy -- --env staging|production [--env-file FILE] [--dry-run] [-- options of wrangler deploy]';

const misused = (line: string): never => {
  console.error(`deploy: ${line}\nusage: ${USAGE}`);
  process.exit(2);
};

const OPTIONS = {
  env: { type: 'string' },
  /** Where MIGRATE_DATABASE_URL and DATABASE_URL stand, for the migration; what the environment sets wins. */
  'env-file': { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
} as const;
const parsed = (() => {
  try {
    return parseArgs({ options: OPTIONS, strict: true, allowPositionals: true });
  } catch (error) {
    return misused((error as Error).message.split(/\n|\. /, 1).join(''));
  }
})();
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
  args: [...(envFile === undefined ? [] : [`--env-file=${path.resolve(envFile)}`]), 'scripts/migrate.ts'],
  otherwise: 'database and worker are as they were',
};
const upload: Step = {
  name: `wrangler deploy --env ${env}${dryRun ? ' --dry-run' : ''}`,
  args: [
    'node_modules/wrangler/bin/wrangler.js',
    'deploy',
    '--env',
    String(env),
    ...(dryRun ? ['--dry-run'] : []),
    ...parsed.positionals,
  ],
  otherwise: dryRun
    ? 'nothing was changed'
    : 'the worker is as it was, the database is not: it has the new schema, so deploy again soon',
};

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
