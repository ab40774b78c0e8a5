/** Who may see and do what on the pages: told with plain requests, so that every header is ours. */
import { expect, inject, test } from 'vitest';
import * as z from 'zod';
import { callApi } from '../../local/api-client.ts';
import { ApiKey, Campaign, page as pageOf } from '../../lib/contract.ts';
import { newAccount } from './account.ts';

const { url } = inject('stack');
const OURS = { 'sec-fetch-site': 'same-origin', origin: url };
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const send = (path: string, init: RequestInit = {}): Promise<Response> => fetch(url + path, { redirect: 'manual', ...init });
const signIn = async (key: string, next = '/'): Promise<Response> =>
  send('/sign-in', { method: 'POST', headers: { ...OURS, ...FORM }, body: new URLSearchParams({ key, next }) });
const cookieOf = (response: Response): string => (response.headers.get('set-cookie') ?? '').split(';', 1)[0] ?? '';

test('the session cookie is out of reach for scripts and other sites, and does not show the key', async () => {
  const account = await newAccount();
  const answer = await signIn(account.key);
  expect(answer.status).toBe(303);
  const set = answer.headers.get('set-cookie') ?? '';
  expect(set).toMatch(/HttpOnly/);
  expect(set).toMatch(/SameSite=Strict/);
  expect(set).toMatch(/Max-Age=43200/);
  expect(set).not.toContain(account.key);
  expect(decodeURIComponent(set)).not.toContain(account.key);
});

test('a forged, altered or foreign cookie is nobody’s session', async () => {
  const account = await newAccount();
  const good = cookieOf(await signIn(account.key));
  expect(await (await send('/', { headers: { cookie: good } })).text()).toContain('No campaigns yet');
  const altered = good.slice(0, -6) + (good.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA');
  const cookies = ['', altered, 'ringleader_session=x', `ringleader_session=${account.key}`, good.slice(0, 60)];
  for (const cookie of cookies) {
    const answer = await send('/', { headers: { cookie } });
    expect(await answer.text(), cookie).toContain('API key');
  }
  expect(cookies).toHaveLength(5);
});

test('a revoked key ends its sessions at the very next request', async () => {
  const account = await newAccount();
  const cookie = cookieOf(await signIn(account.key));
  const { data } = await account.get('/v1/api-keys', pageOf(ApiKey));
  await callApi(url, { method: 'DELETE', path: `/v1/api-keys/${data[0]?.id}`, key: account.key, answer: z.unknown() }).catch(
    (error: unknown) => {
      if (!(error instanceof SyntaxError)) throw error; // 204 has no body
    },
  );
  expect(await (await send('/', { headers: { cookie } })).text()).toContain('API key');
  expect((await send('/campaigns/new', { headers: { cookie } })).status).toBe(401);
});

test('a form sent by another site, or by no page at all, changes nothing', async () => {
  const account = await newAccount();
  const campaign = await account.campaign('Not yours to cancel');
  const cookie = cookieOf(await signIn(account.key));
  const senders: Record<string, string>[] = [
    {},
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site', origin: url },
    { 'sec-fetch-site': 'same-site', origin: url },
    { 'sec-fetch-site': 'none' },
  ];
  for (const headers of senders) {
    const answer = await send(`/campaigns/${campaign.id}/cancel`, { method: 'POST', headers: { cookie, ...headers } });
    expect(answer.status, JSON.stringify(headers)).toBe(403);
    const signedIn = await send('/sign-in', { method: 'POST', headers: { ...FORM, ...headers }, body: `key=${account.key}` });
    expect(signedIn.status, JSON.stringify(headers)).toBe(403);
  }
  expect(senders).toHaveLength(6);
  expect((await account.get(`/v1/campaigns/${campaign.id}`, Campaign)).status).toBe('draft');
  const own = await send(`/campaigns/${campaign.id}/cancel`, { method: 'POST', headers: { cookie, ...OURS } });
  expect(own.status).toBe(303);
});

test('another account’s campaign is not found, on every page and form (class 39)', async () => {
  const [theirs, mine] = await Promise.all([newAccount(), newAccount()]);
  const { id } = await theirs.campaign('Theirs');
  const cookie = cookieOf(await signIn(mine.key));
  const pages = ['', '/live', '/leads.csv', '/hot-leads.csv', '/errors.csv'];
  const forms = ['/start', '/pause', '/resume', '/cancel'];
  const ids = [id, '00000000-0000-4000-8000-000000000000', 'not-an-id'];
  let asked = 0;
  for (const one of ids) {
    for (const path of pages) {
      expect((await send(`/campaigns/${one}${path}`, { headers: { cookie } })).status, `${one}${path}`).toBe(404);
      asked += 1;
    }
    for (const path of forms) {
      const answer = await send(`/campaigns/${one}${path}`, { method: 'POST', headers: { cookie, ...OURS } });
      expect(answer.status, `${one}${path}`).toBe(404);
      asked += 1;
    }
    const headers = { cookie, ...OURS, 'content-type': 'text/csv' };
    expect((await send(`/campaigns/${one}/leads`, { method: 'POST', headers, body: 'phone\n+14155550100\n' })).status).toBe(404);
    asked += 1;
  }
  expect(asked).toBe(30);
});

test('signing in leads back to where one was, and nowhere else', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('Here');
  const asked = await send(`/campaigns/${id}`);
  expect(asked.status).toBe(401);
  expect(await asked.text()).toContain(`value="/campaigns/${id}"`);
  const targets = [
    [`/campaigns/${id}`, `/campaigns/${id}`],
    ['https://evil.example/', '/'],
    ['//evil.example', '/'],
    ['/campaigns/../../x', '/'],
    ['/campaigns/x\r\nset-cookie: a=b', '/'],
  ] as const;
  for (const [next, location] of targets) {
    expect((await signIn(account.key, next)).headers.get('location'), next).toBe(location);
  }
  expect(targets).toHaveLength(5);
});

