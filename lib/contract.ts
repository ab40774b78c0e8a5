/**
 * The shapes that cross the API: what callers may send and what they get back. The same schemas validate requests,
 * check what the database returns, and generate `/openapi.json`, so the three cannot disagree.
 */
import * as z from 'zod';
import { isKnownCountry } from './domain/phone.ts';
import { PROVIDERS } from './providers/table.ts';
import {
  CALL_STATUSES,
  CAMPAIGN_STATUSES,
  DISPOSITIONS,
  EVENT_FATES,
  EVENT_SOURCES,
  EXPLAIN_CODES,
  LEAD_STATUSES,
  NOTIFICATION_TYPES,
  TEMPERATURES,
} from './domain/vocabulary.ts';

export const Id = z.uuid();
/** ISO 8601 in UTC with a trailing `Z`. */
export const Instant = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
const inReach = (text: string): boolean => !(Date.parse(text) < 0 || Date.parse(text) >= Date.UTC(3000, 0));
/** What Postgres takes, and more than any place on earth has. */
const offsetInReach = (text: string): boolean => !/[+-](?:1[6-9]|2\d):\d\d$/.test(text);
/** ISO 8601 with an offset or `Z`, as callers may send it. */
export const InstantIn = z.iso
  .datetime({ offset: true })
  .refine(inReach, 'must be between the years 1970 and 3000')
  .refine(offsetInReach, 'must have an offset below 16 hours');

