/** Object authorisation, authentication and mass assignment, generated from the table of routes: a new route is tested by being there. */
import { randomBytes, randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { ApiRoute } from '../../functions/route.ts';
import {
  agentBody,
  call,
  campaignBody,
  createCampaign,
  createTenant,
  fieldsOf,
  routes,
  stack,
  until,
  type Tenant,
} from '../http/client.ts';

const apiRoutes = routes.filter((route): route is ApiRoute => 'handler' in route);
const withId = apiRoutes.filter((route) => route.path.includes('/:'));
const withBody = apiRoutes.filter((route) => route.method !== 'GET' && route.method !== 'DELETE');
const titled = (list: readonly ApiRoute[]) => list.map((route) => ({ name: `${route.method} ${route.path}`, route }));

/** What each thing in a path is called. A path of a new kind must be given a row here. */
const KINDS: readonly [prefix: string, kind: keyof Things][] = [
  ['/v1/api-keys/', 'apiKey'],
  ['/v1/agents/', 'agent'],
  ['/v1/campaigns/', 'campaign'],
  ['/v1/leads/', 'lead'],
  ['/v1/calls/', 'call'],
  ['/v1/suppressions/', 'suppression'],
  ['/v1/notifications/', 'notification'],
  ['/v1/events/', 'event'],
];
interface Things {
  apiKey: string;
  agent: string;
  campaign: string;
  lead: string;
  call: string;
  suppression: string;
  notification: string;
  event: string;
}
const kindOf = (route: ApiRoute): keyof Things => {
  const kind = KINDS.find(([prefix]) => route.path.startsWith(prefix))?.[1];
  if (!kind) throw new Error(`no thing is known for ${route.path}`);
  return kind;
};
const concrete = (route: ApiRoute, thing: string): string => route.path.replace(/:\w+/, encodeURIComponent(thing));

/** A body that the route would accept, so that only the id can be at fault. */
const bodyFor = (route: ApiRoute, tenant: Tenant): object => {
  const bodies: Readonly<Record<string, object>> = {
    'POST /v1/accounts': { name: 'Acme', email: 'a@example.com' },
    'POST /v1/agents': agentBody(),
    'POST /v1/campaigns': campaignBody(tenant.agent),
    'POST /v1/campaigns/:id/leads': { leads: [{ phone: '+14155550123' }] },
    'POST /v1/calls': { agent_id: tenant.agent, to: '+14155550123' },
    'POST /v1/calls/:id/analysis': { score: 50 },
    'POST /v1/suppressions': { phone: '+14155550123' },
  };
  return bodies[`${route.method} ${route.path}`] ?? {};
};
const sentTo = (route: ApiRoute, tenant: Tenant) =>
  route.method === 'GET' || route.method === 'DELETE' ? {} : { body: bodyFor(route, tenant) };

const owner = await createTenant('Owner');
const stranger = await createTenant('Stranger');
let things: Things;

const data = async (key: string, path: string): Promise<{ id: string }[]> =>
  (await call<{ data: { id: string }[] }>(key, 'GET', path)).body.data;

beforeAll(async () => {
  const campaign = await createCampaign(owner);
  await call(owner.key, 'POST', `/v1/campaigns/${campaign}/leads`, { body: { leads: [{ phone: '+14155550000' }] } });
  await call(owner.key, 'POST', '/v1/suppressions', { body: { phone: '+14155550777' } });
  await call(owner.key, 'POST', `/v1/campaigns/${campaign}/start`);
  const [notification] = await until(
    () => data(owner.key, '/v1/notifications'),
    (list) => list.length > 0,
    50_000,
  );
  const [apiKey] = await data(owner.key, '/v1/api-keys');
  const [lead] = await data(owner.key, `/v1/campaigns/${campaign}/leads`);
  const [placed] = await data(owner.key, '/v1/calls');
  const [event] = await data(owner.key, `/v1/calls/${placed.id}/events`);
  things = {
    apiKey: apiKey.id,
    agent: owner.agent,
    campaign,
    lead: lead.id,
    call: placed.id,
    suppression: '+14155550777',
    notification: notification.id,
    event: event.id,
  };
});

/** Everything the owner can read, to be compared before and after. */
const snapshot = async (): Promise<string> => {
  const paths = [
    '/v1/account',
    '/v1/account/notification-preferences',
    '/v1/api-keys',
    '/v1/agents',
    '/v1/campaigns',
    `/v1/campaigns/${things.campaign}/leads`,
    `/v1/leads/${things.lead}`,
    '/v1/calls',
    '/v1/suppressions',
  ];
  const texts = await Promise.all(paths.map(async (path) => (await call(owner.key, 'GET', path)).text));
  return texts.join('\n');
};

describe('the id of another account names nothing (class 39)', () => {
  test('and touches nothing', async () => {
    const before = await snapshot();
    let asked = 0;
    for (const route of withId.filter(({ auth }) => auth !== 'admin')) {
      const answer = await call(stranger.key, route.method, concrete(route, things[kindOf(route)]), sentTo(route, stranger));
      expect([answer.status, answer.body], `${route.method} ${route.path}`).toEqual([
        404,
        { error: { code: 'not_found', message: 'There is nothing here.' } },
      ]);
      asked += 1;
    }
    // Whose thing it is, the administrator need not say; to anybody else the route is closed, see below.
    expect(withId.filter(({ auth }) => auth === 'admin').map(({ path }) => path)).toEqual(['/v1/events/:id/replay']);
    expect(asked).toBe(withId.length - 1);
    expect(asked).toBeGreaterThanOrEqual(20);
    expect(await snapshot()).toBe(before);
  });

  test.each(titled(withId))('$name answers an id that nobody has in the same words', async ({ route }) => {
    const thing = kindOf(route) === 'suppression' ? '+14155550001' : randomUUID();
    const key = route.auth === 'admin' ? stack.adminKey : owner.key;
    const answer = await call(key, route.method, concrete(route, thing), sentTo(route, owner));
    expect([answer.status, answer.body]).toEqual([404, { error: { code: 'not_found', message: 'There is nothing here.' } }]);
  });

  test('nor does it in a body or a query', async () => {
    const foreign = await call(stranger.key, 'POST', '/v1/campaigns', { body: campaignBody(owner.agent) });
    expect([foreign.status, fieldsOf(foreign)]).toEqual([400, ['agent_id']]);
    const dial = await call(stranger.key, 'POST', '/v1/calls', { body: { agent_id: owner.agent, to: '+14155550123' } });
    expect([dial.status, fieldsOf(dial)]).toEqual([400, ['agent_id']]);
    const mine = await createCampaign(stranger);
    const moved = await call(stranger.key, 'PATCH', `/v1/campaigns/${mine}`, { body: { agent_id: owner.agent } });
    expect([moved.status, fieldsOf(moved)]).toEqual([400, ['agent_id']]);
    expect(await data(stranger.key, `/v1/calls?campaign_id=${things.campaign}`)).toEqual([]);
  });

  test('lists hold rows of their own account only', async () => {
    const lists = apiRoutes.filter((route) => route.method === 'GET' && !route.path.includes(':') && route.query);
    for (const route of lists) {
      const { status, text } = await call(stranger.key, 'GET', route.path);
      expect(status, route.path).toBe(200);
      for (const thing of Object.values(things)) expect(text, route.path).not.toContain(thing);
    }
    expect(lists.length).toBe(6);
  });
});

describe('who has no valid key is told one and the same (class 25)', () => {
  const forms: [string, Record<string, string>][] = [];

  beforeAll(async () => {
    const made = await call<{ id: string; api_key: string }>(owner.key, 'POST', '/v1/api-keys', { body: {} });
    expect((await call(made.body.api_key, 'GET', '/v1/account')).status).toBe(200);
    expect((await call(owner.key, 'DELETE', `/v1/api-keys/${made.body.id}`)).status).toBe(204);
    const revoked = made.body.api_key;
    forms.push(
      ['missing', {}],
      ['empty', { authorization: '' }],
      ['another scheme', { authorization: `Basic ${Buffer.from(`x:${owner.key}`).toString('base64')}` }],
      ['no scheme', { authorization: owner.key }],
      ['wrong', { authorization: `Bearer rl_${randomBytes(32).toString('base64url')}` }],
      ['a piece', { authorization: `Bearer ${owner.key.slice(0, -1)}` }],
      ['too long', { authorization: `Bearer ${owner.key}x` }],
      ['a hash', { authorization: `Bearer ${'a'.repeat(64)}` }],
      ['revoked', { authorization: `Bearer ${revoked}` }],
    );
  });

  test.each(titled(apiRoutes))('$name', async ({ route }) => {
    const thing = route.path.includes('/:') ? things[kindOf(route)] : '';
    const other = route.auth === 'admin' ? owner.key : stack.adminKey;
    const keys = route.auth === 'either' ? forms : [...forms, ['of another kind', { authorization: `Bearer ${other}` }] as const];
    const answers = await Promise.all(
      keys.map(([, headers]) => call(null, route.method, concrete(route, thing), { ...sentTo(route, owner), headers })),
    );
    const seen = answers.map(({ status, text, headers }) => [status, text, headers.get('www-authenticate')].join(' '));
    expect(new Set(seen)).toEqual(
      new Set(['401 {"error":{"code":"unauthorized","message":"A valid API key is required."}} Bearer']),
    );
    expect(answers.length).toBeGreaterThanOrEqual(9);
  });

  test('every route of the API wants a key', () => {
    expect(apiRoutes.filter(({ auth }) => auth === 'none')).toEqual([]);
    expect(apiRoutes.length).toBeGreaterThan(35);
  });

  test('an unknown path does not tell who asks', async () => {
    const [known, unknown] = await Promise.all([call(owner.key, 'GET', '/v1/nothing'), call(null, 'GET', '/v1/nothing')]);
    expect([known.status, known.text]).toEqual([404, unknown.text]);
  });
});

describe('a field that the contract does not know is refused (class 40)', () => {
  test.each(titled(withBody))('$name', async ({ route }) => {
    const key = route.auth === 'admin' ? stack.adminKey : owner.key;
    const thing = route.path.includes('/:') ? things[kindOf(route)] : '';
    for (const field of ['account_id', 'is_admin', '__proto__', 'constructor', 'a"; drop table leads; --']) {
      const raw = JSON.stringify(bodyFor(route, owner)).replace(
        /^\{/,
        `{${JSON.stringify(field)}:1${hasFields(route) ? ',' : ''}`,
      );
      const answer = await call(key, route.method, concrete(route, thing), {
        raw,
        headers: { 'content-type': 'application/json' },
      });
      expect(answer.status, `${field}: ${answer.text}`).toBe(400);
      expect(fieldsOf(answer)).toContain(field);
    }
  });

  const hasFields = (route: ApiRoute): boolean => Object.keys(bodyFor(route, owner)).length > 0;

  test('every body is a closed object', () => {
    const open = withBody.filter((route) => {
      const schema = route.body ? z.toJSONSchema(route.body, { io: 'input' }) : { additionalProperties: false };
      return schema.additionalProperties !== false;
    });
    expect(open.map(({ path }) => path)).toEqual([]);
    expect(withBody.length).toBeGreaterThanOrEqual(17);
  });
});

test('secrets are never told again: not in any answer, not in the documents', async () => {
  const secret = `secret-${randomUUID()}`;
  const made = await call<{ id: string }>(owner.key, 'POST', '/v1/agents', {
    body: agentBody({ credentials: { api_key: secret }, webhook_secrets: [`${secret}-hook`] }),
  });
  expect(made.status).toBe(201);
  const reads = apiRoutes.filter((route) => route.method === 'GET');
  let answered = 0;
  for (const route of reads) {
    const thing = kindOfOrNull(route) === 'agent' ? made.body.id : route.path.includes('/:') ? things[kindOf(route)] : '';
    const { status, text } = await call(owner.key, 'GET', concrete(route, thing));
    if (route.auth !== 'admin') expect(status, route.path).toBe(200);
    answered += Number(status === 200);
    expect(text, route.path).not.toContain(secret);
    expect(text, route.path).not.toContain('sealed');
  }
  expect(answered).toBeGreaterThan(15);
});

const kindOfOrNull = (route: ApiRoute): keyof Things | null => (route.path.includes('/:') ? kindOf(route) : null);
