import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { USAGE } from '../../local/options.ts';
import { freePort } from '../../local/postgres.ts';
import { commandOf, isSame, know, waitUntil } from '../../local/process-table.ts';
import { testDirectory } from '../support/directory.ts';
import { familyOf, type Started, startSystem, survivors } from '../support/system.ts';

const base = testDirectory('start');
const running: Started[] = [];
const start = (dataDir: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Started => {
  const started = startSystem(dataDir, ['--port', '0', '--no-demo', ...args], env);
  running.push(started);
  return started;
};
const interrupt = (started: Started): void => {
  process.kill(-started.pid, 'SIGINT');
};

afterEach(async () => {
  for (const { child, pid } of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const family = familyOf(pid);
    child.kill('SIGINT');
    await survivors(family, 30_000);
  }
});
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

const bootId = (url: string): Promise<string | null> =>
  fetch(`${url}/health`, { signal: AbortSignal.timeout(1000) }).then(
    (answer) => answer.headers.get('x-boot-id'),
    () => null,
  );
/** Waits for a worker that is none of those seen. */
const nextBoot = async (url: string, seen: readonly (string | null)[]): Promise<string | null> => {
  const end = Date.now() + 60_000;
  for (;;) {
    const id = await bootId(url);
    if (!seen.includes(id) || Date.now() > end) return id;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

describe('npm start', { timeout: 120_000 }, () => {
  test('is ready with everything that ready.json promises; Ctrl-C leaves nothing', async () => {
    const dataDir = path.join(base, 'a place with spaces');
    const started = start(dataDir, ['--now', '2026-03-01T09:00:00Z']);
    const ready = await started.ready();
    expect(Object.keys(ready)).toEqual([
      'url',
      'api_key',
      'admin_key',
      'agent_id',
      'inbox_url',
      'phone_network_url',
      'sentry_url',
      'database_url',
      'pid',
    ]);
    for (const secret of ['ready.json', 'state.json', 'worker.env']) {
      expect(fs.statSync(path.join(dataDir, secret)).mode & 0o777, secret).toBe(0o600);
    }
    expect(ready.pid).toBe(started.pid);
    expect(await (await fetch(`${ready.url}/health`)).json()).toEqual({ status: 'ok' });
    expect(await (await fetch(`${ready.inbox_url}/messages`)).json()).toEqual([]);
    expect(await (await fetch(`${ready.phone_network_url}/stats`)).json()).toMatchObject({ calls_created: 0 });
    expect(await (await fetch(`${ready.sentry_url}/events`)).json()).toEqual([]);
    const agent = await fetch(`${ready.url}/v1/agents/${ready.agent_id}`, {
      headers: { authorization: `Bearer ${ready.api_key}` },
    });
    expect(await agent.json()).toMatchObject({
      provider: 'bolna',
      webhook_registered: true,
      created_at: expect.stringMatching(/^2026-03-01T/),
    });
    const client = new Client({ connectionString: ready.database_url });
    await client.connect();
    const { rows } = await client.query(
      'select rolsuper, (select count(*)::int from ringleader.accounts) as accounts from pg_roles where rolname = current_user',
    );
    await client.end();
    expect(rows).toEqual([{ rolsuper: true, accounts: 1 }]);

    const second = start(dataDir);
    expect((await second.exited).code).toBe(1);
    expect(second.output()).toBe(
      `already running on ${dataDir} (pid ${started.pid}): stop that one, or give another --data-dir\n`,
    );
    const other = start(path.join(base, 'other'), ['--port', new URL(ready.url).port]);
    expect((await other.exited).code).toBe(1);
    expect(other.output()).toBe(`port ${new URL(ready.url).port} is taken: give another --port (0 for a free one)\n`);

    const family = familyOf(started.pid);
    expect(family.map(({ pid }) => commandOf(pid)).join('\n')).toMatch(/workerd[^]*postgres|postgres[^]*workerd/);
    const asked = Date.now();
    interrupt(started);
    expect((await started.exited).code).toBe(0);
    expect(await survivors(family, 10_000 - (Date.now() - asked))).toEqual([]);
    expect(fs.readdirSync(dataDir).filter((name) => /^(ready|supervisor|worker)\./.test(name))).toEqual([]);
  });

  test('after kill -9 the next start ends what was left, keeps keys and data, and time goes on', async () => {
    const dataDir = path.join(base, 'killed');
    const first = start(dataDir, ['--now', '2099-01-01T00:00:00Z']);
    const before = await first.ready();
    const family = familyOf(first.pid);
    first.child.kill('SIGKILL');
    const second = start(dataDir);
    const after = await second.ready();
    expect(await survivors(family, 0)).toEqual([]);
    expect({ ...after, url: '', inbox_url: '', phone_network_url: '', sentry_url: '', database_url: '', pid: 0 }).toEqual({
      ...before,
      url: '',
      inbox_url: '',
      phone_network_url: '',
      sentry_url: '',
      database_url: '',
      pid: 0,
    });
    const account = await fetch(`${after.url}/v1/account`, { headers: { authorization: `Bearer ${after.api_key}` } });
    expect(account.status).toBe(200);
    expect(second.output()).toMatch(/it is 2099-01-01T/);

    // Now the guards die with their supervisor: nobody is left to clean up but the next start.
    const orphans = familyOf(second.pid);
    for (const { pid } of orphans.filter((member) => commandOf(member.pid).startsWith('/bin/sh -c')))
      process.kill(pid, 'SIGKILL');
    second.child.kill('SIGKILL');
    const third = start(dataDir, ['--fresh']);
    const fresh = await third.ready();
    expect(await survivors(orphans, 0)).toEqual([]);
    expect(fresh.admin_key).not.toBe(before.admin_key);
    expect(fresh.api_key).not.toBe(before.api_key);
  });

  test('takes no offence at a lock, belongings and a ready file of processes long gone, and spares those that got their ids', async () => {
    const dataDir = path.join(base, 'stale');
    fs.mkdirSync(dataDir);
    const bystander = { pid: process.pid, birth: 'another time' };
    fs.writeFileSync(path.join(dataDir, 'supervisor.lock'), JSON.stringify(bystander));
    fs.writeFileSync(path.join(dataDir, 'belongings.json'), JSON.stringify({ groups: [bystander], directories: ['/etc'] }));
    fs.writeFileSync(path.join(dataDir, 'ready.json'), '{"pid":1}');
    const started = start(dataDir);
    await waitUntil(() => !fs.existsSync(path.join(dataDir, 'ready.json')), 30_000);
    expect((await started.ready()).pid).toBe(started.pid);
    expect(fs.existsSync('/etc')).toBe(true);
  });

  test('stopped in the middle of its start it leaves nothing', async () => {
    const dataDir = path.join(base, 'interrupted');
    for (const moment of [/Postgres is up/, /stand-in/]) {
      const started = start(dataDir);
      await waitUntil(() => moment.test(started.output()), 60_000, 1);
      const family = familyOf(started.pid);
      started.child.kill('SIGTERM');
      expect((await started.exited).code).toBe(0);
      expect(await survivors(family, 30_000)).toEqual([]);
      expect(started.output()).toMatch(/Stopping …\n$/);
    }
  });

  test('workerd and wrangler are up again after being killed, whichever it was', async () => {
    const started = start(path.join(base, 'worker killed'));
    const { url } = await started.ready();
    const parts = [
      /workerd serve .*entry=127\.0\.0\.1:0/,
      new RegExp(`workerd serve .*entry=127\\.0\\.0\\.1:${new URL(url).port}`),
      /wrangler\.js dev/,
      /workerd serve/,
    ];
    const seen: (string | null)[] = [null, await bootId(url)];
    for (const part of parts) {
      const doomed = familyOf(started.pid).filter(({ pid }) => part.test(commandOf(pid)));
      expect(doomed.length, String(part)).toBeGreaterThan(0);
      for (const { pid } of doomed) process.kill(pid, 'SIGKILL');
      const next = await nextBoot(url, seen);
      expect(seen, String(part)).not.toContain(next);
      seen.push(next);
    }
    expect(started.child.exitCode).toBe(null);
  });

  test('a port that somebody else holds is refused before anything is erased', async () => {
    const squatter = net.createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as net.AddressInfo;
    const dataDir = path.join(base, 'squatted');
    fs.mkdirSync(dataDir);
    fs.writeFileSync(path.join(dataDir, 'state.json'), '{}');
    const started = start(dataDir, ['--fresh', '--port', String(port)]);
    expect((await started.exited).code).toBe(1);
    squatter.close();
    expect(started.output()).toContain(`port ${port} is taken`);
    expect(fs.readFileSync(path.join(dataDir, 'state.json'), 'utf8')).toBe('{}');
    expect(isSame(know(started.pid))).toBe(false);
  });

  test('a misconfigured worker is shown as it would be deployed: up, refusing everything, never called ready', async () => {
    const dataDir = path.join(base, 'misconfigured');
    const port = await freePort();
    const started = start(dataDir, ['--port', String(port)], { SLOW_QUERY_MS: 'abc' });
    await waitUntil(() => /refuses every request/.test(started.output()), 30_000);
    const answer = await fetch(`http://127.0.0.1:${port}/health`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      error: { code: 'misconfigured', message: expect.stringContaining('SLOW_QUERY_MS') },
    });
    expect(fs.existsSync(path.join(dataDir, 'ready.json'))).toBe(false);
  });

  test('asked for help it says its options and starts nothing', async () => {
    const dataDir = path.join(base, 'helped');
    const started = start(dataDir, ['--help']);
    expect((await started.exited).code).toBe(0);
    expect(started.output()).toBe(`${USAGE}\n`);
    expect(fs.existsSync(dataDir)).toBe(false);
  });

  test.runIf(process.platform === 'linux')('a data directory that cannot be made is refused in one line', async () => {
    const started = start('/proc/ringleader/data');
    await waitUntil(() => started.child.exitCode !== null, 20_000);
    started.child.kill('SIGKILL'); // one that spins answers no other signal
    expect((await started.exited).code).toBe(1);
    expect(started.output()).toMatch(/^ENOENT[^\n]*'\/proc\/ringleader'\n$/);
  });

  test('an environment that would leave this machine is refused in one line', async () => {
    const started = start(path.join(base, 'foreign'), [], { DATABASE_URL: 'postgres://a:b@db.neon.example/d' });
    expect((await started.exited).code).toBe(1);
    expect(started.output()).toMatch(/^DATABASE_URL names the host "db\.neon\.example"[^\n]*\n$/);
  });
});
