/** What a provider may rely upon when it calls the worker in workerd: when it is answered, what with, and what is kept. */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { until } from '../platform/rig.ts';
import { startWorkerRig } from '../platform/worker-rig.ts';
import { DIALECTS, OTHER, SECRET } from './dialects.ts';
import { localApi } from './local-api.ts';

const retell = await localApi('retell');
const rig = await startWorkerRig({ RETELL_BASE_URL: retell.url });
const { faults } = rig.proxy;
const { pool, name: database } = rig.database;
afterEach(() => faults.clear());
const MB = 1_048_576;
const PATIENT = { timeout: 120_000 };

const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
  const answer = await rig.send(method, path, { key: rig.apiKey, body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
  return JSON.parse(text) as T;
};
const { id: agent, webhook_url: address } = await api<{ id: string; webhook_url: string }>('POST', '/v1/agents', {
  name: 'Ann',
  provider: 'retell',
  provider_agent_id: 'agent-7',
  from_number: '+12025550100',
  credentials: { api_key: SECRET },
});

/** Retell takes every call, under our own id for it. */
const takesCalls = (): void =>
  retell.does(({ body }, response) => {
    const { metadata } = JSON.parse(body) as { metadata: { attempt_id: string } };
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ call_id: `x-${metadata.attempt_id}` }));
  });
let numbers = 0;
/** A call on the line. */
const dialled = async (): Promise<string> => {
  takesCalls();
  const to = `+1415555${String((numbers += 1)).padStart(4, '0')}`;
  return (await api<{ id: string }>('POST', '/v1/calls', { agent_id: agent, to })).id;
};

const endOf = (call: string, more: object = {}) => ({
  event: 'call_ended',
  event_timestamp: Date.now(),
  call: {
    call_id: `x-${call}`,
    metadata: { attempt_id: call },
    disconnection_reason: 'user_hangup',
    duration_ms: 30_000,
    ...more,
  },
});
/** Sends a webhook as Retell does, signed at this moment. */
const post = (body: string, secret = SECRET): Promise<Response> => {
  const signed = DIALECTS.retell.sign({ url: address, body }, secret, new Date());
  return fetch(address, { method: 'POST', body, headers: { 'content-type': 'application/json', ...signed } });
};
const fate = async (answer: Response): Promise<unknown> => ((await answer.json()) as { fate: unknown }).fate;
interface Event {
  fate: string;
  status: string;
  payload: string | null;
}
/** What the database holds, whoever can reach it. */
const eventsOf = async (call: string): Promise<Event[]> =>
  (await pool.query<Event>('select fate, status, payload from ringleader.call_events where call_id = $1 order by seq', [call]))
    .rows;
const statusOf = async (call: string): Promise<string> =>
  (await pool.query<{ status: string }>('select status from ringleader.calls where id = $1', [call])).rows[0].status;

