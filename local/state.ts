/** What a local system remembers from one start to the next: its keys and who lives in it. */
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import * as z from 'zod';
import { readJson, writeJson } from './json-file.ts';

const Secret = z.string().min(1);
export const State = z.object({
  /** Tells this data directory from every other. */
  installation: z.uuid(),
  admin_key: Secret,
  /** 32 bytes, base64url: seals the credentials in the database. */
  secrets_key: Secret,
  /** The app role's password. */
  app_password: Secret,
  /** Absent until the first account was made. */
  account: z.object({ api_key: Secret, agent_id: z.uuid() }).optional(),
  /** The campaign of the last demo, finished or not, and the file it was made from. */
  demo: z.object({ campaign_id: z.uuid(), csv: z.string() }).optional(),
});
export type State = z.infer<typeof State>;

const secret = (): string => randomBytes(32).toString('base64url');

/** A file of 0600 that remembers itself. */
export class StateFile {
  readonly #file: string;
  #state: State;

  /** @throws {Error} when the file holds something else: its keys are needed to read the database beside it */
  constructor(file: string) {
    this.#file = file;
    if (!fs.existsSync(file)) {
      this.#state = { installation: randomUUID(), admin_key: secret(), secrets_key: secret(), app_password: secret() };
      this.set({});
      return;
    }
    const found = State.safeParse(readJson(file));
    if (!found.success) throw new Error(`${file} cannot be understood: start with --fresh to begin anew`);
    this.#state = found.data;
  }

  get value(): Readonly<State> {
    return this.#state;
  }

  set(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    writeJson(this.#file, this.#state);
  }
}
