/** What an isolate remembers of agents: for how long, of how many, and what ends it. */
import { describe, expect, test } from 'vitest';
import { createAgentMemory, MOST_REMEMBERED, REMEMBERED_MS } from '../../lib/agent-memory.ts';
import type { AgentSecrets } from '../../lib/verb-shapes.ts';

const at = (ms: number): Date => new Date(Date.UTC(2026, 2, 2) + ms);
const sealed = (secret: string): AgentSecrets => ({
  account_id: 'account',
  agent_id: 'agent',
  provider: 'vapi',
  provider_agent_id: 'agent-7',
  from_number: null,
  credentials_sealed: secret,
  webhook_secrets_sealed: null,
  analysis_mapping: null,
});
const says = (secret: string) => () => Promise.resolve(sealed(secret));

describe('an agent that was read', () => {
  test('is remembered for thirty seconds, and by no clock that is behind', async () => {
    const memory = createAgentMemory();
    expect(memory.recall('a', 'g', at(0))).toBeNull();
    expect(await memory.learn('a', 'g', at(0), says('one'))).toEqual(sealed('one'));
    expect(REMEMBERED_MS).toBe(30_000);
    expect(memory.recall('a', 'g', at(REMEMBERED_MS - 1))).toEqual(sealed('one'));
    expect(memory.recall('a', 'g', at(REMEMBERED_MS))).toBeNull();
    expect(memory.recall('a', 'g', at(-1))).toBeNull();
  });

  test('is nobody else’s, and what was read last counts', async () => {
    const memory = createAgentMemory();
    await memory.learn('a', 'g', at(0), says('one'));
    await memory.learn('a', 'g', at(1), says('two'));
    expect(memory.recall('a', 'g', at(2))).toEqual(sealed('two'));
    expect(memory.recall('b', 'g', at(2))).toBeNull();
    expect(memory.recall('a', 'h', at(2))).toBeNull();
  });

  test('and is not there any more is forgotten', async () => {
    const memory = createAgentMemory();
    await memory.learn('a', 'g', at(0), says('one'));
    expect(await memory.learn('a', 'g', at(1), () => Promise.resolve(null))).toBeNull();
    expect(memory.recall('a', 'g', at(1))).toBeNull();
  });

  test('is forgotten when it is written, also by who was reading it meanwhile', async () => {
    const memory = createAgentMemory();
    await memory.learn('a', 'g', at(0), says('one'));
    memory.forget('a', 'g');
    expect(memory.recall('a', 'g', at(0))).toBeNull();
    const answer = Promise.withResolvers<AgentSecrets>();
    const reading = memory.learn('a', 'g', at(0), () => answer.promise);
    memory.forget('a', 'g');
    answer.resolve(sealed('before it was written'));
    expect(await reading).toEqual(sealed('before it was written'));
    expect(memory.recall('a', 'g', at(0))).toBeNull();
  });

  test('makes the one that was read longest ago forgotten when there are a hundred', async () => {
    const memory = createAgentMemory();
    for (let n = 0; n < MOST_REMEMBERED; n += 1) await memory.learn('a', `g${n}`, at(0), says(`${n}`));
    await memory.learn('a', 'g0', at(0), says('again'));
    await memory.learn('a', 'one more', at(0), says('one more'));
    expect(MOST_REMEMBERED).toBe(100);
    const known = Array.from({ length: MOST_REMEMBERED }, (_, n) => memory.recall('a', `g${n}`, at(0)) !== null);
    expect(known.filter(Boolean)).toHaveLength(99);
    expect([known[0], known[1]]).toEqual([true, false]);
  });
});
