/** The bundle in workerd between its real ends: Postgres behind the Neon stand-in, phone network, inbox and Sentry sink, at their real hosts. */
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { afterAll } from 'vitest';
import { startInbox } from '../../local/inbox.ts';
import { type NeonProxy, startNeonProxy } from '../../local/neon-proxy.ts';
import { providerUrls, startPhoneNetwork } from '../../local/phone-network.ts';
import { startSentrySink, type SinkEvent } from '../../local/sentry-sink.ts';
import { Unwind } from '../../local/unwind.ts';
import { until } from '../platform/rig.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testDirectory } from '../support/directory.ts';
import { type Passage, type Outside, startOutside } from './outside.ts';
import { type Bundle, startBundle, type Witnessed } from './workerd.ts';

export const HOSTS = {
  database: 'ep-conformance.neon.test',
  bolna: 'api.bolna.ai',
  vapi: 'api.vapi.ai',
  retell: 'api.retellai.com',
  mail: 'api.postmarkapp.com',
  sentry: 'o1.ingest.sentry.test',
} as const;
const PUBLIC_URL = 'https://ringleader.test';
const BOLNA_KEY = 'key-of-conformance';

export interface Sent {
  key?: string;
  body?: unknown;
  /** As it is, with its own content type. */
  raw?: BodyInit;
  headers?: Record<string, string>;
}
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}
/** One invocation, from its beginning until all of it is over. */
export interface Ran<T> {
  answer: T;
  witnessed: Witnessed;
  /** What it sent to the outside. */
  passages: readonly Passage[];
  /** Requests to Durable Objects. */
  objects: number;
  /** The most that it had open at one time. */
  openMost: number;
}
export interface Owner {
  key: string;
  account: string;
  agent: string;
  /** Where the provider posts the agent's events. */
  webhook: string;
}

export interface Rig {
  database: TestDatabase;
  /** The bundle is in it. */
  directory: string;
  outside: Outside;
  proxy: NeonProxy;
  bundle: Bundle;
  adminKey: string;
  secretsKey: string;
  mailPassword: string;
  phoneUrl: string;
  inboxUrl: string;
  /** Moves the phone network's clock on: nothing happens in it by itself. */
  pass(ms: number): void;
  send(method: string, path: string, sent?: Sent): Promise<Answer>;
  /** As {@link Rig.send}, by a client that hangs up once `moment` has come; `goOn` then lets the invocation go on, and is run to its end. */
  desert(
    method: string,
    path: string,
    sent: Sent,
    moment: () => Promise<boolean> | boolean,
    goOn?: () => Promise<void> | void,
  ): Promise<Ran<Answer>>;
  /** As {@link Rig.send}, and its JSON; fails when the status is another. */
  json<T>(status: number, method: string, path: string, sent?: Sent): Promise<T>;
  /** Lets one invocation run to its end and tells all that it did. One at a time. */
  run<T>(act: () => Promise<T>): Promise<Ran<T>>;
  /** Nothing that was begun is still under way. */
  quiet(): Promise<void>;
  account(cap?: number): Promise<Owner>;
  /** A draft campaign with so many leads, numbers from `first` on. */
  campaign(owner: Owner, leads: number, first: number, more?: object): Promise<string>;
  /** What the provider would post now of the execution. */
  event(owner: Owner, execution: string): Promise<Answer>;
  sentry(): Promise<SinkEvent[]>;
  mails(): Promise<{ To: string; Subject: string; Metadata: Record<string, string> }[]>;
}

/** Time that stands still until it is moved. */
const createHandClock = () => {
  let ahead = 0;
  let waiting: { at: number; action: () => void }[] = [];
  const time = (): number => Date.now() + ahead;
  return {
    clock: {
      now: () => new Date(time()),
      after(ms: number, action: () => void) {
        const entry = { at: time() + ms, action };
        waiting.push(entry);
        return () => void (waiting = waiting.filter((one) => one !== entry));
      },
    },
    /** What one step brings about takes its time from the instant of that step. */
    pass(ms: number) {
      const end = time() + ms;
      for (;;) {
        const [next] = waiting.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        waiting = waiting.filter((one) => one !== next);
        ahead = Math.max(ahead, next.at - Date.now());
        next.action();
      }
      ahead = Math.max(ahead, end - Date.now());
    },
  };
};

