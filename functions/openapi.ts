/** `/openapi.json` and `/docs`, both written from the table that mounts the routes and the schemas that validate them. */
import * as z from 'zod';
import * as contract from '../lib/contract.ts';
import { escapeHtml } from '../lib/domain/html.ts';
import type { AnswerShape, ApiRoute, Route } from './route.ts';

type Json = Record<string, unknown>;

/** OpenAPI's schemas carry neither a dialect nor an address of their own. */
const bare = ({ $schema: _dialect, $id: _address, ...schema }: Json): Json => schema;

/** Every integer of ours is a safe one: not worth two lines each. */
const override = ({ jsonSchema }: { jsonSchema: Json }): void => {
  if (jsonSchema['minimum'] === Number.MIN_SAFE_INTEGER) delete jsonSchema['minimum'];
  if (jsonSchema['maximum'] === Number.MAX_SAFE_INTEGER) delete jsonSchema['maximum'];
};

/** Every named schema of the contract becomes a component of that name; those of bodies as callers write them, the rest as we answer. */
const componentsOf = (bodies: ReadonlySet<unknown>): { schemas: Json; refs: Map<z.ZodType, string> } => {
  const registry = z.registry<{ id: string }>();
  const refs = new Map<z.ZodType, string>();
  for (const [name, value] of Object.entries(contract)) {
    if (!(value instanceof z.ZodType)) continue;
    registry.add(value, { id: name });
    refs.set(value, name);
  }
  const uri = (id: string): string => `#/components/schemas/${id}`;
  const written = z.toJSONSchema(registry, { io: 'input', uri, override }).schemas;
  const answered = z.toJSONSchema(registry, { io: 'output', uri, override }).schemas;
  const schemas: Json = {};
  for (const [schema, name] of refs) schemas[name] = bare((bodies.has(schema) ? written : answered)[name] as Json);
  return { schemas, refs };
};

const REASONS: Readonly<Record<number, string>> = {
  200: 'Done',
  201: 'Made',
  202: 'Accepted, not done yet',
  204: 'Done, nothing to say',
  400: 'The request is not valid; details name the field and the rule',
  401: 'No valid key',
  404: 'No such thing in this account',
  409: 'Not in this state; the message says what is allowed',
  413: 'The body is too large',
  415: 'The body is of another type than this path takes',
  422: 'The provider refused',
  500: 'A fault on our side; reported',
  503: 'Configuration or database not available',
};

const isApi = (route: Route): route is ApiRoute => 'handler' in route;

/** The statuses of refusal that a route can answer, from what it takes: a query that nobody asked for is a 400 everywhere. */
const refusalsOf = (route: Route): number[] => {
  if (!isApi(route)) return [...(route.refusals ?? []), 500, 503];
  const takesBody = route.method !== 'GET' && route.method !== 'DELETE';
  return [
    400,
    ...(route.auth === 'none' ? [] : [401]),
    ...(route.params ? [404] : []),
    ...(takesBody ? [413, 415] : []),
    ...(route.creates ? [409] : []),
    ...(route.refusals ?? []),
    500,
    503,
  ];
};

