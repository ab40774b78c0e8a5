/**
 * A front door that misbehaves, before the whole application: what the caller gets, what the sink gets, what is left. The same suite
 * in Node and in workerd.
 */
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import type { AppRig } from './app-rig.ts';
import { readmeFilters } from './filters.ts';
import { until, watchBackends } from './rig.ts';

type Seen = { error_type: string | null; level: string | null; connection_terminated: unknown; outcome: unknown };
const cannotConnect: Seen = {
  error_type: 'database_connection_error',
  level: 'error',
  connection_terminated: false,
  outcome: 'not_applied',
};
const terminatedIdle: Seen = { ...cannotConnect, level: 'warning', connection_terminated: true, outcome: undefined };
const lost: Seen = { error_type: 'database_query_error', level: 'error', connection_terminated: undefined, outcome: 'unknown' };

/** What the driver says before it closes: Terminate. */
const GOOD_BYE = 'X\0\0\0\u0004';

interface Fault {
  fault: string;
  /** Injects it, and asks something that runs into it. */
  ask: () => Promise<Response>;
  status: number;
  reports: Seen[];
}

export const faultSuite = (runtime: string, rig: AppRig): void => {
  const { faults } = rig.proxy;
  beforeEach(async () => {
    faults.clear();
    await rig.forgetEvents();
  });

  const read = (): Promise<Response> => rig.send('GET', '/v1/account', { key: rig.apiKey });
  /** Its first verb of its own, `begin_idempotent`, must not be sent twice. */
  const write = (): Promise<Response> =>
    rig.send('POST', '/v1/api-keys', { key: rig.apiKey, body: { name: 'n' }, headers: { 'idempotency-key': randomUUID() } });

  const seen = async (): Promise<Seen[]> =>
    (await rig.events()).map(({ error_type, level, tags, contexts }) => ({
      error_type,
      level,
      connection_terminated: tags['connection_terminated'],
      outcome: (contexts['report'] as Record<string, unknown>)['outcome'],
    }));
  const noBackendLeft = watchBackends(runtime, () => rig.backends());
  /** The fault is over: nothing of ours is left, and nothing escaped. */
  const settled = async (): Promise<void> => {
    faults.clear();
    await noBackendLeft();
    await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);
    expect(rig.uncaught()).toEqual([]);
  };

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
  const terminatedBetweenVerbs = async (): Promise<Response> => {
    const { finish } = await halfSent();
    await rig.terminate();
    await until('it is reported', () => rig.reported() > 0);
    return finish();
  };

  /** A read whose connection is never told good-bye, although it says it. */
  const endNeverAnswers = async (): Promise<Response> => {
    faults.cutOn({ from: 'client', contains: GOOD_BYE, how: 'mute' });
    const before = rig.proxy.log.length;
    const response = await read();
    await until('the good-bye is ignored', () => rig.proxy.log.slice(before).some(({ detail }) => detail.includes('mute')));
    return response;
  };
  /** What connections went through, each of which tells of itself when it has ended or given up ending. */
  const counted = async (): Promise<number> => {
    const status = await rig.send('GET', '/v1/status', { key: rig.adminKey });
    const { connections } = (await status.json()) as { connections: { opened: { last_48_hours: number } } };
    return connections.opened.last_48_hours;
  };

  const readOnly = async (): Promise<Response> => {
    const { pool, name } = rig.database;
    await pool.query(`alter database ${name} set default_transaction_read_only = on`);
    try {
      expect((await read()).status).toBe(200);
      return await write();
    } finally {
      await pool.query(`begin; set transaction read write; alter database ${name} reset default_transaction_read_only; commit`);
    }
  };

  const under = (injured: () => void, ask: () => Promise<Response>) => (): Promise<Response> => {
    injured();
    return ask();
  };
  const answerCut = (how: 1000 | 1001 | 'reset') =>
    under(() => faults.cutOn({ from: 'server', contains: '"state"', how }), write);
  const full = (times: number): void => faults.refuseStartups('53300', 'too many clients', times);

  const table: Fault[] = [
    {
      fault: 'killed idle, when its work is done',
      ask: async () => {
        const response = await endNeverAnswers();
        await rig.terminate();
        return response;
      },
      status: 200,
      reports: [],
    },
    { fault: 'killed while checked out, between verbs', ask: terminatedBetweenVerbs, status: 200, reports: [terminatedIdle] },
    { fault: 'killed in flight', ask: () => whileItRuns(() => rig.terminate()), status: 503, reports: [lost] },
    {
      fault: 'WebSocket closed 1000 under a read',
      ask: under(() => faults.cutOn({ from: 'server', contains: 'max_concurrent', how: 1000 }), read),
      status: 200,
      reports: [],
    },
    { fault: 'WebSocket closed 1000 under a write', ask: answerCut(1000), status: 503, reports: [lost] },
    { fault: 'WebSocket closed 1001 under a write', ask: answerCut(1001), status: 503, reports: [lost] },
    { fault: 'WebSocket reset under a write', ask: answerCut('reset'), status: 503, reports: [lost] },
    { fault: 'TCP dropped behind the front door', ask: () => whileItRuns(() => faults.dropTcp()), status: 503, reports: [lost] },
    { fault: 'frozen', ask: () => whileItRuns(() => faults.freeze()), status: 503, reports: [lost] },
    { fault: 'refused twice', ask: under(() => faults.refuseUpgrades(502, 2), read), status: 200, reports: [] },
    { fault: 'refused for good', ask: under(() => faults.refuseUpgrades(502), read), status: 503, reports: [cannotConnect] },
    { fault: 'compute waking in 50 ms', ask: under(() => faults.delayConnect(50), read), status: 200, reports: [] },
    { fault: 'compute waking in 5 s', ask: under(() => faults.delayConnect(5000), write), status: 201, reports: [] },
    {
      fault: 'wrong password',
      ask: under(() => faults.refuseStartups('28P01', 'password authentication failed', 1), read),
      status: 503,
      reports: [cannotConnect],
    },
    { fault: 'read-only', ask: readOnly, status: 503, reports: [{ ...lost, outcome: 'rejected' }] },
    { fault: 'too many connections, once', ask: under(() => full(1), read), status: 200, reports: [] },
    { fault: 'too many connections, for good', ask: under(() => full(1e9), read), status: 503, reports: [cannotConnect] },
    { fault: 'an end that never answers', ask: endNeverAnswers, status: 200, reports: [] },
  ];
  test.each(table)('$fault: $status', { timeout: 120_000 }, async ({ ask, status, reports }) => {
    expect((await ask()).status).toBe(status);
    await until('the reports are in', () => rig.reported() >= reports.length);
    await settled();
    expect(await seen()).toEqual(reports);
  });
  test('every fault was tried', () => expect(table).toHaveLength(18));

  test('an end that never answers is given up: the invocation tells of its connection and is over, the fault is not', async () => {
    const before = await counted();
    const { opened } = rig.proxy.counters();
    expect((await endNeverAnswers()).status).toBe(200);
    // One count more than were opened since: the first look at it was counted after it, as the last will be.
    await until('it is counted', async () => (await counted()) - before >= rig.proxy.counters().opened - opened);
    expect(await rig.backends()).toBeGreaterThan(0);
    expect(rig.proxy.counters().openNow).toBeGreaterThan(0);
    await settled();
    expect(await seen()).toEqual([]);
  });

  test('a client that hangs up in the middle of its request leaves no connection behind', async () => {
    const client = new AbortController();
    const { answer } = await halfSent(client.signal);
    client.abort();
    await expect(answer).rejects.toThrow(/abort/);
    await settled();
  });

  test('the saved filters part an idle termination, which is exactly one warning, from a failure to connect (class 1)', async () => {
    expect((await terminatedBetweenVerbs()).status).toBe(200);
    faults.refuseStartups('28P01', 'password authentication failed', 1e9);
    expect((await read()).status).toBe(503);
    await until('both are reported', () => rig.reported() >= 2);
    await settled();
    const events = await rig.events();
    const { ignore, alert, track } = readmeFilters();
    expect(events.filter(({ tags }) => ignore(tags)).map(({ level }) => level)).toEqual(['warning']);
    // Whatever wakes in the background finds the database closed as well: all of that is to alarm somebody.
    const failures = events.filter(({ error_type, level }) => error_type === 'database_connection_error' && level === 'error');
    expect(failures.length).toBeGreaterThan(0);
    expect(events.filter(({ tags }) => alert(tags))).toEqual(failures);
    expect(failures.filter(({ tags }) => tags['verb'] === 'authenticate')).toHaveLength(1);
    expect(events.filter(({ tags }) => track(tags))).toEqual([]);
  });
};
