import { expect, test } from 'vitest';
import type { DbError } from '../../lib/errors.ts';
import { failure, IMPATIENCE, insertOnce, read, startRig, until } from './rig.ts';

const rig = await startRig();
const bump = (tx: Parameters<typeof read>[0], id: string): ReturnType<typeof read> =>
  tx.query('update probe.rows set n = n + 1 where id = $1', [id], { verb: 'bump', retry: 'once' });
const valueOf = async (id: string): Promise<number | undefined> => {
  const found = await rig.database.pool.query<{ n: number }>('select n from probe.rows where id = $1', [id]);
  return found.rows[0]?.n;
};

test('what is committed is there, what the work throws is rolled back and thrown', async () => {
  await rig.run(async (db) => {
    expect(await db.transaction('good', async (tx) => (await insertOnce(tx, 'good'), 'value'))).toBe('value');
    const thrown = db.transaction('bad', async (tx) => {
      await insertOnce(tx, 'bad');
      throw new RangeError('of the work');
    });
    await expect(thrown).rejects.toThrow(new RangeError('of the work'));
  });
  expect(await valueOf('good')).toBe(0);
  expect(await valueOf('bad')).toBeUndefined();
  expect(rig.reports).toEqual([]);
  await rig.settled();
});

test('other verbs of the same invocation wait for the end of a transaction', async () => {
  const order: string[] = [];
  await rig.run(async (db) => {
    await read(db);
    const transaction = db.transaction('first', async (tx) => {
      await read(tx);
      await read(tx, 'select pg_sleep(0.05)');
      order.push('transaction');
    });
    await Promise.all([transaction, read(db).then(() => order.push('verb'))]);
  });
  expect(order).toEqual(['transaction', 'verb']);
  await rig.settled();
});

test('a serialization failure is done again until it succeeds', async () => {
  await rig.run((db) => insertOnce(db, 'serial'));
  const eachRound = rig.run((db) =>
    db.transaction('serial', async (tx) => {
      await read(tx, 'set transaction isolation level serializable');
      await read(tx, "select n from probe.rows where id = 'serial'");
      if ((await valueOf('serial')) === 0) await rig.database.pool.query("update probe.rows set n = 10 where id = 'serial'");
      await bump(tx, 'serial');
      return db.stats;
    }),
  );
  expect(await eachRound).toMatchObject({ retried: 1, failed: 0 });
  expect(await valueOf('serial')).toBe(11);
  expect(rig.reports).toEqual([]);
  await rig.settled();
});

test('two transactions in each other’s way: the deadlock is resolved and both are applied', async () => {
  await rig.run((db) => insertOnce(db, 'left'));
  await rig.run((db) => insertOnce(db, 'right'));
  let holding = 0;
  const both = Promise.withResolvers<void>();
  const inOrder = (first: string, second: string): Promise<number> =>
    rig.run(async (db) => {
      await db.transaction('crossing', async (tx) => {
        await bump(tx, first);
        if (++holding === 2) both.resolve();
        await both.promise;
        await bump(tx, second);
      });
      return db.stats.retried;
    });
  const retried = await Promise.all([inOrder('left', 'right'), inOrder('right', 'left')]);
  expect(retried.reduce((sum, n) => sum + n)).toBeGreaterThanOrEqual(1);
  expect([await valueOf('left'), await valueOf('right')]).toEqual([2, 2]);
  expect(rig.reports).toEqual([]);
  await rig.settled();
});

test('a serialization failure without end is one database_transaction_error', async () => {
  const always = rig.run(
    (db) => db.transaction('always', (tx) => read(tx, "do $$ begin raise exception 'again' using errcode = '40001'; end $$")),
    { limits: IMPATIENCE },
  );
  expect((await failure(always)).failure).toMatchObject({ code: '40001', outcome: 'rejected' });
  expect(rig.reports).toHaveLength(1);
  expect(rig.reports[0]).toMatchObject({ type: 'database_transaction_error', context: { verb: 'read_it', code: '40001' } });
  expect(Number(rig.reports[0].context['attempts'])).toBeGreaterThan(2);
  await rig.settled();
});

test('the connection is lost inside: not applied, whatever became of the statement', async () => {
  const lost = rig.run((db) =>
    db.transaction('inside', async (tx) => {
      await insertOnce(tx, 'inside');
      rig.proxy.faults.cutOn({ from: 'server', contains: 'UPDATE', how: 1001 });
      await bump(tx, 'inside');
    }),
  );
  expect((await failure(lost)).failure).toMatchObject({ outcome: 'not_applied', errorType: 'database_query_error' });
  await rig.settled();
  expect(await valueOf('inside')).toBeUndefined();
});