describe('an answer', () => {
  test('2xx comes after the commit, not before', PATIENT, async () => {
    const call = await dialled();
    const holder = await pool.connect();
    const waits = async (): Promise<boolean> => {
      const sql = "select from pg_stat_activity where datname = $1 and wait_event_type = 'Lock' and query like '%apply_fact%'";
      return (await pool.query(sql, [database])).rowCount === 1;
    };
    let answered = false;
    try {
      await holder.query('begin');
      await holder.query('select from ringleader.calls where id = $1 for update', [call]);
      const answer = post(JSON.stringify(endOf(call))).finally(() => (answered = true));
      await until('the event waits for the call', waits);
      expect(answered).toBe(false);
      await holder.query('commit');
      expect((await answer).status).toBe(200);
    } finally {
      holder.release();
    }
    expect(await eventsOf(call)).toMatchObject([{ fate: 'applied' }]);
    expect(await statusOf(call)).toBe('completed');
  });

  test('does not wait for the refill of the slot that it freed', PATIENT, async () => {
    await api('PATCH', '/v1/account', { max_concurrent_calls: 1 });
    const { id: campaign } = await api<{ id: string }>('POST', '/v1/campaigns', {
      name: 'Refilled',
      agent_id: agent,
      window: { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' },
    });
    await api('POST', `/v1/campaigns/${campaign}/leads`, { leads: [{ phone: '+14155550991' }, { phone: '+14155550992' }] });
    takesCalls();
    await api('POST', `/v1/campaigns/${campaign}/start`);
    const attempts = async (): Promise<{ id: string; status: string }[]> =>
      (await pool.query('select id, status from ringleader.calls where campaign_id = $1 order by seq', [campaign])).rows as {
        id: string;
        status: string;
      }[];
    await until('the first lead is on the line', async () => (await attempts()).some(({ status }) => status === 'queued'));
    const [first] = await attempts();

    // The next create-call has no answer until the webhook has had its own.
    const journal: string[] = [];
    const webhookAnswered = Promise.withResolvers<void>();
    retell.does(({ body }, response) => {
      journal.push('asked');
      response.on('close', () => journal.push(response.writableFinished ? 'taken' : 'given up'));
      const { metadata } = JSON.parse(body) as { metadata: { attempt_id: string } };
      void webhookAnswered.promise.then(() =>
        response
          .writeHead(201, { 'content-type': 'application/json' })
          .end(JSON.stringify({ call_id: `x-${metadata.attempt_id}` })),
      );
    });
    const answer = await post(JSON.stringify(endOf(first.id)));
    journal.push('answered');
    expect(answer.status).toBe(200);
    await until('the next lead is dialled', () => journal.includes('asked'));
    webhookAnswered.resolve();
    await until('and on the line', async () => (await attempts()).filter(({ status }) => status === 'queued').length === 1);
    expect(journal.filter((entry) => entry !== 'asked')).toEqual(['answered', 'taken']);
    await api('POST', `/v1/campaigns/${campaign}/cancel`);
    const [, second] = await attempts();
    await post(JSON.stringify(endOf(second.id)));
    await api('PATCH', '/v1/account', { max_concurrent_calls: 10 });
  });

  /** Said by another database's session, since nobody shuts the door on himself. */
  const takesConnections = async (whether: boolean): Promise<void> => {
    const client = new Client({ connectionString: inject('postgresUrl') });
    await client.connect();
    await client.query(`alter database ${database} allow_connections ${whether}`);
    if (!whether) await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [database]);
    await client.end();
  };
  test(
    'is a 5xx while the database is gone; once it is back, the repeated event is applied once (class 26)',
    PATIENT,
    async () => {
      const call = await dialled();
      const body = JSON.stringify(endOf(call));
      try {
        await takesConnections(false);
        expect((await post(body)).status).toBe(503);
      } finally {
        await takesConnections(true);
      }
      expect(await eventsOf(call)).toEqual([]);
      expect(await statusOf(call)).toBe('queued');
      expect(await fate(await post(body))).toBe('applied');
      expect(await fate(await post(body))).toBe('duplicate');
      expect((await eventsOf(call)).map((event) => event.fate)).toEqual(['applied', 'duplicate']);
      expect(await statusOf(call)).toBe('completed');
    },
  );
});

