/** The real verbs over a real database, as the app role, with a clock that the test moves. */
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { afterAll } from 'vitest';
import { type CallFact, type ClaimedCall } from '../../lib/verb-shapes.ts';
import { bindVerbs, type Verbs } from '../../lib/verbs.ts';
import type { TestDatabase } from './database.ts';

/** A Monday, 10:00 UTC. */
export const MONDAY = new Date('2026-03-02T10:00:00.000Z');

export interface Engine {
  verbs: Verbs;
  now: () => Date;
  /** Empties every table and sets the clock back to {@link MONDAY}: work left by one test would be dialled in the next. */
  reset(): Promise<void>;
  /** Moves the clock on. */
  pass(minutes: number): void;
  set(instant: string): void;
  /** An account with an agent. */
  account(options?: { cap?: number; timezone?: string }): Promise<{ account: string; agent: string }>;
  /** A draft campaign; `fields` as in the API. */
  campaign(owner: { account: string; agent: string }, fields?: object): Promise<string>;
  /** Adds leads by number; answers their ids in order. */
  leads(account: string, campaign: string, phones: readonly string[], timezone?: string): Promise<string[]>;
  claim(limit?: number, systemCap?: number): Promise<ClaimedCall[]>;
  /** Claims, fences and has the provider accept up to `limit` calls; answers them. */
  place(limit?: number): Promise<ClaimedCall[]>;
  /** A fact about a placed call, as its webhook would bring it. */
  tell(
    owner: { account: string; agent: string },
    call: string,
    status: CallFact['status'],
    more?: Partial<CallFact>,
  ): ReturnType<Verbs['applyFact']>;
}

const ALWAYS = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };

export const createEngine = (db: TestDatabase): Engine => {
  const pool = new Pool({ connectionString: db.appUrl, max: 12 });
  pool.on('error', () => undefined); // a query under way rejects all the same
  afterAll(() => pool.end());
  const verbs = bindVerbs({ query: (text, params) => pool.query(text, [...params]) });
  let at = MONDAY.getTime();
  const now = (): Date => new Date(at);
  const claim = async (limit = 100, systemCap = 1000): Promise<ClaimedCall[]> =>
    (await verbs.claimCalls(now(), randomUUID(), limit, systemCap)).calls;

  return {
    verbs,
    now,
    async reset() {
      const { rows } = await db.pool.query<{ names: string }>(
        `select string_agg(oid::regclass::text, ', ') as names from pg_class where relnamespace = 'ringleader'::regnamespace and relkind = 'r'`,
      );
      await db.pool.query(`truncate ${rows[0].names}`);
      at = MONDAY.getTime();
    },
    pass: (minutes) => void (at += minutes * 60_000),
    set: (instant) => void (at = Date.parse(instant)),
    async account({ cap = 10, timezone = 'UTC' } = {}) {
      const account = randomUUID();
      const agent = randomUUID();
      await verbs.createAccount(account, now(), 'Acme', 'owner@example.com', timezone, cap, randomUUID(), randomUUID());
      await verbs.createAgent(account, now(), {
        id: agent,
        name: 'Ann',
        provider: 'bolna',
        provider_agent_id: 'agent-1',
        from_number: null,
        credentials_sealed: 'sealed',
        webhook_secrets_sealed: null,
        analysis_mapping: null,
      });
      return { account, agent };
    },
    async campaign({ account, agent }, fields = {}) {
      const id = randomUUID();
      await verbs.createCampaign(account, now(), id, { name: 'Spring', agent_id: agent, window: ALWAYS, ...fields });
      return id;
    },
    async leads(account, campaign, phones, timezone) {
      const importId = randomUUID();
      await verbs.beginImport(account, now(), importId, campaign);
      const rows = phones.map((phone, i) => ({
        id: randomUUID(),
        row: i + 1,
        phone,
        name: null,
        email: null,
        company: null,
        timezone: timezone ?? null,
        variables: {},
      }));
      await verbs.importLeads(account, now(), importId, campaign, rows, []);
      await verbs.finishImport(account, now(), importId, campaign);
      return rows.map((row) => row.id);
    },
    claim,
    async place(limit = 100) {
      const calls = await claim(limit);
      const ids = calls.map((call) => call.call_id);
      const { go } = await verbs.fenceCalls(now(), randomUUID(), ids);
      const outcomes = go.map((call_id) => ({ call_id, outcome: 'accepted' as const, provider_call_id: `x-${call_id}` }));
      await verbs.recordCalls(now(), outcomes);
      return calls;
    },
    tell: ({ account, agent }, call, status, more = {}) =>
      verbs.applyFact(account, now(), agent, randomUUID(), {
        event_key: `${call}:${status}`,
        attempt_id: call,
        provider_call_id: `x-${call}`,
        source: 'event',
        ...(status === undefined ? {} : { status }),
        ...more,
      }),
  };
};

/** `n` different numbers. */
export const phones = (n: number, from = 0): string[] =>
  Array.from({ length: n }, (_, i) => `+1415${String(5_550_000 + from + i)}`);
/** An analysis that is in. */
export const scored = (score: number): Partial<CallFact> => ({ analysis: { state: 'valid', score, evidence: `said ${score}` } });
