/** The local programs speak to the worker as any integrator does: over its HTTP API. */
import * as z from 'zod';

const ErrorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.array(z.object({ field: z.string(), rule: z.string() })).optional(),
  }),
});

/** An answer that is no success, in one line. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  readonly code: string | undefined;
  constructor(status: number, code: string | undefined, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface Call<T> {
  method?: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  path: string;
  key: string;
  /** Sent as JSON. */
  body?: unknown;
  csv?: ReadableStream<Uint8Array>;
  headers?: Readonly<Record<string, string>>;
  answer: z.ZodType<T>;
}

const explain = (method: string, path: string, status: number, text: string): ApiError => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  const known = ErrorBody.safeParse(parsed);
  if (!known.success) return new ApiError(status, undefined, `${method} ${path} answered ${status}`);
  const { code, message, details = [] } = known.data.error;
  const rules = details.map(({ field, rule }) => `${field} ${rule}`).join('; ');
  return new ApiError(status, code, `${method} ${path} answered ${status} ${code}: ${message}${rules ? ` (${rules})` : ''}`);
};

/**
 * Calls the API once.
 * @throws {ApiError} when it answers with anything but 2xx
 */
export const callApi = async <T>(url: string, call: Call<T>): Promise<T> => {
  const { method = 'GET', path, key, body, csv, headers, answer } = call;
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(csv === undefined ? {} : { 'content-type': 'text/csv' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(csv === undefined ? {} : { body: csv, duplex: 'half' }),
    signal: AbortSignal.timeout(csv === undefined ? 30_000 : 3_600_000),
  });
  const text = await response.text();
  if (!response.ok) throw explain(method, path, response.status, text);
  return answer.parse(JSON.parse(text));
};
