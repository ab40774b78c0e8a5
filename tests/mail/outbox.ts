/** The whole send path over the real database, the real mailer and the inbox: at most one mail, none forgotten. Sized by its callers. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { ReportContext } from '../../lib/deps.ts';
import type { Config } from '../../lib/env.ts';
import type { ErrorType } from '../../lib/errors.ts';
import { createMailer, type Mail, type Mailer } from '../../lib/mail.ts';
import { sweep } from '../../lib/summarise.ts';
import type { Verbs } from '../../lib/verbs.ts';
import type { Edge } from '../../local/edge-server.ts';
import { startInbox } from '../../local/inbox.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';

export const outboxTests = async (size: { campaigns: number; deaths: number }): Promise<void> => {
  const db = await testDatabase();
  const engine = createEngine(db);
  const { verbs, now } = engine;
  let inbox: Edge;
  let mailer: Mailer;
  beforeAll(async () => {
    inbox = await startInbox({ clock: { now } });
    // A second of patience instead of ten, for the recipients who never answer.
    const config = { postmarkServerToken: 't', mailFrom: 'Ringleader <mail@ringleader.example>', postmarkBaseUrl: inbox.url };
    mailer = createMailer(config, 1);
  });
  afterAll(() => inbox.stop());
  afterEach(() => engine.reset());

  interface Received {
    To: string;
    Metadata: { campaign_id: string; type: string };
  }
  const received = async (campaign: string): Promise<Received[]> => {
    const all = (await (await fetch(`${inbox.url}/messages`)).json()) as Received[];
    return all.filter((mail) => mail.Metadata.campaign_id === campaign && mail.Metadata.type === 'campaign_summary');
  };
  type Report = { type: ErrorType; context: ReportContext };
  type SweepDeps = Parameters<typeof sweep>[0];
  const depsOf = (reports: Report[], seam: { verbs?: Verbs; mail?: Mailer } = {}): SweepDeps => ({
    config: {
      publicUrl: 'https://r.example',
      secretsKey: Buffer.alloc(32, 1).toString('base64'),
      summaryEnabled: true,
    } as Config,
    now,
    newId: () => randomUUID(),
    elapsedMs: () => 0,
    verbs,
    mail: mailer,
    report: (type, _error, context = {}) => void reports.push({ type, context }),
    ...seam,
  });

  /** A campaign of one hot lead, complete, whose summary is owed to `email`. */
  const completed = async (email: string): Promise<{ account: string; campaign: string }> => {
    const owner = await engine.account();
    await verbs.updateAccount(owner.account, now(), { email });
    const campaign = await engine.campaign(owner);
    await engine.leads(owner.account, campaign, phones(1));
    await verbs.startCampaign(owner.account, now(), campaign);
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'completed', scored(90));
    return { account: owner.account, campaign };
  };
  const summaryOf = async (account: string) =>
    (await verbs.listNotifications(account, now(), null, 10)).find((mail) => mail.type === 'campaign_summary')!;

  test(`two workers and a doubled cron race over ${size.campaigns} completed campaigns: as many mails (class 33)`, async () => {
    const campaigns: string[] = [];
    for (let i = 0; i < size.campaigns; i += 1) campaigns.push((await completed(`owner-${i}@example.com`)).campaign);
    const reports: Report[] = [];
    const worker = async (): Promise<void> => {
      // One sweep is bounded; the cron comes again.
      for (let i = 0; i < 10; i += 1) await sweep(depsOf(reports));
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    const counts = await Promise.all(campaigns.map(async (campaign) => (await received(campaign)).length));
    expect(counts).toEqual(campaigns.map(() => 1));
    expect(reports).toEqual([]);
  }, 600_000);

  /** Where a worker dies: before or after the nth thing it asks of the world. */
  interface Death {
    at: number;
    side: 'before' | 'after';
  }
  /** The seam with a death in it: from there on nothing of this worker happens any more. */
  const mortal = (death: Death): { seam: { verbs: Verbs; mail: Mailer }; died: Promise<string> } => {
    let step = 0;
    const { promise: died, resolve: die } = Promise.withResolvers<string>();
    const never = new Promise<never>(() => undefined);
    const wrap =
      <A extends unknown[], R>(name: string, work: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        step += 1;
        const mine = step === death.at;
        if (mine && death.side === 'before') {
          die(`before ${name}`);
          return never;
        }
        const result = await work(...args);
        if (mine) {
          die(`after ${name}`);
          return never;
        }
        return result;
      };
    const dying = new Proxy(verbs, {
      get: (target, name: keyof Verbs) => wrap(name, target[name] as (...args: unknown[]) => Promise<unknown>),
    });
    return {
      seam: {
        verbs: dying,
        mail: { send: wrap('send', (mail: Mail) => mailer.send(mail)), find: wrap('find', (id: string) => mailer.find(id)) },
      },
      died,
    };
  };

  test(`killed at every await of the send path, ${size.deaths} times over: one accepted mail or a recorded end, never two, none missing`, async () => {
    /** sweep, figures, two pages of hot leads, send, record */
    const STEPS = 6;
    const deaths = new Map<string, number>();
    for (let round = 0; round < size.deaths; round += 1) {
      const { account, campaign } = await completed(`owner-${round}@example.com`);
      const reports: Report[] = [];
      const { seam, died } = mortal({ at: 1 + (Math.floor(round / 2) % STEPS), side: round % 2 === 0 ? 'before' : 'after' });
      const where = await Promise.race([died, sweep(depsOf(reports, seam)).then(() => 'nowhere')]);
      deaths.set(where, (deaths.get(where) ?? 0) + 1);
      // The crons that follow, for two hours.
      for (let minute = 0; minute < 120 && (await summaryOf(account)).status !== 'sent'; minute += 5) {
        engine.pass(5);
        await sweep(depsOf(reports));
      }
      const mails = await received(campaign);
      const row = await summaryOf(account);
      expect(mails.length, where).toBeLessThanOrEqual(1);
      if (mails.length === 1) expect(row.status, where).toBe('sent');
      else {
        expect(row.status, where).toBe('unknown');
        expect(
          reports.map((report) => report.type),
          where,
        ).toEqual(['campaign_summary_email_failed']);
      }
    }
    expect([...deaths.keys()].sort()).toEqual(
      ['sweepNotifications', 'summaryData', 'listHotLeads', 'send', 'recordNotification']
        .flatMap((name) => [`after ${name}`, `before ${name}`])
        .sort(),
    );
    expect([...deaths.values()].reduce((sum, n) => sum + n, 0)).toBe(size.deaths);
  }, 900_000);

  test('killed at every await of a look-up: what was sent is found, what was not is reported once, nothing is sent again', async () => {
    const [SENT, LOST] = ['lost@example.com', 'drop@example.com'];
    /** The sweep that takes it, the question, the record of its answer. */
    const STEPS = 3;
    const deaths = new Map<string, number>();
    let rounds = 0;
    for (const recipient of [SENT, LOST]) {
      for (let i = 0; i < 2 * STEPS; i += 1) {
        const { account, campaign } = await completed(recipient);
        const reports: Report[] = [];
        await sweep(depsOf(reports));
        expect((await summaryOf(account)).status).toBe('unknown');
        engine.pass(1);
        const { seam, died } = mortal({ at: 1 + Math.floor(i / 2), side: i % 2 === 0 ? 'before' : 'after' });
        const where = await Promise.race([died, sweep(depsOf(reports, seam)).then(() => 'nowhere')]);
        deaths.set(where, (deaths.get(where) ?? 0) + 1);
        for (let minute = 0; minute < 120; minute += 5) {
          engine.pass(5);
          await sweep(depsOf(reports));
        }
        const found = recipient === SENT;
        expect((await summaryOf(account)).status, where).toBe(found ? 'sent' : 'unknown');
        expect((await received(campaign)).length, where).toBe(found ? 1 : 0);
        expect(
          reports.map((report) => report.type),
          where,
        ).toEqual(found ? [] : ['campaign_summary_email_failed']);
        await engine.reset();
        rounds += 1;
      }
    }
    expect([...deaths.keys()].sort()).toEqual(
      ['sweepNotifications', 'find', 'recordNotification', 'noteLookup']
        .flatMap((name) => [`after ${name}`, `before ${name}`])
        .sort(),
    );
    expect(rounds).toBe(12);
  }, 600_000);

  test('every recipient of the inbox ends as its row says (classes 32, 34)', async () => {
    const table: [recipient: string, status: string, mails: number, reports: number][] = [
      ['someone@example.com', 'sent', 1, 0],
      ['inactive@example.com', 'failed', 0, 1],
      ['limit@example.com', 'sent', 1, 1],
      ['down@example.com', 'sent', 1, 1],
      ['lost@example.com', 'sent', 1, 0],
      ['drop@example.com', 'unknown', 0, 1],
      ['html@example.com', 'unknown', 0, 1],
    ];
    let rows = 0;
    for (const [recipient, status, mails, failures] of table) {
      const { account, campaign } = await completed(recipient);
      const reports: Report[] = [];
      for (let minute = 0; minute < 90; minute += 1) {
        await sweep(depsOf(reports));
        engine.pass(1);
      }
      expect((await summaryOf(account)).status, recipient).toBe(status);
      expect((await received(campaign)).length, recipient).toBe(mails);
      expect(
        reports.map((report) => report.type),
        recipient,
      ).toEqual(Array.from({ length: failures }, () => 'campaign_summary_email_failed'));
      await engine.reset();
      rows += 1;
    }
    expect(rows).toBe(7);
  }, 600_000);
};
