/** Tries each provider key with one read that changes nothing: those in the environment, and those that agents have. */
import type { Config } from '../../lib/env.ts';
import type { ProviderName } from '../../lib/providers/table.ts';
import { createSealer } from '../../lib/seal.ts';
import { ask, field } from './ask.ts';
import { connect, refused } from './database.ts';
import { fail, type Line, ok, type Raw, warn } from './line.ts';
import { howToGet } from './variables.ts';

type Credentials = Readonly<Record<string, string>>;

const bearer = ({ api_key }: Credentials): Record<string, string> => ({ authorization: `Bearer ${api_key}` });

/** Per provider: the read, and who accepts or refuses a key there. */
const READS: Readonly<Record<ProviderName, (key: Credentials) => { path: string; headers: Record<string, string> }>> = {
  bolna: (key) => ({ path: '/user/me', headers: bearer(key) }),
  vapi: (key) => ({ path: '/assistant?limit=1', headers: bearer(key) }),
  retell: (key) => ({ path: '/get-concurrency', headers: bearer(key) }),
  twilio: ({ account_sid = '', auth_token = '' }) => ({
    path: `/2010-04-01/Accounts/${encodeURIComponent(account_sid)}.json`,
    headers: { authorization: `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}` },
  }),
  elevenlabs: ({ api_key = '' }) => ({ path: '/v1/user', headers: { 'xi-api-key': api_key } }),
};

/** Where a person finds the key of each. */
const VARIABLE: Readonly<Record<ProviderName, string>> = {
  bolna: 'BOLNA_API_KEY',
  vapi: 'VAPI_API_KEY',
  retell: 'RETELL_API_KEY',
  twilio: 'TWILIO_AUTH_TOKEN',
  elevenlabs: 'ELEVENLABS_API_KEY',
};

/** What else the answer tells that is worth knowing: how many calls the provider takes at once. */
const roomIn = (json: unknown): string => {
  const max = field(json, 'concurrency', 'max') ?? field(json, 'concurrency_limit');
  return typeof max === 'number' ? `, ${max} calls at once` : '';
};

const tryKey = async (about: string, name: ProviderName, base: string, key: Credentials, where: string): Promise<Line> => {
  const { path, headers } = READS[name](key);
  const { status, json, why } = await ask(`${base}${path}`, { headers });
  if (status === 401 || status === 403) return fail(about, `the key is not accepted (${status})`, where);
  if (status === 200) return ok(about, `the key is accepted${roomIn(json)}`);
  if (status === 404 && name === 'twilio') return fail(about, 'there is no such account', where);
  return warn(
    about,
    `could not be tried: ${why || `answered ${status}`}`,
    'try again; the provider’s status page says whether it is up',
  );
};

/** The keys in the environment, for a deployer who has no agent yet. */
const given = (raw: Raw): [name: ProviderName, key: Credentials][] => {
  const simple = (['bolna', 'vapi', 'retell', 'elevenlabs'] as const).flatMap((name): [ProviderName, Credentials][] => {
    const api_key = raw[VARIABLE[name]];
    return api_key ? [[name, { api_key }]] : [];
  });
  const [account_sid, auth_token] = [raw['TWILIO_ACCOUNT_SID'], raw['TWILIO_AUTH_TOKEN']];
  return account_sid && auth_token ? [...simple, ['twilio', { account_sid, auth_token }]] : simple;
};

export const checkGivenKeys = (raw: Raw, { providerBaseUrls }: Pick<Config, 'providerBaseUrls'>): Promise<Line[]> =>
  Promise.all(
    given(raw).map(([name, key]) =>
      tryKey(`${name} (${VARIABLE[name]})`, name, providerBaseUrls[name], key, howToGet(VARIABLE[name])),
    ),
  );

interface Stored {
  id: string;
  provider: ProviderName;
  sealed: string;
}
/** As many agents as fit a screen. */
const MOST = 12;

/** As the owner, who may become the system role and see every account's agents. */
const storedAgents = async (ownerUrl: string): Promise<Stored[]> => {
  const client = await connect(ownerUrl);
  try {
    const made = await client.query("select from pg_namespace where nspname = 'ringleader'");
    if (made.rowCount === 0) return [];
    await client.query('begin; set local role ringleader_system');
    const { rows } = await client.query<Stored>(
      'select id, provider, credentials_sealed as sealed from ringleader.agents where deleted_at is null order by created_at desc limit $1',
      [MOST + 1],
    );
    await client.query('rollback');
    return rows;
  } finally {
    await client.end();
  }
};

/** The keys that agents have: whether SECRETS_KEY opens them, and whether their provider accepts them. */
export const checkStoredKeys = async (
  ownerUrl: string,
  { secretsKey, providerBaseUrls }: Pick<Config, 'secretsKey' | 'providerBaseUrls'>,
): Promise<Line[]> => {
  const sealer = createSealer(secretsKey);
  let agents: Stored[];
  try {
    agents = await storedAgents(ownerUrl);
  } catch (error) {
    return [refused('agents', error)];
  }
  const check = async ({ id, provider, sealed }: Stored): Promise<Line> => {
    const about = `agent ${id} (${provider})`;
    let key: Credentials;
    try {
      key = JSON.parse(await sealer.open(sealed)) as Credentials;
    } catch {
      return fail(
        about,
        'its key cannot be opened with this SECRETS_KEY',
        'put the SECRETS_KEY back that it was stored under, or give the agent its credentials again: PATCH /v1/agents/:id',
      );
    }
    return tryKey(
      about,
      provider,
      providerBaseUrls[provider],
      key,
      `give it a new one: PATCH /v1/agents/${id} with credentials (${howToGet(VARIABLE[provider])})`,
    );
  };
  const lines = await Promise.all(agents.slice(0, MOST).map(check));
  if (agents.length === 0) return [ok('agents', 'none yet; the first one is made with POST /v1/agents')];
  return agents.length > MOST ? [...lines, ok('agents', `the newest ${MOST} were tried`)] : lines;
};
