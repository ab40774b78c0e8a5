/** The machine under the demo loses its power: whatever had happened is kept, and the campaign goes on to its end. */
import { expect, test } from 'vitest';
import { familyOf, survivors } from '../support/system.ts';
import { type CampaignOut, demoOf, openScene, reopenScene } from './scene.ts';
import { compareLeads, compareMail } from './table.ts';

test('a campaign whose supervisor was killed in its midst goes on to its end at the next start, nobody dialled twice', async () => {
  const first = await openScene();
  const campaign = await demoOf(first);
  await expect
    .poll(() => first.api<CampaignOut>('GET', `/v1/campaigns/${campaign.id}`), { timeout: 60_000, interval: 100 })
    .toMatchObject({ status: 'active', counts: { leads: { calling: expect.any(Number), reached: expect.any(Number) } } });
  const family = familyOf(first.started.pid);

  const second = await reopenScene(first);
  expect(await survivors(family, 0)).toEqual([]);
  expect(await second.all<CampaignOut>('/v1/campaigns')).toHaveLength(1);
  await second.until([campaign.id], 'completed', 180_000);
  const rules = { maxAttempts: 3, noAnswer: true, busy: true, unknown: false };
  expect(await compareLeads(second, campaign.id, rules, false)).toBe(60);
  await compareMail(second, campaign.id);
  expect(await second.summaries()).toHaveLength(1);
  expect(await second.stats()).toMatchObject({ duplicate_creates: 0, dials_while_on_a_call: 0 });
}, 300_000);
