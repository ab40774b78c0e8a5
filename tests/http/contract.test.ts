import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { call, mounted, routes, stack } from './client.ts';

interface Operation {
  summary: string;
  security: object[];
  responses: Record<string, { description?: string; content?: Record<string, unknown> }>;
  parameters: { name: string; in: string }[];
}
interface Document {
  openapi: string;
  servers: { url: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
}

const document = async (): Promise<Document> => (await call<Document>(null, 'GET', '/openapi.json')).body;
const named = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}');

describe('the document', () => {
  test('names every route that is mounted, and no other', async () => {
    const { paths } = await document();
    const written = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const answered = mounted.map(({ method, path }) => `${method} ${named(path)}`);
    expect([...written].sort()).toEqual([...answered].sort());
    expect(written.length).toBe(routes.length);
    expect(written.length).toBeGreaterThan(45);
  });

  test('refers to nothing that it does not define', async () => {
    const text = JSON.stringify(await document());
    const { schemas } = (JSON.parse(text) as Document).components;
    const refs = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]);
    expect(refs.length).toBeGreaterThan(50);
    expect(refs.filter((name) => !(name in schemas))).toEqual([]);
    expect(text).not.toContain('"$ref":"#/$defs');
  });

  test('says for every operation what it does, which key it wants, and what it answers', async () => {
    const { paths, openapi } = await document();
    expect(openapi).toBe('3.1.0');
    const operations = Object.entries(paths).flatMap(([path, item]) =>
      Object.values(item).map((operation) => ({ path, operation })),
    );
    for (const { path, operation } of operations) {
      expect(operation.summary, path).not.toBe('');
      const answers = Object.values(operation.responses);
      expect(answers.length, path).toBeGreaterThan(0);
      expect(
        answers.every((answer) => answer.description),
        path,
      ).toBe(true);
      if (path.startsWith('/v1/')) expect(operation.security.length, path).toBeGreaterThan(0);
      if (path.startsWith('/v1/')) expect(operation.responses, path).toHaveProperty('401');
    }
    expect(operations.length).toBe(routes.length);
  });

  test('lets something stand beside an error, as the counts of a broken upload do', async () => {
    const { components } = await document();
    expect(components.schemas['ErrorOut']).toMatchObject({ additionalProperties: {} });
  });

  test('leaves out what callers may leave out', async () => {
    const { components } = await document();
    const preferences = components.schemas['PreferencesPut'] as { required?: string[] };
    expect(preferences.required ?? []).toEqual([]);
  });

  test('reads as a page without a script', async () => {
    const docs = await call(null, 'GET', '/docs');
    expect(docs.status).toBe(200);
    for (const { method, path } of routes) expect(docs.text).toContain(`${method} ${path}`);
    expect(docs.text).not.toContain('<script');
    expect(docs.headers.get('content-security-policy')).toContain("default-src 'none'");
  });
});

describe('around every answer', () => {
  test('health touches no database and needs no key', async () => {
    const health = await call(null, 'GET', '/health');
    expect([health.status, health.body]).toEqual([200, { status: 'ok' }]);
    expect(health.headers.get('server-timing')).toBeNull();
  });

  test('nothing is kept by caches, guessed by browsers or framed by others', async () => {
    for (const path of ['/v1/account', '/v1/nothing', '/health']) {
      const { headers } = await call(stack.apiKey, 'GET', path);
      expect(headers.get('cache-control'), path).toBe('no-store');
      expect(headers.get('x-content-type-options'), path).toBe('nosniff');
      expect(headers.get('referrer-policy'), path).toBe('no-referrer');
      expect(headers.get('content-security-policy'), path).toContain("frame-ancestors 'none'");
    }
  });

  test.each(['/v1/account', `/v1/leads/${randomUUID()}`])('%s says how long the database took', async (path) => {
    const { headers } = await call(stack.apiKey, 'GET', path);
    expect(headers.get('server-timing')).toMatch(/^db;dur=[\d.]+;desc="\d+ verbs?", connect;dur=[\d.]+$/);
  });

  test.each([
    ['GET', '/v1/nothing'],
    ['PUT', '/v1/campaigns'],
    ['DELETE', '/v1/account'],
    ['POST', '/health'],
  ])('%s %s is 404 like any path that is not there', async (method, path) => {
    const answer = await call(stack.apiKey, method, path);
    expect([answer.status, answer.body]).toEqual([404, { error: { code: 'not_found', message: 'There is nothing here.' } }]);
  });

  test('HEAD answers like GET, without a body', async () => {
    const head = await call(stack.apiKey, 'HEAD', '/v1/account');
    expect([head.status, head.text]).toEqual([200, '']);
  });
});
