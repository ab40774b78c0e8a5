/** Every way in which a request can go wrong, from its real cause, with secrets and people in all that is said on the way. */
import { randomUUID } from 'node:crypto';
import { json } from '../../local/edge-server.ts';
import { CANARIES, draft, ECHO, phone, type Path, type Scene } from './path-scene.ts';
import { database, mails, providers } from './paths-behind.ts';

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

/** In this order: the last of the mails spoils the credentials of every agent there is by then. */
export const pathsOf = (scene: Scene): Path[] => [
  ...callersFaults(scene),
  ...webhooks(scene),
  ...providers(scene),
  ...mails(scene),
  ...database(scene),
];
