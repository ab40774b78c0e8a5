/** What an isolate has just read of agents, so that not every webhook of a call reads it again: secrets as they lie in the database, sealed. */
import type { AgentSecrets } from './verb-shapes.ts';

/** Milliseconds, by the one clock, for which what was read counts: so long may a secret be believed that was removed elsewhere. */
export const REMEMBERED_MS = 30_000;
/** Agents remembered; the one read longest ago is forgotten first. */
export const MOST_REMEMBERED = 100;

export interface AgentMemory {
  /** The agent as it was read less than {@link REMEMBERED_MS} before `now`; null: not remembered. */
  recall(account: string, agent: string, now: Date): AgentSecrets | null;
  /** Reads the agent at `now` and remembers it, unless an agent is written meanwhile. Null: no such agent. */
  learn(
    account: string,
    agent: string,
    now: Date,
    read: (account: string, now: Date, agent: string) => Promise<AgentSecrets | null>,
  ): Promise<AgentSecrets | null>;
  /** To be called once an agent was written: what was read of it before no longer counts. */
  forget(account: string, agent: string): void;
}

const keyOf = (account: string, agent: string): string => `${account} ${agent}`;

/** One per isolate. */
export const createAgentMemory = (): AgentMemory => {
  const known = new Map<string, { secrets: AgentSecrets; at: number }>();
  let writes = 0;
  return {
    recall(account, agent, now) {
      const found = known.get(keyOf(account, agent));
      if (found === undefined) return null;
      const age = now.getTime() - found.at;
      return age >= 0 && age < REMEMBERED_MS ? found.secrets : null;
    },
    async learn(account, agent, now, read) {
      const before = writes;
      const secrets = await read(account, now, agent);
      const key = keyOf(account, agent);
      known.delete(key);
      if (secrets === null || writes !== before) return secrets;
      for (const oldest of known.keys()) {
        if (known.size < MOST_REMEMBERED) break;
        known.delete(oldest);
      }
      known.set(key, { secrets, at: now.getTime() });
      return secrets;
    },
    forget(account, agent) {
      writes += 1;
      known.delete(keyOf(account, agent));
    },
  };
};
