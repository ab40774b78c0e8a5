/** How the pages put things, and what their form makes of what was typed. */
import { expect, test } from 'vitest';
import { parseForm, typedIn } from '../../functions/dashboard/campaign-form.ts';
import { progressBar } from '../../functions/dashboard/progress.ts';
import { percent, time, weekdays, type CampaignView, type Viewer } from '../../functions/dashboard/words.ts';

const viewer = (timezone: string): Viewer => ({
  now: new Date('2026-03-28T12:00:00Z'),
  account: {
    id: '00000000-0000-4000-8000-000000000001',
    name: 'A',
    email: 'a@example.com',
    timezone,
    max_concurrent_calls: 10,
    calls_per_second: null,
    live_calls: 0,
  },
});

test('weekdays are written as people write them', () => {
  const rows = [
    [[1, 2, 3, 4, 5], 'Mon–Fri'],
    [[5, 4, 3, 2, 1], 'Mon–Fri'],
    [[1, 2, 3, 4, 5, 6, 7], 'every day'],
    [[6, 7], 'Sat, Sun'],
    [[1, 3, 5], 'Mon, Wed, Fri'],
    [[1, 2, 3, 6, 7], 'Mon–Wed, Sat, Sun'],
    [[4], 'Thu'],
  ] as const;
  for (const [days, text] of rows) expect(weekdays(days)).toBe(text);
  expect(rows).toHaveLength(7);
});

test('a campaign with one lead left is never at 100 percent', () => {
  const rows = [
    [0, 0],
    [0.004, 0],
    [0.5, 50],
    [0.9999, 99],
    [1, 100],
  ] as const;
  for (const [share, shown] of rows) expect(percent(share)).toBe(shown);
  expect(rows).toHaveLength(5);
});

test('a time is that of the account’s zone, on both sides of a clock change (class 22)', async () => {
  const rows = [
    ['2026-03-29T00:59:00Z', 'Europe/Paris', 'Sun 29 Mar, 01:59'],
    ['2026-03-29T01:00:00Z', 'Europe/Paris', 'Sun 29 Mar, 03:00'],
    ['2026-03-29T00:00:00Z', 'America/Los_Angeles', 'Sat 28 Mar, 17:00'],
    ['2026-03-28T18:30:00Z', 'Asia/Kolkata', 'Sun 29 Mar, 00:00'],
    ['2025-12-31T23:30:00Z', 'UTC', 'Wed 31 Dec 2025, 23:30'],
  ] as const;
  for (const [instant, zone, text] of rows) {
    expect(String(await time(instant, viewer(zone)))).toBe(`<time datetime="${instant}">${text}</time>`);
  }
  expect(rows).toHaveLength(5);
});

test('the bar’s segments add up to what is no longer waiting', async () => {
  const campaign = {
    counts: { leads: { reached: 3, unreached: 2, calling: 1, invalid: 1, waiting: 3 }, calls: {} },
    progress: 0.6,
  } as unknown as CampaignView;
  const bar = String(await progressBar(campaign));
  const widths = [...bar.matchAll(/ width="([\d.]+)"/g)].map((match) => Number(match[1]));
  expect(widths.reduce((sum, width) => sum + width, 0)).toBeCloseTo(700, 5);
  expect(bar).toContain('aria-valuenow="60"');
  const empty = String(await progressBar({ ...campaign, counts: { leads: {}, calls: {} }, progress: 0 }));
  expect(empty).not.toContain('<rect');
});

const AGENT = '00000000-0000-4000-8000-000000000002';
const typed = (entries: Record<string, string>, days: string[] = ['1', '2']): ReturnType<typeof typedIn> => {
  const form = new FormData();
  const all = { name: 'N', agent_id: AGENT, timezone: 'UTC', start: '09:00', end: '17:00', ...entries };
  for (const [name, value] of Object.entries(all)) form.append(name, value);
  for (const day of days) form.append('days', day);
  return typedIn(form);
};

test('the form sends what was typed: empty retry fields mean not retried, other empty fields the account’s', () => {
  const parsed = parseForm(typed({ no_answer_minutes: '30', busy_minutes: '', calls_per_second: '0,5', default_country: 'US' }));
  expect(parsed).toEqual({
    campaign: {
      name: 'N',
      agent_id: AGENT,
      timezone: 'UTC',
      default_country: 'US',
      window: { days: [1, 2], start: '09:00', end: '17:00' },
      max_concurrent_calls: null,
      calls_per_second: 0.5,
      retry: {
        no_answer_minutes: 30,
        busy_minutes: null,
        voicemail_minutes: null,
        failed_minutes: null,
        unknown_minutes: null,
      },
    },
  });
});

test('every mistake is named with its field and a rule that a person understands', () => {
  const rows = [
    [typed({ name: '  ' }), 'name', 'is needed'],
    [typed({ name: 'x'.repeat(201) }), 'name', 'must be at most 200 characters long'],
    [typed({ agent_id: '' }), 'agent_id', 'is needed'],
    [typed({}, []), 'days', /./],
    [typed({ end: '09:30' }), 'end', 'must be at least one hour long'],
    [typed({ start: '' }), 'start', 'must be a time from 00:00 to 24:00'],
    [typed({ timezone: 'Mars/Base' }), 'timezone', /time zone/],
    [typed({ default_country: 'us' }), 'default_country', /ISO 3166/],
    [typed({ max_concurrent_calls: 'ten' }), 'max_concurrent_calls', 'must be a whole number'],
    [typed({ max_concurrent_calls: '0' }), 'max_concurrent_calls', 'must be 1 or more'],
    [typed({ max_attempts: '21' }), 'max_attempts', 'must be at most 20'],
    [typed({ max_attempts: '1.5' }), 'max_attempts', 'must be a whole number'],
    [typed({ calls_per_second: 'fast' }), 'calls_per_second', 'must be a number'],
    [typed({ calls_per_second: '-1' }), 'calls_per_second', 'must be 0.00001 or more'],
    [typed({ busy_minutes: '99999' }), 'busy_minutes', 'must be at most 43200'],
  ] as const;
  for (const [form, field, rule] of rows) {
    const parsed = parseForm(form);
    const errors = 'errors' in parsed ? parsed.errors : [];
    expect(errors, field).toEqual([{ field, rule: typeof rule === 'string' ? rule : (expect.stringMatching(rule) as string) }]);
  }
  expect(rows).toHaveLength(15);
});
