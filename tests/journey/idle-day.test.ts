import { Client } from 'pg';
import { expect, test } from 'vitest';
import { openScene, type Scene } from './scene.ts';
import { compareLeads, numbers } from './table.ts';

const fire = async (scene: Scene, cron: string): Promise<void> => {
  const answer = await fetch(`${scene.ready.url}/cdn-cgi/handler/scheduled?cron=${encodeURIComponent(cron)}`);
  if (!answer.ok) throw new Error(`the cron answered ${answer.status}`);
};

/** What anybody may send who has no key. */
const strangers = async (scene: Scene): Promise<void> => {
  for (const path of ['/webhooks/bolna/forged', '/v1/campaigns', '/v1/calls', '/webhooks/mail/postmark', '/links/forged']) {
    const answer = await fetch(`${scene.ready.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect([path, answer.status]).toEqual([path, path.startsWith('/links') ? 404 : 401]);
  }
};

test('a day with nothing to do makes no connection, whatever strangers send; work added afterwards is done', async () => {
  const scene = await openScene('--no-demo', '--no-cron');
  const client = new Client({ connectionString: scene.ready.database_url });
  await client.connect();
  /** Sessions ever opened by anybody; the statistics of a session arrive when it ends. */
  const sessions = async (): Promise<number> => {
    await client.query('select pg_stat_force_next_flush()');
    const { rows } = await client.query<{ n: number }>(`select sum(sessions)::int as n from pg_stat_database`);
    return rows[0].n;
  };
  try {
    const ticks = async (n: number): Promise<void> => {
      for (let minute = 0; minute < n; minute += 1) {
        await fire(scene, '* * * * *');
        if (minute % 5 === 0) await fire(scene, '*/5 * * * *');
      }
    };
    await ticks(5); // settles what starting left behind
    await expect.poll(async () => (await ticks(1), await sessions()) === (await sessions()), { timeout: 60_000 }).toBe(true);
    let before = await sessions();
    // What was opened a moment ago may be counted late: the day begins once two counts agree a second apart.
    await expect
      .poll(
        async () => {
          const now = await sessions();
          const same = now === before;
          before = now;
          return same;
        },
        { timeout: 60_000, interval: 1000 },
      )
      .toBe(true);
    for (let hour = 0; hour < 24; hour += 1) {
      await strangers(scene);
      await ticks(60);
    }
    await new Promise((resolve) => setTimeout(resolve, 1500)); // statistics of a session that ended are flushed within a second
    expect(await sessions()).toBe(before);

    const campaign = await scene.campaign('After the night', numbers('+1415555', 3), {});
    await expect
      .poll(
        async () => {
          await ticks(1);
          return (await scene.api<{ status: string }>('GET', `/v1/campaigns/${campaign}`)).status;
        },
        { timeout: 60_000, interval: 500 },
      )
      .toBe('completed');
    const rules = { maxAttempts: 3, noAnswer: true, busy: true, unknown: false };
    expect(await compareLeads(scene, campaign, rules, true)).toBe(3);
  } finally {
    await client.end();
  }
}, 240_000);
