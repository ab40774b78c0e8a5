/**
 * One typed function per SQL verb. A verb is one SQL function in `schema.sql`: one statement, one commit, one round trip.
 *
 * Every verb returns one JSON value, parsed here. `null` means "no such row in this account". A value with a `refused` key
 * is a rule of the database saying no (a wrong state, a suppressed number); it is thrown as {@link Refusal}.
 *
 * Dates travel as ISO strings, objects and arrays as `jsonb`; everything else as it is.
 */
import * as z from 'zod';
import * as c from './contract.ts';
import { Refusal } from './errors.ts';
import type { ProviderName } from './providers/table.ts';
import {
  AgentSecrets,
  Applied,
  type CallFact,
  type CallOutcome,
  CallToLookAt,
  ClaimedCall,
  EventToReplay,
  HotLead,
  type HotLeadPlace,
  type ImportError,
  type ImportRow,
  MailToLookUp,
  NoticeData,
  type SealedAgent,
  SummaryData,
  SystemStatus,
  TakenNotification,
} from './verb-shapes.ts';

/**
 * What may be done when the answer of a verb was lost: `idempotent` verbs are sent again (a compare-and-set, a keyed insert or
 * a read), `once` verbs are not.
 */
export type RetryClass = 'idempotent' | 'once';

interface Spec<A extends readonly unknown[], R> {
  sql: string;
  scope: 'account' | 'system';
  retry: RetryClass;
  result: z.ZodType<R>;
  /** An account's verb that runs past row-level security, as the system's do, and asks for its account itself (docs/adr/0016). */
  trusted?: true;
  /** How the arguments travel, where not as they are. */
  send?(...args: A): readonly unknown[];
  /** Never set: carries the argument types. */
  args?: A;
}

const account =
  <A extends readonly unknown[]>() =>
  <R>(sql: string, result: z.ZodType<R>, retry: RetryClass = 'idempotent'): Spec<[account: string, now: Date, ...A], R> => ({
    sql,
    scope: 'account',
    retry,
    result,
  });
const system =
  <A extends readonly unknown[]>() =>
  <R>(sql: string, result: z.ZodType<R>, retry: RetryClass = 'idempotent'): Spec<[now: Date, ...A], R> => ({
    sql,
    scope: 'system',
    retry,
    result,
  });

/** As Postgres reads an id without fail. */
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const Flag = z.boolean();
const Page = { seq: z.string() };
const rowsOf = <T extends z.ZodRawShape>(shape: T) => z.array(z.object({ ...shape, ...Page }));

// ---------------------------------------------------------------- the verbs

