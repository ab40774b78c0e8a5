/** From the webhook that frees a slot to the create-call that uses it, through the worker's own handler and driver. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { onWebhook } from '../functions/webhooks.ts';
import { createAgentMemory } from '../lib/agent-memory.ts';
import { webhookKey } from '../lib/auth.ts';
import { createBackground } from '../lib/background.ts';
import { compose, type Invocation } from '../lib/compose.ts';
import { useLocalEndpoint, withDb } from '../lib/db.ts';
import { dispatch } from '../lib/dial.ts';
import { createSealer } from '../lib/seal.ts';
import { startNeonProxy } from '../local/neon-proxy.ts';
import type { Bench } from './bench.ts';
import { CONFIG } from './config.ts';
import { check, line, median, quantile, round } from './measure.ts';
import { stage } from './scene.ts';

const REFILLS = 60;
const LINES = 4;
const LEADS = LINES + REFILLS;

/** A Bolna that answers create-calls at once and notes when they came. */
const provider = async (placed: (execution: string) => void): Promise<{ url: string; stop(): void }> => {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      const execution_id = randomUUID();
      placed(execution_id);
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ execution_id, status: 'queued' }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, stop: () => void server.close() };
};

export const refill: Bench = {
  name: 'refill',
  about: 'a webhook that frees a slot, to the create-call that uses it: handler, driver, a connection per invocation',
  async run(server) {
    const { log } = console;
    console.log = () => undefined; // the worker's own log
    const db = await server.database();
    const proxy = await startNeonProxy({ postgres: { socketPath: server.socketPath } });
    useLocalEndpoint(proxy.wsProxy);
    const arrived: { execution: string; at: number }[] = [];
    const bolna = await provider((execution) => void arrived.push({ execution, at: performance.now() }));
    const reports: string[] = [];
    const agentMemory = createAgentMemory();
    let left: Promise<unknown>[] = [];
    const invocation = (): Invocation => {
      const began = performance.now();
      const report = (type: string): void => void reports.push(type);
      const ctx = { waitUntil: (promise: Promise<unknown>): void => void left.push(promise) };
      return {
        config: { ...CONFIG, databaseUrl: db.appUrl, providerBaseUrls: { ...CONFIG.providerBaseUrls, bolna: bolna.url } },
        now: () => new Date(),
        elapsedMs: () => performance.now() - began,
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
        report,
        wake: () => Promise.resolve(),
        handOver: () => Promise.resolve(),
        counted: () => Promise.resolve(),
        webhookForged: () => Promise.resolve(),
        measured: () => Promise.resolve(null),
        agentMemory,
        background: createBackground({ report, ctx }),
        ctx,
      };
    };
    const settle = async (): Promise<void> => {
      while (left.length > 0) await Promise.all(left.splice(0));
    };
    try {
      const credentials = await createSealer(CONFIG.secretsKey).seal(JSON.stringify({ api_key: 'k' }));
      const [owner] = await stage(db, { accounts: 1, leads: LEADS, accountCap: LINES, credentials });
      const key = await webhookKey(CONFIG.secretsKey, owner.account, owner.agent);
      const first = invocation();
      await withDb(first, (own) => dispatch(compose(first, own)));
      first.background.begin();
      await settle();
      const took: number[] = [];
      const answered: number[] = [];
      for (let n = 0; n < REFILLS; n += 1) {
        const { execution } = arrived[n];
        const body = JSON.stringify({ id: execution, status: 'call-disconnected', updated_at: new Date().toISOString() });
        const request = new Request(`${CONFIG.publicUrl}/webhooks/bolna/${key}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        });
        const began = performance.now();
        const called = invocation();
        const response = await onWebhook(called, request, { provider: 'bolna', webhook_key: key });
        called.background.begin();
        answered.push(performance.now() - began);
        await settle();
        check(response.status === 200 && arrived.length === LINES + n + 1, `after ${n + 1} webhooks ${arrived.length} calls`);
        took.push(arrived[LINES + n].at - began);
      }
      check(reports.length === 0, `reported: ${reports.join(', ')}`);
      return {
        lines: [line('slot freed → next create-call, p50', median(took), '<=', 50, ' ms')],
        detail: [
          `from the webhook's arrival to the create-call's: p50 ${round(median(took))} ms, p95 ${round(quantile(took, 0.95))} ms, ${REFILLS} refills`,
          `the webhook's own answer: p50 ${round(median(answered))} ms; two connections of their own, without any network between`,
        ],
      };
    } finally {
      console.log = log;
      bolna.stop();
      await proxy.stop();
      await db.drop();
    }
  },
};
