/** What `wrangler deploy` would upload, made without uploading it. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
export const WRANGLER_TOML = path.join(ROOT, 'wrangler.toml');

/**
 * Runs `wrangler deploy … --dry-run`; the files are in `outdir` then.
 * @returns what wrangler said
 * @throws {Error} with what it said, when it refuses
 */
export const dryRun = (outdir: string, ...args: string[]): string => {
  fs.mkdirSync(outdir, { recursive: true });
  const wrangler = path.join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
  const quiet = {
    CI: '1',
    NO_COLOR: '1',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_LOG_PATH: path.join(path.dirname(outdir), 'log'),
  };
  const all = [wrangler, 'deploy', ...args, '--dry-run', '--outdir', outdir, '--config', WRANGLER_TOML];
  const run = spawnSync(process.execPath, all, { cwd: ROOT, encoding: 'utf8', env: { ...process.env, ...quiet } });
  if (run.status !== 0) throw new Error(`wrangler refuses to deploy:\n${run.stdout}${run.stderr}`);
  return run.stdout;
};
