/** Explain says why a lead is not dialled, and a claim of the same moment agrees. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { EXPLAIN_CODES } from '../../lib/domain/vocabulary.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const { verbs, now } = engine;
afterEach(() => engine.reset());

const HOUR = 60 * 60_000;
const later = (hours: number): string => new Date(now().getTime() + hours * HOUR).toISOString();
const SHUT = { days: [1, 2, 3, 4, 5], start: '14:00', end: '18:00' };
const SYSTEM_CAP = 2;

interface Scene {
  account: string;
  agent: string;
  campaign: string;
  leads: string[];
}
const running = async (n: number, fields: object = {}, cap = 10, timezone?: string): Promise<Scene> => {
  const owner = await engine.account({ cap });
  const campaign = await engine.campaign(owner, fields);
  const leads = await engine.leads(owner.account, campaign, phones(n), timezone);
  await verbs.startCampaign(owner.account, now(), campaign);
  return { ...owner, campaign, leads };
};
const endOf = async (scene: Scene, status: 'busy' | 'completed'): Promise<void> => {
  const [call] = await engine.place(1);
  await engine.tell(scene, call.call_id, status);
};

/** What stands in the way of the last lead of the scene, and from when on it does not; null: no such moment, or nobody knows it. */
const REASONS: Record<string, [scene: () => Promise<Scene>, next: string | null]> = {
  campaign_not_active: [
    async () => {
      const scene = await running(1);
      await verbs.pauseCampaign(scene.account, now(), scene.campaign);
      return scene;
    },
    null,
  ],
  not_started: [() => running(1, { starts_at: later(3) }), later(3)],
  ended: [
    async () => {
      const scene = await running(1, { ends_at: later(1) });
      engine.pass(61);
      return scene;
    },
    null,
  ],
  outside_campaign_window: [() => running(1, { window: SHUT }), later(4)],
  unknown_timezone: [() => running(1, {}, 10, 'Nowhere/Land'), null],
  suppressed: [
    async () => {
      const scene = await running(1);
      await verbs.addSuppressions(scene.account, now(), [{ phone: phones(1)[0], reason: null }]);
      return scene;
    },
    null,
  ],
  waiting_for_retry: [
    async () => {
      const scene = await running(1, { retry: { busy_minutes: 120 } });
      await endOf(scene, 'busy');
      return scene;
    },
    later(2),
  ],
  attempts_used: [
    async () => {
      const scene = await running(1, { retry: { max_attempts: 1 } });
      await endOf(scene, 'busy');
      return scene;
    },
    null,
  ],
  number_in_call: [
    async () => {
      const scene = await running(1);
      const twin = await engine.campaign(scene);
      const leads = await engine.leads(scene.account, twin, phones(1));
      await engine.place(1);
      await verbs.startCampaign(scene.account, now(), twin);
      return { ...scene, campaign: twin, leads };
    },
    later(0),
  ],
  campaign_cap: [
    async () => {
      const scene = await running(2, { max_concurrent_calls: 1 });
      await engine.place(1);
      return scene;
    },
    later(0),
  ],
  account_cap: [
    async () => {
      const scene = await running(2, {}, 1);
      await engine.place(1);
      return scene;
    },
    later(0),
  ],
  system_cap: [
    async () => {
      await running(SYSTEM_CAP);
      await engine.place(SYSTEM_CAP);
      return running(1);
    },
    later(0),
  ],
  pace: [
    async () => {
      const scene = await running(2, { calls_per_second: 0.01 });
      await engine.place(1);
      return scene;
    },
    later(100 / 3600),
  ],
  provider_paused: [
    async () => {
      const scene = await running(1);
      const [call] = await engine.claim(1);
      await verbs.fenceCalls(now(), randomUUID(), [call.call_id]);
      const refused = { call_id: call.call_id, outcome: 'refused', refusal: 'account', reason: '402' } as const;
      await verbs.recordCalls(now(), [refused]);
      return scene;
    },
    null,
  ],
  lead_final: [
    async () => {
      const scene = await running(2);
      await endOf(scene, 'completed');
      return { ...scene, leads: scene.leads.slice(0, 1) };
    },
    null,
  ],
};
/** Part of the contract, and not built yet. */
const NOT_YET = ['outside_legal_hours', 'frequency_limit'];

const explain = async ({ account, leads }: Scene) => (await verbs.explainLead(account, now(), leads.at(-1)!, SYSTEM_CAP))!;
const claimed = async ({ leads }: Scene): Promise<boolean> =>
  (await engine.claim(100, SYSTEM_CAP)).some(({ lead_id }) => lead_id === leads.at(-1));

