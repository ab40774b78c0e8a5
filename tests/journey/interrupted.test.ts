/** The machine under the demo loses its power: whatever had happened is kept, and the campaign goes on to its end. The tests wait more than they work: side by side. */
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { familyOf, survivors } from '../support/system.ts';
import { type CampaignOut, demoOf, openScene, reopenScene, type StartedScene } from './scene.ts';
import { compareLeads, compareMail } from './table.ts';

const underWay = async (scene: StartedScene, id: string): Promise<void> => {
  await expect
    .poll(() => scene.api<CampaignOut>('GET', `/v1/campaigns/${id}`), { timeout: 60_000, interval: 100 })
    .toMatchObject({ status: 'active', counts: { leads: { calling: expect.any(Number), reached: expect.any(Number) } } });
};

test.concurrent(
  'a campaign whose supervisor was killed in its midst goes on to its end at the next start, nobody dialled twice',
  async () => {
    const first = await openScene();
    const campaign = await demoOf(first);
    await underWay(first, campaign.id);
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
  },
  300_000,
);

test.concurrent(
  'a list given at the next start is called, and the unfinished one goes on beside it; the same list given again is not called twice',
  async () => {
    const first = await openScene();
    const old = await demoOf(first);
    await underWay(first, old.id);
    const csv = path.join(first.dataDir, 'mine.csv');
    fs.writeFileSync(csv, 'phone\n+14155550100\n+14155550155\n');

    const second = await reopenScene(first, csv);
    const names = async (): Promise<string[]> =>
      (await second.all<CampaignOut & { name: string }>('/v1/campaigns')).map(({ name }) => name).sort();
    await expect.poll(names, { timeout: 60_000 }).toEqual(['Demo: leads.csv', 'Demo: mine.csv']);

    const third = await reopenScene(second, csv);
    await expect
      .poll(() => third.started.output(), { timeout: 60_000 })
      .toContain('Going on with the unfinished campaign “Demo: mine.csv”');
    const all = await third.all<CampaignOut>('/v1/campaigns');
    expect(all).toHaveLength(2);
    await third.until([old.id, ...all.map(({ id }) => id)], 'completed', 180_000);
    expect(await third.stats()).toMatchObject({ duplicate_creates: 0, dials_while_on_a_call: 0 });
  },
  420_000,
);
