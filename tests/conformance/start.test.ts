/** How the bundle starts: with what wrangler.toml says and nothing else, within the platform's limits; and that each of its crons does its work. */
import fs from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { testDirectory } from '../support/directory.ts';
import { HOSTS, startRig } from './rig.ts';
import { PRODUCTION, startBundle } from './workerd.ts';

vi.setConfig({ testTimeout: 120_000 });

const directory = testDirectory('start');
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));
const rig = await startRig();
/** Hundredths of a second, user's and system's, as Linux counts them: the whole of workerd, not the script alone. */
const processorSeconds = (pid: number): number => {
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
const script = fs.readFileSync(path.join(rig.directory, 'bundle', 'worker.js'), 'utf8');

describe('the bundle', () => {
  test('starts on the date and the flags of wrangler.toml, and not where Node’s modules are off; without its variables it says so', async () => {
    expect(PRODUCTION.compatibility_flags).toEqual(['nodejs_compat']);
    fs.cpSync(path.join(rig.directory, 'bundle'), path.join(directory, 'bundle'), { recursive: true });
    const options = { directory, variables: {}, proxyPort: rig.outside.port };
    await expect(startBundle({ ...options, flags: ['no_nodejs_compat'] })).rejects.toThrow('No such module "node:');
    const bare = await startBundle(options);
    const answer = await fetch(`${bare.url}/health`);
    expect([answer.status, await answer.text()]).toEqual([
      503,
      expect.stringMatching(/"misconfigured".*DATABASE_URL is missing/),
    ]);
    await bare.stop();
  });

  test('starts on less processor time than the platform allows a start: one second', async () => {
    const bare = await startBundle({ directory, variables: {}, proxyPort: rig.outside.port });
    const seconds = processorSeconds(bare.pid);
    await bare.stop();
    console.log(
      `workerd with the bundle, from its start to its first answer: ${(seconds * 1000).toFixed(0)} ms of processor time`,
    );
    expect(seconds).toBeLessThan(1);
  });

  test('makes no code out of text: the platform forbids it', () => {
    const made = [/\beval\s*\(/, /\bnew\s+Function\b/, /\bimport\s*\((?!["'])/, /\bWebAssembly\.(compile|instantiate)\b/];
    expect(made.map((pattern) => pattern.exec(script)?.[0]).filter(Boolean)).toEqual([]);
    expect(script.length).toBeGreaterThan(500_000);
  });

  test('is far below the size that the platform takes: 3 MB gzipped, 64 MB unpacked', () => {
    expect(gzipSync(script).length).toBeLessThan(3 * 1_048_576);
    expect(script.length).toBeLessThan(64 * 1_048_576);
  });
});

/** What each cron of wrangler.toml must do. The first leaves work behind, so that the second need not wait until it is due. */
const crons: Readonly<Record<string, () => Promise<void>>> = {
  '* * * * *': async () => {
    const owner = await rig.account(50);
    const campaign = await rig.campaign(owner, 40, 0);
    await rig.database.pool.query("update ringleader.campaigns set status = 'active', started_at = now() where id = $1", [
      campaign,
    ]);
    const tick = await rig.run(() => rig.bundle.scheduled('* * * * *'));
    expect(tick.answer.outcome).toBe('ok');
    expect(tick.passages.filter(({ host, path }) => host === HOSTS.bolna && path === '/call')).toHaveLength(28);
  },
  '*/5 * * * *': async () => {
    const owner = await rig.account();
    const campaign = await rig.campaign(owner, 1, 0);
    await rig.json(200, 'POST', `/v1/campaigns/${campaign}/cancel`, { key: owner.key });
    await rig.quiet();
    const { rows } = await rig.database.pool.query<{ id: string }>(
      `insert into ringleader.notifications (id, account_id, type, campaign_id, idempotency_key, status, recipient, next_attempt_at, created_at)
       values (gen_random_uuid(), $1, 'campaign_summary', $2, 'of a cron', 'pending', 'owner@ringleader.test', now(), now()) returning id`,
      [owner.account, campaign],
    );
    const sweep = await rig.run(() => rig.bundle.scheduled('*/5 * * * *'));
    expect(sweep.answer.outcome).toBe('ok');
    expect(sweep.passages.filter(({ host }) => host === HOSTS.mail)).toHaveLength(1);
    expect((await rig.mails()).map(({ Metadata }) => Metadata['notification_id'])).toEqual([rows[0]!.id]);
  },
};

describe('a cron of wrangler.toml', () => {
  const wanted = PRODUCTION.triggers.crons;
  test('is each one known here', () => expect(wanted.toSorted()).toEqual(Object.keys(crons).toSorted()));
  test.each(wanted.map((cron) => ({ cron })))('$cron fires scheduled() and does its work', ({ cron }) => crons[cron]!());
});

describe('the Durable Objects', () => {
  const tick = () => rig.run(() => rig.bundle.scheduled('* * * * *'));

  test('are reached: a tick with nothing due asks one and opens no connection, until an invocation leaves work behind', async () => {
    await tick();
    expect(await tick()).toMatchObject({ passages: [], objects: 1 });
    const owner = await rig.account(50);
    const campaign = await rig.campaign(owner, 40, 100);
    const started = await rig.run(() => rig.json(200, 'POST', `/v1/campaigns/${campaign}/start`, { key: owner.key }));
    expect(started.passages.filter(({ path }) => path === '/call')).toHaveLength(24);
    expect((await tick()).passages.filter(({ path }) => path === '/call')).toHaveLength(16);
  });

  test('have counted every connection that was opened', async () => {
    await rig.quiet();
    const opened = rig.outside.journal.filter(({ kind, status }) => kind === 'websocket' && status === 101).length;
    const { connections } = await rig.json<{ connections: { opened: { last_48_hours: number } } }>(200, 'GET', '/v1/status', {
      key: rig.adminKey,
    });
    expect(opened).toBeGreaterThan(10);
    expect(connections.opened.last_48_hours).toBe(opened);
  });
});
