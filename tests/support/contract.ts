/** The table of routes, and a check that an answer is what the table says of it. */
import * as z from 'zod';
import { createApp } from '../../functions/app.ts';
import { openapiOf } from '../../functions/openapi.ts';
import type { Route } from '../../functions/route.ts';
import { ErrorOut } from '../../lib/contract.ts';

export const { routes, mounted } = createApp();

const matches = (route: Route, method: string, path: string): boolean =>
  route.method === method && new RegExp(`^${route.path.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}$`).test(path);

type Document = { paths: Record<string, Record<string, { responses: object }>> };
const { paths } = openapiOf(routes, 'https://ringleader.test') as Document;

/** @throws {Error} when `/openapi.json` does not say that the route may answer so */
const holdToDocument = (method: string, path: string, status: number): void => {
  const route = routes.find((candidate) => matches(candidate, method, path));
  if (!route) return;
  const { responses } = paths[route.path.replaceAll(/:(\w+)/g, '{$1}')]![method.toLowerCase()]!;
  if (!(status in responses)) throw new Error(`${method} ${path} answered ${status}, which the document leaves out`);
};

/** The schema that the table gives for an answer; undefined for what is no JSON of the API. */
const schemaOf = (method: string, path: string, status: number): z.ZodType | undefined => {
  const route = routes.find((candidate) => matches(candidate, method, path));
  const shape = route?.responses[status];
  if (shape instanceof z.ZodType) return shape;
  return status >= 400 && (route === undefined || 'handler' in route) ? ErrorOut : undefined;
};

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, item]) => [key, sorted(item)]),
  );
};

/** @throws {Error} when the answer lacks something that its schema has, has something that its schema lacks, or is not in the document */
export const holdToSchema = (method: string, path: string, status: number, body: unknown): void => {
  holdToDocument(method, path, status);
  const schema = schemaOf(method, path, status);
  if (!schema) return;
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new Error(`${method} ${path} ${status} does not fit its schema: ${parsed.error.message}`);
  if (JSON.stringify(sorted(parsed.data)) !== JSON.stringify(sorted(body))) {
    throw new Error(`${method} ${path} ${status} says more than its schema: ${JSON.stringify(body)}`);
  }
};
