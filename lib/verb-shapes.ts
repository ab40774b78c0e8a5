/** What verbs take and answer that does not cross the API: seen by the engine alone. */
import * as z from 'zod';
import * as c from './contract.ts';
import * as w from './domain/vocabulary.ts';
import { PROVIDERS, type ProviderName } from './providers/table.ts';

/** A reserved call as the dispatcher needs it. */
export const ClaimedCall = z.object({
  account_id: c.Id,
  call_id: c.Id,
  kind: z.enum(['campaign', 'direct']),
  campaign_id: c.Id.nullable(),
  lead_id: c.Id.nullable(),
  attempt: z.int(),
  phone: z.string(),
  name: z.string().nullable(),
  email: z.string().nullable(),
  company: z.string().nullable(),
  timezone: z.string().nullable(),
  variables: z.record(z.string(), z.unknown()),
  agent_id: c.Id,
});
export type ClaimedCall = z.infer<typeof ClaimedCall>;

/** An agent with its sealed secrets, as the provider adapters need it. */
export const AgentSecrets = z.object({
  account_id: c.Id,
  agent_id: c.Id,
  provider: z.enum(PROVIDERS),
  provider_agent_id: z.string(),
  from_number: z.string().nullable(),
  credentials_sealed: z.string(),
  webhook_secrets_sealed: z.string().nullable(),
  analysis_mapping: z.record(z.string(), z.string()).nullable(),
});
export type AgentSecrets = z.infer<typeof AgentSecrets>;

/** How a create-call ended, as `record_calls` takes it. */
export interface CallOutcome {
  call_id: string;
  /** Of the fence that it passed: a direct call that went back may have passed another since. */
  fence_token?: string;
  /** `accepted`: the provider has it. `refused`: never placed. `unknown`: no answer, or one that says nothing. */
  outcome: 'accepted' | 'refused' | 'unknown';
  provider_call_id?: string;
  /**
   * For `refused`: `later` (rate, concurrency: costs no attempt), `invalid` (impossible number), `account` (credit, key: pauses every agent with
   * these credentials), `agent` (it, its number or its address: pauses it alone), `other`.
   */
  refusal?: 'later' | 'invalid' | 'account' | 'agent' | 'other';
  /** For `later`: seconds until the provider may be asked again. */
  retry_after_seconds?: number;
  reason?: string;
}

/** A fact about a call, from a webhook or from asking the provider, in our words. Absent fields say nothing. */
export interface CallFact {
  /** The provider's own identity of this event: the same event always has the same key. */
  event_key: string;
  /** Our attempt id as the provider echoed it, if it did. */
  attempt_id?: string;
  provider_call_id?: string;
  /** Our state; absent when the provider's word for it is unknown to us. */
  status?: Exclude<w.CallStatus, 'waiting' | 'reserved' | 'placing' | 'unknown'>;
  /** The provider's own word. */
  provider_status?: string;
  /** The call failed for a reason that concerns the whole account (credit, payment): every agent with its credentials is paused. */
  account_refused?: boolean;
  /** The call failed for a reason that concerns its agent (it is not there): that one is paused. */
  agent_refused?: boolean;
  /** The provider took the call but did not dial (no line free, no credit): it costs no attempt, and the lead is tried again. */
  undialled?: boolean;
  /** The call failed because nobody can have this number: its lead is never dialled again. */
  invalid_number?: boolean;
  /** It speaks of another agent of the provider's than the one at whose address it came: ignored, unless its call is known as the account's. */
  elsewhere?: boolean;
  /** Set when somebody called us; `from` is then the caller, E.164. */
  direction?: 'inbound';
  from?: string;
  /** The line is free although the disposition may follow. */
  line_free?: boolean;
  /** Who says so: the provider (`event`), the provider when asked (`read`), the account's application (`posted`), an administrator (`replay`). */
  source: w.EventSource;
  /** Of a replay: the event whose payload is applied again. */
  replay_of?: string;
  answered_at?: string;
  ended_at?: string;
  duration_seconds?: number;
  /** In US dollars. */
  cost?: number;
  transcript?: string;
  recording_url?: string;
  reason?: string;
  /** What the provider says of the analysis: in, not there and never will be, or still to come (absent). */
  analysis?: {
    state: 'valid' | 'absent' | 'invalid';
    score?: number;
    tag?: w.Temperature;
    evidence?: string;
    /** Why the score is what it is. */
    reasons?: readonly string[];
    /** Why there is none. */
    reason?: string;
    /** The person asked not to be called again: the number is suppressed with this fact. */
    do_not_call?: true;
    raw?: unknown;
  };
  /** The body as received, whole and unaltered. */
  payload?: string;
}

