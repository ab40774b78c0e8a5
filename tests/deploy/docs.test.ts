/** What the documents tell a deployer to run, read or look for exists. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { createApp } from '../../functions/app.ts';
import { OURS, WORKER } from '../../scripts/doctor/variables.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const read = (file: string): string => fs.readFileSync(path.join(root, file), 'utf8');
const DOCS = ['docs/deploy.md', 'docs/runbook.md', 'README.md'] as const;

describe.each(DOCS)('%s', (file) => {
  const text = read(file);

  test('names only commands, and options of them, that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...text.matchAll(/npm run ([\w:]+)(?: -- ([^`|\n#]*))?/g)];
    expect(named.length).toBeGreaterThan(3);
    for (const [, name = '', options = ''] of named) {
      const command = scripts[name];
      expect(command, name).toBeDefined();
      const script = /scripts\/(deploy|doctor|smoke|migrate)\.ts/.exec(command ?? '')?.[0];
      if (script === undefined) continue;
      for (const [, option = ''] of options.matchAll(/--([a-z-]+)/g))
        expect(read(script), `${script} --${option}`).toMatch(new RegExp(`'?${option}'?: \\{`));
    }
  });

  test('links only to files and headings that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link = '']) => link);
    for (const link of links) {
      const [target = '', heading] = link.split('#');
      if (target !== '') expect(fs.existsSync(path.resolve(root, path.dirname(file), target)), link).toBe(true);
      const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      );
      if (heading !== undefined && target === '') expect(headings).toContain(heading);
    }
  });

  test('names only routes of the API that exist', () => {
    const routes = createApp().routes.map(({ path: route }) => new RegExp(`^${route.replaceAll(/:\w+/g, '[^/]+')}$`));
    const named = [...text.matchAll(/\/(?:v1|webhooks)\/[\w/:$.<>-]*[\w>]/g)].map(([route]) => route);
    expect(named.length).toBeGreaterThan(1);
    for (const route of named)
      expect(
        routes.some((known) => known.test(route)),
        route,
      ).toBe(true);
  });
});

test('the runbook has a filter for every error type, and the deployer’s file every required variable', () => {
  const types = [...(/export type ErrorType =([^;]+);/.exec(read('lib/errors.ts'))?.[1] ?? '').matchAll(/'(\w+)'/g)].map(
    ([, type]) => type,
  );
  expect(types).toHaveLength(12);
  for (const type of types) expect(read('docs/runbook.md'), type).toContain(`error_type:${type}`);
  const example = [...read('docs/env.example').matchAll(/^(\w+)=$/gm)].map(([, name]) => name);
  expect(example).toEqual(expect.arrayContaining(WORKER.filter(({ required }) => required).map(({ name }) => name)));
  for (const name of example) expect([...WORKER, ...OURS].map((known) => known.name)).toContain(name);
});
