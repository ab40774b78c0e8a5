/** What a seed plays: accounts, agents, campaigns and leads, and the moment at which it begins. */
import type * as z from 'zod';
import type { CampaignCreate, LeadIn } from '../../lib/contract.ts';
import { HOUR, MINUTE } from './kernel.ts';
import type { Dialect } from './phone-world.ts';
import type { Random } from './random.ts';
import { createWallClock } from './windows.ts';

type CampaignIn = z.infer<typeof CampaignCreate>;
export type LeadInput = z.infer<typeof LeadIn>;

/** What is made by a request: its Idempotency-Key, and then its id. */
interface Made {
  key: string;
  /** As the worker answered. */
  id: string;
}
export interface AgentPlan extends Made {
  dialect: Dialect;
}
export interface CampaignPlan extends Made {
  agent: AgentPlan;
  fields: Omit<CampaignIn, 'agent_id'>;
  leads: LeadInput[];
  /** Started at once, else by a person later. */
  started: boolean;
}
export interface AccountPlan extends Made {
  apiKey: string;
  timezone: string;
  cap: number;
  pace: number | null;
  agents: AgentPlan[];
  campaigns: CampaignPlan[];
}
export interface Scenario {
  systemCap: number;
  /** Milliseconds within which the telephony provider answers a create-call when nothing is wrong. */
  answersWithin: number;
  accounts: AccountPlan[];
}

/** With half hours, three-quarter hours, a half-hour of daylight saving, both hemispheres. */
export const ZONES = [
  'UTC',
  'America/New_York',
  'Europe/Berlin',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'America/St_Johns',
  'Australia/Lord_Howe',
  'Pacific/Auckland',
  'America/Santiago',
  'Africa/Cairo',
] as const;

/** Nights on which clocks change somewhere. */
const CLOCK_CHANGES = [
  '2026-03-08T07:00:00Z',
  '2026-03-29T01:00:00Z',
  '2026-04-04T15:00:00Z',
  '2026-04-05T03:00:00Z',
  '2026-09-06T04:00:00Z',
  '2026-10-03T15:30:00Z',
  '2026-10-25T01:00:00Z',
  '2026-11-01T06:00:00Z',
];
const YEAR_BEGINS = Date.UTC(2026, 0, 1);
const clock = createWallClock();

/** When a seed begins: often in the hours before a night on which clocks change. */
export const drawBeginning = (random: Random): number =>
  random.chance(0.4)
    ? Date.parse(random.pick(CLOCK_CHANGES)) - Math.floor(random.between(0, 8 * HOUR))
    : YEAR_BEGINS + Math.floor(random.between(0, 364 * 24 * HOUR));

/** Whether the clocks of a zone in play change between two instants. */
export const clocksChange = ({ accounts }: Scenario, from: number, to: number): boolean => {
  const offset = (zone: string, at: number): number => {
    const ahead = (clock(zone, at).minute - Math.floor(at / MINUTE)) % 1440;
    return (ahead + 1440) % 1440;
  };
  const zones = accounts.flatMap((one) => [one.timezone, ...one.campaigns.map(({ fields }) => fields.timezone ?? one.timezone)]);
  return zones.some((zone) => offset(zone, from) !== offset(zone, to));
};

const ALL_DAYS = [1, 2, 3, 4, 5, 6, 7];
const timeOf = (minute: number): string => {
  const m = ((minute % 1440) + 1440) % 1440;
  return `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`;
};

/** A window; often one of whose edges lies close ahead, so that calls meet it. */
export const drawWindow = (random: Random, zone: string, now: number): CampaignIn['window'] => {
  const days = random.chance(0.6) ? ALL_DAYS : ALL_DAYS.filter(() => random.chance(0.6));
  const on = days.length > 0 ? days : [random.int(1, 7)];
  const kind = random.next();
  if (kind < 0.35) return { days: on, start: '00:00', end: '24:00' };
  if (kind < 0.5) return { days: on, start: '09:00', end: '17:00' };
  if (kind < 0.65)
    return { days: on, start: random.pick(['21:00', '22:30', '01:30', '02:30']), end: random.pick(['05:00', '03:30', '04:00']) };
  const here = clock(zone, now).minute;
  const length = random.int(60, 600);
  if (kind < 0.85) {
    const end = here + random.int(2, 90);
    return { days: on, start: timeOf(end - length), end: timeOf(end) };
  }
  const start = here + random.int(1, 60);
  return { days: on, start: timeOf(start), end: timeOf(start + length) };
};

