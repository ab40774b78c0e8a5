import { expect, test } from 'vitest';
import { openScene } from './scene.ts';
import { compareLeads, compareMail, mostAtOnce, numbers } from './table.ts';

test('every row of the number table ends as it says, under all caps, nobody twice, nobody left behind, one right mail each', async () => {
  const scene = await openScene('--no-demo');
  await scene.api('PATCH', '/v1/account', { max_concurrent_calls: 7 });
  const retry = { max_attempts: 3, no_answer_minutes: 3, busy_minutes: 2 };
  const rules = { maxAttempts: 3, noAnswer: true, busy: true, unknown: false };
  const ids = [
    await scene.campaign('First half', numbers('+1415555', 100), { max_concurrent_calls: 5, retry }),
    await scene.campaign('Other half', numbers('+1415556', 50), { max_concurrent_calls: 3, retry }),
  ];
  await scene.until(ids, 'completed', 300_000);
  expect(await compareLeads(scene, ids[0], rules, true)).toBe(100);
  expect(await compareLeads(scene, ids[1], rules, true)).toBe(50);
  const stats = await scene.stats();
  expect(stats).toMatchObject({ ceiling_violations: 0, duplicate_creates: 0, dials_while_on_a_call: 0 });
  expect(stats.max_live).toBeLessThanOrEqual(7);
  expect(await mostAtOnce(scene, ids[0])).toBeLessThanOrEqual(5);
  expect(await mostAtOnce(scene, ids[1])).toBeLessThanOrEqual(3);
  for (const id of ids) await compareMail(scene, id);
  expect(await scene.summaries()).toHaveLength(2);
}, 480_000);
