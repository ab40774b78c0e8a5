/** The shape of the house: who may import whom, what may stand where. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const walk = (dir: string): string[] =>
  readdirSync(path.join(root, dir), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(`${dir}/${entry.name}`) : [`${dir}/${entry.name}`],
  );
const code = (...dirs: string[]): string[] =>
  dirs.flatMap(walk).filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts'));
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
/** Without comments, so that prose may name what code may not. */
const bare = (file: string): string =>
  read(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '$1');
const imports = (file: string): string[] =>
  [...bare(file).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, name]) => {
    const target = name;
    return target.startsWith('.') ? path.posix.normalize(path.posix.join(path.posix.dirname(file), target)) : target;
  });
const production = code('functions', 'lib');

/** Files of `among` in which `pattern` stands, save those allowed. */
const standsIn = (among: readonly string[], pattern: RegExp, allowed: (file: string) => boolean): string[] =>
  among.filter((file) => !allowed(file) && pattern.test(bare(file)));
const importers = (among: readonly string[], name: RegExp): string[] =>
  among.filter((file) => imports(file).some((target) => name.test(target)));

describe('who may import whom', () => {
  test('there is something to look at', () => {
    expect(production.length).toBeGreaterThan(40);
  });

  test('lib never imports functions; nothing imports local, bench or tests', () => {
    expect(importers(code('lib'), /^functions\//)).toEqual([]);
    expect(importers(production, /^(local|bench|tests|scripts)\//)).toEqual([]);
  });

  test('lib/domain is pure: it imports only itself and pure packages, and knows no clock, randomness, network or process', () => {
    const domain = code('lib/domain');
    const pure = /^(lib\/domain\/|libphonenumber-js|fast-csv$|zod$)/;
    expect(domain.flatMap((file) => imports(file).filter((target) => !pure.test(target)))).toEqual([]);
    expect(
      standsIn(domain, /\bfetch\(|Date\.now|new Date\(\)|Math\.random|crypto\.|process\.|performance\./, () => false),
    ).toEqual([]);
  });

  test('the driver lives in lib/db.ts, Sentry in lib/sentry.ts, Postmark in lib/mail.ts, Hono in functions', () => {
    expect(importers(production, /^@neondatabase\//)).toEqual(['lib/db.ts']);
    expect(importers(production, /^@sentry\//)).toEqual(['lib/sentry.ts']);
    expect(importers(production, /^postmark$/)).toEqual(['lib/mail.ts']);
    expect(importers(code('lib'), /^hono/)).toEqual([]);
    expect(importers(production, /^pg$/)).toEqual([]);
  });

  test('webhooks, dispatch and campaign-complete each import the one db wrapper', () => {
    for (const file of ['functions/webhooks.ts', 'functions/dispatch.ts', 'functions/campaign-complete.ts']) {
      expect(imports(file), file).toContain('lib/db.ts');
      expect(bare(file), file).toMatch(/\bwithDb\(/);
    }
  });

  test('the wrapper exports nothing that is or holds a pool or a client', async () => {
    const db = (await import('../lib/db.ts')) as Record<string, unknown>;
    expect(Object.values(db).every((value) => typeof value === 'function')).toBe(true);
    expect(bare('lib/db.ts')).not.toMatch(/export[^;{]*\b(Pool|Client|PoolClient|neonConfig)\b/);
  });

  test('no module of the worker keeps mutable state', () => {
    expect(standsIn(production, /^(export )?(let|var) /m, () => false)).toEqual([]);
    expect(standsIn(production, /^(export )?const \w+(: [^=]+)? = (new (Map|WeakMap)\(\)|\[\]|\{\});/m, () => false)).toEqual([]);
  });
});

describe('what may stand where', () => {
  test('SQL text stands in schema.sql and lib/verbs.ts alone', () => {
    const sql = /(['"`])\s*(select|insert into|update|delete from|with)\s[^'"`]*\b(from|into|set|values|ringleader)\b/i;
    expect(standsIn(production, sql, (file) => file === 'lib/verbs.ts')).toEqual([]);
  });

  test('the network is reached from providers, mail and sentry alone', () => {
    const allowed = (file: string): boolean =>
      file.startsWith('lib/providers/') || ['lib/mail.ts', 'lib/sentry.ts'].includes(file);
    expect(
      standsIn(
        production,
        /(await|return|=>|=|\(|\[|,)\s*fetch\(/,
        (file) => allowed(file) || file.startsWith('functions/dashboard/'),
      ),
    ).toEqual([]);
  });

  test('no SQL looks at a clock: time is a parameter of every verb', () => {
    const schema = read('schema.sql').replace(/--.*$/gm, '');
    const clocks =
      /\b(now\s*\(|clock_timestamp|statement_timestamp|transaction_timestamp|current_timestamp|localtimestamp|current_date|current_time|timeofday)\b/i;
    expect(schema).not.toMatch(clocks);
    expect(bare('lib/verbs.ts')).not.toMatch(/\bnow\s*\(\s*\)/);
  });

  test('no SQL draws ids or randomness of its own', () => {
    expect(read('schema.sql').replace(/--.*$/gm, '')).not.toMatch(/\b(gen_random_uuid|random\s*\(|uuid_generate)/i);
  });

  test('the worker cannot tell the phone network from Bolna, nor the inbox from Postmark, but by the base URL', () => {
    const tells = /127\.0\.0\.1|localhost|phone.?network|\binbox\b|__LOCAL__|NODE_ENV|is_?local\b|\bdemo\b/i;
    // env.ts decides which hosts a base URL may name; nothing else may ask.
    expect(standsIn(production, tells, (file) => file === 'lib/env.ts' || file.startsWith('functions/dashboard/'))).toEqual([]);
  });

  test('nothing is silenced: no empty catch, no skipped test, no disabled rule', () => {
    const all = [...production, ...code('local', 'tests')].filter((file) => file !== 'tests/house.test.ts');
    expect(standsIn(all, /catch\s*(\([^)]*\))?\s*\{\s*\}|\.catch\(\(\)\s*=>\s*\{\s*\}\)/, () => false)).toEqual([]);
    expect(standsIn(all, /\b(it|test|describe)\.(skip|only|todo)\b/, () => false)).toEqual([]);
    expect(
      all.filter((file) => /@ts-(ignore|nocheck|expect-error)|(eslint|oxlint)-disable|\b(TODO|FIXME)\b/.test(read(file))),
    ).toEqual([]);
  });

  test('no timer stands in for a signal: waits are where one is meant, and bounded (class 44)', () => {
    const waits = ['functions/dashboard/live.ts', 'functions/worker.ts', 'lib/db-session.ts', 'lib/db.ts'];
    expect(standsIn(production, /\bsetTimeout\b|\bsetInterval\b/, () => false).toSorted()).toEqual(waits);
  });

  test('what must be impossible is named by a test, and tests name nothing else', () => {
    const listed = [...read('docs/failure-classes.md').matchAll(/^\| (\d+) /gm)].map(([, number]) => Number(number));
    expect(listed).toEqual(Array.from({ length: 46 }, (_, i) => i + 1));
    const named = code('tests').flatMap((file) =>
      [...read(file).matchAll(/\bclass(?:es)? (\d+(?:, \d+)*)/gi)].flatMap(([, numbers]) => numbers!.split(', ').map(Number)),
    );
    const uncharged = 42;
    expect([...new Set([...named, uncharged])].toSorted((a, b) => a - b)).toEqual(listed);
  });

  test('files can be read in a sitting', () => {
    const long = [...production, ...code('local')].filter((file) => read(file).split('\n').length > 400);
    // A table, read by looking up: the shapes of the API.
    expect(long.filter((file) => file !== 'lib/contract.ts')).toEqual([]);
  });

  test('the project stands alone: no path of a machine, no registry host, no download address in the lock', () => {
    const text = ['functions', 'lib', 'local', 'tests', 'scripts', 'docs', 'examples', '.ci', 'bench']
      .filter((dir) => existsSync(path.join(root, dir)))
      .flatMap(walk)
      .concat(readdirSync(root).filter((name) => /\.(md|json|toml|sql|ts)$/.test(name)))
      .filter((file) => file !== 'tests/house.test.ts' && statSync(path.join(root, file)).size < 3_000_000);
    const machine = /(^|[\s'"`(=])\/(home|root|mnt|srv|work)\/[A-Za-z0-9_-]|registry\.npmjs|deb\.debian|\.\.\/shared\b/m;
    expect(text.filter((file) => machine.test(read(file)))).toEqual([]);
    expect(read('package-lock.json')).not.toMatch(/"resolved": "http/);
  });

  test('the cron schedules and the mail switch of the deployment are on', () => {
    const toml = read('wrangler.toml');
    expect(toml).toContain('crons = ["* * * * *", "*/5 * * * *"]');
    expect(toml).toContain('EMAIL_CAMPAIGN_SUMMARY_ENABLED = "true"');
    expect(toml).not.toMatch(/(SECRET|TOKEN|PASSWORD|_KEY)\s*=/);
  });
});
