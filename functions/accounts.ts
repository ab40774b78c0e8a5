/** Accounts, their keys and their mail preferences. */
import { apiKeyFrom, hashKey } from '../lib/auth.ts';
import {
  Account,
  AccountCreate,
  AccountCreated,
  AccountPatch,
  ApiKey,
  ApiKeyCreate,
  ApiKeyCreated,
  page,
  Preferences,
  PreferencesPut,
} from '../lib/contract.ts';
import { wakeDispatch } from '../lib/dial.ts';
import { notFound } from '../lib/errors.ts';
import { found, paged } from './respond.ts';
import { accountOf, ById, PageQuery, route, type Route } from './route.ts';

const tag = 'Account';
const DEFAULT_CAP = 10;

export const accountRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/accounts',
    tag,
    summary: 'Open an account; its first key is shown once',
    auth: 'admin',
    body: AccountCreate,
    creates: true,
    responses: { 201: AccountCreated },
    async handler({ deps, body, mint }) {
      const apiKey = apiKeyFrom(await mint.secret('api_key'));
      const account = await deps.verbs.createAccount(
        await mint.id('account'),
        deps.now(),
        body.name,
        body.email,
        body.timezone ?? 'UTC',
        body.max_concurrent_calls ?? DEFAULT_CAP,
        await mint.id('api_key'),
        await hashKey(apiKey),
      );
      return { status: 201, body: { account, api_key: apiKey } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/account',
    tag,
    summary: 'The account that the key belongs to',
    auth: 'account',
    responses: { 200: Account },
    async handler(call) {
      return { status: 200, body: found(await call.deps.verbs.getAccount(accountOf(call), call.deps.now())) };
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/account',
    tag,
    summary: 'Change the account',
    auth: 'account',
    body: AccountPatch,
    responses: { 200: Account },
    async handler(call) {
      const account = found(await call.deps.verbs.updateAccount(accountOf(call), call.deps.now(), call.body));
      // A higher cap or pace may let leads go that wait now (class 17).
      wakeDispatch(call.deps, accountOf(call));
      return { status: 200, body: account };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/api-keys',
    tag,
    summary: 'List keys, revoked ones too',
    auth: 'account',
    query: PageQuery,
    responses: { 200: page(ApiKey) },
    handler: (call) =>
      paged(call.query, (after, limit) => call.deps.verbs.listApiKeys(accountOf(call), call.deps.now(), after, limit)),
  }),
  route({
    method: 'POST',
    path: '/v1/api-keys',
    tag,
    summary: 'Make a key; it is shown once and only its hash is kept',
    auth: 'account',
    body: ApiKeyCreate,
    creates: true,
    responses: { 201: ApiKeyCreated },
    async handler(call) {
      const { deps, body, mint } = call;
      const apiKey = apiKeyFrom(await mint.secret('api_key'));
      const id = await mint.id('api_key');
      const row = await deps.verbs.createApiKey(accountOf(call), deps.now(), id, body.name ?? null, await hashKey(apiKey));
      return { status: 201, body: { ...row, api_key: apiKey } };
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/api-keys/:id',
    tag,
    summary: 'Revoke a key, at once',
    auth: 'account',
    params: ById,
    responses: { 204: null },
    async handler(call) {
      if (!(await call.deps.verbs.revokeApiKey(accountOf(call), call.deps.now(), call.params.id))) throw notFound();
      return { status: 204, body: undefined };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/account/notification-preferences',
    tag,
    summary: 'Which mails the account wants',
    auth: 'account',
    responses: { 200: Preferences },
    async handler(call) {
      return { status: 200, body: await call.deps.verbs.getPreferences(accountOf(call), call.deps.now()) };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/account/notification-preferences',
    tag,
    summary: 'Choose the mails; what is left out is on',
    auth: 'account',
    body: PreferencesPut,
    responses: { 200: Preferences },
    async handler(call) {
      return { status: 200, body: await call.deps.verbs.putPreferences(accountOf(call), call.deps.now(), call.body) };
    },
  }),
];
