import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { apiKeyFrom, bearerKey, hashKey, openLink, openWebhookKey, sameSecret, signLink, webhookKey } from '../../lib/auth.ts';
import { createSealer, secretBytes } from '../../lib/seal.ts';

const secret = randomBytes(32).toString('base64url');
const other = randomBytes(32).toString('base64url');
const now = new Date('2026-11-23T09:00:00Z');
const inSevenDays = new Date(now.getTime() + 7 * 86_400_000);

/** Every token that differs from this one in a single character. */
const mutations = function* (token: string): Generator<string> {
  for (const i of Array.from(token).keys()) {
    for (const char of ['A', 'z', '_', '.', ' ']) if (token[i] !== char) yield token.slice(0, i) + char + token.slice(i + 1);
    yield token.slice(0, i) + token.slice(i + 1);
  }
};

test('an API key carries 256 bits, and only its SHA-256 is known of it', async () => {
  const key = apiKeyFrom(new Uint8Array(32).fill(255));
  expect(key).toBe(`rl_${'_'.repeat(42)}8`);
  expect(await hashKey('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  expect(() => apiKeyFrom(new Uint8Array(16))).toThrow('32 bytes');
});

test('secrets are compared whole, at any length', async () => {
  expect(await sameSecret('a-secret', 'a-secret')).toBe(true);
  for (const wrong of ['', 'a-secre', 'a-secretx', 'A-secret', 'x'.repeat(10_000)])
    expect(await sameSecret('a-secret', wrong)).toBe(false);
});

test('the bearer key is read from its header and from nothing else', () => {
  const read = (authorization?: string): string | null =>
    bearerKey(new Headers(authorization === undefined ? {} : { authorization }));
  expect(read('Bearer rl_abc')).toBe('rl_abc');
  expect(read('bearer  rl_abc')).toBe('rl_abc');
  const wrong = [undefined, '', 'rl_abc', 'Bearer', 'Bearer ', 'Basic rl_abc', 'Bearer a b', `Bearer ${'x'.repeat(501)}`];
  expect(wrong.map(read)).toEqual(wrong.map(() => null));
});

test('a webhook key names its account and agent, for this worker alone', async () => {
  const [account, agent] = [randomUUID(), randomUUID()];
  const key = await webhookKey(secret, account, agent);
  expect(key).toMatch(/^[\w-]{64}$/);
  expect(await openWebhookKey(secret, key)).toEqual({ accountId: account, agentId: agent });
  expect(await openWebhookKey(other, key)).toBeNull();
  expect(await webhookKey(secret, agent, account)).not.toBe(key);
});

test('no other spelling of a webhook key opens (class 25)', async () => {
  const key = await webhookKey(secret, randomUUID(), randomUUID());
  let tried = 0;
  for (const wrong of mutations(key)) {
    tried += 1;
    expect(await openWebhookKey(secret, wrong), wrong).toBeNull();
  }
  for (const wrong of ['', `${key}=`, `${key}A`, key.repeat(2), '../x', 'é'.repeat(64)])
    expect(await openWebhookKey(secret, wrong)).toBeNull();
  expect(tried).toBeGreaterThan(300);
});

test('a signed link opens until it expires, unaltered, for this worker alone', async () => {
  const payload = { account_id: randomUUID(), action: 'hot_leads_csv' };
  const token = await signLink(secret, payload, inSevenDays);
  expect(token).toMatch(/^[\w.-]+$/);
  expect(await openLink(secret, token, now)).toEqual(payload);
  expect(await openLink(secret, token, new Date(inSevenDays.getTime() - 1))).toEqual(payload);
  expect(await openLink(secret, token, inSevenDays)).toBeNull();
  expect(await openLink(other, token, now)).toBeNull();
  let tried = 0;
  for (const wrong of mutations(token)) {
    tried += 1;
    expect(await openLink(secret, wrong, now), wrong).toBeNull();
  }
  for (const wrong of ['', '.', 'a.b', `${token}.`, token.split('.')[0]]) expect(await openLink(secret, wrong, now)).toBeNull();
  expect(tried).toBeGreaterThan(500);
});

test('what is sealed opens again, differs each time, and shows nothing of itself', async () => {
  const sealer = createSealer(secret);
  for (const plain of ['', 'bolna-key', JSON.stringify({ api_key: 'ключ €' }), 'x'.repeat(100_000)]) {
    const [one, two] = [await sealer.seal(plain), await sealer.seal(plain)];
    expect(one).toMatch(/^v1\.[\w-]+$/);
    expect(one).not.toBe(two);
    if (plain) expect(one).not.toContain(plain);
    expect(await sealer.open(one)).toBe(plain);
    expect(await createSealer(secret).open(two)).toBe(plain);
  }
});

test('what is sealed does not open altered, under another key, or for another purpose', async () => {
  const sealed = await createSealer(secret).seal('canary');
  const wrong = [
    createSealer(other).open(sealed),
    createSealer(secret, 'session').open(sealed),
    createSealer(secret).open(''),
    createSealer(secret).open('v1.'),
    createSealer(secret).open(sealed.slice(3)),
    createSealer(secret).open(sealed.replace('v1.', 'v2.')),
    createSealer(secret).open(sealed.slice(0, -6)),
    ...Array.from(sealed.slice(3), (char, i) => {
      const altered = char === 'A' ? 'B' : 'A';
      return createSealer(secret).open(`v1.${sealed.slice(3, 3 + i)}${altered}${sealed.slice(4 + i)}`);
    }),
  ];
  const results = await Promise.allSettled(wrong);
  const opened = results.filter((result) => result.status === 'fulfilled' && result.value !== 'canary');
  expect(opened).toEqual([]);
  // The last character may carry bits that no byte uses; every other change is refused.
  expect(results.filter((result) => result.status === 'fulfilled').length).toBeLessThanOrEqual(1);
  for (const result of results) if (result.status === 'rejected') expect(String(result.reason)).not.toContain('canary');
});

test('SECRETS_KEY is 32 bytes in any of its spellings', () => {
  const bytes = randomBytes(32);
  for (const encoding of ['hex', 'base64', 'base64url'] as const)
    expect(Buffer.from(secretBytes(bytes.toString(encoding))!)).toEqual(bytes);
  for (const wrong of ['', 'short', randomBytes(31).toString('hex'), randomBytes(33).toString('base64'), '!'.repeat(43)]) {
    expect(secretBytes(wrong)).toBeNull();
  }
});
