/** The built worker in workerd, the real driver, a front door that misbehaves: what the caller gets, what the sink gets, what is left. */
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { until } from './rig.ts';
import { startWorkerRig } from './worker-rig.ts';

const rig = await startWorkerRig();
const { faults } = rig.proxy;
beforeEach(async () => {
  faults.clear();
  await rig.forgetEvents();
});

const read = (): Promise<Response> => rig.send('GET', '/v1/account', { key: rig.apiKey });
/** Its first verb of its own, `begin_idempotent`, must not be sent twice. */
const write = (): Promise<Response> =>
  rig.send('POST', '/v1/api-keys', { key: rig.apiKey, body: { name: 'n' }, headers: { 'idempotency-key': randomUUID() } });

type Seen = { error_type: string | null; level: string | null; connection_terminated: unknown; outcome: unknown };
const seen = async (): Promise<Seen[]> =>
  (await rig.events()).map(({ error_type, level, tags, contexts }) => ({
    error_type,
    level,
    connection_terminated: tags['connection_terminated'],
    outcome: (contexts['report'] as Record<string, unknown>)['outcome'],
  }));
const settled = async (): Promise<void> => {
  faults.clear();
  await until('no backend of ours is left', async () => (await rig.backends()) === 0);
  await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);
  expect(rig.uncaught()).toEqual([]);
};

const cannotConnect: Seen = {
  error_type: 'database_connection_error',
  level: 'error',
  connection_terminated: false,
  outcome: 'not_applied',
};
const lost: Seen = { error_type: 'database_query_error', level: 'error', connection_terminated: undefined, outcome: 'unknown' };
const inFlight = (how: 1000 | 1001 | 'reset') => (): void => faults.cutOn({ from: 'server', contains: '"state"', how });

interface Case {
  fault: string;
  inject: () => void;
  ask: () => Promise<Response>;
  status: number;
  reports: Seen[];
}
const cases: Case[] = [
  {
    fault: 'WebSocket closed 1000 under a read',
    inject: () => faults.cutOn({ from: 'server', contains: 'max_concurrent', how: 1000 }),
    ask: read,
    status: 200,
    reports: [],
  },
  { fault: 'WebSocket closed 1000 under a write', inject: inFlight(1000), ask: write, status: 503, reports: [lost] },
  { fault: 'WebSocket closed 1001 under a write', inject: inFlight(1001), ask: write, status: 503, reports: [lost] },
  { fault: 'TCP reset under a write', inject: inFlight('reset'), ask: write, status: 503, reports: [lost] },
  { fault: 'upgrades refused twice', inject: () => faults.refuseUpgrades(502, 2), ask: read, status: 200, reports: [] },
  {
    fault: 'upgrades refused for good',
    inject: () => faults.refuseUpgrades(502),
    ask: read,
    status: 503,
    reports: [cannotConnect],
  },
  {
    fault: 'too many connections, once',
    inject: () => faults.refuseStartups('53300', 'too many clients', 1),
    ask: read,
    status: 200,
    reports: [],
  },
  {
    fault: 'too many connections, for good',
    inject: () => faults.refuseStartups('53300', 'too many clients', 100),
    ask: read,
    status: 503,
    reports: [cannotConnect],
  },
  {
    fault: 'wrong password',
    inject: () => faults.refuseStartups('28P01', 'password authentication failed', 1),
    ask: read,
    status: 503,
    reports: [cannotConnect],
  },
  { fault: 'compute waking in 50 ms', inject: () => faults.delayConnect(50), ask: read, status: 200, reports: [] },
  { fault: 'compute waking in 5 s', inject: () => faults.delayConnect(5000), ask: write, status: 201, reports: [] },
];
test.each(cases)('$fault: $status', { timeout: 90_000 }, async ({ inject, ask, status, reports }) => {
  inject();
  expect((await ask()).status).toBe(status);
  await until('the reports are in', async () => (await rig.events()).length >= reports.length);
  await settled();
  expect(await seen()).toEqual(reports);
});
test('every fault was tried', () => expect(cases).toHaveLength(11));

