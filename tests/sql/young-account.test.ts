/**
 * A young account: the statistics still say that it has one lead when its first list is there. What Postgres then does is read from its own account of
 * the plans it ran (auto_explain), as rows that were looked at in vain.
 */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones } from '../support/engine.ts';

const db = await testDatabase();
const engine = createEngine(db);
const LEADS = 2000;

/** A draft with leads of which the statistics know nothing. */
const young = async (): Promise<{ account: string; campaign: string }> => {
  await engine.reset();
  const owner = await engine.account();
  const campaign = await engine.campaign(owner);
  await engine.leads(owner.account, campaign, phones(1));
  await db.pool.query('analyze ringleader.leads');
  await engine.leads(owner.account, campaign, phones(LEADS, 1));
  return { account: owner.account, campaign };
};

const EXPLAIN = `load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
  set auto_explain.log_analyze = on; set auto_explain.log_timing = off; set auto_explain.log_level = notice`;

/** How many rows were looked at in vain while the app role did `work`; nothing of it is kept. */
const inVain = async (work: (client: PoolClient) => Promise<unknown>): Promise<number> => {
  const client = await db.pool.connect();
  let plans = '';
  client.on('notice', ({ message }) => void (plans += `${message}\n`));
  try {
    await client.query(EXPLAIN);
    await client.query('begin; set local role ringleader_app');
    await work(client);
    await client.query('rollback');
  } finally {
    client.release(true);
  }
  expect(plans).toContain('update ringleader.');
  return [...plans.matchAll(/Rows Removed by (?:Join )?Filter: (\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
};

test('its first list is canceled in a few passes, not in one for each lead', async () => {
  const { account, campaign } = await young();
  const wasted = await inVain(async (client) => {
    const { rows } = await client.query<{ campaign: { counts: object } }>(
      'select ringleader.cancel_campaign($1, $2, $3) as campaign',
      [account, engine.now(), campaign],
    );
    expect(rows[0]!.campaign.counts).toMatchObject({ leads: { canceled: LEADS + 1 } });
  });
  expect(wasted).toBeLessThan(5 * LEADS);
});

test('and a batch of its list is counted without reading the rest', async () => {
  const { account, campaign } = await young();
  const importId = randomUUID();
  await engine.verbs.beginImport(account, engine.now(), importId, campaign);
  const rows = phones(100, LEADS + 1).map((phone, i) => ({ id: randomUUID(), row: i + 2, phone }));
  const wasted = await inVain(async (client) => {
    const { rows: answers } = await client.query<{ report: object }>(
      'select ringleader.import_leads($1, $2, $3, $4, $5, $6) as report',
      [account, engine.now(), importId, campaign, JSON.stringify([...rows, { ...rows[0], id: randomUUID(), row: 200 }]), '[]'],
    );
    expect(answers[0]!.report).toEqual({ imported: 100, duplicates: 1, suppressed: 0 });
  });
  expect(wasted).toBeLessThan(LEADS);
});