/** The right to refill an account's free slots: one invocation has it at a time. */
export const Refill = z.object({ account_id: c.Id, token: c.Id });
export type Refill = z.infer<typeof Refill>;

/** What became of a fact. */
export const Applied = z.object({
  /** `ignored`: somebody called whom no lead knows; nothing was kept. */
  fate: z.enum([...w.EVENT_FATES, 'ignored']),
  call_id: c.Id.nullable(),
  status: z.enum(w.CALL_STATUSES).nullable(),
  /** A slot was freed by this very fact. */
  released: z.boolean(),
  /** The campaign completed by this very fact. */
  completed: z.boolean(),
  /** A mail of the account is due now. */
  mail_due: z.boolean().optional(),
  /** The account's one refill, taken for whoever brought the fact; null or absent: nothing to refill, or somebody is at it. */
  refill: Refill.nullish(),
});
export type Applied = z.infer<typeof Applied>;

/** A stored event with what it takes to apply it again; `payload` is null once it is no longer kept. */
export const EventToReplay = z.object({
  account_id: c.Id,
  agent: AgentSecrets,
  source: z.enum(w.EVENT_SOURCES),
  payload: z.string().nullable(),
  attempt_id: z.string().nullable(),
});
export type EventToReplay = z.infer<typeof EventToReplay>;

/** A call that the tick must look after: ask the provider what became of it. */
export const CallToLookAt = z.object({
  account_id: c.Id,
  call_id: c.Id,
  agent: AgentSecrets,
  provider_call_id: z.string().nullable(),
  status: z.enum(w.CALL_STATUSES),
  phone: z.string(),
  placing_at: c.Instant.nullable(),
});
export type CallToLookAt = z.infer<typeof CallToLookAt>;

/** A notification taken for sending, with all that its mail needs to be addressed. */
export const TakenNotification = z.object({
  id: c.Id,
  account_id: c.Id,
  account_name: z.string(),
  account_timezone: z.string(),
  type: z.enum(w.NOTIFICATION_TYPES),
  campaign_id: c.Id.nullable(),
  recipient: z.string(),
  attempts: z.int(),
  /** What the mail tells beside what the campaign says: the reason of a pause. */
  detail: z.string().nullable(),
  /** Of this taking: whoever took it before, or takes it next, has another. */
  token: c.Id,
  /** Whoever has not sent it by then no longer may: it is somebody else's, or of unknown end. */
  lease_until: c.Instant,
});
export type TakenNotification = z.infer<typeof TakenNotification>;

/** A mail that may have been sent, to be looked up at the mail provider by its id. */
export const MailToLookUp = z.object({
  id: c.Id,
  account_id: c.Id,
  campaign_id: c.Id.nullable(),
  type: z.enum(w.NOTIFICATION_TYPES),
  /** How often it was looked up before. */
  nth: z.int(),
  /** When it is not found this time either, it stays unknown until a person decides. */
  last: z.boolean(),
  /** The mail provider could not be asked for days: if it cannot be asked this time either, that was the last try. */
  overdue: z.boolean(),
});
export type MailToLookUp = z.infer<typeof MailToLookUp>;

