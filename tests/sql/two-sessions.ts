/** What one session does while another's transaction is open. */
import { Client } from 'pg';
import { expect } from 'vitest';
import type { TestDatabase } from '../support/database.ts';

export const twoSessions = ({ appUrl, pool }: TestDatabase) => ({
  /** Does `work` in a transaction of another session, and `meanwhile` before that commits. */
  during: async (work: (client: Client) => Promise<unknown>, meanwhile: () => unknown): Promise<void> => {
    const client = new Client({ connectionString: appUrl });
    await client.connect();
    try {
      await client.query('begin');
      await work(client);
      await meanwhile();
      await client.query('commit');
    } finally {
      await client.end();
    }
  },
  /** Returns as soon as `sessions` wait for a lock. */
  blocked: async (sessions = 1): Promise<void> => {
    const waiting = 'select count(distinct pid)::int as n from pg_locks where not granted';
    await expect.poll(async () => (await pool.query<{ n: number }>(waiting)).rows[0]!.n, { timeout: 30_000 }).toBe(sessions);
  },
});
