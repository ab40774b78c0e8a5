/**
 * Whole days on a clock that the test moves: the real worker and driver in this process, on a real Postgres behind the Neon stand-in,
 * between the real phone network and inbox. A minute is over when everything that happened in it has been answered.
 */
import { Buffer } from 'node:buffer';
import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll } from 'vitest';
import { Sleeper, type SleeperNamespace } from '../../functions/sleeper.ts';
import { createWorker } from '../../functions/worker.ts';
import { useLocalEndpoint } from '../../lib/db.ts';
import { serve } from '../../local/edge-server.ts';
import { startInbox } from '../../local/inbox.ts';
import { startNeonProxy, type NeonProxy } from '../../local/neon-proxy.ts';
import { startPhoneNetwork } from '../../local/phone-network.ts';
import type { CallRecord } from '../../local/phone-network/exchange.ts';
import { CRONS } from '../../local/scheduler.ts';
import { Unwind } from '../../local/unwind.ts';
import { manualClock } from '../edges/support.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const MINUTE = 60_000;
/** How far the clock goes at a time while the network has something to do. */
const STEP = 5_000;

/** A minute, as the proxy saw it. */
export interface Minute {
  at: Date;
  connections: number;
  bytes: number;
}

export interface Days {
  database: TestDatabase;
  proxy: NeonProxy;
  now(): Date;
  /** The instant before which no tick looks, as the store has it; null: the next one looks. */
  due(): Date | null;
  /** One request as the account's owner. @throws when it is not answered 2xx */
  api: <T>(method: string, path: string, body?: unknown) => Promise<T>;
  agentId: string;
  /** Lets minutes pass, each with its ticks, and answers what the proxy saw in each of them. */
  pass(minutes: number): Promise<Minute[]>;
  calls(): Promise<CallRecord[]>;
  mails(): Promise<{ Metadata: Record<string, string> }[]>;
}

/** The store of the next due instant: the real object over a storage in memory, and a look into it. */
const sleeper = (): { namespace: SleeperNamespace; due(): Date | null } => {
  let stored: { due: number | null; version: number } | undefined;
  const object = new Sleeper({
    storage: {
      get: () => Promise.resolve(stored),
      put: (_key, value) => {
        stored = value;
        return Promise.resolve();
      },
    },
    blockConcurrencyWhile: (work) => work(),
  });
  return {
    namespace: { idFromName: (name) => name, get: () => ({ fetch: (url, init) => object.fetch(new Request(url, init)) }) },
    due: () => (stored === undefined || stored.due === null ? null : new Date(stored.due)),
  };
};

/** One per test file: `const days = await startDays('2026-03-02T00:00:00Z')` at its top. */
export const startDays = async (start: string): Promise<Days> => {
  const database = await testDatabase();
  const clock = manualClock(start);
  const unwind = new Unwind();
  afterAll(() => unwind.run());
  const proxy = await startNeonProxy({ postgres: { socketPath: database.socketPath } });
  await unwind.add(() => proxy.stop());
  useLocalEndpoint(proxy.wsProxy);
  const network = await startPhoneNetwork({ clock });
  await unwind.add(() => network.stop());
  const inbox = await startInbox({ clock });
  await unwind.add(() => inbox.stop());

  // A nap would last until the clock is moved, and the clock waits for whoever naps.
  const sleep = (): Promise<void> => Promise.reject(new Error('nothing here waits for a pace'));
  const worker = createWorker({ now: clock.now, sleep, allowLoopbackHttp: true });
  const left = new Set<Promise<unknown>>();
  const ctx = {
    waitUntil(promise: Promise<unknown>): void {
      left.add(promise);
      void promise.finally(() => left.delete(promise));
    },
  };
  const store = sleeper();
  const env: Record<string, unknown> = {
    DATABASE_URL: database.appUrl,
    ADMIN_KEY: randomUUID(),
    SECRETS_KEY: randomBytes(32).toString('base64'),
    POSTMARK_SERVER_TOKEN: randomUUID(),
    MAIL_FROM: 'campaigns@ringleader.example',
    EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true',
    BOLNA_BASE_URL: network.url,
    POSTMARK_BASE_URL: inbox.url,
    SLEEPER: store.namespace,
  };
  const front = await serve({ port: 0, maxBody: 1e6 }, async ({ method, path, body }) => {
    const bytes = body.length === 0 ? {} : { body: new Uint8Array(body), headers: { 'content-type': 'application/json' } };
    const answer = await worker.fetch(new Request(`${front.url}${path}`, { method, ...bytes }), env, ctx);
    return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
  });
  await unwind.add(() => front.stop());
  env['PUBLIC_URL'] = front.url;

  const settled = async (): Promise<void> => {
    while (left.size > 0) await Promise.allSettled(left);
  };
  const send = async <T>(key: string, method: string, path: string, body?: unknown): Promise<T> => {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const answer = await worker.fetch(new Request(`${front.url}${path}`, { method, headers, ...json }), env, ctx);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
    await settled();
    return JSON.parse(text) as T;
  };
  const read = async <T>(url: string): Promise<T> => (await fetch(url)).json() as Promise<T>;
  const calls = (): Promise<CallRecord[]> => read(`${network.url}/calls`);

  /** Waits until every webhook that has left is answered, and what it set going is over. */
  const quiet = async (): Promise<void> => {
    for (;;) {
      await settled();
      const deliveries = (await calls()).flatMap(({ events }) => events.flatMap((event) => event.deliveries));
      if (left.size === 0 && deliveries.every(({ answer }) => answer !== null)) return;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const minute = async (): Promise<Minute> => {
    const at = clock.now();
    const before = proxy.counters();
    for (const { cron, everyMinutes } of CRONS) {
      if ((at.getTime() / MINUTE) % everyMinutes !== 0) continue;
      await worker.scheduled({ cron }, env, ctx);
      await settled();
    }
    for (const end = at.getTime() + MINUTE; clock.now().getTime() < end;) {
      // With no timer of the network's, nothing happens by itself.
      const busy = clock.pending() > 0;
      clock.advance(busy ? STEP : end - clock.now().getTime());
      if (busy) await quiet();
    }
    const after = proxy.counters();
    return { at, connections: after.opened - before.opened, bytes: after.bytesFromClient - before.bytesFromClient };
  };

  const owner = { name: 'Acme', email: 'owner@example.com', timezone: 'UTC', max_concurrent_calls: 10 };
  const { api_key: key } = await send<{ api_key: string }>(env['ADMIN_KEY'] as string, 'POST', '/v1/accounts', owner);
  const agent = { name: 'Ann', provider: 'bolna', provider_agent_id: 'agent-1', credentials: { api_key: 'bn-test' } };
  const { id: agentId } = await send<{ id: string }>(key, 'POST', '/v1/agents', agent);
  return {
    database,
    proxy,
    now: clock.now,
    due: () => store.due(),
    api: (method, path, body) => send(key, method, path, body),
    agentId,
    async pass(minutes) {
      const seen: Minute[] = [];
      for (let n = 0; n < minutes; n += 1) seen.push(await minute());
      return seen;
    },
    calls,
    mails: () => read(`${inbox.url}/messages`),
  };
};
