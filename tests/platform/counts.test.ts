/** What is counted adds up, keeps to two days, and says of durations what the durations say. */
import { expect, test } from 'vitest';
import { HOURS_KEPT, pictureOf, type Measured } from '../../lib/domain/connections.ts';
import { note, quantile, type Histogram } from '../../lib/domain/histogram.ts';
import { openMeter } from '../../functions/meter.ts';
import type { ErrorType } from '../../lib/errors.ts';
import { memoryMeter } from './memory-meter.ts';

const stats = { verbs: 4, failed: 1, opened: 1, retried: 2 } as never;

test('two days are kept hour by hour, and what is older goes', async () => {
  const namespace = memoryMeter();
  let hour = 480_000;
  const reports: ErrorType[] = [];
  const meter = openMeter(
    namespace,
    () => new Date(hour * 3_600_000 + 1),
    (type) => void reports.push(type),
  );
  for (let i = 0; i < 60; i += 1, hour += 1) await meter.counted({ stats, times: { claim: { slow: 1, steps: { 40: 2 } } } });
  hour -= 1;
  expect(namespace.kept.size).toBe(HOURS_KEPT);
  const { figures, hours, verbs } = pictureOf((await meter.measured())!);
  expect(figures.opened).toEqual({ current: 1, last_48_hours: 48, goal: null, met: null });
  expect(figures.query_error_rate).toEqual({ current: 0.25, last_48_hours: 0.25, goal: { below: 0.01 }, met: false });
  expect(figures.refused_full).toEqual({ current: 0, last_48_hours: 0, goal: { at_most: 0 }, met: true });
  expect(hours).toHaveLength(48);
  expect(hours.at(-1)).toMatchObject({ at: new Date(hour * 3_600_000).toISOString(), verbs: 4, failed: 1 });
  const times = { p50_ms: 1024, p99_ms: 1024 };
  expect(verbs).toEqual([
    { verb: 'claim', count: 96, slow: 48, ...times, current: { count: 2, slow: 1, ...times }, goal: { at_most: 0 }, met: false },
  ]);
  await meter.mailFailed();
  expect(pictureOf((await meter.measured())!).figures.mail_failures).toMatchObject({ current: 1, met: false });
  expect(reports).toEqual([]);
});

test('a meter that cannot be reached is reported, and stops nothing', async () => {
  const reports: unknown[] = [];
  const namespace = {
    idFromName: () => 'system',
    get: () => ({ fetch: () => Promise.resolve(new Response('no', { status: 500 })) }),
  };
  const meter = openMeter(
    namespace,
    () => new Date(),
    (type, _, context) => void reports.push([type, context?.['task']]),
  );
  await meter.counted({ stats, times: {} });
  expect(await meter.measured()).toBeNull();
  expect(reports).toEqual([
    ['background_task_failed', 'count'],
    ['background_task_failed', 'read_counts'],
  ]);
});

test('quantiles are those of the durations themselves, to within a tenth', () => {
  let state = 7;
  const durations = Array.from({ length: 5000 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.round(Math.exp((state / 2 ** 32) * 9) + 10);
  });
  const histogram: Histogram = {};
  for (const ms of durations) note(histogram, ms);
  const sorted = durations.toSorted((a, b) => a - b);
  for (const q of [0.01, 0.5, 0.9, 0.99, 1]) {
    const exact = sorted[Math.ceil(q * sorted.length) - 1];
    expect(Math.abs(quantile(histogram, q)! - exact) / exact).toBeLessThan(0.11);
  }
  expect(quantile({}, 0.5)).toBeNull();
});

test('hours without anything counted are hours with nothing', () => {
  const measured: Measured = { now: 48, hours: [] };
  const { figures, verbs, hours } = pictureOf(measured);
  expect([figures.query_error_rate.last_48_hours, figures.opened.current, verbs, hours.length]).toEqual([0, 0, [], 48]);
});