/** The leads of a campaign as a CSV: different numbers, all of them answered after a while. */
export const csvOf = (leads: number, first: number): string =>
  `phone,name\n${Array.from({ length: leads }, (_, i) => `+1415${String(5_000_000 + (first + i) * 100)},Lead ${i}\n`).join('')}`;

const startEnds = async (database: TestDatabase, unwind: Unwind) => {
  const hand = createHandClock();
  const proxy = await startNeonProxy({ postgres: { socketPath: database.socketPath } });
  await unwind.add(() => proxy.stop());
  const phone = await startPhoneNetwork({ clock: hand.clock });
  await unwind.add(() => phone.stop());
  // Its events are posted by hand.
  await fetch(`${phone.url}/control`, { method: 'PUT', body: JSON.stringify({ drop: 1 }) });
  const inbox = await startInbox({ clock: { now: () => new Date() } });
  await unwind.add(() => inbox.stop());
  const sentry = await startSentrySink({});
  await unwind.add(() => sentry.stop());
  const providers = providerUrls(phone.url);
  const outside = await startOutside({
    [HOSTS.database]: `http://127.0.0.1:${proxy.port}`,
    [HOSTS.bolna]: providers.bolna,
    [HOSTS.vapi]: providers.vapi,
    [HOSTS.retell]: providers.retell,
    [HOSTS.mail]: inbox.url,
    [HOSTS.sentry]: sentry.url,
  });
  await unwind.add(() => outside.stop());
  return { hand, proxy, phone, inbox, sentry, outside };
};

