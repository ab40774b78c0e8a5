import { expect, test } from 'vitest';
import { failure, insertOnce, read, startRig, until } from './rig.ts';

const rig = await startRig();

test('an invocation that asks nothing opens no connection', async () => {
  const before = rig.proxy.counters().opened;
  expect(await rig.run(() => Promise.resolve('nothing'))).toBe('nothing');
  await rig.settled();
  expect(rig.proxy.counters().opened).toBe(before);
  expect(rig.logs).toEqual([]);
});

test('the first verb of a connection takes one round trip after the upgrade, and every further verb one', async () => {
  rig.proxy.faults.latency(30); // each side speaks whole before the other hears it
  const before = rig.proxy.counters();
  const flights = (): number => rig.proxy.counters().flights - before.flights;
  await rig.run(async (db) => {
    await read(db);
    expect(flights()).toBe(2);
    await read(db);
    expect(flights()).toBe(4);
    expect(db.stats).toMatchObject({ opened: 1, verbs: 2, failed: 0, retried: 0 });
    expect(db.stats.connect_ms).toBeGreaterThan(0);
    expect(db.stats.query_ms).toBeGreaterThan(0);
  });
  await rig.settled();
  expect(rig.proxy.counters().opened - before.opened).toBe(1);
});

test('a connection that ends normally reports nothing, and its session is logged in counts', async () => {
  await rig.run((db) => read(db));
  await rig.settled();
  expect(rig.reports).toEqual([]);
  expect(rig.logs).toHaveLength(1);
  expect(rig.logs[0]).toMatchObject({ level: 'info', event: 'database_session', opened: 1, verbs: 1, failed: 0 });
});

test('the connection is gone although the work throws', async () => {
  const work = rig.run(async (db) => {
    await read(db);
    throw new TypeError('of the work');
  });
  await expect(work).rejects.toThrow(new TypeError('of the work'));
  await rig.settled();
  expect(rig.reports).toEqual([]);
});

test('many branches may ask at once: one connection, each gets its own answer', async () => {
  const before = rig.proxy.counters().opened;
  const answers = await rig.run((db) =>
    Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const { rows } = await db.query('select $1::int as n', [i], { verb: 'echo', retry: 'idempotent' });
        return rows;
      }),
    ),
  );
  expect(answers).toEqual(Array.from({ length: 20 }, (_, i) => [{ n: i }]));
  await rig.settled();
  expect(rig.proxy.counters().opened - before).toBe(1);
});

test('a verb that nobody awaits is cut off with its invocation, not left running', async () => {
  let late: Promise<unknown> = Promise.resolve();
  await rig.run(async (db) => {
    await read(db);
    late = failure(read(db, 'select pg_sleep(600)'));
    await new Promise((done) => setTimeout(done, 20));
  });
  await rig.terminate();
  expect(await late).toMatchObject({ failure: { outcome: 'unknown' } });
  await rig.settled();
});

test('a verb after the end of its invocation is refused, not sent', async () => {
  const db = await rig.run((db) => Promise.resolve(db));
  const { failure: said } = await failure(read(db));
  expect(said).toMatchObject({ outcome: 'not_applied', phase: 'connect' });
});

test('a verb that waits for ever behind another gives up and says so', async () => {
  const waiting = rig.run(
    (db) => db.transaction('misuse', async () => void (await read(db))), // the outer db, not tx
    { limits: { queueMs: 200 } },
  );
  const error = await failure(waiting);
  expect(error.message).toContain('waited too long');
  await rig.settled();
});

test('slow verbs are logged by name and counted', async () => {
  const stats = await rig.run(
    async (db) => {
      await read(db, 'select pg_sleep(0.35)', 'sleep_a_while');
      return db.stats;
    },
    { slowQueryMs: 300 },
  );
  await rig.settled();
  expect(stats.slow).toBe(1);
  expect(rig.logs.filter((line) => line['event'] === 'slow_verb')).toMatchObject([{ level: 'warning', verb: 'sleep_a_while' }]);
});

test('a startup parameter that the pooler refuses is refused here too', async () => {
  const url = `${rig.url}?options=${encodeURIComponent('-c statement_timeout=5000')}`;
  const error = await failure(rig.run((db) => read(db), { url }));
  expect(error.failure).toMatchObject({ code: '08P01', phase: 'connect', outcome: 'not_applied' });
  expect(rig.reports).toMatchObject([
    { type: 'database_connection_error', context: { connection_terminated: false, attempts: 1 } },
  ]);
  await rig.settled();
});

test('sixty invocations at once leave nothing behind', async () => {
  const before = rig.proxy.counters();
  await Promise.all(
    Array.from({ length: 60 }, (_, i) => rig.run((db) => insertOnce(db, `crowd-${i}`), { limits: { retryMs: 10_000 } })),
  );
  await rig.settled();
  await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);
  expect(rig.proxy.counters().opened - before.opened).toBeGreaterThanOrEqual(60);
  expect(rig.reports).toEqual([]);
});
