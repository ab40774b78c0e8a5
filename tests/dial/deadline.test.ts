import { expect, test } from 'vitest';
import type { Deps } from '../../lib/deps.ts';
import { dispatch } from '../../lib/dial.ts';
import type { CallOutcome } from '../../lib/verb-shapes.ts';
import type { Verbs } from '../../lib/verbs.ts';

const CALL = '00000000-0000-4000-8000-000000000001';
/** Of the fence: what is recorded says through which one the call went. */
const TOKEN = '00000000-0000-4000-8000-0000000000ff';
const ACCOUNT = '00000000-0000-4000-8000-0000000000aa';
const AGENT = '00000000-0000-4000-8000-0000000000bb';

/** One call that passes its fence; the fence's answer takes `slow` milliseconds. */
const dialWith = async (slow: number) => {
  let elapsed = 0;
  const recorded: CallOutcome[] = [];
  const created: string[] = [];
  const claimed = {
    account_id: ACCOUNT,
    call_id: CALL,
    kind: 'direct' as const,
    campaign_id: null,
    lead_id: null,
    attempt: 1,
    phone: '+14155550100',
    name: null,
    email: null,
    company: null,
    timezone: null,
    variables: {},
    agent_id: AGENT,
  };
  const agent = {
    account_id: ACCOUNT,
    agent_id: AGENT,
    provider: 'bolna' as const,
    provider_agent_id: 'a',
    from_number: null,
    credentials_sealed: '{}',
    webhook_secrets_sealed: null,
    analysis_mapping: null,
  };
  let claims = 0;
  const verbs: Partial<Verbs> = {
    claimCalls: () =>
      Promise.resolve({ calls: (claims += 1) === 1 ? [claimed] : [], agents: [agent], next_pace_at: null, dry: false }),
    fenceCalls: () => {
      elapsed += slow;
      return Promise.resolve({ go: [CALL], held: [], mail_due: false });
    },
    recordCalls: (_now, outcomes) => {
      recorded.push(...outcomes);
      return Promise.resolve({ released: 0, completed: false, agent_paused: false, mail_due: false, refill_over: false });
    },
  };
  const createCall = ({ attempt_id }: { attempt_id: string }) => {
    created.push(attempt_id);
    return Promise.resolve({ outcome: 'accepted', provider_call_id: 'x' });
  };
  await dispatch({
    config: { secretsKey: '0'.repeat(64), publicUrl: 'https://ringleader.test', systemMaxConcurrentCalls: 10 },
    now: () => new Date(0),
    elapsedMs: () => elapsed,
    newId: () => TOKEN,
    sleep: () => Promise.resolve(),
    verbs,
    providers: { bolna: { createCall: (_agent: unknown, call: { attempt_id: string }) => createCall(call) } },
    sealer: { open: (sealed: string) => Promise.resolve(sealed) },
    report: () => undefined,
  } as unknown as Deps);
  return { recorded, created };
};

test('a call is dialled only while what its fence saw is fresh; a worker that stalled gives it back at no cost (classes 8, 22)', async () => {
  const quick = await dialWith(500);
  expect(quick.created).toEqual([CALL]);
  expect(quick.recorded).toMatchObject([{ outcome: 'accepted' }]);
  const stalled = await dialWith(9_000);
  expect(stalled.created).toEqual([]);
  expect(stalled.recorded).toMatchObject([{ call_id: CALL, outcome: 'refused', refusal: 'later', fence_token: TOKEN }]);
});
