/** What `wrangler deploy` would upload, to each environment: accepted, below its limit, with every binding, and nothing local in it. */
import fs from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { unstable_readConfig as readConfig } from 'wrangler';
import { testDirectory } from '../support/directory.ts';
import { dryRun, WRANGLER_TOML as config } from '../support/dry-run.ts';

/** Each dry run takes a second or two, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const root = path.resolve(import.meta.dirname, '..', '..');
const out = testDirectory('bundle');
afterAll(() => fs.rmSync(out, { recursive: true }));

const LIMIT = 350 * 1024;
const OURS_ALONE = /^(local|tests|bench|scripts)\//;
/** Words of the local clock, its switches and the stand-ins that outlive minifying. */
const WORDS = ['LOCAL_CLOCK', 'NEON_WS_PROXY', 'x-boot-id', 'virtualStart', 'realStart'];

interface Bundle {
  /** What wrangler said. */
  says: string;
  /** Text of each script by file name. */
  scripts: Map<string, string>;
  /** The sources that went into it, relative to the project. */
  sources: string[];
}

/** A dry run of `wrangler deploy`: what it would upload. */
const bundleOf = (name: string, ...args: string[]): Bundle => {
  const outdir = path.join(out, name);
  const says = dryRun(outdir, ...args);
  const files = fs.readdirSync(outdir);
  const text = (file: string): string => fs.readFileSync(path.join(outdir, file), 'utf8');
  const maps = files.filter((file) => file.endsWith('.map')).map((file) => JSON.parse(text(file)) as { sources?: string[] });
  return {
    says,
    scripts: new Map(files.filter((file) => /\.m?js$/.test(file)).map((file) => [file, text(file)])),
    sources: maps.flatMap(({ sources = [] }) => sources.map((source) => path.relative(root, path.resolve(outdir, source)))),
  };
};
const holding = ({ scripts }: Bundle, word: string): string[] =>
  [...scripts].filter(([, text]) => text.includes(word)).map(([file]) => file);

describe.each(['staging', 'production'])('the bundle of %s', (env) => {
  let bundle: Bundle;
  beforeAll(() => {
    bundle = bundleOf(env, '--env', env);
  });

  test('is accepted by wrangler deploy --dry-run, with every binding and variable of wrangler.toml', () => {
    const { durable_objects, vars } = readConfig({ config }, { hideWarnings: true });
    expect(durable_objects.bindings.length).toBeGreaterThan(0);
    expect(Object.keys(vars)).toContain('EMAIL_CAMPAIGN_SUMMARY_ENABLED');
    for (const { name, class_name } of durable_objects.bindings) expect(bundle.says).toContain(`env.${name} (${class_name})`);
    for (const [name, value] of Object.entries(vars)) expect(bundle.says).toContain(`env.${name} ("${String(value)}")`);
  });

  test('stays within 350 KiB gzipped', () => {
    const gzipped = [...bundle.scripts.values()].reduce((sum, text) => sum + gzipSync(text).length, 0);
    console.log(`bundle of ${env}: ${(gzipped / 1024).toFixed(0)} KiB gzipped, at most ${LIMIT / 1024}`);
    expect(gzipped).toBeGreaterThan(100 * 1024);
    expect(gzipped).toBeLessThanOrEqual(LIMIT);
  });

  test('holds nothing of local/, tests/, bench/ or scripts/: neither their files nor a word of the local clock and stand-ins', () => {
    expect(bundle.sources.filter((source) => source.startsWith('functions/')).length).toBeGreaterThan(10);
    expect(bundle.sources.filter((source) => OURS_ALONE.test(source))).toEqual([]);
    for (const word of WORDS) expect(holding(bundle, word), word).toEqual([]);
    expect(WORDS).toHaveLength(5);
  });
});

test('the same look at the worker that npm start runs finds all of it: files, clock and stand-ins', () => {
  const local = bundleOf('local', path.join('local', 'worker.ts'));
  expect(local.sources.filter((source) => OURS_ALONE.test(source))).toEqual(
    expect.arrayContaining(['local/worker.ts', 'local/clock.ts']),
  );
  for (const word of WORDS) expect(holding(local, word), word).toHaveLength(1);
});