/** IANA's own names of three letters. The runtime takes more (`IST`, `PST`, `BST`), each for a country that Postgres does not mean by it. */
const SHORT_ZONES = /^(CET|EET|EST|GMT|HST|MET|MST|PRC|ROC|ROK|UCT|UTC|WET)$/i;
/** Names that IANA has withdrawn: the runtime still takes them, Postgres does not, and nobody would be dialled. */
const WITHDRAWN_ZONES = /^(SystemV\/.*|US\/Pacific-New|Canada\/East-Saskatchewan)$/i;
/** True when the runtime's time zone database knows the name (`Europe/Paris`, `UTC`); offsets such as `+02:00` and abbreviations are no zones. */
export const isTimeZone = (name: string): boolean => {
  if (!/^[A-Za-z]/.test(name) || (/^[A-Za-z]{3}$/.test(name) && !SHORT_ZONES.test(name))) return false;
  if (WITHDRAWN_ZONES.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
};
export const TimeZone = z.string().max(64).refine(isTimeZone, 'must be an IANA time zone such as Europe/Paris');
export const Country = z
  .string()
  .regex(/^[A-Z]{2}$/, 'must be an ISO 3166 country code in capitals such as US')
  .refine((code) => code.length !== 2 || isKnownCountry(code), 'is no country with telephone numbers');
const Name = z.string().trim().min(1).max(200);
const Cap = z.int().min(1).max(100_000);
/** About one call a day at the slowest: dividing by still less names an instant that no date can hold, and the claim is everybody's. */
const CallsPerSecond = z.number().min(0.00001).max(1000);
const Variables = z.record(z.string().max(100), z.union([z.string().max(10_000), z.number(), z.boolean(), z.null()]));

// ---------------------------------------------------------------- accounts and keys

export const AccountCreate = z.strictObject({
  name: Name,
  email: z.email().max(254),
  timezone: TimeZone.optional(),
  max_concurrent_calls: Cap.optional(),
});
export const AccountPatch = z.strictObject({
  name: Name.optional(),
  email: z.email().max(254).optional(),
  timezone: TimeZone.optional(),
  max_concurrent_calls: Cap.optional(),
  calls_per_second: CallsPerSecond.nullable().optional(),
});
export const Account = z.object({
  id: Id,
  name: z.string(),
  email: z.string(),
  timezone: z.string(),
  max_concurrent_calls: z.int(),
  calls_per_second: z.number().nullable(),
  live_calls: z.int(),
});
export const AccountCreated = z.object({ account: Account, api_key: z.string() });

export const ApiKeyCreate = z.strictObject({ name: Name.optional() });
export const ApiKey = z.object({
  id: Id,
  name: z.string().nullable(),
  created_at: Instant,
  revoked_at: Instant.nullable(),
});
export const ApiKeyCreated = z.object({ ...ApiKey.shape, api_key: z.string() });

export const Preferences = z.object({
  campaign_summary_emails: z.boolean(),
  hot_lead_emails: z.boolean(),
  campaign_paused_emails: z.boolean(),
  nothing_dialled_emails: z.boolean(),
});
export const PreferencesPut = z.strictObject({
  campaign_summary_emails: z.boolean().default(true),
  hot_lead_emails: z.boolean().default(true),
  campaign_paused_emails: z.boolean().default(true),
  nothing_dialled_emails: z.boolean().default(true),
});

// ---------------------------------------------------------------- agents

const AnalysisPath = z.string().max(200).exactOptional();
/** What `readAnalysis` looks for: paths into the provider's analysis, and the scale of a bare score. */
const AnalysisMapping = z.strictObject({
  score: AnalysisPath,
  score_max: z
    .string()
    .max(200)
    .refine((text) => Number(text) > 0 && Number.isFinite(Number(text)), 'must be a positive number as text, such as "10"')
    .exactOptional(),
  temperature: AnalysisPath,
  evidence: AnalysisPath,
  reasons: AnalysisPath,
  do_not_call: AnalysisPath,
});
const FromNumber = z.string().regex(/^\+[1-9]\d{6,14}$/, 'must be E.164 such as +14155550123');
const Credentials = z.record(z.string().max(64), z.string().min(1).max(4096));
export const AgentCreate = z.strictObject({
  name: Name,
  provider: z.enum(PROVIDERS),
  provider_agent_id: z.string().trim().min(1).max(200),
  from_number: FromNumber.optional(),
  credentials: Credentials,
  webhook_secrets: z.array(z.string().min(1).max(4096)).max(2).optional(),
  analysis_mapping: AnalysisMapping.optional(),
});
export const AgentPatch = z.strictObject({
  ...AgentCreate.omit({ provider: true }).partial().shape,
  // What reads as null can be set back to it.
  from_number: FromNumber.nullable().optional(),
  analysis_mapping: AnalysisMapping.nullable().optional(),
  /** Lifts the pause once the account is in order at the provider; new credentials do so too. */
  paused_reason: z.null('can only be set to null').optional(),
});
export const Agent = z.object({
  id: Id,
  name: z.string(),
  provider: z.enum(PROVIDERS),
  provider_agent_id: z.string(),
  from_number: z.string().nullable(),
  analysis_mapping: z.record(z.string(), z.string()).nullable(),
  paused_reason: z.string().nullable(),
  webhook_registered: z.boolean(),
  created_at: Instant,
});
/** As callers see it: the row plus the URL that the provider must call, which only the worker can compute. */
export const AgentOut = z.object({ ...Agent.shape, webhook_url: z.string() });

// ---------------------------------------------------------------- campaigns

const ClockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'must be a time from 00:00 to 24:00');
const minutesOf = (t: string): number => Number(t.slice(0, 2)) * 60 + Number(t.slice(3, 5));
export const Window = z
  .strictObject({
    days: z
      .array(z.int().min(1).max(7))
      .min(1)
      .max(7)
      .refine((days) => new Set(days).size === days.length, 'must not repeat a weekday'),
    start: ClockTime.refine((time) => time !== '24:00', 'must be a time from 00:00 to 23:59'),
    end: ClockTime,
  })
  .refine(
    // What is no time has been named already; it compares as neither more nor less.
    ({ start, end }) => {
      const length = minutesOf(end) - minutesOf(start);
      return !((length > 0 ? length : length + 1440) < 60);
    },
    { message: 'must be at least one hour long', path: ['end'] },
  );
