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

test('every link of a document leads to a file and a heading that exist', () => {
  const documents = ['.', 'docs', 'docs/adr'].flatMap((directory) =>
    fs
      .readdirSync(path.join(root, directory))
      .filter((name) => name.endsWith('.md'))
      .map((name) => path.join(directory, name)),
  );
  const headingsOf = (file: string): string[] =>
    [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
  let followed = 0;
  for (const file of documents)
    for (const [, link = ''] of read(file).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [name = '', heading] = link.split('#');
      const target = name === '' ? file : path.join(path.dirname(file), name);
      expect(fs.existsSync(path.join(root, target)), `${file}: ${link}`).toBe(true);
      if (heading !== undefined) expect(headingsOf(target), `${file}: ${link}`).toContain(heading);
      followed += 1;
    }
  expect(followed).toBeGreaterThan(20);
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
