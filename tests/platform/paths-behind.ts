/** The ways in which a request goes wrong behind the worker: at the provider, in a mail, in the database. */
import { randomUUID } from 'node:crypto';
import { json, type Reply } from '../../local/edge-server.ts';
import type { AppRig } from './app-rig.ts';
import { agentOf, CANARIES, draft, ECHO, phone, type Path, type Says, type Scene } from './path-scene.ts';
import { until } from './rig.ts';

/** What the provider calls the call of this number. */
const executionOf = (n: number): string => `exec-${phone(n).slice(-4)}`;
const accepted: Says = ({ recipient_phone_number: to }) => json(200, { execution_id: `exec-${String(to).slice(-4)}` });

/** Takes the verb from the database, as a deployment does that forgot to migrate; answers with how to give it back. */
const withoutVerb = async (rig: AppRig, verb: string): Promise<() => Promise<unknown>> => {
  const { pool } = rig.database;
  const { rows } = await pool.query<{ signature: string }>(
    "select pg_get_function_identity_arguments(oid) as signature from pg_proc where pronamespace = 'ringleader'::regnamespace and proname = $1",
    [verb],
  );
  const types = `(${rows[0].signature})`;
  await pool.query(`alter function ringleader.${verb}${types} rename to gone`);
  return () => pool.query(`alter function ringleader.gone${types} rename to ${verb}`);
};

// ---------------------------------------------------------------- the provider

export const providers = (scene: Scene): Path[] => {
  const { rig, outside } = scene;
  const key = rig.apiKey;
  const dial = (n: number, reply: Says, apiKey?: string) => async (): Promise<Response> => {
    outside.says('POST /call', reply);
    const agent = apiKey === undefined ? scene.agent : await agentOf(rig, apiKey);
    const body = { agent_id: agent.id, to: phone(n), name: CANARIES.name, variables: { note: CANARIES.transcript } };
    return rig.send('POST', '/v1/calls', { key, body });
  };
  const echo = (status: number): Reply => json(status, { message: ECHO, detail: ECHO });
  const refusedCall = { status: 422, code: 'provider_refused', reports: ['provider_api_failure'], asked: 'POST /call' } as const;
  return [
    { path: 'a call that the provider answers with 400', ask: dial(2, echo(400)), ...refusedCall },
    {
      path: 'a call that the provider answers with 403',
      ask: dial(3, echo(403), `${CANARIES.providerKey}-other`),
      ...refusedCall,
    },
    { path: 'a call that the provider answers with 500', ask: dial(4, echo(500)), ...refusedCall, status: 202, code: null },
    {
      path: 'a call that the provider does not stop',
      ask: async () => {
        const placed = (await (await dial(5, accepted)()).json()) as { id: string };
        outside.says('POST /stop', echo(500));
        return rig.send('POST', `/v1/calls/${placed.id}/cancel`, { key });
      },
      status: 409,
      code: 'not_stopped',
      reports: [],
      asked: 'POST /stop',
    },
    {
      path: 'an agent whose webhooks the provider does not take',
      ask: () => {
        outside.says('PATCH /v2', echo(500));
        const body = {
          name: CANARIES.name,
          provider: 'bolna',
          provider_agent_id: 'a',
          credentials: { api_key: CANARIES.providerKey },
        };
        return rig.send('POST', '/v1/agents', { key, body });
      },
      status: 201,
      code: null,
      reports: [],
      asked: 'PATCH /v2',
    },
  ];
};

// ---------------------------------------------------------------- mails

/**
 * A campaign whose lead was called, and hot by what its webhook says. Without others it completes with that, and a summary is owed; with
 * another lead, who talks on, a mail of the hot one.
 */