describe('what is kept', () => {
  test(
    '1 MB of any Unicode, quotes and SQL words lies in the row byte for byte, and never in a log line (classes 29, 30)',
    PATIENT,
    async () => {
      const call = await dialled();
      const canary = `canary-${randomUUID()}`;
      const words = `${canary} "select" * from users; drop table calls; -- \\ ' \u00e9\u0301 \u{1f600}\u{10ffff} \u202e \u2028 \ufeff <b>&amp;</b> `;
      const transcript = words.repeat(Math.ceil(MB / Buffer.byteLength(words)));
      const body = JSON.stringify(endOf(call, { transcript: '{escapes}' })).replace(
        '{escapes}',
        // Escapes of what no database stores: NUL, halves of pairs, alone and the wrong way round.
        String.raw`\u0000 \ud83d \ude00\ud83d \ud83d\ude00 \/ ` + JSON.stringify(transcript).slice(1, -1),
      );
      const before = rig.output().length;
      expect(await fate(await post(body))).toBe('applied');
      const { rows } = await pool.query<{ bytes: Buffer; transcript: string }>(
        `select convert_to(e.payload, 'UTF8') as bytes, r.transcript from ringleader.call_events e join ringleader.call_results r on r.call_id = e.call_id
       where e.call_id = $1 and e.payload is not null`,
        [call],
      );
      expect(rows).toHaveLength(1);
      expect(Buffer.byteLength(body)).toBeGreaterThan(MB);
      expect(rows[0].bytes.equals(Buffer.from(body, 'utf8'))).toBe(true);
      // What the database cannot hold as text is marked as lost there; the payload has it.
      expect(rows[0].transcript === `\ufffd \ufffd \ufffd\ufffd \u{1f600} / ${transcript}`).toBe(true);
      const shown = await api<{ data: Event[] }>('GET', `/v1/calls/${call}/events`);
      expect(shown.data[0].payload === body).toBe(true);

      // One that fails at the database and one that is no webhook at all: reported, in words of ours.
      faults.refuseStartups('28P01', 'password authentication failed', 1);
      expect((await post(body)).status).toBe(503);
      expect((await post(body.slice(0, -1))).status).toBe(400);
      await until('the failure is in the log', () => rig.output().slice(before).includes('database_connection_error'));
      const said = rig.output() + (await rig.envelopes()).join('\n');
      for (const secret of [canary, 'drop table calls', SECRET, `x-${call}`]) expect(said).not.toContain(secret);
    },
  );

  test(
    'a word for the state that nobody knows is kept, counted and reported, and moves nothing (class 28)',
    PATIENT,
    async () => {
      const call = await dialled();
      const { unknown_events: before } = await api<{ unknown_events: number }>('GET', '/v1/status');
      await rig.forgetEvents();
      // Bolna's words for states are open; Retell's events are not, so this one comes by Bolna's address.
      const bolna = await api<{ id: string; webhook_url: string }>('POST', '/v1/agents', {
        name: 'Bea',
        provider: 'bolna',
        provider_agent_id: 'agent-8',
        credentials: { api_key: SECRET },
      });
      await pool.query('update ringleader.calls set agent_id = $1 where id = $2', [bolna.id, call]);
      const body = JSON.stringify({
        id: `x-${call}`,
        status: 'levitating',
        context_details: { recipient_data: { attempt_id: call } },
      });
      const send = () => fetch(bolna.webhook_url, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
      const answer = await send();
      expect([answer.status, await fate(answer)]).toEqual([200, 'unknown']);
      expect(await eventsOf(call)).toMatchObject([{ fate: 'unknown', status: 'levitating', payload: body }]);
      expect(await statusOf(call)).toBe('queued');
      expect(await api('GET', '/v1/status')).toMatchObject({ unknown_events: before + 1 });
      await until('it is reported', async () =>
        (await rig.events()).some(({ error_type }) => error_type === 'webhook_processing_failed'),
      );
      await send();
      const reports = (await rig.events()).filter(({ error_type }) => error_type === 'webhook_processing_failed');
      expect(reports.map(({ contexts }) => contexts['report'])).toMatchObject([
        { provider: 'bolna', provider_status: 'levitating', call_id: call },
      ]);
    },
  );
});

test('a secret that was changed here counts from the very next webhook on, and the one before no longer', PATIENT, async () => {
  const call = await dialled();
  const started = JSON.stringify({ ...endOf(call), event: 'call_started' });
  expect((await post(started)).status).toBe(200);
  retell.answers(200, {});
  const change = (api_key: string) => api('PATCH', `/v1/agents/${agent}`, { credentials: { api_key } });
  await change(OTHER);
  expect((await post(started)).status).toBe(401);
  expect((await post(started, OTHER)).status).toBe(200);
  await change(SECRET);
  expect((await post(JSON.stringify(endOf(call)))).status).toBe(200);
});