const RetryMinutes = z.int().min(1).max(43_200).nullable();
export const RetryIn = z.strictObject({
  max_attempts: z.int().min(1).max(20).optional(),
  no_answer_minutes: RetryMinutes.optional(),
  busy_minutes: RetryMinutes.optional(),
  voicemail_minutes: RetryMinutes.optional(),
  failed_minutes: RetryMinutes.optional(),
  unknown_minutes: RetryMinutes.optional(),
});
export const Retry = z.object({
  max_attempts: z.int(),
  no_answer_minutes: z.int().nullable(),
  busy_minutes: z.int().nullable(),
  voicemail_minutes: z.int().nullable(),
  failed_minutes: z.int().nullable(),
  unknown_minutes: z.int().nullable(),
});
const Score = z.int().min(0).max(100);
const campaignFields = {
  name: Name,
  agent_id: Id,
  timezone: TimeZone.nullable().optional(),
  default_country: Country.nullable().optional(),
  window: Window,
  starts_at: InstantIn.nullable().optional(),
  ends_at: InstantIn.nullable().optional(),
  max_concurrent_calls: Cap.nullable().optional(),
  calls_per_second: CallsPerSecond.nullable().optional(),
  retry: RetryIn.optional(),
  hot_score: Score.optional(),
  warm_score: Score.optional(),
  analysis_grace_minutes: z.int().min(0).max(1440).optional(),
};
type Ordered = {
  starts_at?: string | null | undefined;
  ends_at?: string | null | undefined;
  hot_score?: number | undefined;
  warm_score?: number | undefined;
};
const endsAfterStart = (c: Ordered): boolean => !c.starts_at || !c.ends_at || !(Date.parse(c.ends_at) <= Date.parse(c.starts_at));
const hotAboveWarm = (c: Ordered): boolean =>
  c.hot_score === undefined || c.warm_score === undefined || c.hot_score >= c.warm_score;
/** With what a campaign has when nothing else is said. */
const defaultsInOrder = ({ hot_score = 70, warm_score = 40 }: Ordered): boolean => hot_score >= warm_score;
export const CampaignCreate = z
  .strictObject(campaignFields)
  .refine(endsAfterStart, { message: 'must be after starts_at', path: ['ends_at'] })
  .refine((c) => c.hot_score === undefined || defaultsInOrder(c), {
    message: 'must not be below warm_score',
    path: ['hot_score'],
  })
  .refine((c) => c.hot_score !== undefined || defaultsInOrder(c), {
    message: 'must not be above hot_score',
    path: ['warm_score'],
  });
export const CampaignPatch = z
  .strictObject({ ...campaignFields, name: Name.optional(), agent_id: Id.optional(), window: Window.optional() })
  .refine(endsAfterStart, { message: 'must be after starts_at', path: ['ends_at'] })
  .refine(hotAboveWarm, { message: 'must not be below warm_score', path: ['hot_score'] });
const campaignOut = {
  id: Id,
  name: z.string(),
  agent_id: Id,
  status: z.enum(CAMPAIGN_STATUSES),
  timezone: z.string(),
  default_country: z.string().nullable(),
  window: z.object({ days: z.array(z.int()), start: z.string(), end: z.string() }),
  starts_at: Instant.nullable(),
  ends_at: Instant.nullable(),
  max_concurrent_calls: z.int(),
  calls_per_second: z.number().nullable(),
  retry: Retry,
  hot_score: z.int(),
  warm_score: z.int(),
  analysis_grace_minutes: z.int(),
  pause_reason: z.string().nullable(),
  created_at: Instant,
  started_at: Instant.nullable(),
  completed_at: Instant.nullable(),
};
/** `progress` is final ÷ all leads, 0 to 1; `hot_leads` counts leads whose temperature is hot. */
export const Campaign = z.object({
  ...campaignOut,
  counts: z.object({
    leads: z.partialRecord(z.enum(LEAD_STATUSES), z.int()),
    calls: z.partialRecord(z.enum(DISPOSITIONS), z.int()),
  }),
  progress: z.number(),
  hot_leads: z.int(),
  next_dial_at: Instant.nullable(),
});

// ---------------------------------------------------------------- leads and imports