test('pages are never stored, carry a policy without inline code, and unchanged parts are not sent twice', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('Policy');
  const cookie = cookieOf(await signIn(account.key));
  const answer = await send(`/campaigns/${id}`, { headers: { cookie } });
  const text = await answer.text();
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const policy = answer.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  expect(text).not.toMatch(/ style=| on[a-z]+=|<style|<script>/);
  const assets = text.match(/\/assets\/[^"]+/g) ?? [];
  expect(assets.length).toBeGreaterThan(1);
  for (const asset of assets) {
    const file = await send(asset);
    expect(file.status, asset).toBe(200);
    expect(file.headers.get('cache-control')).toContain('immutable');
  }
  const first = await send(`/campaigns/${id}/live`, { headers: { cookie } });
  const etag = first.headers.get('etag') ?? '';
  expect(etag).not.toBe('');
  const again = await send(`/campaigns/${id}/live`, { headers: { cookie, 'if-none-match': etag } });
  expect([again.status, await again.text()]).toEqual([304, '']);
});

test('a large file that is no CSV is answered, not cut off', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('Large');
  const cookie = cookieOf(await signIn(account.key));
  const zip = new Blob(['PK\x03\x04', new Uint8Array(20_000_000)]);
  const headers = { cookie, ...OURS, 'content-type': 'text/csv' };
  const answer = await send(`/campaigns/${id}/leads`, { method: 'POST', headers, body: zip });
  expect([answer.status, (await answer.text()).includes('note bad')]).toEqual([415, true]);
});

test('an upload without scripts is held to its limit, and a form that is none is refused', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('Limits');
  const cookie = cookieOf(await signIn(account.key));
  const form = new FormData();
  form.set('file', new Blob([`phone\n${'+14155550100\n'.repeat(450_000)}`]), 'big.csv');
  const big = await send(`/campaigns/${id}/leads`, { method: 'POST', headers: { cookie, ...OURS }, body: form });
  expect([big.status, (await big.text()).includes('larger than 5 MB')]).toEqual([413, true]);
  const none = await send(`/campaigns/${id}/leads`, { method: 'POST', headers: { cookie, ...OURS }, body: 'x' });
  expect(none.status).toBe(400);
  const nul = new URLSearchParams({ name: 'a\0b' });
  expect((await send('/campaigns', { method: 'POST', headers: { cookie, ...OURS }, body: nul })).status).toBe(400);
});