/** One per test file: `const rig = await startRig()` at its top. */
export const startRig = async (): Promise<Rig> => {
  const database = await testDatabase();
  const directory = testDirectory('conformance');
  const unwind = new Unwind();
  afterAll(async () => {
    await unwind.run();
    fs.rmSync(directory, { recursive: true, force: true });
  });
  const { hand, proxy, phone, inbox, sentry, outside } = await startEnds(database, unwind);
  const databaseUrl = new URL(database.appUrl);
  databaseUrl.host = HOSTS.database;
  databaseUrl.port = '';
  const [adminKey, mailPassword] = [randomUUID(), randomUUID()];
  const secretsKey = randomBytes(32).toString('base64');
  const bundle = await startBundle({
    directory,
    proxyPort: outside.port,
    variables: {
      DATABASE_URL: `${databaseUrl.href}?sslmode=require`,
      ADMIN_KEY: adminKey,
      PUBLIC_URL,
      SECRETS_KEY: secretsKey,
      POSTMARK_SERVER_TOKEN: randomUUID(),
      POSTMARK_WEBHOOK_SECRET: mailPassword,
      MAIL_FROM: 'Ringleader <campaigns@ringleader.test>',
      SENTRY_DSN: `https://key@${HOSTS.sentry}/1`,
      SYSTEM_MAX_CONCURRENT_CALLS: '1000',
    },
  });
  await unwind.add(() => bundle.stop());

  const send = async (
    method: string,
    path: string,
    { key, body, raw, headers = {} }: Sent = {},
    base = bundle.url,
  ): Promise<Answer> => {
    const response = await fetch(base + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(raw === undefined ? {} : { body: raw, duplex: 'half' as const }),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const json: Rig['json'] = async <T>(status: number, method: string, path: string, sent?: Sent) => {
    const answer = await send(method, path, sent);
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text) as T;
  };
  const ended = (from: number): Witnessed[] =>
    bundle.witnessed.slice(from).filter(({ executionModel }) => executionModel === 'stateless');
  const sessions = (from: number): number =>
    outside.journal.slice(from).filter(({ kind, status }) => kind === 'websocket' && status === 101).length;
  let begun = 0;
  const quiet = async (): Promise<void> => {
    await until('every invocation has ended', () => ended(0).length >= begun);
    await until('nothing is open', () => outside.open() === 0);
  };
  const run: Rig['run'] = async (act) => {
    await quiet();
    const [seenBefore, sentBefore] = [bundle.witnessed.length, outside.journal.length];
    const answer = await act();
    await until('the invocation has ended', () => ended(seenBefore).length > 0);
    await until('nothing is open', () => outside.open() === 0);
    const objects = (): Witnessed[] => bundle.witnessed.slice(seenBefore).filter(({ entrypoint }) => entrypoint !== null);
    // Each connection tells the Meter what it went through, last of all.
    await until(
      'its Durable Objects have been witnessed',
      () => objects().filter(({ entrypoint }) => entrypoint === 'Meter').length >= sessions(sentBefore),
    );
    const passages = outside.journal.slice(sentBefore);
    const openMost = Math.max(0, ...passages.map(({ openThen }) => openThen));
    return { answer, witnessed: ended(seenBefore)[0]!, passages, objects: objects().length, openMost };
  };
  const desert: Rig['desert'] = (method, path, sent, moment, goOn) =>
    run(async () => {
      begun += 1;
      const answer = send(method, path, sent, bundle.frontUrl);
      await until('it is in the midst of its work', moment);
      bundle.hangUp();
      const given = await answer;
      await goOn?.();
      return given;
    });
  const counted = async <T>(act: () => Promise<T>): Promise<T> => {
    begun += 1;
    return act();
  };
  const get = async <T>(url: string): Promise<T> => (await fetch(url)).json() as Promise<T>;

  return {
    database,
    directory,
    outside,
    proxy,
    bundle: { ...bundle, scheduled: (cron) => counted(() => bundle.scheduled(cron)) },
    adminKey,
    secretsKey,
    mailPassword,
    phoneUrl: phone.url,
    inboxUrl: inbox.url,
    pass: (ms) => hand.pass(ms),
    send: (...args) => counted(() => send(...args)),
    json: (...args) => counted(() => json(...args)),
    desert,
    run,
    quiet,
    async account(cap = 10) {
      const opened = await counted(() =>
        json<{ account: { id: string }; api_key: string }>(201, 'POST', '/v1/accounts', {
          key: adminKey,
          body: { name: 'Acme', email: 'owner@ringleader.test', max_concurrent_calls: cap },
        }),
      );
      const key = opened.api_key;
      const agent = await counted(() =>
        json<{ id: string; webhook_url: string }>(201, 'POST', '/v1/agents', {
          key,
          body: {
            name: 'Ann',
            provider: 'bolna',
            provider_agent_id: `agent-${randomUUID()}`,
            credentials: { api_key: BOLNA_KEY },
          },
        }),
      );
      return { key, account: opened.account.id, agent: agent.id, webhook: new URL(agent.webhook_url).pathname };
    },
    async campaign({ key, agent }, leads, first, more = {}) {
      const window = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
      const body = { name: 'Spring', agent_id: agent, window, ...more };
      const { id } = await counted(() => json<{ id: string }>(201, 'POST', '/v1/campaigns', { key, body }));
      const headers = { 'content-type': 'text/csv' };
      await counted(() => json(200, 'POST', `/v1/campaigns/${id}/leads`, { key, raw: csvOf(leads, first), headers }));
      await quiet(); // what follows an upload looks for work and for mails
      return id;
    },
    async event({ webhook }, execution) {
      const authorization = `Bearer ${BOLNA_KEY}`;
      const body = await (await fetch(`${phone.url}/executions/${execution}`, { headers: { authorization } })).json();
      return counted(() => send('POST', webhook, { body }));
    },
    sentry: () => get(`${sentry.url}/events`),
    mails: () => get(`${inbox.url}/messages`),
  };
};