export const VERBS = {
  // ---- system verbs: run across accounts, under a policy of their own
  /** Who a key belongs to; null for an unknown or revoked one. */
  authenticate: system<[keyHash: string]>()('authenticate', z.object({ account_id: c.Id, api_key_id: c.Id }).nullable()),
  /**
   * Reserves up to `limit` due leads and direct calls under all caps at once. The same `claimId` returns the same calls. A refill
   * (its account and token) that gets none and is not held by the pace has been given back; `dry` says of one that gets some that
   * nothing else could be reserved.
   */
  claimCalls: system<[claimId: string, limit: number, systemCap: number, refillOf?: string | null, refill?: string | null]>()(
    'claim_calls',
    z.object({ calls: z.array(ClaimedCall), agents: z.array(AgentSecrets), next_pace_at: c.Instant.nullable(), dry: Flag }),
  ),
  /** The fence: `reserved → placing` for those that may still be dialled at this very moment; the others are given back at no cost. Sent again with the same token, it says the same. */
  fenceCalls: system<[token: string, callIds: string[]]>()(
    'fence_calls',
    z.object({ go: z.array(c.Id), held: z.array(z.object({ call_id: c.Id, reason: z.string() })), mail_due: Flag }),
  ),
  /**
   * Records how create-calls ended, applies parked events, settles refusals. A refill (its account and token) whose claim was `dry` is
   * over with this, unless somebody has found it under way or a call of the claim has freed its slot again.
   */
  recordCalls: system<[outcomes: CallOutcome[], refillOf?: string | null, refill?: string | null]>()(
    'record_calls',
    z.object({ released: z.int(), completed: z.boolean(), agent_paused: z.boolean(), mail_due: Flag, refill_over: Flag }),
  ),
  /** Set-based upkeep: gives back expired reservations, ends what is past `ends_at`, moves windows on, completes what is done; returns the calls to look at. */
  tick: system<[limit: number]>()(
    'tick',
    z.object({
      look_at: z.array(CallToLookAt),
      given_back: z.int(),
      expired_leads: z.int(),
      completed: z.int(),
      /** More is left to do than one tick does. */
      unfinished: z.boolean(),
      /** What could not be done, for whom, and Postgres's code; the next tick tries again. */
      failed: z.array(z.object({ step: z.string(), id: c.Id.nullable(), sqlstate: z.string() })),
      mail_due: z.boolean(),
    }),
  ),
  /** A stored event, whoever's it is; null: none. */
  eventToReplay: system<[event: string]>()('event_to_replay', EventToReplay.nullable()),
  /**
   * Completes what is done, takes (leases) up to `limit` mails that are due, and hands out mails of unknown end that are to be looked up.
   * `offTypes` are switched off by configuration and become `skipped`. The same token gets the same mails again.
   */
  sweepNotifications: system<[token: string, limit: number, offTypes: string[]]>()(
    'sweep_notifications',
    z.object({ taken: z.array(TakenNotification), look_up: z.array(MailToLookUp), completed: z.int() }),
  ),
  /** A mail came back or was complained of; marks the address. False: no mail of ours to that address. */
  noteBounce: system<[notification: string, email: string, problem: string]>()('note_bounce', Flag),
  systemStatus: system<[systemCap: number]>()('system_status', SystemStatus),
  /** The server's own view: this application's sessions by state. */
  serverSessions: system<[]>()('server_sessions', z.array(z.object({ state: z.string().nullable(), count: z.int() }))),
  /** Earliest instant at which anything may have to be done; null when nothing is pending. */
  nextDue: system<[]>()('next_due', c.Instant.nullable()),

  // ---- accounts
  createAccount: account<[name: string, email: string, timezone: string, cap: number, keyId: string, keyHash: string]>()(
    'create_account',
    c.Account,
  ),
  getAccount: account<[]>()('get_account', c.Account.nullable()),
  updateAccount: account<[patch: z.infer<typeof c.AccountPatch>]>()('update_account', c.Account.nullable()),
  createApiKey: account<[id: string, name: string | null, keyHash: string]>()('create_api_key', c.ApiKey),
  listApiKeys: account<[after: string | null, limit: number]>()('list_api_keys', rowsOf(c.ApiKey.shape)),
  revokeApiKey: account<[id: string]>()('revoke_api_key', Flag),
  getPreferences: account<[]>()('get_preferences', c.Preferences),
  putPreferences: account<[preferences: z.infer<typeof c.PreferencesPut>]>()('put_preferences', c.Preferences),
  /** Switches one type of mail on or off. */
  setPreference: account<[type: string, on: boolean]>()('set_preference', Flag),
  accountStatus: account<[offTypes: string[]]>()('account_status', c.AccountStatus),

  // ---- agents
  createAgent: account<[agent: SealedAgent]>()('create_agent', c.Agent),
  listAgents: account<[after: string | null, limit: number]>()('list_agents', rowsOf(c.Agent.shape)),
  getAgent: account<[id: string]>()('get_agent', c.Agent.nullable()),
  /**
   * `patch` holds columns to change; secrets sealed as in {@link SealedAgent}. New credentials, or `paused_reason: null`, lift the pause of the
   * agent and of all who were paused with it.
   */
  updateAgent: account<[id: string, patch: Partial<Omit<SealedAgent, 'id' | 'provider'> & { paused_reason: null }>]>()(
    'update_agent',
    c.Agent.nullable(),
  ),
  setWebhookRegistered: account<[id: string, registered: boolean]>()('set_webhook_registered', Flag),
  deleteAgent: account<[id: string]>()('delete_agent', Flag),
  agentSecrets: account<[id: string]>()('agent_secrets', AgentSecrets.nullable()),
  /** Tags agents that have no `credentials_tag` (and still these sealed credentials); answers with the provider's agents that are left without. */
  tagAgents: account<[provider: ProviderName, tags: { agent_id: string; sealed: string; tag: string }[]]>()(
    'tag_agents',
    z.array(AgentSecrets),
  ),

  // ---- campaigns
  createCampaign: account<[id: string, campaign: z.infer<typeof c.CampaignCreate>]>()('create_campaign', c.Campaign),
  listCampaigns: account<[after: string | null, limit: number]>()('list_campaigns', rowsOf(c.Campaign.shape)),
  getCampaign: account<[id: string]>()('get_campaign', c.Campaign.nullable()),
  updateCampaign: account<[id: string, patch: z.infer<typeof c.CampaignPatch>]>()('update_campaign', c.Campaign.nullable()),
  deleteCampaign: account<[id: string]>()('delete_campaign', Flag),
  startCampaign: account<[id: string]>()('start_campaign', c.Campaign.nullable()),
  pauseCampaign: account<[id: string]>()('pause_campaign', c.Campaign.nullable()),
  resumeCampaign: account<[id: string]>()('resume_campaign', c.Campaign.nullable()),
  cancelCampaign: account<[id: string]>()('cancel_campaign', c.Campaign.nullable()),
  preflightCampaign: account<[id: string, systemCap: number]>()('preflight_campaign', c.Preflight.nullable()),

  // ---- leads
  /** Opens an import (or refuses with 409 `campaign_closed`): while its lease runs the campaign does not complete. */
  beginImport: account<[importId: string, campaign: string]>()(
    'begin_import',
    z.object({ default_country: z.string().nullable() }).nullable(),
  ),
  /** Adds one batch and extends the import's lease. Sent again, it answers the same and adds nothing. */
  importLeads: account<[importId: string, campaign: string, rows: ImportRow[], errors: ImportError[]]>()(
    'import_leads',
    z.object({ imported: z.int(), duplicates: z.int(), suppressed: z.int() }),
  ),
  /** Closes the import; the campaign may complete. */
  finishImport: account<[importId: string, campaign: string]>()('finish_import', z.object({ completed: Flag })),
  /** `sort`: `created` (default order) or `score` (best first; not paged). */
  listLeads: account<
    [
      campaign: string,
      status: string | null,
      temperature: string | null,
      after: string | null,
      limit: number,
      sort: 'created' | 'score',
    ]
  >()('list_leads', rowsOf(c.Lead.shape).nullable()),
  getLead: account<[id: string]>()('get_lead', c.LeadWithCalls.nullable()),
  explainLead: account<[id: string, systemCap: number]>()('explain_lead', c.Explain.nullable()),
  /** One page of an export, with what an export adds to a lead: why it was never dialled, and its last call. */
  exportLeads: account<[campaign: string, after: string | null, limit: number]>()(
    'export_leads',
    rowsOf({ ...c.Lead.shape, reason: z.string().nullable(), last_call_at: c.Instant.nullable() }).nullable(),
  ),
  listImportErrors: account<[campaign: string, after: string | null, limit: number]>()(
    'list_import_errors',
    rowsOf({ ...c.RowError.shape, cells: z.record(z.string(), z.string()) }).nullable(),
  ),

  // ---- calls
  /** Applies one fact to its call, forward only, each event key once. */
  applyFact: {
    ...account<[agent: string, eventId: string, fact: CallFact]>()('apply_fact', Applied.nullable()),
    trusted: true,
    // What nearly every fact says has a parameter of its own; what no attempt of ours can be called is left with the rest.
    send: (account: string, now: Date, agent: string, eventId: string, fact: CallFact) => {
      const { payload, event_key, attempt_id, provider_call_id, status, provider_status, source, ...said } = fact;
      const ours = UUID.test(attempt_id ?? '');
      const rest = ours || attempt_id === undefined ? said : { ...said, attempt_id };
      return [
        account,
        now,
        agent,
        eventId,
        Object.values(rest).some((value) => value !== undefined) ? rest : null,
        ours ? attempt_id : null,
        payload ?? null,
        event_key,
        provider_call_id ?? null,
        status ?? null,
        provider_status ?? null,
        source,
      ];
    },
  },
  /** Takes the account's one refill under a token of the caller's. False: somebody has it, and will see what was committed before. */
  beginRefill: account<[token: string]>()('begin_refill', Flag),
  /** Gives a refill back that its invocation's limits ended. */
  endRefill: account<[token: string]>()('end_refill', Flag),
  /** The provider was asked and knows nothing (yet) of this call: look again later, or end it `unknown` once its lease is over. */
  noteUnfound: account<[call: string]>()('note_unfound', Applied.nullable()),
  /** The provider could not be asked what became of this call. */
  noteUnasked: account<[call: string]>()('note_unasked', Flag),
  /** A direct call enters the queue; refused when suppressed or outside its hours. */
  requestDirectCall: account<[id: string, agent: string, to: string, name: string | null, variables: Record<string, unknown>]>()(
    'request_direct_call',
    c.DirectCallQueued,
  ),
  /** How many direct calls of the account wait up to and including this one; 0 when it no longer waits. */
  directPosition: account<[id: string]>()('direct_position', z.int()),
  listCalls: account<[campaign: string | null, status: string | null, after: string | null, limit: number]>()(
    'list_calls',
    rowsOf(c.Call.shape),
  ),
  getCall: account<[id: string]>()('get_call', c.Call.nullable()),
  listCallEvents: account<[id: string, after: string | null, limit: number]>()(
    'list_call_events',
    rowsOf(c.CallEvent.shape).nullable(),
  ),
  /** The agent of the call that an event names which came to another agent's address; null when it is no call of the account. */
  agentOfCall: {
    ...account<[agent: string, fact: CallFact]>()('agent_of_call', AgentSecrets.nullable()),
    send: (account: string, now: Date, agent: string, { attempt_id, provider_call_id }: CallFact) => [
      account,
      now,
      agent,
      UUID.test(attempt_id ?? '') ? attempt_id : null,
      provider_call_id ?? null,
    ],
  },
  /** The agent of a call, and the call's last event; null: no such call. */
  callAgent: account<[id: string]>()(
    'call_agent',
    AgentSecrets.extend({ last_event: z.object({ id: c.Id, source: z.string(), event_key: z.string() }).nullable() }).nullable(),
  ),
  /** Ends a call that is not on the line at once; else returns what the provider must be asked to stop. */
  cancelCall: account<[id: string]>()(
    'cancel_call',
    z.object({ call: c.Call, stop: z.object({ agent_id: c.Id, provider_call_id: z.string() }).nullable() }).nullable(),
  ),

  // ---- suppressions
  addSuppressions: account<[rows: { phone: string; reason: string | null }[]]>()(
    'add_suppressions',
    z.object({ added: z.int(), mail_due: Flag }),
  ),
  listSuppressions: account<[after: string | null, limit: number]>()('list_suppressions', rowsOf(c.Suppression.shape)),
  deleteSuppression: account<[phone: string]>()('delete_suppression', Flag),

  // ---- notifications
  listNotifications: account<[after: string | null, limit: number]>()('list_notifications', rowsOf(c.Notification.shape)),
  /** A person asks for a failed, skipped or unknown mail again. */
  requestSend: account<[id: string]>()('request_send', c.Notification.nullable()),
  /** Records how a send ended, of which taking, and answers with the status that follows from it; null: no such mail. */
  recordNotification: account<
    [
      id: string,
      result: 'sent' | 'failed' | 'unknown' | 'again',
      reason: string | null,
      messageId: string | null,
      token?: string | null,
    ]
  >()('record_notification', c.Notification.shape.status.nullable()),
  /** The look-up `nth` found nothing (`last`: and there will be no other). True when it was the last one: the mail stays `unknown` until a person decides. */
  noteLookup: account<[id: string, nth: number, last: boolean]>()('note_lookup', Flag),
  summaryData: account<[campaign: string]>()('summary_data', SummaryData.nullable()),
  /** What the mails beside the summary tell. */
  noticeData: account<[notification: string]>()('notice_data', NoticeData.nullable()),
  /** A page of hot leads, best first: those that come after the place of the last one seen (null for the first page). */
  listHotLeads: account<[campaign: string, after: HotLeadPlace | null, limit: number]>()(
    'list_hot_leads',
    z.array(HotLead).nullable(),
  ),

  // ---- idempotency keys
  /** First use of a key: `{state: "new"}`. Seen with this body: `done` with the stored answer, or `running`. With another body: refused 409. */
  beginIdempotent: account<[key: string, route: string, bodyHash: string]>()(
    'begin_idempotent',
    z.object({ state: z.enum(['new', 'running', 'done']), status: z.int().nullable(), body: z.unknown() }),
    'once',
  ),
  /** Stores the answer, or (status null) forgets the key so that it may be tried again. */
  finishIdempotent: account<[key: string, route: string, status: number | null, body: unknown]>()('finish_idempotent', Flag),
} as const;

