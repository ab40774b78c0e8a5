/**
 * What every telephony provider must offer. Adding one: a file here, its fixtures and a line in `table.ts`.
 */
import type { CallFact, CallOutcome } from '../verb-shapes.ts';
import type { ProviderName } from './table.ts';

/** An agent with its secrets opened, for one request to its provider. */
export interface ProviderAgent {
  provider_agent_id: string;
  from_number: string | null;
  credentials: Readonly<Record<string, string>>;
  webhook_secrets: readonly string[];
  analysis_mapping: Readonly<Record<string, string>> | null;
}

/** One call to create. `variables` reach the voice agent; ours (`campaign_id`, `lead_id`, `attempt_id`) win over the lead's. */
export interface CreateCall {
  attempt_id: string;
  campaign_id: string | null;
  lead_id: string | null;
  to: string;
  variables: Readonly<Record<string, unknown>>;
  /** Where this call's events shall go, for providers that are told so with each call. */
  webhook_url: string;
}

/** A call whose create-call had no answer. */
export interface LostCall {
  attempt_id: string;
  to: string;
  /** When it was asked for. */
  since: Date;
}

/** A webhook as received. `url` is the public address that was called, with its query. */
export interface WebhookRequest {
  headers: Headers;
  url: string;
  body: string;
}

/** What a read of a call says. `missing`: the provider knows no such call (so far); `failed`: it could not be asked. */
export type ReadResult = { state: 'found'; fact: CallFact } | { state: 'missing' } | { state: 'failed'; reason: string };

/** One telephony provider, spoken to over HTTP. */
export interface Provider {
  name: ProviderName;
  /** Credential names that an agent must have. */
  requiredCredentials: readonly string[];
  /** Those of them that name and prove an account at the provider: agents that share them are refused together. */
  accountCredentials: readonly string[];
  /** What else an agent must have. */
  requires: readonly ('from_number' | 'webhook_secrets')[];
  /** Asks for one call, once; never repeats. */
  createCall(agent: ProviderAgent, call: CreateCall): Promise<Omit<CallOutcome, 'call_id'>>;
  /** Reads one call by the provider's id. */
  readCall(agent: ProviderAgent, providerCallId: string): Promise<ReadResult>;
  /** Finds a call by our attempt id, or by what else is sure, when its create-call answer was lost. */
  findCall(agent: ProviderAgent, lost: LostCall): Promise<ReadResult>;
  /** Asks the provider to stop a call. True when it agreed. */
  stopCall(agent: ProviderAgent, providerCallId: string): Promise<boolean>;
  /**
   * Points the provider's webhooks at `url`, where it allows that. True when it did, or when every call says by itself where its
   * events go; false when a person must set the address at the provider.
   */
  registerWebhook(agent: ProviderAgent, url: string): Promise<boolean>;
  /** Of its webhooks. */
  contentType: 'application/json' | 'application/x-www-form-urlencoded';
  /** True when a webhook carries a signature that must be verified before it is believed. */
  signed: boolean;
  /** Verifies a signed webhook over its raw body; always true for unsigned providers. */
  verifyWebhook(agent: ProviderAgent, request: WebhookRequest, now: Date): Promise<boolean>;
  /**
   * Turns a webhook into a fact; null when it is none of our business (a tool call, another agent's, an inbound call of a withheld number).
   * @throws {Refusal} 400 when the body is not this provider's, 415 when its content type is not
   */
  parseWebhook(agent: ProviderAgent | null, request: WebhookRequest): CallFact | null;
}
