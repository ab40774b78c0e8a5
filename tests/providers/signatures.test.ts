/** Who is believed: signatures over the raw body, fresh ones alone, under each secret that is live (classes 25, 27). */
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ProviderAgent, WebhookRequest } from '../../lib/providers/provider.ts';
import { PROVIDERS, type ProviderName } from '../../lib/providers/table.ts';
import { DIALECTS, fixture, NOW, providers, ROTATED, samplesOf, SECRET, webhook } from './dialects.ts';

const signed = PROVIDERS.filter((name) => providers[name].signed);
const verify = (name: ProviderName, agent: ProviderAgent, request: WebhookRequest, now = NOW): Promise<boolean> =>
  providers[name].verifyWebhook(agent, request, now);

interface Vector {
  id: string;
  provider: ProviderName;
  secret: string;
  raw_body: string;
  url: string;
  headers: Record<string, string>;
  verify_at_ms: number;
  valid: boolean;
}

test('every published vector verifies or fails as marked', async () => {
  const { vectors } = fixture('signatures.json') as { vectors: Vector[] };
  for (const vector of vectors) {
    const agent = DIALECTS[vector.provider].withSecrets(vector.secret);
    const request = { headers: new Headers(vector.headers), url: vector.url, body: vector.raw_body };
    expect(await verify(vector.provider, agent, request, new Date(vector.verify_at_ms)), vector.id).toBe(vector.valid);
    const other = DIALECTS[vector.provider].withSecrets('another secret');
    expect(await verify(vector.provider, other, request, new Date(vector.verify_at_ms)), vector.id).toBe(false);
  }
  expect(vectors).toHaveLength(8);
  expect(new Set(vectors.map((vector) => vector.provider))).toEqual(new Set(signed));
});

test('Bolna alone signs nothing: what would end a call is read again at the provider', async () => {
  expect(signed).toEqual(['vapi', 'retell', 'twilio', 'elevenlabs']);
  expect(await verify('bolna', DIALECTS.bolna.agent, webhook('bolna', samplesOf('bolna')[0]))).toBe(true);
});

describe.each(signed)('%s', (name) => {
  const { agent, withSecrets, timed, sign } = DIALECTS[name];
  const sample = samplesOf(name)[0];
  const good = webhook(name, sample);
  const header = [...good.headers.keys()].find((key) => key.includes('signature'))!;
  const signature = good.headers.get(header)!;
  const withHeader = (value: string): WebhookRequest => {
    const headers = new Headers(good.headers);
    headers.set(header, value);
    return { ...good, headers };
  };

  test('an authentic event is believed; altered, unsigned and signed with another secret it is not', async () => {
    expect(await verify(name, agent, good)).toBe(true);
    const altered = good.body.replace('queued', 'Queued').replace('initiated', 'Initiated').replace('call', 'cell');
    for (const body of [altered, `${good.body} `, good.body.slice(0, -1), '', good.body.normalize('NFD') + '\u00e9'])
      expect(await verify(name, agent, { ...good, body })).toBe(false);
    const bare = new Headers(good.headers);
    bare.delete(header);
    expect(await verify(name, agent, { ...good, headers: bare })).toBe(false);
    expect(await verify(name, agent, webhook(name, sample, 'another secret'))).toBe(false);
    expect(await verify(name, withSecrets(), good)).toBe(false);
    expect(await verify(name, withSecrets(''), webhook(name, sample, ''.padEnd(1)))).toBe(false);
  });

  test('the body counts as it came: the same content written otherwise is not what was signed', async () => {
    const isForm = good.body.includes('CallSid=');
    const again = isForm
      ? good.body.replace('CallSid=call-1', 'CallSid=call%2D2')
      : JSON.stringify(JSON.parse(good.body), null, 1);
    expect(await verify(name, agent, { ...good, body: again })).toBe(false);
  });

  test('a signature cut short, lengthened, in capitals or in another alphabet is none, and no header is too odd', async () => {
    const other = header.startsWith('x-twilio') ? Buffer.from(signature, 'base64').toString('hex') : signature.toUpperCase();
    const odd = [
      '',
      ' ',
      signature.slice(0, -1),
      `${signature}0`,
      other,
      `${signature},${signature}`,
      'v=1,d=',
      't=,v0=',
      'null',
    ];
    const worse = ['='.repeat(100_000), `v=${'9'.repeat(50)},d=${'0'.repeat(64)}`, `t=${'9'.repeat(10)},v0=${'g'.repeat(64)}`];
    for (const value of [...odd, ...worse]) expect(await verify(name, agent, withHeader(value)), value.slice(0, 80)).toBe(false);
  });

  test('while secrets rotate, both are believed, and the old one no longer once it is gone', async () => {
    const [today, yesterday] = ROTATED;
    for (const secret of ROTATED) expect(await verify(name, withSecrets(...ROTATED), webhook(name, sample, secret))).toBe(true);
    expect(await verify(name, withSecrets(yesterday, today), webhook(name, sample, today))).toBe(true);
    expect(await verify(name, withSecrets(today), webhook(name, sample, yesterday))).toBe(false);
  });

  test('stale and future ones are not believed, to the second', async () => {
    if (timed === null) {
      // Nothing in the signature says when: the event's own key counts it once.
      expect(await verify(name, agent, good, new Date(NOW.getTime() + 365 * 86_400_000))).toBe(true);
      return;
    }
    const { backMs, aheadMs } = timed;
    const moments: [offset: number, believed: boolean][] = [
      [-backMs + 2000, true],
      [-backMs - 2000, false],
      [aheadMs - 2000, true],
      [aheadMs + 2000, false],
      [-365 * 86_400_000, false],
    ];
    for (const [offset, believed] of moments) {
      const made = new Date(NOW.getTime() + offset);
      expect(await verify(name, agent, webhook(name, sample, SECRET, made)), `${offset} ms`).toBe(believed);
    }
    // The time is signed too: a fresh one on an old signature is a forgery.
    const old = sign(good, SECRET, new Date(NOW.getTime() - 365 * 86_400_000));
    const [[stampHeader]] = Object.entries(old);
    const digits = /\d{10,13}/;
    const fresh = digits.exec(Object.values(sign(good, SECRET, NOW))[0])![0];
    const headers = new Headers({ ...old, [stampHeader]: old[stampHeader].replace(digits, fresh) });
    expect(await verify(name, agent, { ...good, headers })).toBe(false);
  });
});

