/** Workers that are killed at each step of a dial, and what the ticks make of it: the same suite, in few processes and in many. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { tick } from '../../functions/dispatch.ts';
import type { CreateCall, LostCall } from '../../lib/providers/provider.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import type { Order, Step } from './killed-worker.ts';
import { dialRig } from './rig.ts';

/** Leads that an invocation claims at a time. */
const PER_CLAIM = 4;

/** A provider that accepts every call it is asked for, and knows what it was asked. */
const provider = async () => {
  const asked: string[] = [];
  const accept = (attempt: string): object => {
    asked.push(attempt);
    return { outcome: 'accepted', provider_call_id: `x-${attempt}` };
  };
  const server = http.createServer((request, response) => response.end(JSON.stringify(accept(request.url!.slice(1)))));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const found = (attempt: string) => ({
    state: 'found',
    fact: {
      event_key: `read:${attempt}`,
      attempt_id: attempt,
      provider_call_id: `x-${attempt}`,
      source: 'read',
      status: 'completed',
      line_free: true,
      analysis: { state: 'absent' },
    },
  });
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** As the tick sees it. */
    port: {
      name: 'bolna',
      createCall: (_agent: unknown, call: CreateCall) => Promise.resolve(accept(call.attempt_id)),
      readCall: (_agent: unknown, id: string) => Promise.resolve(found(id.slice(2))),
      findCall: (_agent: unknown, { attempt_id }: LostCall) =>
        Promise.resolve(asked.includes(attempt_id) ? found(attempt_id) : { state: 'missing' }),
    },
    stop: () => void server.close(),
  };
};

/** Starts the worker, waits until all have come to the step, and kills the process. Answers how many had. */
const killAt = async (order: Order, expected: number): Promise<number> => {
  const worker = fork(path.join(import.meta.dirname, 'killed-worker.ts'), [JSON.stringify(order)]);
  const arrived = new Set<unknown>();
  const all = Promise.withResolvers<void>();
  worker.on('message', (nth) => {
    arrived.add(nth);
    if (arrived.size === expected) all.resolve();
  });
  const exited = once(worker, 'exit');
  await Promise.race([all.promise, exited]);
  worker.kill('SIGKILL');
  expect(await exited).toEqual([null, 'SIGKILL']);
  return arrived.size;
};

const OVERDUE = `select count(*)::int as n from ringleader.calls where reserved_at is not null and released_at is null
  and (lease_until is null or lease_until < $1::timestamptz - interval '2 minutes')`;

/** `processes` that are killed one after the other, each with so many invocations of the worker in it. */
export const killedSuite = async (processes: number, invocations: number, timeout: number): Promise<void> => {
  const db = await testDatabase();
  const engine = createEngine(db);
  const { verbs, now } = engine;
  afterEach(() => engine.reset());
  const killed = processes * invocations;
  const leads = PER_CLAIM * killed;

  test.each<[Step, number]>([
    ['claimed', 0],
    ['fenced', 0],
    ['asked', leads],
    ['answered', leads],
    ['recorded', leads],
  ])(
    `${killed} workers killed, in ${processes === 1 ? 'one process' : `${processes} processes`}, when they have %s: nobody is dialled twice, nobody forgotten, no slot held past its lease and two ticks (classes 4, 7, 8)`,
    async (step, askedBefore) => {
      const phone = await provider();
      try {
        const owner = await engine.account({ cap: leads });
        const campaign = await engine.campaign(owner);
        await engine.leads(owner.account, campaign, phones(leads));
        await verbs.startCampaign(owner.account, now(), campaign);
        const order: Order = { appUrl: db.appUrl, providerUrl: phone.url, step, invocations, now: now().toISOString() };
        const stopped = invocations * (step === 'asked' ? PER_CLAIM : 1);
        for (let n = 0; n < processes; n += 1) expect(await killAt(order, stopped)).toBe(stopped);
        // Each call of an invocation was asked for, or none.
        expect(phone.asked).toHaveLength(askedBefore);
        const rig = dialRig(verbs, now);
        Object.assign(rig.deps.providers, { bolna: phone.port });
        let done = false;
        for (let minute = 1; minute <= 90 && !done; minute += 1) {
          engine.pass(1);
          await tick(rig.deps);
          expect((await db.pool.query<{ n: number }>(OVERDUE, [now()])).rows[0]!.n).toBe(0);
          done = (await verbs.getCampaign(owner.account, now(), campaign))!.status === 'completed';
        }
        const { rows } = await db.pool.query<{ status: string; attempts: number; n: number }>(
          'select status, attempts, count(*)::int as n from ringleader.leads group by 1, 2',
        );
        // Fenced and never asked for is not known to us: it was an attempt, and its end is recorded as unknown.
        const end = step === 'fenced' ? 'unreached' : 'reached';
        expect(rows).toEqual([{ status: end, attempts: 1, n: leads }]);
        expect(new Set(phone.asked).size).toBe(phone.asked.length);
        expect(phone.asked).toHaveLength(step === 'fenced' ? 0 : leads);
      } finally {
        phone.stop();
      }
    },
    timeout,
  );
};
