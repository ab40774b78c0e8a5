/** What goes on when nobody waits for the answer any more: the client has hung up, or has it already. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { until } from '../platform/rig.ts';
import { csvOf, HOSTS, type Owner, type Ran, startRig } from './rig.ts';

vi.setConfig({ testTimeout: 120_000 });

const rig = await startRig();
const { pool } = rig.database;
afterEach(() => {
  for (const host of Object.values(HOSTS)) rig.outside.release(host);
});

const one = async <T>(text: string, params: unknown[]): Promise<T> => (await pool.query(text, params)).rows[0] as T;
const passed = ({ passages }: Ran<unknown>, method: string, path: RegExp): number =>
  passages.filter((passage) => passage.method === method && path.test(passage.path)).length;

/** A campaign of two leads under a cap of one, the first on a call that has ended at the provider. */
const oneOfTwo = async (): Promise<{ owner: Owner; campaign: string; execution: string }> => {
  const owner = await rig.account(1);
  const campaign = await rig.campaign(owner, 2, 0);
  await rig.run(() => rig.json(200, 'POST', `/v1/campaigns/${campaign}/start`, { key: owner.key }));
  rig.pass(60_000);
  const { id } = await one<{ id: string }>('select provider_call_id as id from ringleader.calls where campaign_id = $1', [
    campaign,
  ]);
  return { owner, campaign, execution: id };
};
/** Freezes the way to the database at the nth statement that calls a verb; `reached`: it has come. */
const frozenAt = (verb: string, nth = 1) => {
  const { log, faults } = rig.proxy;
  const before = log.length;
  faults.cutOn({ from: 'client', contains: verb, how: 'freeze', every: nth });
  return { reached: () => log.slice(before).some(({ detail }) => detail.includes('freeze')), goOn: () => faults.clear() };
};
const held = (host: string) => () =>
  rig.outside.journal.some((passage) => passage.host === host && !passage.over && passage.kind === 'fetch');

describe('a webhook whose sender hangs up', () => {
  test('while the provider is asked to confirm it: committed all the same, the freed slot refilled, the mail sent', async () => {
    const { owner, campaign, execution } = await oneOfTwo();
    rig.outside.hold(HOSTS.bolna);
    const body = { id: execution, status: 'completed', updated_at: new Date().toISOString() };
    const ran = await rig.desert('POST', owner.webhook, { body }, held(HOSTS.bolna), () => rig.outside.release(HOSTS.bolna));
    expect(ran).toMatchObject({ answer: { status: 499 }, witnessed: { exceptions: [] } });
    const { rows } = await pool.query('select status from ringleader.calls where campaign_id = $1 order by seq', [campaign]);
    expect(rows).toEqual([{ status: 'completed' }, { status: 'queued' }]);
    expect([passed(ran, 'POST', /^\/call$/), passed(ran, 'POST', /^\/email$/)]).toEqual([1, 1]);
  });

  test('in the midst of its body: cut there and then; no connection is opened, nothing is kept, nobody is alarmed', async () => {
    const owner = await rig.account();
    const body = new TransformStream<Uint8Array, Uint8Array>();
    void body.writable.getWriter().write(new TextEncoder().encode('{"id":"an-execution",'));
    const woken = (): number => rig.bundle.witnessed.filter(({ entrypoint }) => entrypoint === 'Sleeper').length;
    const before = woken();
    const sent = { raw: body.readable, headers: { 'content-type': 'application/json' } };
    const ran = await rig.desert('POST', owner.webhook, sent, () => woken() > before);
    expect(ran).toMatchObject({ answer: { status: 499 }, witnessed: { exceptions: [] }, passages: [] });
    expect(await rig.sentry()).toEqual([]);
  });
});

