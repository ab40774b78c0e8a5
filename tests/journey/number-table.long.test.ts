import { expect, test } from 'vitest';
import { openScene } from './scene.ts';
import { compareLeads, compareMail, mostAtOnce, numbers } from './table.ts';

test('two campaigns of 150 leads with the default retries: every lead ends as the table says, two mails, right to the row', async () => {
  const scene = await openScene('--no-demo');
  await scene.api('PATCH', '/v1/account', { max_concurrent_calls: 7 });
  const rules = { maxAttempts: 3, noAnswer: true, busy: true, unknown: false };
  const ids = [
    await scene.campaign('Five', numbers('+1415555', 150), { max_concurrent_calls: 5 }),
    await scene.campaign('Three', numbers('+1415556', 150), { max_concurrent_calls: 3 }),
  ];
  await scene.until(ids, 'completed', 900_000);
  expect(await compareLeads(scene, ids[0], rules, true)).toBe(150);
  expect(await compareLeads(scene, ids[1], rules, true)).toBe(150);
  const stats = await scene.stats();
  console.log(JSON.stringify(stats));
  expect(stats).toMatchObject({ ceiling_violations: 0, duplicate_creates: 0, dials_while_on_a_call: 0 });
  expect(stats.max_live).toBeLessThanOrEqual(7);
  expect(await mostAtOnce(scene, ids[0])).toBeLessThanOrEqual(5);
  expect(await mostAtOnce(scene, ids[1])).toBeLessThanOrEqual(3);
  for (const id of ids) await compareMail(scene, id);
  expect(await scene.summaries()).toHaveLength(2);
}, 1_200_000);