test('the answer to COMMIT is lost: database_transaction_error, outcome unknown, and the rows are there', async () => {
  const lost = rig.run((db) =>
    db.transaction('commit_lost', async (tx) => {
      await insertOnce(tx, 'commit-lost');
      rig.proxy.faults.cutOn({ from: 'server', contains: 'COMMIT', how: 'reset' });
    }),
  );
  expect((await failure(lost)).failure).toMatchObject({ outcome: 'unknown', errorType: 'database_transaction_error' });
  expect(rig.reports).toMatchObject([
    { type: 'database_transaction_error', context: { verb: 'commit_lost', outcome: 'unknown' } },
  ]);
  expect(await valueOf('commit-lost')).toBe(0);
  await rig.settled();
});

test('a failed ROLLBACK is reported beside the error that led to it', async () => {
  const thrown = rig.run((db) =>
    db.transaction('rollback_lost', async (tx) => {
      await insertOnce(tx, 'rollback-lost');
      rig.proxy.faults.cutOn({ from: 'client', contains: 'rollback', how: 'reset' });
      throw new RangeError('of the work');
    }),
  );
  await expect(thrown).rejects.toThrow(new RangeError('of the work'));
  expect(rig.reports).toMatchObject([{ type: 'database_transaction_error', context: { verb: 'rollback_lost' } }]);
  await rig.settled();
  expect(await valueOf('rollback-lost')).toBeUndefined();
});

test('an error swallowed by the work does not pass for a commit', async () => {
  const swallowed = rig.run((db) =>
    db.transaction('swallowed', async (tx) => {
      await insertOnce(tx, 'swallowed');
      await insertOnce(tx, 'swallowed').catch(() => 'ignored');
    }),
  );
  expect((await failure(swallowed)).failure).toMatchObject({ outcome: 'rejected', errorType: 'database_transaction_error' });
  expect(await valueOf('swallowed')).toBeUndefined();
  await rig.settled();
});

test('a connection that cannot be had at BEGIN is tried again', async () => {
  rig.proxy.faults.refuseStartups('53300', 'sorry, too many clients already', 2);
  await rig.run((db) => db.transaction('begin', (tx) => insertOnce(tx, 'begin')));
  expect(await valueOf('begin')).toBe(0);
  expect(rig.reports).toEqual([]);
  await rig.settled();
});

test('a statement after the end of its transaction is refused', async () => {
  await rig.run(async (db) => {
    let kept: Parameters<typeof read>[0] | undefined;
    await db.transaction('ended', (tx) => {
      kept = tx;
      return Promise.resolve();
    });
    const error: DbError = await failure(read(kept!));
    expect(error.failure.outcome).toBe('not_applied');
  });
  await rig.settled();
});

test('killed at random moments, every write is applied exactly once or said to be unknown (class 2)', async () => {
  const writes = 120;
  const writing = new AbortController();
  const killer = (async () => {
    for (let i = 0; !writing.signal.aborted; i += 1) {
      if (i % 3 === 0) await rig.terminate();
      else rig.proxy.faults.dropWebSockets(i % 3 === 1 ? 1001 : 'reset');
      await new Promise((done) => setTimeout(done, 15));
    }
  })();
  const outcomes = new Map<string, string>();
  const write = async (id: string): Promise<void> => {
    const said = await rig
      .run((db) => insertOnce(db, id), { limits: { retryMs: 15_000, queryMs: 10_000 } })
      .then(
        () => 'applied',
        (error: DbError) => error.failure.outcome,
      );
    outcomes.set(id, said);
  };
  const ids = Array.from({ length: writes }, (_, i) => `random-${i}`);
  for (let i = 0; i < writes; i += 6) await Promise.all(ids.slice(i, i + 6).map(write));
  writing.abort();
  await killer;
  await rig.settled();
  await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);
  const found = await rig.database.pool.query<{ id: string }>("select id from probe.rows where id like 'random-%'");
  const there = new Set(found.rows.map(({ id }) => id));
  const wrong = ids.filter((id) => {
    const said = outcomes.get(id);
    return said === 'applied' ? !there.has(id) : said === 'not_applied' ? there.has(id) : said !== 'unknown';
  });
  expect(outcomes.size).toBe(writes);
  expect(wrong).toEqual([]);
  const retries = rig.logs.filter((line) => line['event'] === 'database_retry').length;
  expect(retries + [...outcomes.values()].filter((said) => said === 'unknown').length).toBeGreaterThan(0);
});