describe('an upload whose client hangs up', () => {
  const headers = { 'content-type': 'text/csv' };
  const imports = (campaign: string) =>
    one<{ leads: number; open: number }>(
      `select (select count(*)::int from ringleader.leads where campaign_id = $1) as leads,
         (select count(*)::int from ringleader.imports where campaign_id = $1 and finished_at is null) as open`,
      [campaign],
    );

  test('after its last byte: every row goes in, and the import is closed', async () => {
    const owner = await rig.account();
    const campaign = await rig.campaign(owner, 1, 0);
    const { reached, goOn } = frozenAt('import_leads');
    const sent = { key: owner.key, raw: csvOf(2500, 100), headers };
    const ran = await rig.desert('POST', `/v1/campaigns/${campaign}/leads`, sent, reached, goOn);
    expect(ran).toMatchObject({ answer: { status: 499 }, witnessed: { exceptions: [] } });
    expect(await imports(campaign)).toEqual({ leads: 2501, open: 0 });
  });

  test('in its midst: what had come stays, the import is closed, and the same file again adds the rest and nothing twice', async () => {
    const owner = await rig.account();
    const campaign = await rig.campaign(owner, 1, 0);
    const file = csvOf(20_000, 100);
    const body = new TransformStream<Uint8Array, Uint8Array>();
    const writer = body.writable.getWriter();
    const write = (text: string): Promise<void> => writer.write(new TextEncoder().encode(text));
    const key = { 'idempotency-key': 'the-same-file' };
    const sent = { key: owner.key, raw: body.readable, headers: { ...headers, ...key } };
    void write(file.slice(0, file.length / 2));
    const ran = await rig.desert(
      'POST',
      `/v1/campaigns/${campaign}/leads`,
      sent,
      async () => (await imports(campaign)).leads > 2000,
    );
    expect(ran).toMatchObject({ answer: { status: 499 }, witnessed: { exceptions: [] } });
    const { leads, open } = await imports(campaign);
    expect(open).toBe(0);
    expect(leads).toBeLessThan(20_000);
    const again = await rig.json(200, 'POST', `/v1/campaigns/${campaign}/leads`, {
      key: owner.key,
      raw: file,
      headers: { ...headers, ...key },
    });
    expect(again).toMatchObject({ rows: 20_000, imported: 20_000 - (leads - 1), duplicates: leads - 1 });
  });
});

describe('a download whose client hangs up', () => {
  const download = async () => {
    const owner = await rig.account();
    const campaign = await rig.campaign(owner, 1000, 0);
    return { path: `/v1/campaigns/${campaign}/leads.csv`, key: owner.key };
  };
  const settled = async ({ witnessed }: Ran<unknown>): Promise<void> => {
    expect(witnessed.exceptions).toEqual([]);
    expect(rig.outside.open()).toBe(0);
    expect(await rig.sentry()).toEqual([]);
  };

  test('before its first byte leaves no connection behind, and alarms nobody', async () => {
    const { path, key } = await download();
    const { reached, goOn } = frozenAt('export_leads');
    await settled(await rig.desert('GET', path, { key }, reached, goOn));
  });

  test('in its midst leaves no connection behind, and alarms nobody', async () => {
    const { path, key } = await download();
    const { reached, goOn } = frozenAt('export_leads', 2);
    await settled(
      await rig.run(async () => {
        const answer = await fetch(rig.bundle.frontUrl + path, { headers: { authorization: `Bearer ${key}` } });
        const reader = answer.body!.getReader();
        await reader.read();
        await until('the second page is asked for', reached);
        rig.bundle.hangUp();
        await reader.cancel();
        goOn();
      }),
    );
  });
});

test('a report is delivered after the answer has gone, and the answer does not wait for it', async () => {
  const owner = await rig.account();
  const campaign = await rig.campaign(owner, 1, 0);
  await rig.run(() => rig.json(200, 'POST', `/v1/campaigns/${campaign}/start`, { key: owner.key }));
  const { id } = await one<{ id: string }>('select provider_call_id as id from ringleader.calls where campaign_id = $1', [
    campaign,
  ]);
  rig.outside.hold(HOSTS.sentry);
  const ran = await rig.run(async () => {
    const answer = await rig.send('POST', owner.webhook, { body: { id, status: 'teleported' } });
    expect(answer.status).toBe(200);
    await until('the report is on its way', held(HOSTS.sentry));
    expect(await rig.sentry()).toEqual([]);
    rig.outside.release(HOSTS.sentry);
  });
  expect(ran.witnessed).toMatchObject({ outcome: 'ok', exceptions: [] });
  expect(await rig.sentry()).toMatchObject([{ error_type: 'webhook_processing_failed', level: 'error' }]);
});

test('nothing was left uncaught', async () => {
  await rig.quiet();
  expect(rig.bundle.witnessed.flatMap(({ exceptions }) => exceptions)).toEqual([]);
});
