import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createClock, realUntil, virtualAt } from '../../local/clock.ts';
import { CRONS, startScheduler } from '../../local/scheduler.ts';
import { keepClock, settingFor } from '../../local/stored-clock.ts';
import { testDirectory } from '../support/directory.ts';

const START = Date.UTC(2026, 2, 1, 9);
const setting = { realStart: 1_000_000, virtualStart: START, speed: 60 };

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the local clock', () => {
  test('runs N times as fast from its instant, and back again', () => {
    expect(virtualAt(setting, 1_000_000)).toBe(START);
    expect(virtualAt(setting, 1_001_000)).toBe(START + 60_000);
    expect(realUntil(setting, START + 60_000, 1_000_000)).toBe(1000);
    expect(realUntil(setting, START - 1, 1_000_000)).toBe(0);
  });

  test('is the same for all who are given its setting, wherever they run', () => {
    const copy = JSON.parse(JSON.stringify(setting)) as typeof setting;
    expect(createClock(copy, () => 1_234_567).now()).toEqual(createClock(setting, () => 1_234_567).now());
  });

  test('sleeps virtual time: never less, even when a timer fires early', async () => {
    const clock = createClock(setting);
    let woken: number | undefined;
    void clock.sleep(90_000).then(() => (woken = clock.now().getTime()));
    await vi.advanceTimersByTimeAsync(1499);
    expect(woken).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2);
    expect(woken).toBeGreaterThanOrEqual(START + 90_000);
  });

  test('waits longer than a timer can, and can be told not to', async () => {
    const clock = createClock({ ...setting, speed: 1 });
    const done = vi.fn<() => void>();
    const never = vi.fn<() => void>();
    clock.after(40 * 86_400_000, done);
    clock.after(1000, never)();
    await vi.advanceTimersByTimeAsync(40 * 86_400_000 - 10);
    expect(done).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(20);
    expect(done).toHaveBeenCalledOnce();
    expect(never).not.toHaveBeenCalled();
  });
});

describe('the stored clock', () => {
  const file = (): string => path.join(testDirectory('clock'), 'clock.json');

  test('begins at the real now, at the asked instant, or where it stopped when that is later', () => {
    const stored = file();
    expect(settingFor(stored, 60, undefined, 5)).toEqual({ realStart: 5, virtualStart: 5, speed: 60 });
    expect(settingFor(stored, 1, START, 5)).toEqual({ realStart: 5, virtualStart: START, speed: 1 });
    fs.writeFileSync(stored, JSON.stringify({ virtual: START }));
    expect(settingFor(stored, 60, undefined, 5).virtualStart).toBe(START);
    expect(settingFor(stored, 60, undefined, START + 7).virtualStart).toBe(START + 7);
    expect(settingFor(stored, 60, 42, 5).virtualStart).toBe(42);
    fs.rmSync(path.dirname(stored), { recursive: true });
  });

  test('never goes back: not after a clean stop, not after a crash at any moment', async () => {
    const stored = file();
    const clock = createClock(setting);
    const stop = keepClock(stored, clock);
    for (let moment = 0; moment < 30; moment++) {
      await vi.advanceTimersByTimeAsync(333);
      expect(settingFor(stored, 60, undefined, 0).virtualStart).toBeGreaterThanOrEqual(clock.now().getTime());
    }
    stop();
    expect(settingFor(stored, 60, undefined, 0).virtualStart).toBe(clock.now().getTime());
    fs.rmSync(path.dirname(stored), { recursive: true });
  });
});

describe('the scheduler', () => {
  test('fires each cron of wrangler.toml at its virtual minutes', async () => {
    const fired: string[] = [];
    const stop = startScheduler(createClock(setting), async (cron, at) => {
      fired.push(`${cron} ${at.toISOString().slice(11, 16)}`);
    });
    await vi.advanceTimersByTimeAsync(5100);
    await stop();
    await vi.advanceTimersByTimeAsync(5000);
    expect(fired).toEqual([
      '* * * * * 09:01',
      '* * * * * 09:02',
      '* * * * * 09:03',
      '* * * * * 09:04',
      '* * * * * 09:05',
      '*/5 * * * * 09:05',
    ]);
    const declared = /crons = (\[.*\])/.exec(fs.readFileSync(new URL('../../wrangler.toml', import.meta.url), 'utf8'))?.[1] ?? '';
    expect(CRONS.map(({ cron }) => cron)).toEqual(JSON.parse(declared));
  });

  test('never lets a cron overlap itself, and goes on when a slow one is done', async () => {
    let under = 0;
    let most = 0;
    let runs = 0;
    const stop = startScheduler(createClock(setting), async (cron) => {
      if (cron !== '* * * * *') return;
      runs += 1;
      most = Math.max(most, ++under);
      await new Promise((resolve) => setTimeout(resolve, 2500));
      under -= 1;
    });
    await vi.advanceTimersByTimeAsync(9000);
    const stopping = stop();
    await vi.advanceTimersByTimeAsync(3000);
    await stopping;
    expect({ most, runs }).toEqual({ most: 1, runs: 3 });
  });
});