/** Turns route data into the document. */
export const openapiOf = (routes: readonly Route[], publicUrl: string): Json => {
  const bodies = new Set(routes.map((route) => (isApi(route) ? route.body : undefined)));
  const { schemas, refs } = componentsOf(bodies);
  const inline = (schema: z.ZodType, io: 'input' | 'output'): Json => {
    const name = refs.get(schema);
    return name === undefined ? bare(z.toJSONSchema(schema, { io, override })) : { $ref: `#/components/schemas/${name}` };
  };

  const content = (shape: AnswerShape): Json | undefined => {
    if (shape === null) return undefined;
    if (typeof shape === 'string') return { [shape]: { schema: { type: shape === 'application/json' ? 'object' : 'string' } } };
    return { 'application/json': { schema: inline(shape, 'output') } };
  };

  const responsesOf = (route: Route): Json => {
    const responses: Json = {};
    for (const [status, shape] of Object.entries(route.responses)) {
      const body = content(shape);
      responses[status] = { description: REASONS[Number(status)] ?? 'Done', ...(body ? { content: body } : {}) };
    }
    for (const status of refusalsOf(route)) {
      responses[status] ??= { description: REASONS[status], content: content(contract.ErrorOut) };
    }
    return responses;
  };

  const parametersOf = (route: Route): Json[] => {
    const names = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1]!);
    const inPath = names.map((name) => ({
      name,
      in: 'path',
      required: true,
      schema: name === 'id' ? { type: 'string', format: 'uuid' } : { type: 'string' },
    }));
    if (!isApi(route)) return inPath;
    const query = route.query
      ? ((bare(z.toJSONSchema(route.query, { io: 'output', override }))['properties'] ?? {}) as Json)
      : {};
    const inQuery = Object.entries(query).map(([name, schema]) => ({ name, in: 'query', required: false, schema }));
    const key = { name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', maxLength: 255 } };
    return [...inPath, ...inQuery, ...(route.creates ? [key] : [])];
  };

  const bodyOf = (route: ApiRoute): Json => ({
    ...(route.body ? { 'application/json': { schema: inline(route.body, 'input') } } : {}),
    ...(route.csv ? { 'text/csv': { schema: { type: 'string' } } } : {}),
  });

  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    const auth = isApi(route) ? route.auth : 'none';
    const schemes = { none: [], account: ['account'], admin: ['admin'], either: ['account', 'admin'] }[auth];
    const body = isApi(route) ? bodyOf(route) : {};
    (paths[path] ??= {})[route.method.toLowerCase()] = {
      tags: [route.tag],
      summary: route.summary,
      operationId: `${route.method.toLowerCase()}${route.path.replaceAll(/[^A-Za-z0-9]+/g, '_')}`,
      security: schemes.map((scheme) => ({ [scheme]: [] })),
      parameters: parametersOf(route),
      ...(Object.keys(body).length > 0 ? { requestBody: { required: true, content: body } } : {}),
      responses: responsesOf(route),
    };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Ringleader', version: '1', description: 'Outbound AI-call campaigns.' },
    servers: [{ url: publicUrl }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        account: { type: 'http', scheme: 'bearer', description: 'A key of the account.' },
        admin: { type: 'http', scheme: 'bearer', description: 'The key of the deployment.' },
      },
    },
  };
};

/** The list of routes for people: plain HTML, no script, nothing from elsewhere. */
export const docsOf = (routes: readonly Route[]): string => {
  const groups = Map.groupBy(routes, (route) => route.tag);
  const row = (route: Route): string => {
    const auth = isApi(route)
      ? { none: 'none', account: 'account key', admin: 'admin key', either: 'account or admin key' }[route.auth]
      : 'none';
    const codes = Object.keys(route.responses).concat(refusalsOf(route).map(String));
    const unique = [...new Set(codes)].sort().join(' ');
    return `<tr><td><code>${route.method} ${escapeHtml(route.path)}</code></td><td>${escapeHtml(route.summary)}</td><td>${auth}</td><td>${unique}</td></tr>`;
  };
  const section = ([tag, list]: [string, Route[]]): string =>
    `<h2>${escapeHtml(tag)}</h2><table><thead><tr><th>Route<th>Does<th>Key<th>Answers</thead><tbody>${list.map(row).join('')}</tbody></table>`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Ringleader API</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1d2430}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #dde2ea;vertical-align:top}
code{font:14px ui-monospace,monospace;white-space:nowrap}
@media(max-width:50rem){code{white-space:normal;overflow-wrap:anywhere}thead{position:absolute;clip-path:inset(50%)}
tr,td{display:block}td{border:0;padding:0}tr{padding:.35rem 0;border-bottom:1px solid #dde2ea}}</style></head><body><main><h1>Ringleader API</h1>
<p>Send <code>Authorization: Bearer &lt;key&gt;</code> and JSON in snake_case. Errors are <code>{"error":{"code","message","details"}}</code>; a list is
<code>{"data","next_cursor"}</code> with <code>?limit=</code> and <code>?cursor=</code>. Every POST that makes something honours <code>Idempotency-Key</code>.
The schemas are in <a href="/openapi.json">/openapi.json</a>.</p>${[...groups].map(section).join('')}</main></body></html>`;
};