describe("Vapi's other ways", () => {
  const sample = samplesOf('vapi')[0];
  const { agent } = DIALECTS.vapi;
  const plain = { ...webhook('vapi', sample), headers: new Headers() };
  const mac = (hash: string, text: string, encoding: 'hex' | 'base64', key: string | Uint8Array = SECRET): string =>
    createHmac(hash, key).update(text).digest(encoding);
  const seconds = String(NOW.getTime() / 1000);

  test('a bearer token, in either header, compared as a whole', async () => {
    const ways: [headers: Record<string, string>, believed: boolean][] = [
      [{ authorization: `Bearer ${SECRET}` }, true],
      [{ 'x-vapi-secret': SECRET }, true],
      [{ authorization: `Bearer ${SECRET}x` }, false],
      [{ authorization: `Basic ${SECRET}` }, false],
      [{ 'x-vapi-secret': SECRET.slice(0, -1) }, false],
      [{ 'x-vapi-secret': '' }, false],
      [{}, false],
      // A signature that is wrong is not mended by a token.
      [{ 'x-signature': 'ab', 'x-timestamp': seconds, authorization: `Bearer ${SECRET}` }, false],
    ];
    for (const [headers, believed] of ways)
      expect(await verify('vapi', agent, { ...plain, headers: new Headers(headers) }), JSON.stringify(headers)).toBe(believed);
  });

  test('an HMAC of another form, as the agent says', async () => {
    const ms = String(NOW.getTime());
    const key = Buffer.from('binary \u0001 secret').toString('base64');
    const ways: [credentials: Record<string, string>, headers: Record<string, string>, secret?: string][] = [
      [{}, { 'x-timestamp': ms, 'x-signature': mac('sha256', `${ms}.${plain.body}`, 'hex') }],
      [
        { hmac_algorithm: 'sha512', hmac_encoding: 'base64' },
        { 'x-timestamp': ms, 'x-signature': mac('sha512', `${ms}.${plain.body}`, 'base64') },
      ],
      [
        { hmac_algorithm: 'sha1', hmac_prefix: 'sha1=', hmac_payload: '{body}' },
        { 'x-signature': `sha1=${mac('sha1', plain.body, 'hex')}` },
      ],
      [
        {
          hmac_signature_header: 'x-hub',
          hmac_timestamp_header: 'x-when',
          hmac_payload: '{method} {url} {svix-id} {timestamp} {body}',
        },
        { 'x-when': ms, 'svix-id': 'm-1', 'x-hub': mac('sha256', `POST ${plain.url} m-1 ${ms} ${plain.body}`, 'hex') },
      ],
      [
        { hmac_secret_is_base64: 'true' },
        { 'x-timestamp': ms, 'x-signature': mac('sha256', `${ms}.${plain.body}`, 'hex', Buffer.from(key, 'base64')) },
        key,
      ],
    ];
    for (const [credentials, headers, secret = SECRET] of ways) {
      const own = { ...agent, credentials: { ...agent.credentials, ...credentials }, webhook_secrets: [secret] };
      const request = { ...plain, headers: new Headers(headers) };
      expect(await verify('vapi', own, request), JSON.stringify(credentials)).toBe(true);
      expect(await verify('vapi', own, { ...request, body: `${plain.body} ` })).toBe(false);
    }
    const unreadable = {
      ...agent,
      credentials: { ...agent.credentials, hmac_secret_is_base64: 'true', hmac_signature_header: 'no header' },
    };
    expect(await verify('vapi', unreadable, webhook('vapi', sample))).toBe(false);
    expect(ways).toHaveLength(5);
  });
});

describe("Twilio's address", () => {
  const { agent, sign } = DIALECTS.twilio;
  const good = webhook('twilio', samplesOf('twilio')[0]);
  const signedFor = (url: string): WebhookRequest => ({
    ...good,
    headers: new Headers(sign({ url, body: good.body }, SECRET, NOW)),
  });

  test('counts with its query, with or without the standard port, and without a fragment', async () => {
    expect(await verify('twilio', agent, { ...good, url: good.url.replace('attempt_id=', 'attempt_id=x') })).toBe(false);
    expect(await verify('twilio', agent, signedFor(good.url.replace('.com/', '.com:443/')))).toBe(true);
    expect(await verify('twilio', agent, signedFor(good.url.replace('.com/', '.com:444/')))).toBe(false);
    expect(await verify('twilio', agent, { ...good, url: `${good.url}#rc=5` })).toBe(true);
    expect(await verify('twilio', agent, { ...good, url: good.url.replace('https', 'http') })).toBe(false);
  });

  test('a field given twice counts once by value, in order', async () => {
    const text = `${good.url}A1A2B`;
    const headers = new Headers({ 'x-twilio-signature': createHmac('sha1', SECRET).update(text).digest('base64') });
    expect(await verify('twilio', agent, { ...good, body: 'B=&A=2&A=1&A=2', headers })).toBe(true);
  });
});
