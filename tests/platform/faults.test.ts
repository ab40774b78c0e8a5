/** What becomes of a verb, of the reports, and of the connection, when the network or the server lets us down. */
import { expect, test } from 'vitest';
import { Misconfigured } from '../../lib/errors.ts';
import type { DropHow } from '../../local/neon-proxy.ts';
import { failure, IMPATIENCE, insertOnce, read, startRig, until } from './rig.ts';

const rig = await startRig();

/** One warning, and nothing else. */
const expectIdleTermination = (code?: string): void => {
  expect(rig.reports).toHaveLength(1);
  expect(rig.reports[0]).toMatchObject({ type: 'database_connection_error', context: { connection_terminated: true } });
  expect(rig.reports[0].context['code']).toBe(code);
};

// ---------------------------------------------------------------- while idle

const idleEnds: { how: string; end: () => void | Promise<void>; code?: string }[] = [
  { how: 'terminated by the server', end: () => rig.terminate(), code: '57P01' },
  { how: 'closed with 1000', end: () => rig.proxy.faults.dropWebSockets(1000) },
  { how: 'closed with 1001', end: () => rig.proxy.faults.dropWebSockets(1001) },
  { how: 'closed with 1011', end: () => rig.proxy.faults.dropWebSockets(1011) },
  { how: 'reset', end: () => rig.proxy.faults.dropWebSockets('reset') },
  { how: 'cut behind the proxy', end: () => rig.proxy.faults.dropTcp() },
];
test.each(idleEnds)(
  'an idle connection $how is exactly one warning, and the next verb finds a new one (class 1)',
  async ({ end, code }) => {
    await rig.run(async (db) => {
      await read(db);
      await end();
      await until('the termination is noticed', () => db.stats.terminated_idle === 1);
      await insertOnce(db, `after-${crypto.randomUUID()}`);
      expect(db.stats).toMatchObject({ opened: 2, terminated_idle: 1, lost_in_flight: 0, failed: 0 });
    });
    await rig.settled();
    expectIdleTermination(code);
  },
);
test('every way to lose an idle connection was tried', () => expect(idleEnds).toHaveLength(6));

test('an idle session that times out at the server is one warning as well (class 1)', async () => {
  await rig.run(async (db) => {
    await read(db, "set idle_session_timeout = '50ms'");
    await until('the time-out is noticed', () => db.stats.terminated_idle === 1);
  });
  await rig.settled();
  expectIdleTermination('57P05');
});

test('a connection that is terminated while it closes reports nothing', async () => {
  for (let i = 0; i < 5; i += 1) {
    await rig.run((db) => read(db));
    await rig.terminate();
  }
  await rig.settled();
  expect(rig.reports).toEqual([]);
});

// ---------------------------------------------------------------- in flight

const flightEnds: { how: string; end: () => void | Promise<void>; code?: string }[] = [
  { how: 'terminated by the server', end: () => rig.terminate(), code: '57P01' },
  { how: 'closed with 1000', end: () => rig.proxy.faults.dropWebSockets(1000) },
  { how: 'closed with 1001', end: () => rig.proxy.faults.dropWebSockets(1001) },
  { how: 'reset', end: () => rig.proxy.faults.dropWebSockets('reset') },
  { how: 'cut behind the proxy', end: () => rig.proxy.faults.dropTcp() },
];
/** Stands in the way of every statement that asks for this lock, until it is called off. */
const obstacle = async (): Promise<() => Promise<void>> => {
  const client = await rig.database.pool.connect();
  await client.query('select pg_advisory_lock(7)');
  return async () => {
    await client.query('select pg_advisory_unlock(7)');
    client.release();
  };
};
const isWaiting = async (): Promise<boolean> => {
  const active = await rig.database.pool.query(
    "select 1 from pg_stat_activity where usename = $1 and state = 'active' and wait_event = 'advisory'",
    [rig.role],
  );
  return active.rowCount === 1;
};

