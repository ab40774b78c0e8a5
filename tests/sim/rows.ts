/** Rows as the trigger tells them: the columns that are judged, times in milliseconds. */
import type { Change } from './database.ts';

export interface AccountRow {
  id: string;
  timezone: string;
  cap: number;
  /** True instant of the last change of its zone. */
  zoneSince: number;
}
export interface CampaignRow {
  id: string;
  account: string;
  status: string;
  timezone: string | null;
  days: number[];
  start: string;
  end: string;
  startsAt: number | null;
  endsAt: number | null;
  cap: number | null;
  maxAttempts: number;
  settledAt: number | null;
  /** True instant since which it is not active; null while it is. */
  inactiveSince: number | null;
  /** True instant of the last change of its window or zone. */
  windowSince: number;
}
export interface LeadRow {
  id: string;
  account: string;
  campaign: string;
  phone: string;
  timezone: string | null;
  status: string;
  disposition: string | null;
  attempts: number;
  temperature: string | null;
  call: string | null;
}
export interface CallRow {
  id: string;
  account: string;
  kind: string;
  campaign: string | null;
  lead: string | null;
  agent: string;
  phone: string;
  status: string;
  disposition: string | null;
  attempt: number;
  providerCall: string | null;
  lease: number | null;
  reservedAt: number | null;
  placingAt: number | null;
  releasedAt: number | null;
  endedAt: number | null;
  analysisDueAt: number | null;
  seconds: number | null;
}
export interface NotificationRow {
  id: string;
  account: string;
  campaign: string | null;
  type: string;
  status: string;
  reason: string | null;
}

type Raw = Change['row'];
const text = (value: unknown): string => value as string;
const textOrNull = (value: unknown): string | null => (value as string | null | undefined) ?? null;
const numberOrNull = (value: unknown): number | null => (value === null || value === undefined ? null : Number(value));
const instant = (value: unknown): number | null => (typeof value === 'string' ? Date.parse(value) : null);

/** @param now the true instant of the change */
export const accountRow = (raw: Raw, old: AccountRow | undefined, now: number): AccountRow => ({
  id: text(raw['id']),
  timezone: text(raw['timezone']),
  cap: Number(raw['max_concurrent_calls']),
  zoneSince: old?.timezone === raw['timezone'] ? old!.zoneSince : now,
});
const windowOf = (row: Pick<CampaignRow, 'timezone' | 'days' | 'start' | 'end' | 'startsAt' | 'endsAt'>): string =>
  [row.timezone, row.days, row.start, row.end, row.startsAt, row.endsAt].join(' ');
/** @param now the true instant of the change */
export const campaignRow = (raw: Raw, old: CampaignRow | undefined, now: number): CampaignRow => {
  const row = plainCampaignRow(raw);
  return {
    ...row,
    inactiveSince: row.status === 'active' ? null : (old?.inactiveSince ?? now),
    windowSince: old && windowOf(old) === windowOf(row) ? old.windowSince : now,
  };
};
const plainCampaignRow = (raw: Raw): Omit<CampaignRow, 'inactiveSince' | 'windowSince'> => ({
  id: text(raw['id']),
  account: text(raw['account_id']),
  status: text(raw['status']),
  timezone: textOrNull(raw['timezone']),
  days: raw['window_days'] as number[],
  start: text(raw['window_start']).slice(0, 5),
  end: text(raw['window_end']).slice(0, 5),
  startsAt: instant(raw['starts_at']),
  endsAt: instant(raw['ends_at']),
  cap: numberOrNull(raw['max_concurrent_calls']),
  maxAttempts: Number(raw['max_attempts']),
  settledAt: instant(raw['settled_at']),
});
export const leadRow = (raw: Raw): LeadRow => ({
  id: text(raw['id']),
  account: text(raw['account_id']),
  campaign: text(raw['campaign_id']),
  phone: text(raw['phone']),
  timezone: textOrNull(raw['timezone']),
  status: text(raw['status']),
  disposition: textOrNull(raw['disposition']),
  attempts: Number(raw['attempts']),
  temperature: textOrNull(raw['temperature']),
  call: textOrNull(raw['call_id']),
});
export const callRow = (raw: Raw): CallRow => ({
  id: text(raw['id']),
  account: text(raw['account_id']),
  kind: text(raw['kind']),
  campaign: textOrNull(raw['campaign_id']),
  lead: textOrNull(raw['lead_id']),
  agent: text(raw['agent_id']),
  phone: text(raw['phone']),
  status: text(raw['status']),
  disposition: textOrNull(raw['disposition']),
  attempt: Number(raw['attempt']),
  providerCall: textOrNull(raw['provider_call_id']),
  lease: instant(raw['lease_until']),
  reservedAt: instant(raw['reserved_at']),
  placingAt: instant(raw['placing_at']),
  releasedAt: instant(raw['released_at']),
  endedAt: instant(raw['ended_at']),
  analysisDueAt: instant(raw['analysis_due_at']),
  seconds: numberOrNull(raw['duration_seconds']),
});
export const notificationRow = (raw: Raw): NotificationRow => ({
  id: text(raw['id']),
  account: text(raw['account_id']),
  campaign: textOrNull(raw['campaign_id']),
  type: text(raw['type']),
  status: text(raw['status']),
  reason: textOrNull(raw['reason']),
});
