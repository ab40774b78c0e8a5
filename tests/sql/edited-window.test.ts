import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';
import { twoSessions } from './two-sessions.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
const { during, blocked } = twoSessions(db);
afterEach(() => engine.reset());

/** On a Monday at 10:00 UTC: shut, open, and open in New York alone. */
const AFTERNOON = { days: [1, 2, 3, 4, 5], start: '14:00', end: '18:00' };
const MORNING = { days: [1, 2, 3, 4, 5], start: '09:00', end: '12:00' };
const NIGHT = { days: [1, 2, 3, 4, 5], start: '04:00', end: '06:00' };

const started = async (window: object, leads = 1) => {
  const owner = await engine.account();
  const campaign = await engine.campaign(owner, { window });
  await engine.leads(owner.account, campaign, phones(leads));
  await verbs.startCampaign(owner.account, now(), campaign);
  return { ...owner, campaign };
};

const claimIn = (client: Client): Promise<unknown> =>
  client.query('select ringleader.claim_calls($1, $2, 10, 100)', [now(), randomUUID()]);
const heldLanes = async (): Promise<number> => {
  const { rows } = await db.pool.query<{ n: number }>(
    `select count(*)::int as n from ringleader.campaign_zones z
     where not exists (select from (select y.ctid from ringleader.campaign_zones y for no key update skip locked) free where free.ctid = z.ctid)`,
  );
  return rows[0].n;
};

describe('a window that was edited while a claim held its lane', () => {
  /** The first claim of a day works the window out again, and so holds the lane until it commits. */
  const held = async (edit: (scene: Awaited<ReturnType<typeof started>>) => Promise<unknown>, before: object) => {
    const scene = await started(before);
    engine.pass(24 * 60);
    await during(claimIn, async () => {
      expect(await heldLanes()).toBe(1);
      await edit(scene);
    });
    return scene;
  };

  test('is the window of the very next claim, when the campaign’s hours were edited', async () => {
    await held(({ account, campaign }) => verbs.updateCampaign(account, now(), campaign, { window: MORNING }), AFTERNOON);
    expect(await engine.claim()).toHaveLength(1);
  });

  test('is the window of the very next claim, when the campaign’s zone was edited', async () => {
    const zone = 'America/New_York';
    await held(({ account, campaign }) => verbs.updateCampaign(account, now(), campaign, { timezone: zone }), NIGHT);
    expect(await engine.claim()).toHaveLength(1);
  });

  test('is the window of the very next claim, when the account’s zone was edited', async () => {
    await held(({ account }) => verbs.updateAccount(account, now(), { timezone: 'America/New_York' }), NIGHT);
    expect(await engine.claim()).toHaveLength(1);
  });

  test('is due at once, so that no tick sleeps over it', async () => {
    await held(({ account, campaign }) => verbs.updateCampaign(account, now(), campaign, { window: MORNING }), AFTERNOON);
    expect(Date.parse((await verbs.nextDue(now()))!)).toBeLessThanOrEqual(now().getTime());
  });
});

test('a lane that is made while its window is edited is claimed by the edited window', async () => {
  const { account, campaign } = await started(AFTERNOON);
  const importId = randomUUID();
  await verbs.beginImport(account, now(), importId, campaign);
  const rows = [{ id: randomUUID(), row: 1, phone: phones(1, 100)[0], timezone: 'Europe/Lisbon', variables: {} }];
  await during(
    (client) =>
      client.query('select ringleader.import_leads($1, $2, $3, $4, $5, $6)', [
        account,
        now(),
        importId,
        campaign,
        JSON.stringify(rows),
        '[]',
      ]),
    () => verbs.updateCampaign(account, now(), campaign, { window: MORNING }),
  );
  expect((await engine.claim()).map((call) => call.timezone)).toEqual([null, 'Europe/Lisbon']);
});

test('a campaign that is deleted while leads are added to it leaves none of them behind', async () => {
  const owner = await engine.account();
  const campaign = await engine.campaign(owner, { window: AFTERNOON });
  const importId = randomUUID();
  await verbs.beginImport(owner.account, now(), importId, campaign);
  const rows = [{ id: randomUUID(), row: 1, phone: phones(1)[0], variables: {} }];
  const args = [owner.account, now(), importId, campaign, JSON.stringify(rows), '[]'];
  let deleted: Promise<boolean> | undefined;
  await during(
    (client) => client.query('select ringleader.import_leads($1, $2, $3, $4, $5, $6)', args),
    () => {
      deleted = verbs.deleteCampaign(owner.account, now(), campaign);
      return blocked();
    },
  );
  expect(await deleted).toBe(true);
  expect((await db.pool.query('select from ringleader.leads')).rowCount).toBe(0);
});

test('a window that was edited shut while a claim held its lane reserves nobody any more', async () => {
  const { account, campaign } = await started(MORNING, 2);
  engine.pass(24 * 60);
  await verbs.updateCampaign(account, now(), campaign, { max_concurrent_calls: 1 });
  await during(claimIn, () => verbs.updateCampaign(account, now(), campaign, { window: AFTERNOON }));
  await db.pool.query('update ringleader.calls set released_at = $1', [now()]);
  expect(await engine.claim()).toEqual([]);
});

test('the last look of a refill sees a window that was edited while its first look held the lane (class 17)', async () => {
  const { account, campaign } = await started(AFTERNOON);
  engine.pass(24 * 60);
  const token = randomUUID();
  await verbs.beginRefill(account, now(), token);
  // Holds the right to look whether a refill is under way, as an edit does that is about to find this one.
  let claim: ReturnType<typeof verbs.claimCalls> | undefined;
  await during(
    async (client) => {
      const begin = 'select ringleader.begin_refill($1, $2, $3) as taken';
      const { rows } = await client.query<{ taken: boolean }>(begin, [account, now(), randomUUID()]);
      expect(rows[0]!.taken).toBe(false);
    },
    async () => {
      claim = verbs.claimCalls(now(), randomUUID(), 4, 1000, account, token);
      await blocked();
      expect(await heldLanes()).toBe(1);
      await verbs.updateCampaign(account, now(), campaign, { window: MORNING });
    },
  );
  expect((await claim)!.calls).toHaveLength(1);
});