test.each(flightEnds)('a statement under which the connection is $how is unknown, and not sent again', async ({ end, code }) => {
  const statement = 'with held as (select pg_advisory_xact_lock(7)) insert into probe.rows (id) select $1 from held';
  const callOff = await obstacle();
  const work = rig.run(async (db) => {
    await read(db);
    const lost = failure(insertOnce(db, `flight-${crypto.randomUUID()}`, statement));
    await until('the statement runs', isWaiting);
    await end();
    const error = await lost;
    await read(db, 'select 1', 'read_after');
    return { error, stats: db.stats };
  });
  const { error, stats } = await work;
  await callOff();
  expect(error.failure).toMatchObject({ phase: 'sent', outcome: 'unknown', verb: 'insert_once', code });
  expect(stats).toMatchObject({ opened: 2, lost_in_flight: 1, terminated_idle: 0, retried: 0, failed: 1 });
  expect(rig.reports).toHaveLength(1);
  expect(rig.reports[0]).toMatchObject({
    type: 'database_query_error',
    error,
    context: { verb: 'insert_once', phase: 'sent', outcome: 'unknown', attempts: 1 },
  });
  expect(rig.reports[0].context).not.toHaveProperty('connection_terminated');
  await rig.settled();
});
test('every way to lose a statement was tried', () => expect(flightEnds).toHaveLength(5));

test('an idempotent verb whose connection dies under it is sent again, and nobody is alarmed', async () => {
  const callOff = await obstacle();
  const stats = await rig.run(async (db) => {
    await read(db);
    const answer = read(db, 'select pg_advisory_xact_lock(7)', 'wait_for_it');
    await until('the statement runs', isWaiting);
    await rig.terminate();
    await until('the loss is noticed', () => db.stats.lost_in_flight === 1);
    await callOff();
    await answer;
    return db.stats;
  });
  expect(stats).toMatchObject({ opened: 2, lost_in_flight: 1, retried: 1, failed: 0 });
  expect(rig.reports).toEqual([]);
  expect(rig.logs.filter((line) => line['event'] === 'database_retry')).toMatchObject([
    { verb: 'wait_for_it', outcome: 'unknown' },
  ]);
  await rig.settled();
});

test('the answer of a committed write is lost: the row is there, the outcome says unknown', async () => {
  const before = await rig.count('probe.rows');
  const error = await failure(
    rig.run(async (db) => {
      await read(db);
      rig.proxy.faults.cutOn({ from: 'server', contains: 'INSERT 0 1', how: 'reset' });
      await insertOnce(db, 'answer-lost');
    }),
  );
  expect(error.failure).toMatchObject({ outcome: 'unknown', phase: 'sent', errorType: 'database_query_error' });
  // The answer is cut at the proxy: the commit itself may still be on its way to other sessions.
  await expect.poll(() => rig.count('probe.rows'), { timeout: 20_000 }).toBe(before + 1);
  await rig.settled();
});

test('a keyed insert whose answer is lost is sent again and applied once', async () => {
  const before = await rig.count('probe.rows');
  const keyed = 'insert into probe.rows (id) values ($1) on conflict (id) do nothing';
  await rig.run(async (db) => {
    await read(db);
    rig.proxy.faults.cutOn({ from: 'server', contains: 'INSERT 0 1', how: 1001, times: 1 });
    await db.query(keyed, ['keyed'], { verb: 'insert_keyed', retry: 'idempotent' });
    expect(db.stats).toMatchObject({ retried: 1, lost_in_flight: 1 });
  });
  expect(await rig.count('probe.rows')).toBe(before + 1);
  expect(rig.reports).toEqual([]);
  await rig.settled();
});

test('a write that never reached the server is unknown to us, and not there', async () => {
  const before = await rig.count('probe.rows');
  const error = await failure(
    rig.run(async (db) => {
      await read(db);
      rig.proxy.faults.cutOn({ from: 'client', contains: 'question-lost', how: 'reset' });
      await insertOnce(db, 'question-lost');
    }),
  );
  expect(error.failure.outcome).toBe('unknown');
  expect(await rig.count('probe.rows')).toBe(before);
  await rig.settled();
});