test('every reason that there is so far is tried', () => {
  expect([...Object.keys(REASONS), ...NOT_YET].toSorted()).toEqual([...EXPLAIN_CODES].toSorted());
});

test.each(Object.entries(REASONS))(
  '%s is told, with the moment from which it no longer holds, and the claim agrees',
  async (code, [make, next]) => {
    const scene = await make();
    const { dialable, reasons, next_eligible_at } = await explain(scene);
    expect(dialable).toBe(false);
    expect(reasons.map((reason) => reason.code)).toContain(code);
    expect(next_eligible_at).toBe(next);
    expect(await claimed(scene)).toBe(false);
  },
);

test('a lead that nothing stands in the way of is dialable now, and claimed', async () => {
  const scene = await running(1);
  expect(await explain(scene)).toEqual({ dialable: true, reasons: [], next_eligible_at: now().toISOString() });
  expect(await claimed(scene)).toBe(true);
});

describe('an agent that was told to wait until after the window has closed', () => {
  const held = async (fields: object) => {
    const scene = await running(2, { window: { ...SHUT, start: '09:00', end: '12:00' }, ...fields });
    engine.pass(119);
    const [call] = await engine.claim(1);
    await verbs.fenceCalls(now(), randomUUID(), [call!.call_id]);
    const later = { call_id: call!.call_id, outcome: 'refused', refusal: 'later', retry_after_seconds: 600 } as const;
    await verbs.recordCalls(now(), [later]);
    return scene;
  };

  test('dials when it opens again', async () => {
    const scene = await held({});
    expect(await explain(scene)).toMatchObject({ dialable: false, next_eligible_at: '2026-03-03T09:00:00.000Z' });
  });

  test('dials no more when the campaign has ended by then', async () => {
    const scene = await held({ ends_at: later(24) });
    engine.set('2026-03-03T09:59:00Z');
    await verbs.updateCampaign(scene.account, now(), scene.campaign, { ends_at: later(0.1) });
    await db.pool.query('update ringleader.agents set hold_until = $1', [later(0.2)]);
    expect(await explain(scene)).toMatchObject({ dialable: false, next_eligible_at: null });
  });
});

describe('next_dial_at of a campaign', () => {
  const nextOf = async ({ account, campaign }: Scene) => (await verbs.getCampaign(account, now(), campaign))!.next_dial_at;
  const NINE = { days: [1, 2, 3, 4, 5], start: '09:00', end: '12:00' };
  const saturday = '2026-03-07T00:00:00Z';

  test('of one that starts while its window is shut is the opening after that', async () => {
    expect(await nextOf(await running(1, { window: NINE, starts_at: saturday }))).toBe('2026-03-09T09:00:00.000Z');
  });

  test('of a retry that is due while its window is shut is the opening after that', async () => {
    const scene = await running(1, { window: NINE, retry: { busy_minutes: 600 } });
    await endOf(scene, 'busy');
    expect(await nextOf(scene)).toBe('2026-03-03T09:00:00.000Z');
  });

  test('is none while the provider refuses the agent, and the campaign says why', async () => {
    const scene = await running(1);
    const shown = async () => {
      const { status, next_dial_at, pause_reason } = (await verbs.getCampaign(scene.account, now(), scene.campaign))!;
      const { next_due_at } = await verbs.accountStatus(scene.account, now(), []);
      return { status, next_dial_at, pause_reason, next_due_at };
    };
    const due = now().toISOString();
    expect(await shown()).toEqual({ status: 'active', next_dial_at: due, pause_reason: null, next_due_at: due });
    await db.pool.query(`update ringleader.agents set paused_reason = '402: no credit'`);
    expect(await shown()).toEqual({
      status: 'active',
      next_dial_at: null,
      pause_reason: 'The provider refuses the agent: 402: no credit',
      next_due_at: null,
    });
  });

  test('is none when the campaign ends first, which is said', async () => {
    const scene = await running(1, { window: NINE, starts_at: saturday, ends_at: '2026-03-08T00:00:00Z' });
    expect(await verbs.explainLead(scene.account, now(), scene.leads[0], 100)).toMatchObject({
      dialable: false,
      next_eligible_at: null,
      reasons: [
        { code: 'not_started' },
        { code: 'ended', message: 'The campaign ends at 2026-03-08T00:00:00.000Z, before the lead may be dialled.' },
      ],
    });
  });

  test('of a lead that can be dialled is the moment from which it could', async () => {
    expect(await nextOf(await running(1, { window: NINE }))).toBe(now().toISOString());
    expect(await nextOf(await running(1, { window: SHUT }))).toBe(later(4));
  });
});
