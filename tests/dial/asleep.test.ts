import { expect, test } from 'vitest';
import { type Minute, startDays } from './day.ts';

const days = await startDays('2026-03-02T00:00:00Z');
const MINUTE = 60_000;
/** What the store of the next due instant may cost: whoever writes has a tick look 90 seconds later, at the next full minute (docs/adr/0006). */
const EARLY_WAKE = 150_000;
const OPENS = '2026-03-02T12:00:00Z';
const RETRY = { max_attempts: 2, busy_minutes: 20, no_answer_minutes: 30 };

/** Through the number table (97 waits five real seconds for an answer), so that with its retries it makes about 100 calls. */
const PHONES = Array.from({ length: 100 }, (_, n) => n)
  .filter((n) => (n % 10 < 7 || n < 30) && n !== 97)
  .map((n) => `+120255501${String(n).padStart(2, '0')}`);

/** When something was due, live or settling, by the database's rows. */
const BUSY = `
  with k as (select * from ringleader.campaigns where id = $1), c as (select * from ringleader.calls where campaign_id = $1)
  -- Due: the window is open, the campaign runs, the retry is not ahead, and nobody has reserved the lead yet.
  select 'due' as what, greatest(k.started_at, $2, p.ended_at + make_interval(mins => case p.disposition
      when 'busy' then k.busy_minutes when 'no_answer' then k.no_answer_minutes else 0 end)) as since, c.reserved_at as until
    from k, c left join lateral (select * from c b where b.lead_id = c.lead_id and b.seq < c.seq order by b.seq desc limit 1) p on true
  union all
  select 'live', c.reserved_at, c.released_at from c
  union all
  -- Settling: from the end of a line to the last word about the call, and from owing a mail to sending it.
  select 'settling', c.released_at, greatest(c.ended_at, (select max(e.received_at) from ringleader.call_events e where e.call_id = c.id)) from c
  union all
  select 'settling', n.created_at, n.sent_at from ringleader.notifications n where n.campaign_id = $1 and n.sent_at is not null`;

const connected = (minutes: readonly Minute[]): Minute[] => minutes.filter(({ connections }) => connections > 0);
const silent = (minutes: readonly Minute[]): void => {
  expect(connected(minutes)).toEqual([]);
  expect(minutes.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(0);
};

test('a campaign of 100 calls in a two-hour window: connected only while calls are due, live or settling; the day after, not once', async () => {
  const window = { days: [1, 2, 3, 4, 5, 6, 7], start: '12:00', end: '14:00' };
  const campaign = { name: 'Noon', agent_id: days.agentId, window, retry: RETRY };
  const { id } = await days.api<{ id: string }>('POST', '/v1/campaigns', campaign);
  await days.api('POST', `/v1/campaigns/${id}/leads`, { leads: PHONES.map((phone) => ({ phone })) });
  await days.api('POST', `/v1/campaigns/${id}/start`);
  // The ticks after the requests look once, and no more.
  expect(connected(await days.pass(3)).length).toBeLessThanOrEqual(2);

  const day = await days.pass(24 * 60);
  const { rows } = await days.database.pool.query<{ what: string; since: Date; until: Date }>(BUSY, [id, OPENS]);
  const busy = (from: number, to: number): boolean =>
    rows.some(({ since, until }) => since.getTime() < to && until.getTime() >= from);
  const during = connected(day);
  expect(during.filter(({ at }) => !busy(at.getTime() - EARLY_WAKE, at.getTime() + MINUTE))).toEqual([]);
  const early = during.filter(({ at }) => !busy(at.getTime(), at.getTime() + MINUTE));
  const sum = (of: (minute: Minute) => number): number => day.reduce((all, minute) => all + of(minute), 0);
  console.log(
    `${rows.filter(({ what }) => what === 'live').length} calls; connected in ${during.length} of ${day.length} minutes, ${early.length} of them by an early wake: ${sum(({ connections }) => connections)} connections, ${sum(({ bytes }) => bytes)} bytes of questions`,
  );

  // It was all done in those minutes, and the proxy saw the connection of every reservation.
  expect(await days.api('GET', `/v1/campaigns/${id}`)).toMatchObject({ status: 'completed', progress: 1 });
  expect((await days.mails()).filter(({ Metadata }) => Metadata.type === 'campaign_summary')).toHaveLength(1);
  const live = rows.filter(({ what }) => what === 'live');
  expect(live.length).toBeGreaterThanOrEqual(100);
  const unseen = live.filter(({ since }) => !during.some(({ at }) => at <= since && since.getTime() < at.getTime() + MINUTE));
  expect(unseen).toEqual([]);

  await days.pass(3); // after the question above
  silent(await days.pass(24 * 60));
}, 240_000);