test('a black hole under a statement ends in time, as unknown', async () => {
  const error = await failure(
    rig.run(
      async (db) => {
        await read(db);
        rig.proxy.faults.freeze();
        await insertOnce(db, 'into-the-hole');
      },
      { limits: IMPATIENCE },
    ),
  );
  expect(error.failure).toMatchObject({ outcome: 'unknown', phase: 'sent', errorType: 'database_query_error' });
  expect(error.message).toBe('no answer to insert_once in time');
  expect(rig.reports).toHaveLength(1);
  rig.proxy.faults.thaw();
  await rig.settled();
});

test('a closing that is never answered does not keep the invocation', async () => {
  await rig.run(
    async (db) => {
      await read(db);
      rig.proxy.faults.freeze();
    },
    { limits: IMPATIENCE },
  );
  expect(rig.reports).toEqual([]);
  rig.proxy.faults.thaw();
  await rig.settled();
});

// ---------------------------------------------------------------- what the server says no to

test('a rejected statement names code and constraint, never a value, and the session goes on', async () => {
  await rig.run(async (db) => {
    await insertOnce(db, '+14155550123');
    const error = await failure(insertOnce(db, '+14155550123'));
    expect(error.failure).toMatchObject({ code: '23505', outcome: 'rejected', phase: 'sent' });
    expect(error.message).toBe('insert_once was rejected: 23505 rows_pkey');
    await read(db);
    expect(db.stats).toMatchObject({ opened: 1, failed: 1, retried: 0 });
  });
  expect(rig.reports).toMatchObject([{ type: 'database_query_error', context: { code: '23505', outcome: 'rejected' } }]);
  await rig.settled();
});

test('a time-out at the server is rejected, and the session goes on', async () => {
  await rig.run(async (db) => {
    await read(db, "set statement_timeout = '500ms'");
    const { failure: said } = await failure(read(db, 'select pg_sleep(60)'));
    expect(said).toMatchObject({ code: '57014', outcome: 'rejected' });
    await read(db);
    expect(db.stats.opened).toBe(1);
  });
  await rig.settled();
});

test('a read-only server refuses a write for what it is, at once', async () => {
  await rig.run(async (db) => {
    await read(db, 'set default_transaction_read_only = on');
    expect((await failure(insertOnce(db, 'read-only'))).failure).toMatchObject({ code: '25006', outcome: 'rejected' });
    expect(db.stats.retried).toBe(0);
  });
  await rig.settled();
});

test('a role that the schema refuses is a misconfiguration with the words of the schema', async () => {
  const refusing = "do $$ begin raise exception 'DATABASE_URL must not be a superuser' using errcode = 'RL503'; end $$";
  const work = rig.run((db) => read(db, refusing));
  await expect(work).rejects.toThrow(new Misconfigured('DATABASE_URL must not be a superuser'));
  expect(rig.reports.map(({ type }) => type)).toEqual(['configuration_invalid']);
  await rig.settled();
});

// ---------------------------------------------------------------- a driver's object never leaves

test('nothing that is thrown or reported holds the driver or the password', async () => {
  const password = new URL(rig.url).password;
  const ends: DropHow[] = [1000, 'reset'];
  for (const how of ends) {
    await rig.run(async (db) => {
      await read(db);
      rig.proxy.faults.cutOn({ from: 'client', contains: 'seen', how });
      const error = await failure(insertOnce(db, 'seen'));
      expect(error.cause).toBeUndefined();
      expect(Object.keys(error).toSorted()).toEqual(['failure', 'name']);
      expect(JSON.stringify([error, error.message, error.stack])).not.toContain(password);
    });
  }
  expect(rig.reports).toHaveLength(2);
  await rig.settled();
});