/** The verbs that see all accounts, by SQL name; `tests/sql/tenancy.test.ts` holds the database's catalogue to this list. */
export const SYSTEM_VERBS: readonly string[] = Object.values(VERBS)
  .filter((verb) => verb.scope === 'system' || 'trusted' in verb)
  .map((verb) => verb.sql)
  .sort();

type VerbTable = typeof VERBS;
type VerbFunction<S> = S extends Spec<infer A, infer R> ? (...args: A) => Promise<R> : never;
/** Every verb as a function of its arguments: `verbs.getLead(account, now, id)`. */
export type Verbs = { [K in keyof VerbTable]: VerbFunction<VerbTable[K]> };

/** What a verb needs of the database: `lib/db.ts` provides it. */
export interface VerbRunner {
  query(text: string, params: readonly unknown[], options: { verb: string; retry: RetryClass }): Promise<{ rows: unknown[] }>;
}

const Refused = z.object({
  refused: z.object({
    status: z.union([z.literal(400), z.literal(404), z.literal(409), z.literal(422)]),
    code: z.string(),
    message: z.string(),
    details: z.array(z.object({ field: z.string(), rule: z.string() })).optional(),
    extra: z.record(z.string(), z.unknown()).optional(),
  }),
});
const Row = z.object({ result: z.unknown() });

const wire = (value: unknown): unknown => {
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
};

/**
 * Binds the verbs to a database.
 * @throws {Refusal} when a rule of the database says no
 */
export const bindVerbs = (db: VerbRunner): Verbs => {
  const bound: Record<string, (...args: unknown[]) => Promise<unknown>> = {};
  for (const [name, verb] of Object.entries<Spec<readonly unknown[], unknown>>(VERBS)) {
    const { sql, retry, result } = verb;
    bound[name] = async (...given) => {
      const args = verb.send?.(...given) ?? given;
      const places = args.map((_, i) => `$${i + 1}`).join(', ');
      const { rows } = await db.query(`select ringleader.${sql}(${places}) as result`, args.map(wire), { verb: sql, retry });
      const value = Row.parse(rows[0]).result ?? null;
      const no = Refused.safeParse(value);
      if (no.success) {
        const { status, code, message, details, extra } = no.data.refused;
        throw new Refusal(status, code, message, details, extra);
      }
      return result.parse(value);
    };
  }
  return bound as Verbs;
};
