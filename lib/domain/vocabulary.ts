/** The field's words, as the API and the database have them (schema.sql): states, dispositions, temperatures, reasons. */

export const CAMPAIGN_STATUSES = ['draft', 'active', 'paused', 'completed', 'canceled'] as const;
export const LEAD_STATUSES = [
  'waiting',
  'calling',
  'reached',
  'unreached',
  'suppressed',
  'invalid',
  'expired',
  'canceled',
] as const;
export const DISPOSITIONS = ['completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled', 'unknown'] as const;
/** `waiting` is a direct call that has no slot yet; the rest stand in the order in which a call goes through them. */
export const CALL_STATUSES = [
  'waiting',
  'reserved',
  'placing',
  'queued',
  'dialing',
  'ringing',
  'in_progress',
  ...DISPOSITIONS,
] as const;
export const TEMPERATURES = ['hot', 'warm', 'cold'] as const;
export const NOTIFICATION_TYPES = ['campaign_summary', 'hot_lead', 'campaign_paused', 'nothing_dialled'] as const;
/** `outside_legal_hours` and `frequency_limit` are part of the contract and not produced yet. */
export const EXPLAIN_CODES = [
  'campaign_not_active',
  'not_started',
  'ended',
  'outside_campaign_window',
  'outside_legal_hours',
  'unknown_timezone',
  'suppressed',
  'waiting_for_retry',
  'attempts_used',
  'frequency_limit',
  'number_in_call',
  'campaign_cap',
  'account_cap',
  'system_cap',
  'pace',
  'provider_paused',
  'lead_final',
] as const;

export type Disposition = (typeof DISPOSITIONS)[number];
export type CallStatus = (typeof CALL_STATUSES)[number];
export type Temperature = (typeof TEMPERATURES)[number];
export type NotificationType = (typeof NOTIFICATION_TYPES)[number];

export const EVENT_FATES = ['applied', 'duplicate', 'late', 'parked', 'unknown'] as const;
export const EVENT_SOURCES = ['event', 'read', 'posted', 'replay'] as const;
export type EventSource = (typeof EVENT_SOURCES)[number];