export const LeadIn = z.strictObject({
  phone: z.string().max(100),
  name: z.string().max(500).nullable().optional(),
  email: z.string().max(500).nullable().optional(),
  company: z.string().max(500).nullable().optional(),
  timezone: z.string().max(64).nullable().optional(),
  variables: Variables.optional(),
});
export const LeadsIn = z.strictObject({ leads: z.array(LeadIn).min(1).max(10_000) });
export const RowError = z.object({ row: z.int(), column: z.string().nullable(), code: z.string(), message: z.string() });
/** `rows = imported + duplicates + invalid`; `suppressed` is contained in `imported`; the first 100 errors. */
export const ImportReport = z.object({
  rows: z.int(),
  imported: z.int(),
  suppressed: z.int(),
  duplicates: z.int(),
  invalid: z.int(),
  errors: z.array(RowError),
});
export const Lead = z.object({
  id: Id,
  campaign_id: Id,
  phone: z.string(),
  name: z.string().nullable(),
  email: z.string().nullable(),
  company: z.string().nullable(),
  timezone: z.string().nullable(),
  variables: z.record(z.string(), z.unknown()),
  status: z.enum(LEAD_STATUSES),
  disposition: z.enum(DISPOSITIONS).nullable(),
  attempts: z.int(),
  score: z.number().nullable(),
  temperature: z.enum(TEMPERATURES).nullable(),
  evidence: z.string().nullable(),
  /** Why the score is what it is, in the words of the analysis; empty when it gives none, and after a year. */
  reasons: z.array(z.string()),
  next_attempt_at: Instant.nullable(),
});
export const ExplainReason = z.object({ code: z.enum(EXPLAIN_CODES), message: z.string() });
export const Explain = z.object({
  dialable: z.boolean(),
  reasons: z.array(ExplainReason),
  next_eligible_at: Instant.nullable(),
});
/** What {@link Explain} says of all leads of a campaign. Of a draft or a paused one: also what would hold it up if it ran from now on. */
export const Preflight = z.object({
  leads: z.int(),
  /** Leads that nothing holds up. */
  dialable: z.int(),
  /** How many leads each reason holds up, most first. A lead may have several; the time in a message is that of the first of them. */
  reasons: z.array(z.object({ ...ExplainReason.shape, leads: z.int() })),
  next_eligible_at: Instant.nullable(),
  /** How long an attempt holds its slot, in seconds: of the last 200 calls of the campaign; 60 before the first. */
  average_call_seconds: z.number(),
  /**
   * When all who wait will have had one attempt, at the tightest cap or pace, within their windows, retries not counted; `ends_at` at
   * the latest. Null: nobody waits, the provider is paused, a time zone is not known, or it is too far ahead to say.
   */
  estimated_finish_at: Instant.nullable(),
});

// ---------------------------------------------------------------- calls

export const Call = z.object({
  id: Id,
  kind: z.enum(['campaign', 'direct']),
  /** `inbound`: the lead called back. */
  direction: z.enum(['outbound', 'inbound']),
  lead_id: Id.nullable(),
  campaign_id: Id.nullable(),
  phone: z.string(),
  status: z.enum(CALL_STATUSES),
  disposition: z.enum(DISPOSITIONS).nullable(),
  attempt: z.int(),
  provider: z.string(),
  provider_call_id: z.string().nullable(),
  reserved_at: Instant.nullable(),
  placed_at: Instant.nullable(),
  answered_at: Instant.nullable(),
  ended_at: Instant.nullable(),
  released_at: Instant.nullable(),
  duration_seconds: z.number().nullable(),
  cost: z.number().nullable(),
  transcript: z.string().nullable(),
  recording_url: z.string().nullable(),
  score: z.number().nullable(),
  temperature: z.enum(TEMPERATURES).nullable(),
  evidence: z.string().nullable(),
  reasons: z.array(z.string()),
  /** Why it ended as it did. */
  reason: z.string().nullable(),
  /** Why its analysis gave neither score nor tag. */
  unscored_reason: z.string().nullable(),
});
export const LeadWithCalls = z.object({ ...Lead.shape, calls: z.array(Call) });
export const DirectCallIn = z.strictObject({
  agent_id: Id,
  to: z.string().max(100),
  name: z.string().max(500).optional(),
  variables: Variables.optional(),
});
export const DirectCallQueued = z.object({ call: Call, position: z.int() });
/**
 * What an application says of a call that its own voice agent made: either the fields, or `data` in whatever shape the agent's
 * `analysis_mapping` names (or the usual names do). The same body twice in a row counts once.
 */
