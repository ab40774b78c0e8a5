import { describe, expect, test } from 'vitest';
import { handerOver, LONGEST_SLEEP_MS, openSleep, Sleeper, unlessAsleep, waker } from '../../functions/sleeper.ts';

const MINUTE = 60_000;
const START = new Date('2026-03-02T10:00:00Z');
const after = (ms: number): Date => new Date(START.getTime() + ms);

/** The real object over a storage in memory; `down` makes it unreachable. */
const store = () => {
  const held: { value?: { due: number | null; version: number } } = {};
  const state = { down: false };
  const object = new Sleeper({
    storage: {
      get: () => Promise.resolve(held.value),
      put: (_key, value) => {
        held.value = value;
        return Promise.resolve();
      },
    },
    blockConcurrencyWhile: (work) => work(),
  });
  const sleep = openSleep({
    idFromName: (name) => name,
    get: () => ({
      fetch: (url, init) => {
        if (state.down) return Promise.reject(new Error('the store cannot be reached'));
        return object.fetch(new Request(url, init));
      },
    }),
  });
  const reports: string[] = [];
  const report = (type: string): void => void reports.push(type);
  /** One firing at that moment; answers whether the tick ran. */
  const fire = async (at: Date, next: Date | null = null, meanwhile?: () => Promise<void>): Promise<boolean> => {
    let ran = false;
    await unlessAsleep(sleep, { now: () => at, report }, async () => {
      ran = true;
      await meanwhile?.();
      return next;
    });
    return ran;
  };
  return { sleep, fire, reports, report, state };
};

describe('the bounds of sleep', () => {
  test('nothing is believed for longer than seven days, however long the tick said', async () => {
    const { fire } = store();
    expect(await fire(START)).toBe(true);
    expect(await fire(after(LONGEST_SLEEP_MS - MINUTE))).toBe(false);
    expect(await fire(after(LONGEST_SLEEP_MS))).toBe(true);
    expect(LONGEST_SLEEP_MS).toBe(7 * 24 * 60 * MINUTE);
  });

  test('a tick sleeps until the instant that the last one found, and not a minute longer', async () => {
    const { fire } = store();
    await fire(START, after(30 * MINUTE));
    expect(await fire(after(29 * MINUTE))).toBe(false);
    expect(await fire(after(30 * MINUTE))).toBe(true);
  });

  test('whoever wakes it is looked after within 90 seconds and one tick, also while a tick is settling (class 17)', async () => {
    const { sleep, fire } = store();
    await fire(START, null, () => sleep.wake(START));
    // What that tick saw may lack what the other brought: its word does not count.
    expect(await fire(after(MINUTE), null)).toBe(true);
    expect(await fire(after(2 * MINUTE), null)).toBe(true); // he may have committed since then
    expect(await fire(after(3 * MINUTE))).toBe(false);
    await sleep.wake(after(3 * MINUTE));
    expect(await fire(after(4 * MINUTE))).toBe(false);
    expect(await fire(after(3 * MINUTE + 90_000))).toBe(true);
  });

  test('whoever woke it before a tick and commits after it is not slept over (class 17)', async () => {
    const { sleep, fire, report } = store();
    await fire(START);
    await sleep.wake(after(MINUTE));
    await handerOver(sleep, () => after(MINUTE), report)(); // somebody else has work at once
    expect(await fire(after(MINUTE), null)).toBe(true); // and does not see yet what the first one brings
    expect(await fire(after(2 * MINUTE))).toBe(false);
    expect(await fire(after(MINUTE + 90_000), null)).toBe(true);
    expect(await fire(after(4 * MINUTE))).toBe(false);
  });

  test('work that an invocation leaves behind is the very next tick’s', async () => {
    const { sleep, fire, report } = store();
    await fire(START);
    await handerOver(sleep, () => after(10_000), report)();
    expect(await fire(after(MINUTE))).toBe(true);
  });

  test('an invocation that outlasts its wake wakes again: what it wrote after the tick had looked is not slept over', async () => {
    const { sleep, fire, report } = store();
    let now = START;
    const wake = waker(sleep, () => now, report);
    await wake();
    expect(await fire(after(2 * MINUTE), null)).toBe(true);
    now = after(5 * MINUTE); // a long list has been read; a campaign has ended with its last rows
    await wake();
    expect(await fire(after(7 * MINUTE))).toBe(true);
  });

  test('a wake that did not reach the store is made up for by the next of its invocation', async () => {
    const { sleep, fire, report, state } = store();
    await fire(START);
    const wake = waker(sleep, () => after(MINUTE), report);
    state.down = true;
    await wake();
    state.down = false;
    await wake();
    expect(await fire(after(3 * MINUTE))).toBe(true);
  });

  test('a store that cannot be reached is reported, and the tick works rather than sleeps', async () => {
    const { sleep, fire, report, reports, state } = store();
    await fire(START);
    state.down = true;
    await waker(sleep, () => START, report)();
    await handerOver(sleep, () => START, report)();
    expect(await fire(after(MINUTE))).toBe(true);
    expect(reports).toEqual(['background_task_failed', 'background_task_failed', 'background_task_failed']);
  });
});