/** A write that waits at the server, and what becomes of it when its connection goes. */
const whileItRuns = async (act: () => Promise<void> | void): Promise<Response> => {
  const blocker = await rig.database.pool.connect();
  await blocker.query('begin');
  await blocker.query('lock table ringleader.idempotency_keys in access exclusive mode');
  const answer = write();
  await until('the write waits', async () => {
    const waiting = await rig.database.pool.query(
      "select 1 from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'",
      [rig.database.name],
    );
    return waiting.rowCount === 1;
  });
  await act();
  const response = await answer;
  await blocker.query('rollback');
  blocker.release();
  return response;
};
const underWay: [fault: string, act: () => Promise<void> | void][] = [
  ['terminated by the server', () => rig.terminate()],
  ['TCP dropped behind the front door', () => faults.dropTcp()],
  ['frozen', () => faults.freeze()],
];
test.each(underWay)('%s under a write: 503, and its outcome is reported as unknown', { timeout: 90_000 }, async (_, act) => {
  expect((await whileItRuns(act)).status).toBe(503);
  await until('it is reported', async () => (await rig.events()).length > 0);
  await settled();
  expect(await seen()).toEqual([lost]);
});

test('a read-only database refuses a write for what it is, and reads go on', { timeout: 90_000 }, async () => {
  const { pool, name } = rig.database;
  await pool.query(`alter database ${name} set default_transaction_read_only = on`);
  expect((await read()).status).toBe(200);
  expect((await write()).status).toBe(503);
  await pool.query('begin; set transaction read write; alter database ' + name + ' reset default_transaction_read_only; commit');
  await until('it is reported', async () => (await rig.events()).length > 0);
  await settled();
  expect(await seen()).toEqual([{ ...lost, outcome: 'rejected' }]);
});

test(
  'an idle connection that is terminated while its invocation lasts is exactly one warning, and the work goes on (class 1)',
  { timeout: 90_000 },
  async () => {
    const agent = await rig.database.pool.query<{ n: number }>('select count(*)::int n from ringleader.accounts');
    expect(agent.rows[0].n).toBe(1);
    const body = new TransformStream<Uint8Array, Uint8Array>();
    const writer = body.writable.getWriter();
    const bytes = new TextEncoder();
    const sent = fetch(`${rig.url}/v1/suppressions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${rig.apiKey}`, 'content-type': 'text/csv' },
      body: body.readable,
      duplex: 'half',
    } as RequestInit);
    await writer.write(bytes.encode('phone,reason\n+14155550100,\n'));
    await until('the connection is idle', async () => (await rig.backends()) === 1);
    await rig.terminate();
    await until('it is reported', async () => (await rig.events()).length > 0);
    await writer.write(bytes.encode('+14155550101,\n'));
    await writer.close();
    expect((await sent).status).toBe(200);
    await settled();
    expect(await seen()).toEqual([{ ...cannotConnect, level: 'warning', connection_terminated: true, outcome: undefined }]);
  },
);

test(
  'two hundred failing requests at once: two hundred reports, none with the tags of another',
  { timeout: 120_000 },
  async () => {
    faults.refuseStartups('28P01', 'password authentication failed for +14155550123', 1e9);
    const paths = ['/v1/account', '/v1/agents', '/v1/campaigns', '/v1/suppressions'];
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => rig.send('GET', paths[i % 4], { key: rig.apiKey })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
    await until('all reports are in', async () => (await rig.events()).length >= 200);
    await settled();
    const events = await seen();
    expect(events).toHaveLength(200);
    expect(events.filter((event) => JSON.stringify(event) !== JSON.stringify(cannotConnect))).toEqual([]);
    const said = (await rig.envelopes()).join('\n') + rig.output();
    for (const secret of ['+14155550123', rig.apiKey, rig.adminKey, new URL(rig.database.appUrl).password])
      expect(said).not.toContain(secret);
  },
);
