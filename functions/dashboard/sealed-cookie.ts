/** A session kept by the browser: sealed in a cookie that no script can read, and over when it was not renewed for twelve hours. */
import { parse, serialize } from 'hono/utils/cookie';
import type * as z from 'zod';
import type { Deps } from '../../lib/deps.ts';
import type { Config } from '../../lib/env.ts';

const LIFE_MS = 12 * 3_600_000;

/** What a cookie holds: `at`, in milliseconds since 1970, is when it was sealed. */
interface Stamped {
  at: number;
}

export interface SealedCookie<T extends Stamped> {
  /** The `Set-Cookie` that makes the browser hold `content` from now on. */
  seal(deps: Pick<Deps, 'config' | 'sealer' | 'now'>, content: Omit<T, 'at'>): Promise<string>;
  /** What the request's cookie holds; null for none, one that we did not seal, or one that is too old. */
  open(deps: Pick<Deps, 'sealer' | 'now'>, request: Request): Promise<T | null>;
  /** The `Set-Cookie` that makes the browser forget it. */
  forget(config: Config): string;
}

/** The cookie `name`, which the browser sends to `path` and below. Every cookie needs a `schema` that fits no other's content. */
export const sealedCookie = <T extends Stamped>(name: string, path: string, schema: z.ZodType<T>): SealedCookie<T> => {
  const setCookie = (config: Config, value: string, maxAge: number): string =>
    serialize(name, value, { path, httpOnly: true, sameSite: 'Strict', secure: config.publicUrl.startsWith('https:'), maxAge });
  return {
    async seal(deps, content) {
      const value = await deps.sealer.seal(JSON.stringify({ ...content, at: deps.now().getTime() }));
      return setCookie(deps.config, value, LIFE_MS / 1000);
    },
    async open(deps, request) {
      const value = parse(request.headers.get('cookie') ?? '', name)[name];
      if (!value) return null;
      let plain: unknown;
      try {
        plain = JSON.parse(await deps.sealer.open(value));
      } catch {
        return null; // forged, or sealed under another secret: nobody's session
      }
      const held = schema.safeParse(plain);
      return held.success && deps.now().getTime() - held.data.at < LIFE_MS ? held.data : null;
    },
    forget: (config) => setCookie(config, '', 0),
  };
};
