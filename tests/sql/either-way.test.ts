/**
 * Nearly every event is decided by one update; what that does not fit goes the long way (docs/adr/0016). A worker of an earlier release says all of an
 * event in one value, which is taken the long way: so that the two can be compared.
 */
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import type { Applied, CallFact } from '../../lib/verb-shapes.ts';
import { createRandom, type Random } from '../sim/random.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';

const STORIES = 60;
const FACTS = 8;
const PHONES = phones(3);
/** Of a direct call. */
const DIRECT = phones(1, 10)[0];
/** Of a call back: whoever was dialled first calls us. */
const BACK = `back ${PHONES[0]}`;
const LINES = [...PHONES, DIRECT, BACK];

const db = await testDatabase();
await db.pool.query(`alter database ${new URL(db.url).pathname.slice(1)} set track_functions = 'pl'`);
const engine = createEngine(db);
const { verbs, now } = engine;
const older = new Pool({ connectionString: db.appUrl, max: 1 });
older.on('error', () => undefined); // a query under way rejects all the same
afterAll(() => older.end());

interface Side {
  account: string;
  agent: string;
  /** By number; a call back is none of ours to name. */
  calls: Map<string, string>;
  apply(event: string, fact: CallFact): Promise<Applied | null>;
}

/** An account with a campaign whose three leads are on the line, as is a direct call. */
const side = async (apply: (side: Side) => Side['apply']): Promise<Side> => {
  const owner = await engine.account();
  const campaign = await engine.campaign(owner, { retry: { max_attempts: 2 } });
  await engine.leads(owner.account, campaign, PHONES);
  await verbs.startCampaign(owner.account, now(), campaign);
  await verbs.requestDirectCall(owner.account, now(), randomUUID(), owner.agent, DIRECT, null, {});
  const claimed = await engine.claim();
  const { go } = await verbs.fenceCalls(
    now(),
    randomUUID(),
    claimed.map((call) => call.call_id),
  );
  const calls = new Map(claimed.map((call) => [call.phone, call.call_id]));
  // Of the last lead the provider has not answered yet.
  const answered = [PHONES[0], PHONES[1], DIRECT].map((phone) => ({
    call_id: calls.get(phone)!,
    outcome: 'accepted' as const,
    provider_call_id: `x${phone}`,
  }));
  expect(go).toHaveLength(PHONES.length + 1);
  await verbs.recordCalls(now(), answered);
  const made: Side = { ...owner, calls, apply: () => Promise.resolve(null) };
  made.apply = apply(made);
  return made;
};

const today = ({ account, agent }: Side): Side['apply'] => {
  return (event, fact) => verbs.applyFact(account, now(), agent, event, fact);
};
const before = ({ account, agent }: Side): Side['apply'] => {
  return async (event, { payload, ...fact }) => {
    const { rows } = await older.query<{ result: Applied | null }>(
      'select ringleader.apply_fact($1, $2, $3, $4, $5, $6, $7) as result',
      [account, now(), agent, event, fact, fact.attempt_id ?? null, payload ?? null],
    );
    return rows[0].result;
  };
};

const MOVES = ['queued', 'dialing', 'ringing', 'in_progress'] as const;
const ENDS = ['completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled'] as const;

/** What a provider might say of the call on `line`, likely or not, at an instant. */
const saying = (random: Random, line: string, keys: string[]): Omit<CallFact, 'attempt_id'> & { echoed: boolean } => {
  const drawn = random.chance(0.1) && keys.length > 0 ? random.pick(keys) : `${line} ${keys.length}`;
  keys.push(drawn);
  const status = random.pick([undefined, ...MOVES, ...MOVES, ...ENDS]);
  const some = <T extends object>(share: number, more: T): Partial<T> => (random.chance(share) ? more : {});
  return {
    echoed: random.chance(0.9),
    event_key: drawn,
    source: random.chance(0.92) ? 'event' : random.pick(['read', 'posted'] as const),
    payload: `{"key":"${drawn}"}`,
    ...(status === undefined ? {} : { status }),
    ...some(0.95, { provider_call_id: random.chance(0.95) ? `x${line}` : `other${line}` }),
    ...(line === BACK ? { direction: 'inbound' as const, from: PHONES[0] } : {}),
    ...some(0.5, { provider_status: 'word' }),
    ...some(0.12, { line_free: true }),
    ...some(0.3, { answered_at: new Date(now().getTime() - 5000).toISOString() }),
    ...some(0.3, { ended_at: new Date(now().getTime() + random.int(-5, 5) * 1000).toISOString() }),
    ...some(0.15, { duration_seconds: 12.5, cost: 0.25 }),
    ...some(0.1, { transcript: `said ${drawn}` }),
    ...some(0.2, { reason: `because ${drawn}` }),
    ...some(0.15, random.chance(0.7) ? scored(random.int(0, 100)) : { analysis: { state: 'absent', reason: 'none' } as const }),
    ...some(0.03, { analysis: { state: 'valid', score: 10, evidence: 'no', do_not_call: true } as const }),
    ...some(0.05, { invalid_number: true }),
    ...some(0.05, { undialled: true }),
    ...some(0.04, { agent_refused: true }),
  };
};

