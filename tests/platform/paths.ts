/** Every way in which a request can go wrong, from its real cause, with secrets and people in all that is said on the way. */
import { randomUUID } from 'node:crypto';
import type { ErrorType } from '../../lib/errors.ts';
import { json, serve, type Edge, type Reply } from '../../local/edge-server.ts';
import type { AppRig } from './app-rig.ts';
import { until } from './rig.ts';

/** What must not be found in any report nor in any log line. */
export const CANARIES = {
  name: 'Maria Canary-Lopez',
  email: 'maria.canary@example.com',
  transcript: 'Hello, this is the Canary transcript of a call.',
  providerKey: 'bn-Canary-Provider-Key-1',
  webhookSecret: 'Canary-Webhook-Secret-1',
  forgedKey: 'rl_CanaryKeyCanaryKeyCanaryKeyCanaryKeyCanary',
  password: 'Canary-Password-1',
} as const;
/** Different numbers that all begin alike. */
export const PHONES = '+141555501';
const phone = (n: number): string => PHONES + String(n).padStart(2, '0');
/** What the provider calls the call of this number. */
const executionOf = (n: number): string => `exec-${phone(n).slice(-4)}`;
const ECHO = `${phone(0)} ${Object.values(CANARIES).join(' ')}`;

/** The provider and the mail provider: each question is answered as was said last, and all are noted. */
export interface Outside extends Edge {
  asked: string[];
  /** Answers `method path` so, its ids left out: `GET /executions`. */
  says(question: string, reply: Says): void;
}
type Says = Reply | ((body: Readonly<Record<string, unknown>>) => Reply);
export const startOutside = async (): Promise<Outside> => {
  const replies = new Map<string, Says>();
  const asked: string[] = [];
  const edge = await serve({ port: 0, maxBody: 1e7 }, ({ method, path, body }) => {
    const [, first = '', ...rest] = path.split('/');
    const question = `${method} /${rest.at(-1) === 'stop' ? 'stop' : first}`;
    asked.push(question);
    const said = replies.get(question) ?? json(200, {});
    return typeof said === 'function' ? said(JSON.parse(body.toString('utf8')) as Record<string, unknown>) : said;
  });
  return { ...edge, asked, says: (question, reply) => void replies.set(question, reply) };
};

export interface Path {
  path: string;
  ask: () => Promise<Response>;
  status: number;
  /** The `error.code` of its body; null for what is no error of the API. */
  code: string | null;
  /** Whatever is reported of it, its background work included; none when the caller's fault is answered and that is all. */
  reports: readonly ErrorType[];
  /** What the outside must have been asked. */
  asked?: string;
  /** Once it is over. */
  mend?: () => Promise<unknown> | void;
}

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

/** What the paths need of an account. */
export interface Scene {
  rig: AppRig;
  outside: Outside;
  agent: { id: string; webhook_url: string };
}

export const createScene = async (rig: AppRig, outside: Outside): Promise<Scene> => ({
  rig,
  outside,
  agent: await agentOf(rig),
});
const agentOf = async (rig: AppRig, apiKey: string = CANARIES.providerKey): Promise<Scene['agent']> => {
  const body = { name: 'Ann', provider: 'bolna', provider_agent_id: `agent-${randomUUID()}`, credentials: { api_key: apiKey } };
  return (await (await rig.send('POST', '/v1/agents', { key: rig.apiKey, body })).json()) as Scene['agent'];
};
const accepted: Says = ({ recipient_phone_number: to }) => json(200, { execution_id: `exec-${String(to).slice(-4)}` });
const idOf = async (response: Response): Promise<string> => ((await response.json()) as { id: string }).id;
const draft = async ({ rig, agent }: Scene): Promise<string> => {
  const window = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
  return idOf(
    await rig.send('POST', '/v1/campaigns', { key: rig.apiKey, body: { name: CANARIES.name, agent_id: agent.id, window } }),
  );
};

// ---------------------------------------------------------------- what the caller did wrong

