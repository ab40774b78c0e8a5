/** How the pages say things: numbers, times in the reader's zone, and the product's words with a capital. */
import { html } from 'hono/html';
import type * as z from 'zod';
import type { Account, Campaign, Lead } from '../../lib/contract.ts';

/** A piece of a page: escaped, and possibly still being put together. */
export type Html = ReturnType<typeof html>;
export type CampaignView = z.infer<typeof Campaign>;
export type LeadView = z.infer<typeof Lead>;

/** Who reads the page, and when: times are written in their account's zone. */
export interface Viewer {
  account: z.infer<typeof Account>;
  now: Date;
}

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;
/** Weekdays as the contract counts them (1 = Monday) with their short names. */
export const WEEKDAYS: readonly (readonly [number, string])[] = DAYS.map((name, i) => [i + 1, name]);

/** `no_answer` → `No answer`. */
export const label = (word: string): string => {
  const words = word.replaceAll('_', ' ');
  return words.slice(0, 1).toUpperCase() + words.slice(1);
};

export const count = (n: number): string => n.toLocaleString('en');
/** `1 lead`, `2,000 leads`. */
export const counted = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;
/** A share of 0 to 1 as a whole percent; never 100 before all is done. */
export const percent = (share: number): number => (share >= 1 ? 100 : Math.floor(share * 100));

/** `Mon 23 Nov, 14:05` in the reader's zone; with the year when it is not this one. */
export const time = (instant: string, viewer: Viewer): Html => {
  const at = new Date(instant);
  const timeZone = viewer.account.timezone;
  const part = (options: Intl.DateTimeFormatOptions, of: Date = at): string =>
    new Intl.DateTimeFormat('en-GB', { timeZone, ...options }).format(of);
  const year = part({ year: 'numeric' });
  const date = [part({ weekday: 'short' }), part({ day: 'numeric' }), part({ month: 'short' })];
  if (year !== part({ year: 'numeric' }, viewer.now)) date.push(year);
  const clock = part({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  return html`<time datetime="${instant}">${date.join(' ')}, ${clock}</time>`;
};

/** `[1,2,3,4,5]` → `Mon–Fri`; `[1,3]` → `Mon, Wed`; all seven → `every day`. */
export const weekdays = (days: readonly number[]): string => {
  if (days.length === 7) return 'every day';
  const runs: [number, number][] = [];
  for (const day of [...days].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.[1] === day - 1) last[1] = day;
    else runs.push([day, day]);
  }
  const name = (day: number): string => DAYS[day - 1] ?? '';
  return runs
    .map(([from, to]) => {
      if (from === to) return name(from);
      return to - from === 1 ? `${name(from)}, ${name(to)}` : `${name(from)}–${name(to)}`;
    })
    .join(', ');
};

export const pill = (word: string): Html => html`<span class="pill ${word}">${label(word)}</span>`;

/** How many leads the campaign has, whatever their status. */
export const leadTotal = (campaign: CampaignView): number => Object.values(campaign.counts.leads).reduce((sum, n) => sum + n, 0);
