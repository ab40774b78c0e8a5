/** Every route of the contract, asked of the bundle in workerd: its good answer, and what a stranger gets. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { signLink } from '../../lib/auth.ts';
import { holdToSchema, routes } from '../support/contract.ts';
import { type Answer, type Sent, startRig } from './rig.ts';
import { type Credential, type Row, ROWS, type Scene } from './rows.ts';

vi.setConfig({ testTimeout: 60_000 });

const rig = await startRig();
let scene: Scene;
const cookies: Record<'session' | 'system', string> = { session: '', system: '' };
const asked = { good: 0, strangers: 0 };

/** Two mails that failed. */
const failedMails = async (account: string, campaign: string): Promise<[string, string]> => {
  const { rows } = await rig.database.pool.query<{ id: string }>(
    `insert into ringleader.notifications (id, account_id, type, campaign_id, idempotency_key, status, reason, recipient, created_at)
     select gen_random_uuid(), $1, 'campaign_paused', $2, 'conformance ' || n, 'failed', 'a test', 'owner@ringleader.test', now() from generate_series(1, 2) n returning id`,
    [account, campaign],
  );
  return [rows[0]!.id, rows[1]!.id];
};
/** A form of our own pages. */
const OURS = { 'sec-fetch-site': 'same-origin' };
const signedIn = async (key: string): Promise<string> => {
  const headers = { ...OURS, 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await rig.send('POST', '/sign-in', { raw: new URLSearchParams({ key }).toString(), headers });
  return answer.headers.get('set-cookie')!.split(';', 1)[0]!;
};

beforeAll(async () => {
  const owner = await rig.account();
  const campaign = await rig.campaign(owner, 2, 0);
  const spare = await rig.campaign(owner, 1, 0);
  const payload = { account_id: owner.account, action: 'preference', type: 'campaign_summary' };
  const token = await signLink(rig.secretsKey, payload, new Date(Date.now() + 86_400_000));
  cookies.session = await signedIn(owner.key);
  cookies.system = await signedIn(rig.adminKey);
  scene = { owner, campaign, spare, token, failedMails: await failedMails(owner.account, campaign), made: {} };
});
afterAll(() => console.log(`${asked.good} good answers and ${asked.strangers} to strangers, of ${routes.length} routes`));

const with_ = (sent: Sent, headers: Record<string, string>): Sent => ({ ...sent, headers: { ...sent.headers, ...headers } });

/** Adds what the caller shows. */
const shown = (sent: Sent, credential: Credential): Sent => {
  switch (credential) {
    case 'admin':
      return { ...sent, key: rig.adminKey };
    case 'account':
      return { ...sent, key: scene.owner.key };
    case 'session':
    case 'system':
      return with_(sent, { cookie: cookies[credential] });
    case 'mail':
      return with_(sent, { authorization: `Basic ${btoa(`postmark:${rig.mailPassword}`)}` });
    default:
      return sent; // it stands in the address, or nothing is asked for
  }
};
/** An address that nobody was given. */
const forged = (parameters: Record<string, string>, credential: Credential): Record<string, string> => {
  const altered = (text: string): string => `${text.slice(0, -2)}${text.endsWith('aa') ? 'bb' : 'aa'}`;
  if (credential === 'link') return { token: altered(parameters['token']!) };
  if (credential === 'provider') return { ...parameters, webhook_key: altered(parameters['webhook_key']!) };
  return parameters;
};

const ask = async (row: Row, stranger: boolean): Promise<Answer> => {
  const [method, template] = row.route.split(' ') as [string, string];
  const parameters = row.path?.(scene) ?? {};
  const filled = Object.entries(stranger ? forged(parameters, row.credential) : parameters);
  const path = filled.reduce((text, [name, value]) => text.replace(`:${name}`, value), template);
  const sent = with_(row.sent?.(scene) ?? {}, method === 'POST' ? OURS : {});
  const answer = await rig.send(method, path, stranger ? sent : shown(sent, row.credential));
  if (answer.headers.get('content-type')?.startsWith('application/json'))
    holdToSchema(method, path, answer.status, JSON.parse(answer.text));
  return answer;
};

/** What the table says that a route answers with a status. */
const shapeOf = (row: Row, status: number) =>
  routes.find(({ method, path }) => `${method} ${path}` === row.route)?.responses[status];
const isOfApi = ({ route }: Row): boolean => route.includes(' /v1/');

describe.each(ROWS.map((row) => ({ name: row.route, row })))('$name', ({ row }) => {
  test('a stranger', async () => {
    const answer = await ask(row, true);
    asked.strangers += 1;
    expect(answer.status, answer.text).toBe(row.stranger);
    if (isOfApi(row))
      expect(JSON.parse(answer.text)).toEqual({ error: { code: 'unauthorized', message: 'A valid API key is required.' } });
  });

  test('whoever may', async () => {
    const answer = await ask(row, false);
    asked.good += 1;
    expect(answer.status, answer.text).toBe(row.status);
    const shape = shapeOf(row, row.status);
    expect(shape, 'the table says what this status means').toBeDefined();
    const type = answer.headers.get('content-type');
    if (typeof shape === 'string') expect(type).toContain(shape);
    else if (shape === null) expect(answer.text).toBe('');
    else expect(type).toContain('application/json');
    if (row.keep) row.keep(scene, JSON.parse(answer.text));
  });
});

test('that was every route of the table, and of the document that the bundle serves', async () => {
  const table = routes.map(({ method, path }) => `${method} ${path}`).sort();
  expect(ROWS.map(({ route }) => route).sort()).toEqual(table);
  const { paths } = JSON.parse((await rig.send('GET', '/openapi.json')).text) as { paths: Record<string, object> };
  const served = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  );
  expect(served.sort()).toEqual(table);
  expect(asked).toEqual({ good: routes.length, strangers: routes.length });
  expect(routes.length).toBeGreaterThanOrEqual(71);
});

test('nothing was reported or left uncaught on the way', async () => {
  await rig.quiet();
  expect(await rig.sentry()).toEqual([]);
  expect(
    rig.bundle.witnessed.flatMap(({ event, exceptions }) => exceptions.map(({ message }) => `${event}: ${message}`)),
  ).toEqual([]);
  expect(rig.bundle.witnessed.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
});
