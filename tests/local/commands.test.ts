/** The commands of `package.json` as one mistypes them. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..', '..');
const run = (args: readonly string[]): Promise<{ code: number; stderr: string }> =>
  promisify(execFile)(process.execPath, args, { cwd: root }).then(
    ({ stderr }) => ({ code: 0, stderr }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
  );

const mistyped: [command: string, args: string[], says: string][] = [
  ['bench/run.ts', ['--bogus'], "bench: Unknown option '--bogus'"],
  ['bench/run.ts', ['nothing'], 'bench: there is no benchmark nothing'],
  ['bench/run.ts', ['jobs', '--jobs', 'many'], 'bench: --jobs must be a whole number'],
  ['tests/sim/run.ts', [], 'sim: give --seed N, --seeds A..B or --minutes M'],
  ['tests/sim/run.ts', ['--bogus'], "sim: Unknown option '--bogus'"],
  ['tests/sim/run.ts', ['--seed', 'x'], 'sim: --seed must be a whole number'],
  ['tests/sim/run.ts', ['--seeds', '7'], 'sim: --seeds must be a range A..B'],
  ['tests/sim/run.ts', ['--minutes', 'x'], 'sim: --minutes must be a number'],
];

test('bench and sim say in one line what is wrong, then how they are written, and start nothing', async () => {
  for (const [command, args, says] of mistyped) {
    const { code, stderr } = await run([command, ...args]);
    expect(code, says).toBe(2);
    const [first, second] = stderr.split('\n');
    expect(first).toBe(says);
    expect(second).toMatch(/^usage: npm run /);
    expect(stderr).not.toContain('    at ');
  }
  expect(mistyped).toHaveLength(8);
});