/** A window in UTC that is shut for hours. */
export const closedNow = (now: number): { start: string; end: string } => {
  const minute = Math.floor(now / MINUTE) % 1440;
  return { start: timeOf(minute + 120), end: timeOf(minute + 600) };
};

export const drawRetry = (random: Random): NonNullable<CampaignIn['retry']> => ({
  max_attempts: random.int(1, 4),
  no_answer_minutes: random.chance(0.8) ? random.int(1, 30) : null,
  busy_minutes: random.chance(0.8) ? random.int(1, 15) : null,
  voicemail_minutes: random.chance(0.3) ? random.int(1, 60) : null,
  failed_minutes: random.chance(0.4) ? random.int(1, 20) : null,
  unknown_minutes: random.chance(0.4) ? random.int(1, 20) : null,
});

/** Few numbers, shared by campaigns and accounts, so that they meet; a crowd has more. */
const NUMBERS = 30;
const CROWD = 100;
export const drawPhone = (random: Random, of = NUMBERS): string => `+141555501${String(random.int(0, of - 1)).padStart(2, '0')}`;

export const drawLeads = (random: Random, n: number): LeadInput[] =>
  Array.from({ length: n }, () => ({
    phone: drawPhone(random, n > NUMBERS ? CROWD : NUMBERS),
    ...(random.chance(0.25) ? { timezone: random.pick(ZONES) } : {}),
    ...(random.chance(0.3) ? { name: 'Ann Example', company: 'Example' } : {}),
  }));

const unmade = (random: Random): Made => ({ key: random.uuid(), id: '' });
const maybe = <T>(random: Random, share: number, draw: () => T): T | null => (random.chance(share) ? draw() : null);

const drawCampaign = (random: Random, now: number, agent: AgentPlan, accountZone: string, crowd: boolean): CampaignPlan => {
  const timezone = maybe(random, 0.5, () => random.pick(ZONES));
  const startsAt = maybe(random, 0.15, () => now + random.between(0, 2 * HOUR));
  const endsAt = maybe(random, 0.2, () => (startsAt ?? now) + random.between(2 * MINUTE, random.pick([30 * MINUTE, 24 * HOUR])));
  return {
    ...unmade(random),
    agent,
    fields: {
      name: 'Spring',
      timezone,
      window: drawWindow(random, timezone ?? accountZone, now),
      starts_at: startsAt === null ? null : new Date(startsAt).toISOString(),
      ends_at: endsAt === null ? null : new Date(endsAt).toISOString(),
      max_concurrent_calls: maybe(random, crowd ? 0.2 : 0.5, () => random.int(1, crowd ? 60 : 4)),
      calls_per_second: maybe(random, 0.2, () => random.between(0.05, 2)),
      retry: drawRetry(random),
      analysis_grace_minutes: random.int(0, 30),
    },
    leads: drawLeads(random, crowd ? random.int(40, 100) : random.int(1, 6)),
    started: random.chance(0.85),
  };
};

export const drawScenario = (random: Random, now: number): Scenario => {
  const crowd = random.chance(0.03);
  const accounts = Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, (): AccountPlan => {
    const timezone = random.pick(ZONES);
    const agents = Array.from({ length: random.pick([1, 1, 2]) }, (): AgentPlan => ({
      ...unmade(random),
      dialect: random.chance(0.6) ? 'bolna' : 'retell',
    }));
    return {
      ...unmade(random),
      apiKey: '',
      timezone,
      cap: crowd ? random.int(20, 80) : random.int(1, 5),
      pace: maybe(random, 0.15, () => random.between(0.1, 3)),
      agents,
      campaigns: Array.from({ length: random.pick([1, 1, 2]) }, () =>
        drawCampaign(random, now, random.pick(agents), timezone, crowd),
      ),
    };
  });
  return { systemCap: crowd ? random.int(40, 100) : random.int(2, 8), answersWithin: random.pick([150, 1500]), accounts };
};
