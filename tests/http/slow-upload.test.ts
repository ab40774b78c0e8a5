/** A list that arrives slowly: it keeps its campaign open, and when it is refused half-way the sender gets to hear why. */
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, codeOf, createCampaign, createTenant, stack, until } from './client.ts';

const tenant = await createTenant('Slow upload');
const db = new Client({ connectionString: stack.databaseUrl });
beforeAll(() => db.connect());
afterAll(() => db.end());

/** A CSV on its way: the test says what is sent, and when the file ends. */
const sending = (path: string) => {
  const wire = new TransformStream<Uint8Array, Uint8Array>();
  const writer = wire.writable.getWriter();
  const answer = call(tenant.key, 'POST', path, { raw: wire.readable, headers: { 'content-type': 'text/csv' } });
  return {
    send: (text: string) => writer.write(new TextEncoder().encode(text)),
    async end() {
      await writer.close();
      return answer;
    },
  };
};
const rows = (n: number, from = 0): string => Array.from({ length: n }, (_, i) => `+1415${5_600_000 + from + i},x\n`).join('');
/** Whatever the worker had to do when it was called, it has done: the same worker has answered others since. */
const worked = async (): Promise<void> => {
  for (let i = 0; i < 10; i += 1) await call(tenant.key, 'GET', '/v1/account');
};

/** Imports of a campaign that are under way. */
const underWay = async (campaign: string): Promise<number> => {
  const open = 'select count(*)::int as n from ringleader.imports where campaign_id = $1 and finished_at is null';
  return (await db.query<{ n: number }>(open, [campaign])).rows[0]!.n;
};

test('a list keeps its campaign open from its first few bytes on', async () => {
  const id = await createCampaign(tenant);
  const upload = sending(`/v1/campaigns/${id}/leads`);
  await upload.send('phone,x\n');
  await until(
    () => underWay(id),
    (n) => n === 1,
  );
  await upload.send(rows(3));
  const answer = await upload.end();
  expect([answer.status, answer.body['imported']], answer.text).toEqual([200, 3]);
  expect(await underWay(id)).toBe(0);
});

describe('a list that is refused while it still arrives', () => {
  test.each([
    ['leads without a column of numbers', async () => `/v1/campaigns/${await createCampaign(tenant)}/leads`],
    ['suppressions without one', () => Promise.resolve('/v1/suppressions')],
  ])('%s: 400', async (_what, path) => {
    const upload = sending(await path());
    await upload.send(`who,what\n${rows(20_000)}`);
    await worked();
    await upload.send(rows(10));
    const answer = await upload.end();
    expect([answer.status, codeOf(answer)], answer.text).toEqual([400, 'no_phone_column']);
  });

  test('its campaign is canceled: 409, with what went in before', async () => {
    const id = await createCampaign(tenant);
    const upload = sending(`/v1/campaigns/${id}/leads`);
    await upload.send(`phone,what\n${rows(10_000)}`);
    const waiting = async (): Promise<number> => {
      const { body } = await call<{ counts: { leads: { waiting?: number } } }>(tenant.key, 'GET', `/v1/campaigns/${id}`);
      return body.counts.leads.waiting ?? 0;
    };
    await until(waiting, (n) => n >= 1000);
    expect((await call(tenant.key, 'POST', `/v1/campaigns/${id}/cancel`)).status).toBe(200);
    await upload.send(rows(10_000, 10_000));
    await until(
      () => underWay(id),
      (n) => n === 0,
    );
    await worked();
    const answer = await upload.end();
    expect([answer.status, codeOf(answer)], answer.text).toEqual([409, 'campaign_closed']);
    const { imported, rows: read } = answer.body as unknown as { imported: number; rows: number };
    expect(imported).toBeGreaterThanOrEqual(1000);
    expect(read).toBe(imported);
    const { rows: kept } = await db.query<{ n: number }>(
      'select count(*)::int as n from ringleader.leads where campaign_id = $1',
      [id],
    );
    expect(kept[0]!.n).toBe(imported);
  });
});
