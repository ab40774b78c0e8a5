import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, expect, test } from 'vitest';
import { startDays } from './day.ts';

const days = await startDays('2026-03-02T10:00:00Z');
const { api } = days;
const ALWAYS = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
const AT_NIGHT = { ...ALWAYS, start: '22:00', end: '23:00' };
/** They answer, are busy. */
const [ONE, TWO, BUSY] = ['+12025550101', '+12025550102', '+12025550165'];

const campaign = async (phones: readonly string[], fields: object = {}): Promise<string> => {
  const own = { name: 'Spring', agent_id: days.agentId, window: ALWAYS, retry: { busy_minutes: 600 }, ...fields };
  const { id } = await api<{ id: string }>('POST', '/v1/campaigns', own);
  await api('POST', `/v1/campaigns/${id}/leads`, { leads: phones.map((phone) => ({ phone })) });
  return id;
};
const started = async (phones: readonly string[], fields: object = {}): Promise<string> => {
  const id = await campaign(phones, fields);
  await api('POST', `/v1/campaigns/${id}/start`);
  return id;
};
/** A worker has reserved the one call that the account may have, and is heard of no more. */
const reserved = async (): Promise<string> => {
  await api('PATCH', '/v1/account', { max_concurrent_calls: 1 });
  const id = await campaign([ONE, TWO]);
  const client = new Client({ connectionString: days.database.appUrl });
  await client.connect();
  try {
    const { rows } = await days.database.pool.query<{ account_id: string }>(
      'select account_id from ringleader.campaigns where id = $1',
      [id],
    );
    await client.query('select ringleader.start_campaign($1, $2, $3)', [rows[0].account_id, days.now(), id]);
    const claim = 'select ringleader.claim_calls($1, $2, 1, 100) as claimed';
    const claimed = await client.query<{ claimed: { calls: { call_id: string }[] } }>(claim, [days.now(), randomUUID()]);
    return claimed.rows[0].claimed.calls[0].call_id;
  } finally {
    await client.end();
  }
};
const agentWith = async (key: string): Promise<string> => {
  const agent = { name: 'Bea', provider: 'bolna', provider_agent_id: 'agent-2', credentials: { api_key: key } };
  return (await api<{ id: string }>('POST', '/v1/agents', agent)).id;
};
afterEach(async () => {
  const { data } = await api<{ data: { id: string; status: string }[] }>('GET', '/v1/campaigns');
  for (const { id, status } of data) if (!/completed|canceled/.test(status)) await api('POST', `/v1/campaigns/${id}/cancel`);
  await api('PATCH', '/v1/account', { max_concurrent_calls: 10 });
  // What is on the line ends, and what was reserved is given back.
  while ((await api<{ live_calls: number }>('GET', '/v1/account')).live_calls > 0) await days.pass(1);
});

type Prepare = () => Promise<() => Promise<unknown>>;

/** What somebody does while everybody sleeps, and how many calls that lets go. */
const WAKES: [string, Prepare, number][] = [
  [
    'a start',
    async () => {
      const id = await campaign([ONE]);
      return () => api('POST', `/v1/campaigns/${id}/start`);
    },
    1,
  ],
  [
    'a resume',
    async () => {
      const id = await started([ONE], { window: AT_NIGHT });
      await api('POST', `/v1/campaigns/${id}/pause`);
      await api('PATCH', `/v1/campaigns/${id}`, { window: ALWAYS });
      return () => api('POST', `/v1/campaigns/${id}/resume`);
    },
    1,
  ],
  [
    'an edited window',
    async () => {
      const id = await started([ONE], { window: AT_NIGHT });
      return () => api('PATCH', `/v1/campaigns/${id}`, { window: ALWAYS });
    },
    1,
  ],
  [
    'an edited start',
    async () => {
      const id = await started([ONE], { starts_at: '2026-04-01T00:00:00Z' });
      return () => api('PATCH', `/v1/campaigns/${id}`, { starts_at: null });
    },
    1,
  ],
  [
    'two leads more',
    async () => {
      const id = await started([BUSY]);
      return () => api('POST', `/v1/campaigns/${id}/leads`, { leads: [{ phone: ONE }, { phone: TWO }] });
    },
    2,
  ],
  ['a direct call', () => Promise.resolve(() => api('POST', '/v1/calls', { agent_id: days.agentId, to: ONE })), 1],
  [
    'a new key for an agent that was refused',
    async () => {
      const agent = await agentWith('bad-key');
      await started([ONE], { agent_id: agent });
      return () => api('PATCH', `/v1/agents/${agent}`, { credentials: { api_key: 'bn-good' } });
    },
    1,
  ],
  [
    'its key, set again at another agent',
    async () => {
      const agent = await agentWith('bn-shared');
      const other = await agentWith('bn-shared');
      await days.database.pool.query(`update ringleader.agents set paused_reason = '402' where id = $1`, [agent]);
      await started([ONE], { agent_id: agent });
      return () => api('PATCH', `/v1/agents/${other}`, { credentials: { api_key: 'bn-shared' } });
    },
    1,
  ],
];

/** What makes room for a lead that is due. */
const FREES: [string, Prepare, number][] = [
  [
    'the cancel of a reserved call',
    async () => {
      const call = await reserved();
      return () => api('POST', `/v1/calls/${call}/cancel`);
    },
    1,
  ],
  [
    'a higher cap of the account',
    async () => {
      await reserved();
      return () => api('PATCH', '/v1/account', { max_concurrent_calls: 2 });
    },
    1,
  ],
];

const dialled = async (): Promise<number> => (await days.calls()).filter(({ answered }) => answered === 200).length;
const minutesAhead = (): number => ((days.due() ?? days.now()).getTime() - days.now().getTime()) / 60_000;

test.each([...WAKES.map((row) => [...row, true] as const), ...FREES.map((row) => [...row, false] as const)])(
  '%s wakes dispatch: it dials in the same invocation, and should that die, the tick looks (class 17)',
  async (_, prepare, dials, asleep) => {
    const act = await prepare();
    await days.pass(4);
    if (asleep) expect(minutesAhead()).toBeGreaterThan(2);
    const before = await dialled();
    await act();
    expect(await dialled()).toBe(before + dials);
    expect(minutesAhead()).toBeLessThanOrEqual(1.5);
  },
);