const hotCall = async (scene: Scene, n: number, ...others: number[]): Promise<{ call: string; response: Response }> => {
  const { rig, outside, agent } = scene;
  const key = rig.apiKey;
  outside.says('POST /call', accepted);
  const campaign = await draft(scene);
  const leads = [n, ...others].map((each) => ({ phone: phone(each), name: CANARIES.name, email: CANARIES.email }));
  await rig.send('POST', `/v1/campaigns/${campaign}/leads`, { key, body: { leads } });
  await rig.send('POST', `/v1/campaigns/${campaign}/start`, { key });
  type Row = { id: string; provider_call_id: string | null };
  let calls: Row[] = [];
  await until('the leads are called', async () => {
    const list = await rig.send('GET', `/v1/calls?campaign_id=${campaign}`, { key });
    calls = ((await list.json()) as { data: Row[] }).data.filter(({ provider_call_id }) => provider_call_id !== null);
    return calls.length === leads.length;
  });
  const id = executionOf(n);
  const extracted_data = { Lead: { Score: { objective: '90' }, Evidence: { subjective: ECHO } } };
  const body = { id, status: 'completed', transcript: CANARIES.transcript, user_number: phone(n), extracted_data };
  outside.says('GET /executions', json(200, body));
  const response = await fetch(agent.webhook_url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { call: calls.find(({ provider_call_id }) => provider_call_id === id)!.id, response };
};

export const mails = (scene: Scene): Path[] => {
  const { rig, outside } = scene;
  let mend: (() => Promise<unknown>) | undefined;
  let call = '';
  return [
    {
      path: 'a summary that is refused',
      ask: async () => {
        outside.says('POST /email', json(422, { ErrorCode: 406, Message: ECHO }));
        const done = await hotCall(scene, 10);
        call = done.call;
        return done.response;
      },
      status: 200,
      code: null,
      reports: ['campaign_summary_email_failed'],
      asked: 'POST /email',
    },
    {
      path: 'a mail of a hot lead that is refused',
      ask: async () => (await hotCall(scene, 11, 12)).response,
      status: 200,
      code: null,
      reports: ['notification_email_failed'],
      asked: 'POST /email',
    },
    {
      path: 'a summary whose figures cannot be read',
      ask: async () => {
        mend = await withoutVerb(rig, 'summary_data');
        outside.says('POST /email', json(200, { ErrorCode: 0, MessageID: 'm' }));
        return (await hotCall(scene, 13)).response;
      },
      status: 200,
      code: null,
      reports: ['campaign_summary_generation_failed', 'database_query_error'],
      mend: () => mend?.(),
    },
    {
      path: 'an event replayed whose agent cannot be opened',
      ask: async () => {
        const events = await rig.send('GET', `/v1/calls/${call}/events`, { key: rig.apiKey });
        const { data } = (await events.json()) as { data: { id: string; source: string }[] };
        const event = data.find(({ source }) => source === 'event');
        await rig.database.pool.query('update ringleader.agents set credentials_sealed = $1', [ECHO]);
        return rig.send('POST', `/v1/events/${event?.id}/replay`, { key: rig.adminKey });
      },
      status: 500,
      code: 'internal',
      reports: ['unhandled_error'],
    },
  ];
};

// ---------------------------------------------------------------- the database

export const database = (scene: Scene): Path[] => {
  const { rig, outside } = scene;
  const { pool, appUrl } = rig.database;
  const { faults } = rig.proxy;
  const key = rig.apiKey;
  const named = (name: string, headers = {}) => rig.send('POST', '/v1/api-keys', { key, body: { name }, headers });
  const suppressed = (n: number) =>
    rig.send('POST', '/v1/suppressions', { key, body: { phone: phone(n), reason: CANARIES.name } });
  /** Every new key of this name fails as a trigger, a bug or a conflict makes it. */
  const raising = (name: string, code: string) =>
    pool.query(`create function public.raise_${code}() returns trigger language plpgsql as $$
        begin raise exception using errcode = '${code}', message = new.name || ' ${ECHO}'; end $$;
      create trigger raise_${code} before insert on ringleader.api_keys for each row when (new.name = '${name}') execute function public.raise_${code}()`);
  const owner = (role: string) => pool.query(`alter table ringleader.accounts owner to ${role}`);
  const superuser = 'current_user';
  let mend: (() => Promise<unknown>) | undefined;
  const rejected = { status: 500, code: 'internal', reports: ['database_query_error'] } as const;
  const unavailable = { status: 503, code: 'database_unavailable' } as const;
  return [
    {
      path: 'a connection refused in words that quote',
      ask: () => {
        faults.refuseStartups('28P01', `password authentication failed for ${ECHO}`, 1e9);
        return rig.send('GET', '/v1/account', { key });
      },
      ...unavailable,
      reports: ['database_connection_error'],
      mend: () => faults.clear(),
    },
    {
      path: 'a unique index violated',
      ask: async () => {
        await pool.query('create unique index canary_once on ringleader.api_keys (name) where name is not null');
        await named(CANARIES.email);
        return named(CANARIES.email);
      },
      ...rejected,
    },
    {
      path: 'a check violated',
      ask: async () => {
        await pool.query(
          `alter table ringleader.suppressions add constraint canary_check check (phone <> '${phone(8)}') not valid`,
        );
        return suppressed(8);
      },
      ...rejected,
    },
    {
      path: 'an error whose message quotes the row',
      ask: async () => {
        await raising('quoted', '22012');
        return named('quoted');
      },
      ...rejected,
    },
    {
      path: 'a write under which the connection is lost',
      ask: () => {
        faults.cutOn({ from: 'server', contains: '"state"', how: 'reset' });
        return named(CANARIES.name, { 'idempotency-key': randomUUID() });
      },
      ...unavailable,
      reports: ['database_query_error'],
    },
    {
      path: 'a write rolled back for the sake of others, again and again',
      ask: async () => {
        await raising('serial', '40001');
        return named('serial');
      },
      ...unavailable,
      reports: ['database_transaction_error'],
    },
    {
      path: 'work after the answer that fails',
      ask: async () => {
        mend = await withoutVerb(rig, 'sweep_notifications');
        return rig.send('POST', `/v1/campaigns/${await draft(scene)}/cancel`, { key });
      },
      status: 200,
      code: null,
      reports: ['background_task_failed', 'database_query_error'],
      mend: () => mend?.(),
    },
    {
      path: 'a role that may do more than a worker should',
      ask: async () => {
        await owner(new URL(appUrl).username);
        return rig.send('GET', '/v1/account', { key });
      },
      status: 503,
      code: 'misconfigured',
      reports: ['configuration_invalid'],
      mend: () => owner(superuser),
    },
    {
      path: 'a dispatch that fails',
      ask: async () => {
        mend = await withoutVerb(rig, 'fence_calls');
        outside.says('POST /call', accepted);
        const agent = await agentOf(rig);
        return rig.send('POST', '/v1/calls', { key, body: { agent_id: agent.id, to: phone(0), name: CANARIES.name } });
      },
      status: 202,
      code: null,
      reports: ['call_dispatch_failed', 'database_query_error'],
      mend: () => mend?.(),
    },
  ];
};