/** One hot lead of the summary, best first. */
export const HotLead = z.object({
  lead_id: c.Id,
  name: z.string().nullable(),
  phone: z.string(),
  /** Null when only the provider's own tag says hot. */
  score: z.number().nullable(),
  temperature: z.enum(w.TEMPERATURES),
  email: z.string().nullable(),
  company: z.string().nullable(),
  /** When the call that gave the score was placed. */
  call_at: c.Instant,
  summary: z.string().nullable(),
});
export type HotLead = z.infer<typeof HotLead>;

/** What the order of hot leads rests on. */
export type HotLeadPlace = Pick<HotLead, 'score' | 'call_at' | 'lead_id'>;
/** Where a hot lead stands in that order. */
export const placeOf = ({ score, call_at, lead_id }: HotLead): HotLeadPlace => ({ score, call_at, lead_id });

/** The figures of the summary mail. */
export const SummaryData = z.object({
  campaign_id: c.Id,
  campaign_name: z.string(),
  account_name: z.string(),
  timezone: z.string(),
  leads: z.int(),
  dialled: z.int(),
  reached: z.int(),
  hot_leads: z.int(),
  /** Seconds over all `completed` calls, and how many there were. */
  completed_seconds: z.number(),
  completed_calls: z.int(),
  dispositions: z.partialRecord(z.enum(w.DISPOSITIONS), z.int()),
  lead_statuses: z.partialRecord(z.enum(w.LEAD_STATUSES), z.int()),
});
export type SummaryData = z.infer<typeof SummaryData>;

/** What a mail beside the summary tells. */
export const NoticeData = z.object({
  /** Null: it is about the agent alone. */
  campaign_id: c.Id.nullable(),
  campaign_name: z.string().nullable(),
  status: z.enum(w.CAMPAIGN_STATUSES).nullable(),
  /** Of a pause: the agent that the provider refused; null when the campaign was paused for another reason. */
  agent: z.object({ id: c.Id, name: z.string() }).nullable(),
  pause_reason: z.string().nullable(),
  /** Leads that wait. */
  waiting: z.int(),
  /** The leads of a hot-lead mail, best first. */
  hot_leads: z.array(
    z.object({
      lead_id: c.Id,
      name: z.string().nullable(),
      phone: z.string(),
      company: z.string().nullable(),
      score: z.number().nullable(),
      evidence: z.string().nullable(),
    }),
  ),
  /** Of a pause: the latest calls that failed before it, the latest first. */
  failed_calls: z.array(
    z.object({
      name: z.string().nullable(),
      phone: z.string(),
      disposition: z.enum(w.DISPOSITIONS),
      reason: z.string().nullable(),
    }),
  ),
});
export type NoticeData = z.infer<typeof NoticeData>;

/** The whole system at a glance. */
export const SystemStatus = z.object({
  accounts: z.int(),
  live_calls: z.int(),
  waiting_leads: z.int(),
  waiting_direct_calls: z.int(),
  notifications: z.record(z.string(), z.int()),
  unknown_events: z.int(),
  next_due_at: c.Instant.nullable(),
});

/** One normalised, valid row of an import. `row` is its line in the file (1 = header). */
export interface ImportRow {
  id: string;
  row: number;
  phone: string;
  name: string | null;
  email: string | null;
  company: string | null;
  timezone: string | null;
  variables: Record<string, unknown>;
}
/** A bad row, kept so that it can be downloaded, corrected and uploaded again. `cells` by header name. */
export interface ImportError {
  row: number;
  column: string | null;
  code: string;
  message: string;
  cells: Record<string, string>;
}

/** An agent as it is kept: its credentials and webhook secrets encrypted. */
export interface SealedAgent {
  id: string;
  name: string;
  provider: ProviderName;
  provider_agent_id: string;
  from_number: string | null;
  credentials_sealed: string;
  /** Equal for agents that share the credentials of one account at the provider. */
  credentials_tag?: string;
  webhook_secrets_sealed: string | null;
  analysis_mapping: Record<string, string> | null;
}
