/** How many SQL statements one dialled call takes, from its reservation to its end, over the use cases that the worker runs. */
import { Pool } from 'pg';
import { createAgentMemory } from '../lib/agent-memory.ts';
import { compose } from '../lib/compose.ts';
import type { Deps } from '../lib/deps.ts';
import { dispatch, refill } from '../lib/dial.ts';
import type { Provider } from '../lib/providers/provider.ts';
import { receiveWebhook } from '../lib/receive-webhook.ts';
import { createSealer } from '../lib/seal.ts';
import type { CallFact } from '../lib/verb-shapes.ts';
import type { Bench } from './bench.ts';
import { CONFIG } from './config.ts';
import { FOUR } from './events.ts';
import { check, line, round } from './measure.ts';
import { stage } from './scene.ts';
import type { Server } from './server.ts';

const CALLS = 200;

/** A provider that takes every call and whose webhooks are facts as they stand. */
const stub = (signed: boolean, placed: string[]): Provider => ({
  name: 'bolna',
  requiredCredentials: [],
  accountCredentials: [],
  requires: [],
  contentType: 'application/json',
  signed,
  createCall: (_, call) => {
    placed.push(call.attempt_id);
    return Promise.resolve({ outcome: 'accepted', provider_call_id: `p-${call.attempt_id}` });
  },
  readCall: (_, id) => Promise.resolve({ state: 'found', fact: factOf(id.slice(2), FOUR.length - 1) }),
  findCall: () => Promise.resolve({ state: 'missing' }),
  stopCall: () => Promise.resolve(true),
  registerWebhook: () => Promise.resolve(true),
  verifyWebhook: () => Promise.resolve(true),
  parseWebhook: (_, { body }) => JSON.parse(body) as CallFact,
});
const factOf = (id: string, nth: number): CallFact => {
  const { event_key, ...fact } = FOUR[nth];
  return { ...fact, event_key: `${id}:${event_key}`, attempt_id: id, provider_call_id: `p-${id}`, source: 'event' };
};

/**
 * Dials {@link CALLS} leads with `lines` at once. `together`: their webhooks come in step, so that slots are free in batches; else
 * one call ends before the next does, so that each is refilled alone. Answers with statements by verb.
 */
const count = async (server: Server, signed: boolean, lines: number, together: boolean): Promise<Map<string, number>> => {
  const db = await server.database();
  const pool = new Pool({ connectionString: db.appUrl, max: 1 });
  pool.on('error', () => undefined); // a query under way rejects all the same
  try {
    const credentials = await createSealer(CONFIG.secretsKey).seal('{}');
    const [owner] = await stage(db, { accounts: 1, leads: CALLS, accountCap: lines, credentials });
    const statements = new Map<string, number>();
    const placed: string[] = [];
    const reports: string[] = [];
    const later: (() => Promise<unknown>)[] = [];
    const provider = stub(signed, placed);
    const invocation = {
      config: CONFIG,
      now: () => new Date(),
      elapsedMs: () => 0,
      sleep: () => Promise.resolve(),
      report: (type: string) => void reports.push(type),
      wake: () => Promise.resolve(),
      handOver: () => Promise.resolve(),
      counted: () => Promise.resolve(),
      webhookForged: () => Promise.resolve(),
      measured: () => Promise.resolve(null),
      agentMemory: createAgentMemory(),
      background: { run: () => undefined, begin: () => undefined },
      ctx: { waitUntil: () => undefined },
    };
    const deps: Deps = {
      ...compose(invocation, {
        query: (text, params, { verb }) => {
          statements.set(verb, (statements.get(verb) ?? 0) + 1);
          return pool.query(text, [...params]);
        },
      }),
      background: (_, work) => void later.push(() => work(deps)),
    };
    deps.providers = { ...deps.providers, bolna: provider };
    const tell = async (id: string, nth: number): Promise<void> => {
      const request = {
        headers: new Headers(),
        url: `${CONFIG.publicUrl}/webhooks/bolna/key`,
        body: JSON.stringify(factOf(id, nth)),
      };
      const applied = await receiveWebhook(deps, { accountId: owner.account, agentId: owner.agent, provider, request });
      // As the webhook's handler goes on after its answer.
      const mine = applied?.refill;
      if (mine) deps.background('refill', (own) => refill(own, mine));
    };
    const goOn = async (): Promise<void> => {
      for (let work = later.shift(); work; work = later.shift()) await work();
    };
    await dispatch(deps);
    while (placed.length > 0) {
      const batch = placed.splice(0, together ? lines : 1);
      for (let nth = 0; nth < FOUR.length; nth += 1) {
        for (const id of batch) await tell(id, nth);
        await goOn();
      }
    }
    const { rows } = await db.pool.query<{ n: number }>(
      `select count(*)::int as n from ringleader.leads where status = 'reached'`,
    );
    check(rows[0].n === CALLS && reports.length === 0, `${rows[0].n} of ${CALLS} calls, reports: ${reports.join(', ')}`);
    return statements;
  } finally {
    await pool.end();
    await db.drop();
  }
};

const perCall = (statements: ReadonlyMap<string, number>): number =>
  [...statements.values()].reduce((sum, n) => sum + n, 0) / CALLS;
const byVerb = (statements: ReadonlyMap<string, number>): string =>
  [...statements].map(([verb, n]) => `${verb} ${round(n / CALLS)}`).join(', ');

export const statements: Bench = {
  name: 'statements',
  about: 'SQL statements per dialled call, reservation to end, four webhooks and the refill of its slot included',
  async run(server) {
    const cases = {
      'unsigned provider, slots freed four at a time': await count(server, false, 4, true),
      'unsigned provider, slots freed one by one': await count(server, false, 4, false),
      'signed provider, slots freed four at a time': await count(server, true, 4, true),
      'signed provider, slots freed one by one': await count(server, true, 4, false),
    };
    return {
      lines: Object.entries(cases).map(([what, counted]) =>
        line(`statements per dialled call: ${what}`, perCall(counted), '<=', 7, ''),
      ),
      detail: Object.entries(cases).map(([what, counted]) => `${what}: ${byVerb(counted)}`),
    };
  },
};