export const AnalysisIn = z
  .strictObject({
    score: z.number().min(0).max(100).optional(),
    temperature: z
      .string()
      .regex(/^(hot|warm|cold)$/i, 'must be hot, warm or cold')
      .optional(),
    evidence: z.string().max(10_000).optional(),
    reasons: z.array(z.string().max(1000)).max(20).optional(),
    summary: z.string().max(10_000).optional(),
    do_not_call: z.boolean().optional(),
    data: z.record(z.string(), z.unknown()).optional(),
  })
  .refine((body) => Object.values(body).some((value) => value !== undefined), 'must say something')
  .refine(({ data, ...fields }) => data === undefined || Object.values(fields).every((value) => value === undefined), {
    message: 'must stand alone: either data or the other fields',
    path: ['data'],
  });
/** What became of an event that was applied again. */
export const Replayed = z.object({ event_id: Id, replay_of: Id, call_id: Id.nullable(), fate: z.enum(EVENT_FATES) });
export const CallEvent = z.object({
  id: Id,
  call_id: Id.nullable(),
  provider_call_id: z.string().nullable(),
  status: z.string().nullable(),
  fate: z.enum(EVENT_FATES),
  /** `event`: the provider sent it; `read`: it was asked; `posted`: the application did; `replay`: an administrator had it applied again. */
  source: z.enum(EVENT_SOURCES),
  received_at: Instant,
  /** Deliveries after the first, and when the last of them came; the first twenty are events of their own, `repeat_of` this one. */
  repeats: z.int(),
  repeated_at: Instant.nullable(),
  repeat_of: Id.nullable(),
  replay_of: Id.nullable(),
  /** The body as received; null for what had none, and after 30 days. */
  payload: z.string().nullable(),
});

// ---------------------------------------------------------------- suppressions, notifications, status

export const SuppressionIn = z.strictObject({ phone: z.string().max(100), reason: z.string().max(500).optional() });
export const Suppression = z.object({ phone: z.string(), reason: z.string().nullable(), created_at: Instant });
export const Notification = z.object({
  id: Id,
  type: z.enum(NOTIFICATION_TYPES),
  campaign_id: Id.nullable(),
  /** Null when the campaign was deleted. */
  campaign_name: z.string().nullable(),
  /** Of a pause: the agent that the provider refused. */
  agent_name: z.string().nullable(),
  status: z.enum(['pending', 'sending', 'sent', 'skipped', 'failed', 'unknown']),
  reason: z.string().nullable(),
  recipient: z.string(),
  attempts: z.int(),
  provider_message_id: z.string().nullable(),
  created_at: Instant,
  sent_at: Instant.nullable(),
});
export const AccountStatus = z.object({
  live_calls: z.int(),
  waiting_leads: z.int(),
  waiting_direct_calls: z.int(),
  next_due_at: Instant.nullable(),
  /** Events kept whose status nobody here knows; `GET /v1/calls/:id/events` shows them. */
  unknown_events: z.int(),
  /** The mail provider's word of a bounce or complaint of the account's address; null: none. */
  email_problem: z.string().nullable(),
  mails_off: z.array(z.object({ type: z.enum(NOTIFICATION_TYPES), reason: z.string() })),
});

/** Beside `error` may stand what helps: the counts of an import that broke off, the call that was refused, `next_eligible_at`. */
export const ErrorOut = z.looseObject({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.array(z.object({ field: z.string(), rule: z.string() })).optional(),
  }),
});
/** A page of a list. */
export const page = <T extends z.ZodType>(item: T) => z.object({ data: z.array(item), next_cursor: z.string().nullable() });
