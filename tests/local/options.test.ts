import fs from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseOptions, USAGE, UsageError } from '../../local/options.ts';
import { testDirectory } from '../support/directory.ts';

const cwd = testDirectory('options');
afterAll(() => fs.rmSync(cwd, { recursive: true }));
fs.writeFileSync(path.join(cwd, 'my leads.csv'), 'phone\n');
fs.writeFileSync(path.join(cwd, 'file'), '');

const defaults = {
  port: 8787,
  dataDir: path.join(cwd, '.local'),
  fresh: false,
  speed: 60,
  now: undefined,
  demo: true,
  cron: true,
  callingRules: false,
  csv: undefined,
};

describe('the options of npm start', () => {
  const good: [args: string[], change: Partial<typeof defaults> | object][] = [
    [[], {}],
    [['--port', '0'], { port: 0 }],
    [['--port=65535'], { port: 65535 }],
    [['--data-dir', 'a b'], { dataDir: path.join(cwd, 'a b') }],
    [['--data-dir', '/x'], { dataDir: '/x' }],
    [['--fresh'], { fresh: true }],
    [['--speed', '1'], { speed: 1 }],
    [['--speed', '2.5'], { speed: 2.5 }],
    [['--speed', '60'], { speed: 60 }],
    [['--now', '2026-03-01T09:00:00Z'], { now: Date.UTC(2026, 2, 1, 9) }],
    [['--now', '2026-03-01T09:00+05:30'], { now: Date.UTC(2026, 2, 1, 3, 30) }],
    [['--no-demo', '--no-cron'], { demo: false, cron: false }],
    [['--calling-rules', 'on'], { callingRules: true }],
    [['--calling-rules', 'off'], { callingRules: false }],
    [['my leads.csv'], { csv: path.join(cwd, 'my leads.csv') }],
  ];
  test('are read as they are meant', () => {
    for (const [args, change] of good) expect(parseOptions(args, cwd), args.join(' ')).toEqual({ ...defaults, ...change });
    expect(good).toHaveLength(15);
  });

  test('are all in the help, and all of the help is an option', () => {
    const named = [...USAGE.matchAll(/^ {2}(--[a-z-]+)( \S+)?/gm)].map(([, name = '', value = '']) => ({ name, value }));
    const known = good.flatMap(([args]) => args.map((arg) => arg.split('=', 1)[0]!)).filter((arg) => arg.startsWith('--'));
    expect(named.map(({ name }) => name).filter((name) => name !== '--help')).toEqual([...new Set(known)]);
  });

  const bad: [args: string[], says: RegExp][] = [
    [['--port', 'x'], /^--port must be a whole number/],
    [['--port', '-1'], /^--port must be a whole number/],
    [['--port', '65536'], /^--port must be a whole number/],
    [['--port', '80.5'], /^--port must be a whole number/],
    [['--port'], /^--port must be a whole number/],
    [['--data-dir', ''], /^--data-dir must be a directory/],
    [['--data-dir', 'file'], /^--data-dir must be a directory/],
    [['--speed', '0'], /^--speed must be a number from 1 to 60/],
    [['--speed', '61'], /^--speed must be .* 10 minutes is shorter than two create-call time-outs of 5 real seconds/],
    [['--speed', 'fast'], /^--speed must be/],
    [['--speed', 'Infinity'], /^--speed must be/],
    [['--speed', '1e1'], /^--speed must be/],
    [['--now', 'yesterday'], /^--now must be an ISO 8601 instant/],
    [['--now', '2026-03-01T09:00:00'], /^--now must be .* with Z or an offset/],
    [['--now', '2026-13-01T09:00:00Z'], /^--now must be/],
    [['--now', '1999-01-01T00:00:00Z'], /^--now must be .* from 2000 to 2099/],
    [['--calling-rules', 'maybe'], /^--calling-rules must be on or off/],
    [['--calling-rules'], /^--calling-rules must be on or off/],
    [['--fresh=yes'], /--fresh/],
    [['--unknown'], /^Unknown option '--unknown': npm start -- --help lists them$/],
    [['missing.csv'], /missing\.csv cannot be read/],
    [['.'], /is not a file/],
    [['my leads.csv', 'my leads.csv'], /only one CSV/],
    [['my leads.csv', '--no-demo'], /--no-demo and a CSV path exclude each other/],
  ];
  test('are refused in one line that names the option and its rule', () => {
    for (const [args, says] of bad) {
      let message = '';
      try {
        parseOptions(args, cwd);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        message = (error as Error).message;
      }
      expect(message, args.join(' ')).toMatch(says);
      expect(message, args.join(' ')).not.toContain('\n');
    }
    expect(bad).toHaveLength(24);
  });
});
