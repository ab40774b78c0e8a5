import fs from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { callApi } from '../../local/api-client.ts';
import { CRONS } from '../../local/scheduler.ts';
import { type Stack, startStack } from '../../local/stack.ts';
import { Unwind } from '../../local/unwind.ts';
import { testDirectory } from '../support/directory.ts';

/** A system whose crons the test fires; it ends with the test. */
const start = async (): Promise<Stack> => {
  const dataDir = testDirectory('idle');
  const unwind = new Unwind();
  onTestFinished(async () => {
    await unwind.run();
    fs.rmSync(dataDir, { recursive: true, force: true });
  }, 30_000);
  const options = { dataDir, fresh: false, port: 0, speed: 60, cron: false, callingRules: false, fastPostgres: true };
  return startStack({ ...options, now: Date.UTC(2026, 9, 14, 15), variables: {}, say: () => undefined }, unwind);
};

const ticks = async ({ url }: Stack, n: number): Promise<void> => {
  for (let minute = 0; minute < n; minute += 1) {
    for (const { cron, everyMinutes } of CRONS) {
      if (minute % everyMinutes !== 0) continue;
      const answer = await fetch(`${url}/cdn-cgi/handler/scheduled?cron=${encodeURIComponent(cron)}`);
      if (!answer.ok) throw new Error(`the cron answered ${answer.status}`);
    }
  }
};

/** What anybody may send who has no key. */
const strangers = async ({ url }: Stack): Promise<void> => {
  for (const path of ['/webhooks/bolna/forged', '/v1/campaigns', '/v1/calls', '/webhooks/mail/postmark', '/links/forged']) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url + path, { method: 'POST', headers, body: '{}' });
    expect([path, answer.status]).toEqual([path, path.startsWith('/links') ? 404 : 401]);
  }
};

/** What the Neon stand-in has seen, by its own counts and its log. */
const seen = ({ neon }: Stack) => {
  const { opened, refused, bytesFromClient, flights } = neon.counters();
  return { opened, refused, bytesFromClient, flights, lines: neon.log.length, last: neon.log.at(-1) };
};

test('a day with nothing to do makes no connection and asks no query, whatever strangers send; work added afterwards is done', async () => {
  const stack = await start();
  const api = <T>(method: 'GET' | 'POST', path: string, answer: z.ZodType<T>, body?: unknown): Promise<T> =>
    callApi(stack.url, { method, path, key: stack.apiKey, answer, ...(body === undefined ? {} : { body }) });

  // Settles what starting left behind: whoever wrote has a tick look within two minutes. Until that makes no difference any more.
  await expect
    .poll(
      async () => {
        const before = seen(stack);
        await stack.clock.sleep(2 * 60_000);
        await ticks(stack, 10);
        return stack.neon.counters().openNow === 0 && JSON.stringify(seen(stack)) === JSON.stringify(before);
      },
      { timeout: 120_000 },
    )
    .toBe(true);
  const before = seen(stack);
  expect(before.opened).toBeGreaterThan(0);
  for (let hour = 0; hour < 24; hour += 1) {
    await strangers(stack);
    await ticks(stack, 60);
  }
  expect(seen(stack)).toEqual(before);

  // The same counts move when there is something to do.
  const made = await api('POST', '/v1/campaigns', z.object({ id: z.string() }), {
    name: 'After the night',
    agent_id: stack.agentId,
    window: { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' },
  });
  const leads = ['+14155550100', '+14155550101', '+14155550102'].map((phone) => ({ phone }));
  await api('POST', `/v1/campaigns/${made.id}/leads`, z.object({ imported: z.literal(3) }), { leads });
  const asked = seen(stack);
  expect(asked.opened).toBeGreaterThanOrEqual(before.opened + 2);
  expect(asked.bytesFromClient).toBeGreaterThan(before.bytesFromClient);
  expect(asked.lines).toBeGreaterThan(before.lines);
  await api('POST', `/v1/campaigns/${made.id}/start`, z.object({ status: z.literal('active') }));
  const done = z.object({ status: z.string(), counts: z.object({ calls: z.record(z.string(), z.number()) }) });
  await expect
    .poll(
      async () => {
        await ticks(stack, 1);
        return api('GET', `/v1/campaigns/${made.id}`, done);
      },
      { timeout: 120_000, interval: 500 },
    )
    .toEqual({ status: 'completed', counts: { calls: { completed: 3 } } });
}, 480_000);
