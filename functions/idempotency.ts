/**
 * `Idempotency-Key`: the first request with a key does the work, every other one gets its answer.
 *
 * Two nets. The key's row in the database holds the answer (sealed: it may show a key or a phone number). And whatever the
 * request creates gets ids derived from the key, so that even a request repeated after a lost commit meets its own row.
 */
import type { Deps, Sealer } from '../lib/deps.ts';
import { joined, toHex, uuidOf } from '../lib/domain/bytes.ts';
import { Refusal } from '../lib/errors.ts';
import { createSealer, tagOf, utf8 } from '../lib/seal.ts';
import { errorBody } from './respond.ts';
import type { Answer, Mint } from './route.ts';

/** Real milliseconds to wait for the request that has the key before saying so. */
const PATIENCE_MS = 10_000;

/** Who used which key for what. `route` is the pattern; the concrete path is part of `bodyHash`. */
export interface Use {
  account: string;
  key: string;
  route: string;
  bodyHash: string;
}

/** The request's key, or null. @throws {Refusal} 400 when it is not 1 to 255 printable ASCII characters */
export const idempotencyKey = (headers: Headers): string | null => {
  const key = headers.get('idempotency-key');
  if (key === null || /^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$/.test(key)) return key;
  const detail = { field: 'Idempotency-Key', rule: 'must be 1 to 255 printable ASCII characters' };
  throw new Refusal(400, 'validation', `${detail.field}: ${detail.rule}`, [detail]);
};

/** SHA-256 over the parts, each told apart from its neighbours. */
export const hashOf = async (...parts: readonly (string | Uint8Array<ArrayBuffer>)[]): Promise<string> => {
  const digests: Uint8Array[] = [];
  for (const part of parts) {
    const bytes = typeof part === 'string' ? utf8(part) : part;
    digests.push(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
  }
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', joined(digests))));
};

/** Ids and secrets at random: for a request without a key. */
export const freshMint = (deps: Deps): Mint => ({
  id: () => Promise.resolve(deps.newId()),
  secret: () => Promise.resolve(crypto.getRandomValues(new Uint8Array(32))),
});

/** Ids and secrets that follow from `seed` under the worker's own secret: the same for every repetition, a guess for nobody. */
export const derivedMint = (secretsKey: string, seed: string): Mint => {
  const derive = (purpose: string): Promise<Uint8Array> => tagOf(secretsKey, 'mint', utf8(`${purpose}/${seed}`));
  return {
    async id(purpose) {
      const bytes = (await derive(`id/${purpose}`)).slice(0, 16);
      bytes[6] = (bytes[6]! & 0x0f) | 0x80; // version 8: made by a rule of our own (RFC 9562)
      bytes[8] = (bytes[8]! & 0x3f) | 0x80;
      return uuidOf(bytes);
    },
    secret: (purpose) => derive(`secret/${purpose}`),
  };
};

/** What is kept under a key. `digest`: of a streamed body, which could not be known when the key was taken. */
interface Kept {
  body: unknown;
  digest: string | null;
}

const sealer = (deps: Deps): Sealer => createSealer(deps.config.secretsKey, 'idempotency');
const seal = async (deps: Deps, kept: Kept): Promise<object> => ({ sealed: await sealer(deps).seal(JSON.stringify(kept)) });
const unseal = async (deps: Deps, stored: unknown): Promise<Kept> =>
  JSON.parse(await sealer(deps).open((stored as { sealed: string }).sealed)) as Kept;

const conflict = (): Refusal =>
  new Refusal(409, 'idempotency_conflict', 'This Idempotency-Key was used before with another request.', [
    { field: 'Idempotency-Key', rule: 'must not be used again with another body' },
  ]);

const takeKey = async (deps: Deps, use: Use): Promise<{ status: number; body: unknown } | null> => {
  const since = deps.elapsedMs();
  for (let wait = 100; ; wait *= 2) {
    const seen = await deps.verbs.beginIdempotent(use.account, deps.now(), use.key, use.route, use.bodyHash);
    if (seen.state === 'new') return null;
    if (seen.state === 'done' && seen.status !== null) return { status: seen.status, body: seen.body };
    if (deps.elapsedMs() - since > PATIENCE_MS) {
      throw new Refusal(409, 'idempotency_in_progress', 'The first request with this Idempotency-Key is still running.');
    }
    await deps.sleep(wait);
  }
};

/** The body of a request that streams: `drain` reads what is left of it, `digest` then tells what it was. */
export interface Streamed {
  drain(): Promise<void>;
  digest(): string;
}

const refusalAnswer = (error: Refusal): { status: number; body: unknown } => ({
  status: error.status,
  body: errorBody(error.code, error.message, error.details, error.extra),
});

/**
 * Runs `work` once per key and remembers its answer; a failure (5xx) forgets the key, so that it may be tried again. A refusal is
 * an answer, save of a streamed body, which may have been cut on its way.
 */
export const idempotently = async (
  deps: Deps,
  use: Use,
  streamed: Streamed | null,
  work: () => Promise<Answer>,
): Promise<Answer> => {
  const finish = async (status: number | null, body: unknown): Promise<void> => {
    try {
      await deps.verbs.finishIdempotent(use.account, deps.now(), use.key, use.route, status, body);
    } catch (error) {
      // The work is done (or failed) whatever becomes of the note of it; ids derived from the key keep a repetition harmless.
      deps.report('background_task_failed', error, { task: 'finish_idempotent', route: use.route });
    }
  };
  const done = await takeKey(deps, use);
  if (done) {
    const kept = await unseal(deps, done.body);
    await streamed?.drain();
    if (kept.digest !== (streamed?.digest() ?? null)) throw conflict();
    return { status: done.status, body: kept.body };
  }
  try {
    const answer = await work();
    if ('stream' in answer) throw new Error('an answer that streams cannot be remembered');
    await finish(answer.status, await seal(deps, { body: answer.body, digest: streamed?.digest() ?? null }));
    return answer;
  } catch (error) {
    if (error instanceof Refusal && !streamed) {
      const answer = refusalAnswer(error);
      await finish(answer.status, await seal(deps, { body: answer.body, digest: null }));
      return answer;
    }
    await finish(null, null);
    throw error;
  }
};
