/** The built worker in workerd, the real driver, a front door that misbehaves: what the caller gets, what the sink gets, what is left. */
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { readmeFilters } from './filters.ts';
import { until, watchBackends } from './rig.ts';
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
const noBackendLeft = watchBackends('workerd', () => rig.backends());
const settled = async (): Promise<void> => {
  faults.clear();
  await noBackendLeft();
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

/** A request whose body has come half, and whose connection is therefore open and idle. */
const halfSent = async (signal: AbortSignal | null = null) => {
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const writer = body.writable.getWriter();
  const write = (text: string): Promise<void> => writer.write(new TextEncoder().encode(text));
  const answer = fetch(`${rig.url}/v1/suppressions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${rig.apiKey}`, 'content-type': 'text/csv' },
    body: body.readable,
    duplex: 'half',
    signal,
  } as RequestInit);
  await write('phone,reason\n+14155550100,\n');
  await until('its key has been looked up', async () => {
    const idle = await rig.database.pool.query(
      "select 1 from pg_stat_activity where datname = $1 and application_name = 'ringleader' and state = 'idle' and query like '%authenticate%'",
      [rig.database.name],
    );
    return idle.rowCount === 1;
  });
  const finish = async (): Promise<Response> => {
    await write('+14155550101,\n');
    await writer.close();
    return answer;
  };
  return { answer, finish };
};
const terminatedWhileIdle = async (): Promise<Response> => {
  const { finish } = await halfSent();
  await rig.terminate();
  await until('it is reported', async () => (await rig.events()).length > 0);
  return finish();
};

test(
  'an idle connection that is terminated while its invocation lasts is exactly one warning, and the work goes on (class 1)',
  { timeout: 90_000 },
  async () => {
    const response = await terminatedWhileIdle();
    expect([response.status, await response.json()]).toMatchObject([200, { rows: 2, added: 2 }]);
    await settled();
    expect(await seen()).toEqual([{ ...cannotConnect, level: 'warning', connection_terminated: true, outcome: undefined }]);
  },
);

test('the saved filters part an idle termination from a failure to connect', { timeout: 90_000 }, async () => {
  expect((await terminatedWhileIdle()).status).toBe(200);
  faults.refuseStartups('28P01', 'password authentication failed', 1e9);
  expect((await read()).status).toBe(503);
  await until('both are reported', async () => (await rig.events()).length >= 2);
  await settled();
  const events = await rig.events();
  const { ignore, alert, track } = readmeFilters();
  expect(events.filter(({ tags }) => ignore(tags)).map(({ level }) => level)).toEqual(['warning']);
  // Whatever wakes in the background finds the database closed as well: all of that is to alarm somebody.
  const failures = events.filter(({ error_type, level }) => error_type === 'database_connection_error' && level === 'error');
  expect(failures.length).toBeGreaterThan(0);
  expect(events.filter(({ tags }) => alert(tags))).toEqual(failures);
  const verbs = failures.map(({ contexts }) => (contexts['report'] as Record<string, unknown>)['verb']);
  expect(verbs.filter((verb) => verb === 'authenticate')).toHaveLength(1);
  expect(events.filter(({ tags }) => track(tags))).toEqual([]);
});

test(
  'a good-bye that is never answered holds back no answer, and leaves nothing once the network thaws',
  { timeout: 90_000 },
  async () => {
    faults.cutOn({ from: 'client', contains: 'X\0\0\0\u0004', how: 'freeze' });
    const before = rig.proxy.log.length;
    expect((await read()).status).toBe(200);
    await until('the good-bye is held back', () => rig.proxy.log.slice(before).some(({ detail }) => detail.includes('freeze')));
    await settled();
    expect(await seen()).toEqual([]);
  },
);

test('a client that hangs up in the middle of its request leaves no connection behind', { timeout: 90_000 }, async () => {
  const client = new AbortController();
  const { answer } = await halfSent(client.signal);
  client.abort();
  await expect(answer).rejects.toThrow(/abort/);
  await settled();
});

test(
  'two hundred failing requests at once: two hundred reports, none with what belongs to another',
  { timeout: 120_000 },
  async () => {
    faults.refuseStartups('28P01', 'password authentication failed for +14155550123', 1e9);
    const ask: Record<string, () => Promise<Response>> = {
      authenticate: read,
      create_account: () =>
        rig.send('POST', '/v1/accounts', { key: rig.adminKey, body: { name: 'Maria Canary', email: 'maria@example.com' } }),
    };
    const verbs = Object.keys(ask);
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask[verbs[i % verbs.length]]!()));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
    await until('all reports are in', async () => (await rig.events()).length >= 200);
    await settled();
    expect(await seen()).toEqual(answers.map(() => cannotConnect));
    const events = await rig.events();
    for (const verb of verbs) {
      const own = events.filter(({ contexts }) => (contexts['report'] as Record<string, unknown>)['verb'] === verb);
      expect(own).toHaveLength(200 / verbs.length);
    }
    const said = (await rig.envelopes()).join('\n') + rig.output();
    const secrets = ['+14155550123', 'Maria Canary', 'maria@example.com', rig.apiKey, rig.adminKey];
    for (const secret of [...secrets, new URL(rig.database.appUrl).password]) expect(said).not.toContain(secret);
  },
);
