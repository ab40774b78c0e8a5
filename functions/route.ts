/**
 * What a route is: one piece of data that mounts it, authorises and validates it, and documents it in `/openapi.json`.
 */
import * as z from 'zod';
import type { Invocation } from '../lib/compose.ts';
import { Id } from '../lib/contract.ts';
import type { Deps } from '../lib/deps.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** Whose key a route wants. `either`: an account's or the admin's. */
export type Auth = 'none' | 'account' | 'admin' | 'either';

/** Derives secrets and ids for what a request creates; the same for every repetition under one idempotency key, else random. */
export interface Mint {
  id(purpose: string): Promise<string>;
  /** 32 bytes for a key that is shown once. */
  secret(purpose: string): Promise<Uint8Array>;
}

export interface CsvBody {
  stream: ReadableStream<Uint8Array>;
  declaredBytes: number | null;
}

/** One request as a handler sees it: authorised, its input parsed. */
export interface Call<P, Q, B> {
  deps: Deps;
  /** The caller's account; null when the admin key was used. */
  account: string | null;
  params: P;
  query: Q;
  body: B;
  /** A `text/csv` body as it arrives, and its Content-Length when it had one; null when the body was JSON or absent. */
  csv: CsvBody | null;
  mint: Mint;
  /** What connections went through in the last 48 hours; null when it cannot be read. */
  measured: Invocation['measured'];
}

/** What a handler answers: a JSON body (`undefined` = none), or a stream with its media type. */
export type Answer =
  { status: number; body: unknown } | { status: number; stream: ReadableStream<Uint8Array>; type: string; filename: string };

/** How an answer is documented: the schema of its JSON, a media type for anything else, or null for no content. */
export type AnswerShape = z.ZodType | 'text/csv' | 'text/html' | 'text/css' | 'text/javascript' | 'application/json' | null;

interface Described {
  method: Method;
  /** As Hono takes it: `/v1/campaigns/:id`. */
  path: string;
  summary: string;
  /** The heading under which the documentation lists it. */
  tag: string;
  /** Statuses in which it refuses, beyond those that follow from the rest (of every route: 500 and 503). */
  refusals?: readonly number[];
}

/** A route of the API. */
export interface ApiRoute<P = unknown, Q = unknown, B = unknown> extends Described {
  auth: Auth;
  /** Path parameters; what does not parse names nothing, hence 404. */
  params?: z.ZodType<P>;
  /** Query parameters; an unknown one is a 400. */
  query?: z.ZodType<Q>;
  /** The JSON body; without one only an empty body or `{}` is accepted. */
  body?: z.ZodType<B>;
  /** True when a `text/csv` body is taken too, as a stream. */
  csv?: boolean;
  /** True for a POST that creates: it honours `Idempotency-Key`. */
  creates?: boolean;
  responses: Readonly<Record<number, AnswerShape>>;
  handler(call: Call<P, Q, B>): Promise<Answer>;
}

/** A route with its own way of reading and answering: no key, no schema, no database unless it opens one. */
export interface PlainRoute extends Described {
  responses: Readonly<Record<number, AnswerShape>>;
  plain(invocation: Invocation, request: Request, params: Readonly<Record<string, string>>): Promise<Response> | Response;
}

export type Route = ApiRoute | PlainRoute;

/** Declares an API route; the handler's input types follow from the schemas. */
export const route = <P = unknown, Q = unknown, B = undefined>(definition: ApiRoute<P, Q, B>): Route => definition;

/** `:id` in a path. */
export const ById = z.object({ id: Id });

/** `?limit=` and `?cursor=` of every list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(100).optional(),
};
export const PageQuery = z.strictObject(pageQuery);

/** The id of the calling account; routes with `auth: 'account'` always have one. */
export const accountOf = (call: { account: string | null }): string => {
  if (call.account === null) throw new Error('a route for accounts was reached without one');
  return call.account;
};
