/** One bounded request of the doctor's; nothing of it but status and body comes back. */

export interface Asked {
  /** 0: no answer. */
  status: number;
  /** The parsed JSON; undefined when it is none. */
  json: unknown;
  /** Why there is no answer, in a few words. */
  why: string;
}

const WHY: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such host',
  ECONNREFUSED: 'nobody answers at that address',
  ECONNRESET: 'the connection was cut',
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // not JSON: the status says enough
  }
};

/** Never rejects; follows no redirect, so that no key goes to another host. */
export const ask = async (url: string, init: RequestInit = {}): Promise<Asked> => {
  try {
    const response = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(10_000) });
    return { status: response.status, json: parse(await response.text()), why: '' };
  } catch (error) {
    const { name, cause } = error as Error & { cause?: { code?: string } };
    const code = cause?.code ?? '';
    return {
      status: 0,
      json: undefined,
      why: name === 'TimeoutError' ? 'no answer in time' : (WHY[code] ?? `no answer (${code || name})`),
    };
  }
};

/** `object[name]`, when there is such a thing. */
export const field = (object: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined),
    object,
  );