/** All that the account's tables hold, without what differs by birth: ids, their order, and what was drawn. */
const kept = async ({ account, calls }: Side): Promise<Record<string, unknown>> => {
  const born = [
    'id',
    'account_id',
    'seq',
    'campaign_id',
    'lead_id',
    'agent_id',
    'call_id',
    'claim_id',
    'fence_token',
    'import_id',
    'token',
  ];
  const ids = [...born, 'scored_call', 'hot_notice_id', 'idempotency_key', 'repeat_of', 'detail', 'first_tick_at'];
  const tables = [
    'calls',
    'leads',
    'call_events',
    'open_calls',
    'provider_calls',
    'call_results',
    'failed_calls',
    'suppressions',
    'notifications',
    'campaigns',
    'agents',
    'refills',
  ];
  const all: Record<string, unknown> = {};
  for (const table of tables) {
    const { rows } = await db.pool.query<{ row: string }>(
      `select (to_jsonb(t) - $2::text[])::text as row from ringleader.${table} t where account_id = $1 order by 1`,
      [account, ids],
    );
    const named = [...calls].reduce(
      (text, [phone, id]) => text.replaceAll(id, phone),
      JSON.stringify(rows.map(({ row }) => row)),
    );
    all[table] = (JSON.parse(named) as string[]).map((row) => row.replace(/ again [0-9a-f-]{36}/, ' again')).sort();
  }
  return all;
};

const answerOf = ({ calls }: Side, answer: Applied | null): unknown => {
  const phone = [...calls].find(([, id]) => id === answer?.call_id)?.[0];
  return (
    answer && {
      ...answer,
      call_id: answer.call_id && (phone ?? 'a call back'),
      refill: Boolean(answer.refill),
      mail_due: answer.mail_due === true,
    }
  );
};

/** Everything said, refusals too. */
const tell = async (to: Side, line: string, { echoed, ...fact }: ReturnType<typeof saying>): Promise<unknown> => {
  const call = to.calls.get(line);
  try {
    return answerOf(to, await to.apply(randomUUID(), { ...fact, ...(echoed && call ? { attempt_id: call } : {}) }));
  } catch (error) {
    return String(error);
  }
};

/** How often a function of the schema has run, as the server counts. */
const ran = async (name: string): Promise<number> => {
  const { rows } = await db.pool.query<{ calls: number }>(`select calls::int from pg_stat_user_functions where funcname = $1`, [
    name,
  ]);
  return rows[0]?.calls ?? 0;
};

describe('what is said of a call', () => {
  test(
    `does the same whichever way it takes: ${STORIES} stories of ${FACTS} facts, told twice`,
    { timeout: 120_000 },
    async () => {
      let told = 0;
      for (let seed = 1; seed <= STORIES; seed += 1) {
        await engine.reset();
        const random = createRandom(seed);
        const sides = [await side(today), await side(before)] as const;
        const keys = new Map(LINES.map((line) => [line, [] as string[]]));
        for (let i = 0; i < FACTS; i += 1) {
          const line = random.pick(LINES);
          const said = saying(random, line, keys.get(line)!);
          const [one, other] = [await tell(sides[0], line, said), await tell(sides[1], line, said)];
          expect(one, `seed ${seed}: ${JSON.stringify(said)}`).toEqual(other);
          told += 1;
          engine.pass(random.pick([0, 0, 1, 3]));
        }
        expect(await kept(sides[0]), `seed ${seed}`).toEqual(await kept(sides[1]));
      }
      expect(told).toBe(STORIES * FACTS);
      // A session tells the server what it has counted once it is idle for a second at most.
      await expect.poll(() => ran('apply_fact'), { timeout: 20_000 }).toBe(2 * told);
      const short = 2 * told - (await ran('apply_any'));
      expect(short).toBeGreaterThan(told / 8);
      expect(short).toBeLessThan(told);
    },
  );
});