const callersFaults = (scene: Scene): Path[] => {
  const { rig } = scene;
  const key = rig.apiKey;
  const upload =
    (raw: BodyInit, type = 'text/csv') =>
    async (): Promise<Response> =>
      rig.send('POST', `/v1/campaigns/${await draft(scene)}/leads`, { key, raw, headers: { 'content-type': type } });
  const post = (path: string, body: unknown) => () => rig.send('POST', path, { key, body });
  const keyed = { 'idempotency-key': CANARIES.name.replaceAll(' ', '-') };
  const none = { reports: [] };
  return [
    {
      path: 'a CSV without a phone column',
      ask: upload(`${CANARIES.name}\n${phone(0)}\n`),
      status: 400,
      code: 'no_phone_column',
      ...none,
    },
    {
      path: 'a CSV cut within a quote',
      ask: upload(`phone,name\n${phone(0)},"${CANARIES.name}\n`),
      status: 400,
      code: 'malformed_csv',
      ...none,
    },
    {
      path: 'a CSV of bad rows',
      ask: upload(`phone,name\n${CANARIES.name},${phone(0)}0000000\n`),
      status: 200,
      code: null,
      ...none,
    },
    {
      path: 'gzip sent as CSV',
      ask: upload(Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.from(ECHO)])),
      status: 415,
      code: 'unsupported_media_type',
      ...none,
    },
    { path: 'a body of another type', ask: upload(ECHO, 'text/plain'), status: 415, code: 'unsupported_media_type', ...none },
    {
      path: 'an unknown field',
      ask: post('/v1/campaigns', { [CANARIES.name]: phone(0) }),
      status: 400,
      code: 'validation',
      ...none,
    },
    {
      path: 'an impossible number',
      ask: post('/v1/calls', { agent_id: scene.agent.id, to: `${phone(0)}0000000` }),
      status: 400,
      code: 'validation',
      ...none,
    },
    {
      path: 'a body over its limit',
      ask: post('/v1/campaigns', { name: ECHO.repeat(20_000) }),
      status: 413,
      code: 'too_large',
      ...none,
    },
    {
      path: 'a body that is no JSON',
      ask: () => rig.send('POST', '/v1/campaigns', { key, raw: `{${ECHO}`, headers: { 'content-type': 'application/json' } }),
      status: 400,
      code: 'bad_json',
      ...none,
    },
    {
      path: 'a wrong key',
      ask: () => rig.send('GET', '/v1/account', { key: CANARIES.forgedKey }),
      status: 401,
      code: 'unauthorized',
      ...none,
    },
    { path: 'no such route', ask: () => rig.send('GET', `/v1/${phone(0)}`, { key }), status: 404, code: 'not_found', ...none },
    {
      path: 'no such lead',
      ask: () => rig.send('GET', `/v1/leads/${randomUUID()}`, { key }),
      status: 404,
      code: 'not_found',
      ...none,
    },
    {
      path: 'a wrong state',
      ask: async () => rig.send('POST', `/v1/campaigns/${await draft(scene)}/pause`, { key }),
      status: 409,
      code: 'wrong_state',
      ...none,
    },
    {
      path: 'an idempotency key used again',
      ask: async () => {
        await rig.send('POST', '/v1/api-keys', { key, body: { name: CANARIES.name }, headers: keyed });
        return rig.send('POST', '/v1/api-keys', { key, body: { name: ECHO.slice(0, 50) }, headers: keyed });
      },
      status: 409,
      code: 'idempotency_conflict',
      ...none,
    },
    {
      path: 'a suppressed number',
      ask: async () => {
        await rig.send('POST', '/v1/suppressions', { key, body: { phone: phone(1) } });
        return rig.send('POST', '/v1/calls', { key, body: { agent_id: scene.agent.id, to: phone(1), name: CANARIES.name } });
      },
      status: 409,
      code: 'suppressed',
      ...none,
    },
    { path: 'a forged link', ask: () => rig.send('GET', `/links/${CANARIES.forgedKey}.x`), status: 404, code: null, ...none },
    {
      path: 'a wrong key at the sign-in page',
      ask: () =>
        rig.send('POST', '/sign-in', {
          raw: new URLSearchParams({ key: CANARIES.forgedKey, next: '/' }).toString(),
          headers: { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' },
        }),
      status: 401,
      code: null,
      ...none,
    },
  ];
};

// ---------------------------------------------------------------- webhooks

const webhooks = ({ rig, outside, agent }: Scene): Path[] => {
  const tell =
    (body: unknown, url = agent.webhook_url) =>
    (): Promise<Response> =>
      fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
  const said = { id: 'exec-none', transcript: CANARIES.transcript, user_number: phone(0) };
  const mail = (password: string, body: unknown) => (): Promise<Response> =>
    rig.send('POST', '/webhooks/mail/postmark', { body, headers: { authorization: `Basic ${btoa(`postmark:${password}`)}` } });
  return [
    { path: 'a webhook that is no JSON', ask: tell(`{${ECHO}`), status: 400, code: 'validation', reports: [] },
    { path: 'a webhook of another shape', ask: tell([ECHO]), status: 400, code: 'validation', reports: [] },
    { path: 'a webhook over its limit', ask: tell(`"${ECHO.repeat(60_000)}"`), status: 413, code: 'too_large', reports: [] },
    {
      path: 'a webhook to a forged address',
      ask: tell(said, `${agent.webhook_url.slice(0, -4)}AAAA`),
      status: 401,
      code: 'unauthorized',
      reports: [],
    },
    {
      path: 'a webhook that the provider cannot confirm',
      ask: () => {
        outside.says('GET /executions', json(500, { message: ECHO }));
        return tell({ ...said, status: 'completed' })();
      },
      status: 503,
      code: 'unconfirmed',
      reports: ['webhook_processing_failed'],
      asked: 'GET /executions',
    },
    { path: 'a bounce with a wrong password', ask: mail(CANARIES.forgedKey, {}), status: 401, code: 'unauthorized', reports: [] },
    {
      path: 'a bounce of another shape',
      ask: mail(CANARIES.webhookSecret, { Email: [CANARIES.email] }),
      status: 400,
      code: 'validation',
      reports: [],
    },
  ];
};

// ---------------------------------------------------------------- the provider

const providers = (scene: Scene): Path[] => {
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

const mails = (scene: Scene): Path[] => {
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

const database = (scene: Scene): Path[] => {
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

export const pathsOf = (scene: Scene): Path[] => [
  ...callersFaults(scene),
  ...webhooks(scene),
  ...providers(scene),
  ...mails(scene),
  ...database(scene),
];
