/** Connecting: what is waited for, what is tried again, what is refused at once. */
import net from 'node:net';
import { expect, test } from 'vitest';
import { useLocalEndpoint } from '../../lib/db.ts';
import { startNeonProxy } from '../../local/neon-proxy.ts';
import { failure, IMPATIENCE, insertOnce, read, startRig, until } from './rig.ts';

const rig = await startRig();

const expectCannotConnect = (): void => {
  expect(rig.reports).toHaveLength(1);
  expect(rig.reports[0]).toMatchObject({
    type: 'database_connection_error',
    context: { connection_terminated: false, phase: 'connect' },
  });
};

/** A port on which nobody listens. */
const closedPort = async (): Promise<number> => {
  const server = net.createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
};

for (const status of [429, 502, 503]) {
  test(`an upgrade refused twice with ${status} is tried again`, async () => {
    rig.proxy.faults.refuseUpgrades(status, 2);
    const stats = await rig.run(async (db) => {
      await insertOnce(db, `upgrade-${status}`);
      return db.stats;
    });
    expect(stats).toMatchObject({ connect_failed: 2, retried: 2, opened: 1, failed: 0 });
    expect(rig.reports).toEqual([]);
    await rig.settled();
  });
}

test('an idle termination after a connection that took several tries is still one warning (class 1)', async () => {
  rig.proxy.faults.refuseUpgrades(502, 2);
  await rig.run(async (db) => {
    await read(db);
    await rig.terminate();
    await until('the termination is noticed', () => db.stats.terminated_idle > 0);
  });
  await rig.settled();
  expect(rig.reports).toMatchObject([{ type: 'database_connection_error', context: { connection_terminated: true } }]);
});

test('an upgrade that is always refused ends as one error, within its budget', async () => {
  rig.proxy.faults.refuseUpgrades(502);
  const error = await failure(rig.run((db) => insertOnce(db, 'never'), { limits: IMPATIENCE }));
  expect(error.failure).toMatchObject({ phase: 'connect', outcome: 'not_applied', code: undefined });
  expectCannotConnect();
  expect(Number(rig.reports[0].context['attempts'])).toBeGreaterThan(2);
  await rig.settled();
});

test('a port where nobody listens ends as one error', async () => {
  useLocalEndpoint(`127.0.0.1:${await closedPort()}/v2`);
  try {
    const error = await failure(rig.run((db) => read(db), { limits: IMPATIENCE }));
    expect(error.failure).toMatchObject({ phase: 'connect', outcome: 'not_applied' });
    expectCannotConnect();
  } finally {
    useLocalEndpoint(rig.proxy.wsProxy);
  }
  await rig.settled();
});

test('a full server is waited for, and counted as one that had no connection left', async () => {
  rig.proxy.faults.refuseStartups('53300', 'sorry, too many clients already', 2);
  const stats = await rig.run(async (db) => {
    await insertOnce(db, 'full');
    return db.stats;
  });
  expect(stats).toMatchObject({ refused_full: 2, retried: 2, failed: 0 });
  expect(rig.reports).toEqual([]);
  await rig.settled();
});

test('a server that stays full: a real connection limit, one error, nothing applied', async () => {
  await rig.database.pool.query(`alter role ${rig.role} connection limit 0`);
  try {
    const error = await failure(rig.run((db) => insertOnce(db, 'limit'), { limits: { retryMs: 600 } }));
    expect(error.failure).toMatchObject({ code: '53300', phase: 'connect', outcome: 'not_applied' });
    expectCannotConnect();
  } finally {
    await rig.database.pool.query(`alter role ${rig.role} connection limit -1`);
  }
  await rig.settled();
});

test('a server that is starting up is waited for', async () => {
  rig.proxy.faults.refuseStartups('57P03', 'the database system is starting up', 3);
  const stats = await rig.run(async (db) => {
    await insertOnce(db, 'starting');
    return db.stats;
  });
  expect(stats).toMatchObject({ retried: 3, failed: 0 });
  await rig.settled();
});

for (const ms of [50, 700]) {
  test(`a compute that wakes for ${ms} ms is waited for on the same connection`, async () => {
    rig.proxy.faults.delayConnect(ms);
    const stats = await rig.run(async (db) => {
      await insertOnce(db, `wakes-${ms}`);
      return db.stats;
    });
    expect(stats).toMatchObject({ opened: 1, retried: 0, failed: 0 });
    expect(rig.reports).toEqual([]);
    await rig.settled();
  });
}

test('a wrong password is refused at once, not tried again', async () => {
  const url = new URL(rig.url);
  url.password = 'wrong-canary';
  const error = await failure(rig.run((db) => read(db), { url: url.href }));
  expect(error.failure).toMatchObject({ code: '28P01', phase: 'connect', outcome: 'not_applied' });
  expectCannotConnect();
  expect(rig.reports[0].context['attempts']).toBe(1);
  expect(JSON.stringify([rig.reports, error.message])).not.toContain('wrong-canary');
  await rig.settled();
});

test('a database that does not exist is refused at once', async () => {
  const url = new URL(rig.url);
  url.pathname = '/nowhere';
  const error = await failure(rig.run((db) => read(db), { url: url.href }));
  expect(error.failure).toMatchObject({ code: '3D000', phase: 'connect', outcome: 'not_applied' });
  expect(rig.reports[0].context['attempts']).toBe(1);
  await rig.settled();
});

test('a black hole before the upgrade ends in time, as one error', async () => {
  rig.proxy.faults.freeze();
  const error = await failure(rig.run((db) => insertOnce(db, 'hole'), { limits: { connectMs: 300, retryMs: 400 } }));
  expect(error.failure).toMatchObject({ phase: 'connect', outcome: 'not_applied' });
  expectCannotConnect();
  rig.proxy.faults.thaw();
  await rig.settled();
});

test('a server that never answers the first statement cannot be told from one that did it', async () => {
  rig.proxy.faults.delayConnect(1_000_000);
  const error = await failure(rig.run((db) => insertOnce(db, 'silent'), { limits: { queryMs: 300 } }));
  expect(error.failure).toMatchObject({ phase: 'connect', outcome: 'unknown', errorType: 'database_connection_error' });
  expectCannotConnect();
  await rig.settled();
});

test('Postgres behind the front door is down: tried again until it is back', async () => {
  const door = await startNeonProxy({ postgres: { socketPath: '/nonexistent/.s.PGSQL.5432' } });
  useLocalEndpoint(door.wsProxy);
  try {
    await rig.run(async (db) => {
      const answer = read(db);
      await until('two refusals', () => db.stats.connect_failed >= 2);
      useLocalEndpoint(rig.proxy.wsProxy);
      await answer;
    });
  } finally {
    useLocalEndpoint(rig.proxy.wsProxy);
    await door.stop();
  }
  expect(rig.reports).toEqual([]);
  await rig.settled();
});
