/** The phone network is the world outside: a call on the line does not end because the system beside it was killed. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { serve, type Edge } from '../../local/edge-server.ts';
import { openJournal } from '../../local/journal.ts';
import { startPhoneNetwork } from '../../local/phone-network.ts';
import type { Remembered } from '../../local/phone-network/memory.ts';
import { testDirectory } from '../support/directory.ts';
import { AGENT, ask, manualClock, until } from './support.ts';

const base = testDirectory('memory');
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

interface Execution {
  id: string;
  status: string;
}

test('after a kill it knows every call, goes on with those on the line, and still counts what it counted', async () => {
  const clock = manualClock();
  const file = path.join(base, 'asked.jsonl');
  const start = (): Promise<Edge> => startPhoneNetwork({ clock, journal: openJournal<Remembered>(file) });
  const got: Execution[] = [];
  const receiver = await serve({ port: 0, maxBody: 1e6 }, ({ body }) => {
    got.push(JSON.parse(body.toString('utf8')) as Execution);
    return { status: 200, body: '' };
  });
  const create = (network: Edge, number: string, attempt_id: string) =>
    ask(`${network.url}/call`, 'POST', {
      agent_id: AGENT,
      recipient_phone_number: number,
      user_data: { campaign_id: 'c-1', lead_id: 'l-1', attempt_id },
    });
  const statusOf = async (network: Edge, id: string): Promise<string> =>
    ((await ask(`${network.url}/executions/${id}`)).body as Execution).status;

  const first = await start();
  await ask(`${first.url}/v2/agent/${AGENT}`, 'PATCH', { agent_config: { webhook_url: receiver.url } });
  await ask(`${first.url}/control`, 'PUT', { ceiling: 2 });
  const ids: string[] = [];
  const numbers = ['+12025550110', '+12025550192', '+12025550111'];
  for (const [i, number] of numbers.entries()) {
    ids.push(((await create(first, number, `a-${i}`)).body as { execution_id: string }).execution_id);
    clock.advance(2_000);
  }
  // The first talks, the second (no answer at its first dial) rings, the third waits for room.
  expect(await Promise.all(ids.map((id) => statusOf(first, id)))).toEqual(['in-progress', 'ringing', 'queued']);
  const before = (await ask(`${first.url}/stats`)).body as Record<string, unknown>;
  await until('every webhook', () => got.length === 8 || undefined);
  await first.stop();
  got.length = 0;

  const second = await start();
  expect(await Promise.all(ids.map((id) => statusOf(second, id)))).toEqual(['in-progress', 'ringing', 'queued']);
  expect((await ask(`${second.url}/stats`)).body).toMatchObject({
    calls_created: 3,
    live: 2,
    max_live: 2,
    ceiling: 2,
    ceiling_violations: before['ceiling_violations'],
  });
  clock.advance(120_000);
  expect(await Promise.all(ids.map((id) => statusOf(second, id)))).toEqual(['completed', 'no-answer', 'completed']);
  // What had been told before is not told again; what is still to come is.
  await until(
    'the ends',
    () => got.filter(({ status }) => status === 'completed' || status === 'no-answer').length === 3 || undefined,
  );
  expect(got.filter(({ id }) => id === ids[0]).map(({ status }) => status)).toEqual(['call-disconnected', 'completed']);
  // It knows the attempt that it took, and that this number was dialled before: now somebody answers.
  expect((await create(second, numbers[0], 'a-0')).status).toBe(200);
  const { body } = await create(second, numbers[1], 'a-9');
  clock.advance(120_000);
  expect(await statusOf(second, (body as { execution_id: string }).execution_id)).toBe('completed');
  expect((await ask(`${second.url}/stats`)).body).toMatchObject({ calls_created: 5, live: 0, duplicate_creates: 1 });
  await second.stop();
  await receiver.stop();
});
