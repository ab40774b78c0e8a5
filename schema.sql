-- Ringleader's database: every table, constraint, index, role, policy and SQL function.
--
-- Safe to run again, and the upgrade path too: tables and indexes are created when missing, columns added, functions and
-- policies laid anew, all in the transaction of whoever applies this file (`npm run migrate`).
--
-- Rules of this file
--   * A verb is one function that the worker calls: one statement, one commit, one round trip. It returns jsonb.
--     null = no such row in this account; {"refused": {...}} = a rule says no (becomes a 4xx).
--   * Account verbs take the account first and set it for their transaction (`enter`); row-level security does the rest.
--     System verbs run as `ringleader_system` (SECURITY DEFINER); `lib/verbs.ts` lists them and a test compares. So does `apply_fact`, which names its
--     account itself (docs/adr/0016).
--   * Time, ids and randomness are parameters. No statement reads the clock.
--   * A slot is a row of `open_calls` that holds one: there is no counter that could drift.
--   * What moves while a lead is dialled stands in no index of the big tables, so that their updates write no index entry (heap-only
--     tuples), and a domain takes the place of a check, which every statement would parse anew (docs/adr/0014).
--   * Lock order: call, its event, lead, campaign.

-- ================================================================ roles and schema

do $$
begin
  if not exists (select from pg_roles where rolname = 'ringleader_app') then
    create role ringleader_app nologin nosuperuser nocreatedb nocreaterole nobypassrls;
  end if;
  if not exists (select from pg_roles where rolname = 'ringleader_system') then
    create role ringleader_system nologin nosuperuser nocreatedb nocreaterole nobypassrls;
  end if;
  -- The owner must be able to become the system role, to hand functions over to it. Who may only create roles (Neon's owners) administers
  -- what he made, and from Postgres 16 on that alone makes him a member without that right.
  if not pg_has_role(current_user, 'ringleader_system', case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
    execute format('grant ringleader_system to %I', current_user);
  end if;
end $$;

create schema if not exists ringleader;
grant usage on schema ringleader to ringleader_app, ringleader_system;
grant create on schema ringleader to ringleader_system; -- needed to receive functions; taken back at the end

-- ================================================================ tables

do $$
begin
  if to_regtype('ringleader.lead_status') is null then
    create domain ringleader.lead_status as text check (value in ('waiting', 'calling', 'reached', 'unreached', 'suppressed', 'invalid', 'expired', 'canceled'));
    create domain ringleader.temperature as text check (value in ('hot', 'warm', 'cold'));
    create domain ringleader.call_kind as text check (value in ('campaign', 'direct'));
    create domain ringleader.call_direction as text check (value in ('outbound', 'inbound')); -- inbound: a lead called back
  end if;
end $$;

create table if not exists ringleader.accounts (
  id uuid primary key,
  name text not null,
  email text not null,
  timezone text not null,
  window_rev int not null default 0,                       -- moved with the time zone
  max_concurrent_calls int not null check (max_concurrent_calls > 0),
  calls_per_second double precision check (calls_per_second > 0),
  email_problem text,                                      -- the mail provider's word of a bounce or complaint; null: none
  email_problem_at timestamptz,
  pace_at timestamptz not null default '-infinity',        -- when the pace next allows a reservation
  last_claimed_at timestamptz not null default '-infinity',-- ties in fairness go to the longest unserved
  created_at timestamptz not null
) with (fillfactor = 50);

create table if not exists ringleader.api_keys (
  id uuid primary key,
  account_id uuid not null references ringleader.accounts,
  seq bigint generated always as identity,
  name text,
  key_hash text not null unique,                           -- SHA-256 in hex; the key itself is never here
  created_at timestamptz not null,
  revoked_at timestamptz
);
create index if not exists api_keys_account on ringleader.api_keys (account_id, seq);

create table if not exists ringleader.notification_preferences (
  account_id uuid primary key references ringleader.accounts,
  campaign_summary_emails boolean not null default true,
  hot_lead_emails boolean not null default true,
  campaign_paused_emails boolean not null default true,
  nothing_dialled_emails boolean not null default true
);

create table if not exists ringleader.agents (
  id uuid primary key,
  account_id uuid not null references ringleader.accounts,
  seq bigint generated always as identity,
  name text not null,
  provider text not null,
  provider_agent_id text not null,
  from_number text,
  credentials_sealed text not null,                        -- sealed by the worker before it gets here
  credentials_tag text,                                    -- the same for agents of one account at the provider; tells nothing of the credentials
  webhook_secrets_sealed text,
  analysis_mapping jsonb,
  webhook_registered boolean not null default false,
  paused_reason text,                                      -- set when the provider refuses the whole account (key, credit) or this agent
  hold_until timestamptz not null default '-infinity',     -- the provider asked to be left alone until then (429)
  deleted_at timestamptz,
  created_at timestamptz not null
);
create index if not exists agents_account on ringleader.agents (account_id, seq);

create table if not exists ringleader.campaigns (
  id uuid primary key,
  account_id uuid not null references ringleader.accounts,
  seq bigint generated always as identity,
  agent_id uuid not null references ringleader.agents,
  name text not null,
  status text not null default 'draft' check (status in ('draft', 'active', 'paused', 'completed', 'canceled')),
  timezone text,                                           -- null: the account's
  default_country text,
  window_days int[] not null,
  window_start time not null,
  window_end time not null,
  window_rev int not null default 0,                       -- moved with the window and the time zone
  starts_at timestamptz,
  ends_at timestamptz,
  max_concurrent_calls int check (max_concurrent_calls > 0), -- null: the account's
  calls_per_second double precision check (calls_per_second > 0),
  max_attempts int not null default 3,
  no_answer_minutes int default 60,
  busy_minutes int default 15,
  voicemail_minutes int,
  failed_minutes int,
  unknown_minutes int,
  hot_score int not null default 70,
  warm_score int not null default 40,
  analysis_grace_minutes int not null default 15,
  pause_reason text,
  resumed_at timestamptz,                                  -- the breaker counts only what ended since
  pace_at timestamptz not null default '-infinity',
  created_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz,
  settled_at timestamptz                                   -- nothing more can happen in it; the summary, if any, is owed
) with (fillfactor = 50);
create index if not exists campaigns_account on ringleader.campaigns (account_id, seq);
create index if not exists campaigns_open on ringleader.campaigns (status, id) where settled_at is null and status <> 'draft';
create index if not exists campaigns_agent on ringleader.campaigns (agent_id);

-- Leads of one campaign in one time zone share their window. zone '' is the campaign's own.
create table if not exists ringleader.campaign_zones (
  account_id uuid not null,
  campaign_id uuid not null,
  zone text not null,
  opens_at timestamptz not null,                           -- the window that is open or opens next
  closes_at timestamptz not null,
  window_rev int not null default 0,                       -- account's + campaign's of which they were worked out: stale once those have moved
  next_due_at timestamptz not null,                        -- lower bound of the earliest due lead; infinity: none waits
  rev int not null default 0,                              -- moved by whoever adds work, so that parking cannot lose it
  primary key (campaign_id, zone)
) with (fillfactor = 50);
create index if not exists campaign_zones_due on ringleader.campaign_zones (closes_at) where next_due_at < 'infinity';

create table if not exists ringleader.leads (
  id uuid primary key,
  account_id uuid not null,
  campaign_id uuid not null,
  seq bigint generated always as identity,
  phone text not null,
  name text,
  email text,
  company text,
  timezone text,                                           -- as given; null: the campaign's
  zone text not null default '',                           -- its lane in campaign_zones: the time zone in small letters, or '' for the campaign's
  variables jsonb not null default '{}',
  status ringleader.lead_status not null,
  disposition text,
  attempts int not null default 0,                         -- dials that counted, the one under way included
  next_attempt_at timestamptz,                             -- of those that wait, and only of those: the queue
  call_id uuid,                                            -- the latest attempt
  score double precision,
  temperature ringleader.temperature,
  evidence text,
  scored_attempt int,                                      -- which attempt gave the score
  scored_call uuid,
  hot_notice_id uuid,                                      -- the mail that told of it as hot
  reason text,                                             -- why it ended as it did, when no call says so
  called_back_at timestamptz,                              -- when the person called and was answered: never dialled again
  import_id uuid,
  import_row int,
  created_at timestamptz not null,
  unique (campaign_id, phone),
  constraint leads_queue check ((status = 'waiting') = (next_attempt_at is not null))
) with (fillfactor = 80);
create index if not exists leads_due on ringleader.leads (campaign_id, zone, next_attempt_at, seq) where next_attempt_at is not null;
create index if not exists leads_list on ringleader.leads (campaign_id, seq);
create index if not exists leads_scored on ringleader.leads (campaign_id, (temperature = 'hot') desc, score desc nulls last, seq) where temperature is not null;
create index if not exists leads_phone on ringleader.leads (account_id, phone);
create index if not exists leads_hot_notice on ringleader.leads (hot_notice_id) where hot_notice_id is not null;

create table if not exists ringleader.imports (
  id uuid primary key,
  account_id uuid not null,
  campaign_id uuid not null,
  lease_until timestamptz not null,                        -- a dead import does not keep its campaign open for ever
  finished_at timestamptz,
  created_at timestamptz not null
);
create index if not exists imports_open on ringleader.imports (campaign_id) where finished_at is null;

create table if not exists ringleader.import_errors (
  account_id uuid not null,
  campaign_id uuid not null,
  import_id uuid not null,
  seq bigint generated always as identity,
  row int not null,
  "column" text,
  code text not null,
  message text not null,
  cells jsonb not null,
  primary key (import_id, row)
);
create index if not exists import_errors_campaign on ringleader.import_errors (campaign_id, seq);

create table if not exists ringleader.calls (
  id uuid primary key,                                     -- the attempt id the provider is given and echoes
  account_id uuid not null,
  seq bigint generated always as identity,
  kind ringleader.call_kind not null,
  direction ringleader.call_direction not null default 'outbound',
  campaign_id uuid,
  lead_id uuid,
  agent_id uuid not null,
  phone text not null,
  name text,                                               -- of a direct call
  variables jsonb,                                         -- of a direct call
  status text not null,
  disposition text,                                        -- null while open, and for ever when it was given back undialled
  attempt int not null,
  claim_id uuid,
  fence_token uuid,
  provider text not null,
  provider_call_id text,
  due_at timestamptz,                                      -- of a waiting direct call
  lease_until timestamptz,                                 -- how long it may stay silent
  look_at timestamptz,                                     -- when the tick looks after it
  looked_at timestamptz,                                   -- when the provider last answered, or could not be asked
  looks int not null default 0,                            -- times somebody was sent to ask since then, or since its last sign of life
  reserved_at timestamptz,
  placing_at timestamptz,
  placed_at timestamptz,
  answered_at timestamptz,
  ended_at timestamptz,
  released_at timestamptz,
  duration_seconds double precision,
  cost double precision,                                   -- US dollars
  analysis_due_at timestamptz,                             -- set while an analysis may still come
  score double precision,
  temperature text,                                        -- of a direct call, or a provider's tag: what a campaign makes of a score its thresholds say
  evidence text,
  reason text,
  created_at timestamptz not null
) with (fillfactor = 50);
-- No index names what moves while a call is on the line, save that an analysis may be waited for.
create index if not exists calls_waiting on ringleader.calls (account_id, seq) where due_at is not null;
create index if not exists calls_account on ringleader.calls (account_id, seq);
create index if not exists calls_campaign on ringleader.calls (campaign_id, seq);
create index if not exists calls_lead on ringleader.calls (lead_id, attempt);
create index if not exists calls_analysis on ringleader.calls (campaign_id) where analysis_due_at is not null;

-- Calls from their reservation, or a call back's first event, to their end. One that holds a slot is a live call.
create table if not exists ringleader.open_calls (
  call_id uuid primary key,
  account_id uuid not null,
  campaign_id uuid,
  phone text not null,
  claim_id uuid,
  slot boolean not null                                    -- false once the line is free, and of a call back
) with (fillfactor = 50);
create index if not exists open_calls_campaign on ringleader.open_calls (account_id, campaign_id);
create unique index if not exists open_calls_number on ringleader.open_calls (account_id, phone) where slot;
create index if not exists open_calls_claim on ringleader.open_calls (claim_id);

-- What a provider calls our calls.
create table if not exists ringleader.provider_calls (
  account_id uuid not null,
  provider_call_id text not null,
  provider text not null,
  call_id uuid not null,
  primary key (account_id, provider_call_id, provider)
);

-- Calls that failed or ended unknown: what the breaker looks at.
create table if not exists ringleader.failed_calls (
  call_id uuid primary key,
  account_id uuid not null,
  campaign_id uuid not null,
  ended_at timestamptz not null
);
create index if not exists failed_calls_campaign on ringleader.failed_calls (campaign_id, ended_at);

-- Who refills the free slots of an account at this moment: one invocation, until then at the latest.
create table if not exists ringleader.refills (
  account_id uuid primary key,
  token uuid not null,
  lease_until timestamptz not null,
  again boolean not null default false                     -- somebody has found it under way: it looks again before it ends
) with (fillfactor = 50);

create table if not exists ringleader.call_results (
  call_id uuid primary key,
  account_id uuid not null,
  transcript text,
  recording_url text,
  analysis jsonb,
  analysis_reason text,                                    -- why there is no score
  reasons jsonb,                                           -- why the score is what it is: texts, in the analysis's own order
  saved_at timestamptz                                     -- when the latest of it came: it is kept for a year from then on
);

create table if not exists ringleader.call_events (
  id uuid primary key,
  account_id uuid not null,
  seq bigint generated always as identity,
  agent_id uuid not null,
  call_id uuid,                                            -- null while parked
  event_key text not null,                                 -- the provider's own identity of the event
  provider_call_id text,
  status text,                                             -- the provider's word
  fate text not null,
  fact jsonb not null,                                     -- what a parked event says, without its payload
  payload text,                                            -- the body as received; kept for 30 days
  source text not null default 'event',                    -- who brought it: the provider (event), we asked (read), the application (posted), an administrator (replay)
  repeats int not null default 0,                          -- deliveries after the first
  repeated_at timestamptz,
  repeat_of uuid,                                          -- of a duplicate: the event that counts
  replay_of uuid,
  received_at timestamptz not null,
  unique (agent_id, event_key)
);
create index if not exists call_events_call on ringleader.call_events (call_id, seq);
create index if not exists call_events_loose on ringleader.call_events (account_id, provider_call_id) where fate in ('parked', 'unknown');

create table if not exists ringleader.suppressions (
  account_id uuid not null,
  phone text not null,
  seq bigint generated always as identity,
  reason text,
  created_at timestamptz not null,
  primary key (account_id, phone)
);
create index if not exists suppressions_list on ringleader.suppressions (account_id, seq);

create table if not exists ringleader.notifications (
  id uuid primary key,
  account_id uuid not null,
  seq bigint generated always as identity,
  type text not null,
  campaign_id uuid,
  agent_id uuid,                                           -- of a pause: the agent that the provider refused
  idempotency_key text not null unique,
  status text not null check (status in ('pending', 'sending', 'sent', 'skipped', 'failed', 'unknown')),
  reason text,
  recipient text not null,
  attempts int not null default 0,
  requested_at timestamptz,                                -- a person asked for it: preferences no longer count
  token uuid,                                              -- of the sweep that took it, so that the sweep may be sent again
  detail text,                                             -- what the mail tells: the reason of a pause
  lookups int not null default 0,                          -- times an unknown one was looked up at the mail provider
  next_attempt_at timestamptz,                             -- next send (pending) or look-up (unknown)
  lease_until timestamptz,
  provider_message_id text,
  created_at timestamptz not null,
  sent_at timestamptz
);
create index if not exists notifications_account on ringleader.notifications (account_id, seq);
create index if not exists notifications_campaign on ringleader.notifications (campaign_id);
create index if not exists notifications_due on ringleader.notifications (next_attempt_at) where next_attempt_at is not null;
create index if not exists notifications_leases on ringleader.notifications (lease_until) where status = 'sending';

create table if not exists ringleader.idempotency_keys (
  account_id uuid not null,
  route text not null,
  key text not null,
  body_hash text not null,
  status int,                                              -- of the stored answer; null while it runs
  body jsonb,
  created_at timestamptz not null,
  primary key (account_id, route, key)
);
create index if not exists idempotency_keys_old on ringleader.idempotency_keys (created_at);

-- ---------------------------------------------------------------- columns added since 0.1.0
-- `create table if not exists` leaves a table that exists as it is. So every column, check or index that joins a table after its first
-- release stands twice: above, where the table is read, and here, as `alter table … add column if not exists` (null or with a default),
-- its indexes and checks here alone, after it. tests/deploy/upgrade.test.ts applies this file over the schemas of all releases.

alter table ringleader.agents add column if not exists credentials_tag text;
alter table ringleader.accounts add column if not exists window_rev int not null default 0;
alter table ringleader.campaigns add column if not exists window_rev int not null default 0;
alter table ringleader.campaign_zones add column if not exists window_rev int not null default 0;
alter table ringleader.leads add column if not exists called_back_at timestamptz;
alter table ringleader.calls add column if not exists direction ringleader.call_direction not null default 'outbound';
alter table ringleader.calls add column if not exists looks int not null default 0;
alter table ringleader.call_results add column if not exists saved_at timestamptz;
alter table ringleader.call_results add column if not exists reasons jsonb;
alter table ringleader.notifications add column if not exists agent_id uuid;
alter table ringleader.call_events add column if not exists source text not null default 'event';
alter table ringleader.call_events add column if not exists repeats int not null default 0;
alter table ringleader.call_events add column if not exists repeated_at timestamptz;
alter table ringleader.call_events add column if not exists repeat_of uuid;
alter table ringleader.call_events add column if not exists replay_of uuid;
alter table ringleader.refills add column if not exists again boolean not null default false;
create index if not exists call_results_kept on ringleader.call_results (saved_at);
create index if not exists call_events_with_payload on ringleader.call_events (received_at) where payload is not null;
create index if not exists call_events_received on ringleader.call_events using brin (received_at);
-- What stood in indexes of calls until then has tables of its own; the last of those indexes says that it is still to be moved there.
do $$
begin
  if to_regclass('ringleader.calls_provider') is not null then
    insert into ringleader.open_calls (call_id, account_id, campaign_id, phone, claim_id, slot)
    select c.id, c.account_id, c.campaign_id, c.phone, c.claim_id, c.reserved_at is not null and c.released_at is null
    from ringleader.calls c where c.ended_at is null and c.due_at is null;
    insert into ringleader.provider_calls (account_id, provider_call_id, provider, call_id)
    select c.account_id, c.provider_call_id, c.provider, c.id from ringleader.calls c where c.provider_call_id is not null;
    insert into ringleader.failed_calls (call_id, account_id, campaign_id, ended_at)
    select c.id, c.account_id, c.campaign_id, c.ended_at from ringleader.calls c where c.campaign_id is not null and c.disposition in ('failed', 'unknown') and c.ended_at is not null;
    -- An attempt counts from its reservation on.
    update ringleader.leads l set attempts = c.attempt from ringleader.calls c where c.id = l.call_id and c.status = 'reserved' and l.status = 'calling';
  end if;
end $$;
drop index if exists ringleader.calls_look, ringleader.calls_direct, ringleader.calls_claim, ringleader.calls_slots, ringleader.calls_one_per_number, ringleader.calls_under_way,
  ringleader.calls_provider, ringleader.calls_claimed, ringleader.calls_ended, ringleader.calls_one_per_lead, ringleader.calls_one_dial_per_lead, ringleader.calls_back,
  ringleader.call_events_parked, ringleader.call_events_without_payload, ringleader.call_events_unknown, ringleader.call_events_open, ringleader.leads_queue, ringleader.leads_status, ringleader.leads_score, ringleader.leads_import;
-- Columns with a check, and one that was generated.
do $$
declare c record;
begin
  for c in
    select a.attrelid::regclass as tab, a.attname as col, t.dom from (values ('leads', 'status', 'lead_status'), ('leads', 'temperature', 'temperature'),
      ('calls', 'kind', 'call_kind'), ('calls', 'direction', 'call_direction')) t(tab, col, dom)
    join pg_attribute a on a.attrelid = ('ringleader.' || t.tab)::regclass and a.attname = t.col and a.atttypid = 'text'::regtype
  loop
    execute format('alter table %s drop constraint if exists %I, alter column %I type ringleader.%I', c.tab, split_part(c.tab::text, '.', 2) || '_' || c.col || '_check', c.col, c.dom);
  end loop;
  if exists (select from pg_attribute a where a.attrelid = 'ringleader.leads'::regclass and a.attname = 'zone' and a.attgenerated <> '') then
    alter table ringleader.leads alter column zone drop expression, alter column zone set default '';
    update ringleader.leads l set next_attempt_at = null where l.status <> 'waiting' and l.next_attempt_at is not null;
    update ringleader.leads l set next_attempt_at = l.created_at where l.status = 'waiting' and l.next_attempt_at is null;
    alter table ringleader.leads add constraint leads_queue check ((status = 'waiting') = (next_attempt_at is not null));
  end if;
end $$;
-- A pace below the slowest that is taken today: near zero it made everybody's claim fail.
update ringleader.accounts a set calls_per_second = 0.00001, pace_at = '-infinity' where a.calls_per_second < 0.00001;
update ringleader.campaigns k set calls_per_second = 0.00001, pace_at = '-infinity' where k.calls_per_second < 0.00001;

-- Hot tables are vacuumed early: their live rows are few and their dead ones many.
alter table ringleader.calls set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
alter table ringleader.leads set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table ringleader.open_calls set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
alter table ringleader.campaign_zones set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
alter table ringleader.accounts set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
alter table ringleader.campaigns set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- ================================================================ row-level security
-- The app role sees the rows of the account that the verb entered, and nothing when it entered none.
-- The system role, which only system verbs run as, sees all.

do $$
declare t record;
begin
  for t in select c.relname from pg_class c where c.relnamespace = 'ringleader'::regnamespace and c.relkind = 'r' order by 1 loop
    execute format('alter table ringleader.%I enable row level security', t.relname);
    execute format('alter table ringleader.%I force row level security', t.relname);
    execute format('drop policy if exists account on ringleader.%I', t.relname);
    execute format('drop policy if exists system on ringleader.%I', t.relname);
    execute format($p$create policy account on ringleader.%I to ringleader_app
      using (%2$I = nullif(current_setting('ringleader.account', true), '')::uuid)
      with check (%2$I = nullif(current_setting('ringleader.account', true), '')::uuid)$p$,
      t.relname, case when t.relname = 'accounts' then 'id' else 'account_id' end);
    execute format('create policy system on ringleader.%I to ringleader_system using (true) with check (true)', t.relname);
    execute format('grant select, insert, update, delete on ringleader.%I to ringleader_app, ringleader_system', t.relname);
  end loop;
end $$;

-- Functions are laid anew each time: a changed signature leaves no old one behind.
do $$
declare f record;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'ringleader'::regnamespace loop
    execute format('drop function %s', f.name);
  end loop;
end $$;

-- What a decision about a call rests on, so that the whole row need not be read; its row type is that of their arguments.
drop view if exists ringleader.call_heads;
create view ringleader.call_heads with (security_invoker = true) as
  select c.id, c.account_id, c.agent_id, c.campaign_id, c.lead_id, c.kind, c.direction, c.phone, c.attempt, c.provider, c.provider_call_id, c.status, c.reserved_at, c.placing_at, c.released_at, c.analysis_due_at
  from ringleader.calls c;
grant select, update on ringleader.call_heads to ringleader_app, ringleader_system;

-- ================================================================ small parts

create function ringleader.iso(p_at timestamptz) returns text language sql immutable parallel safe as $$
  select case when isfinite(p_at) then to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end
$$;

create function ringleader.refuse(p_status int, p_code text, p_message text, p_extra jsonb default '{}') returns jsonb language sql immutable as $$
  select jsonb_build_object('refused', jsonb_build_object('status', p_status, 'code', p_code, 'message', p_message, 'extra', p_extra))
$$;

-- The same of a field that does not fit what stands.
create function ringleader.refuse_field(p_field text, p_rule text) returns jsonb language sql immutable as $$
  select jsonb_build_object('refused', jsonb_build_object('status', 400, 'code', 'validation', 'message', p_field || ': ' || p_rule,
    'details', jsonb_build_array(jsonb_build_object('field', p_field, 'rule', p_rule))))
$$;

-- The nth id of a batch whose id the caller drew: the same batch sent again makes the same ids. A UUID of version 8 (RFC 9562, section 5.8).
create function ringleader.nth_id(p_seed uuid, p_n text) returns uuid language sql immutable as $$
  select overlay(overlay(md5(p_seed::text || ':' || p_n) placing '8' from 13) placing 'a' from 17)::uuid
$$;

-- Refuses a login that could see past row-level security: a superuser, a role that bypasses it, or the owner of the tables.
create function ringleader.assert_app_role() returns void language plpgsql stable as $$
begin
  if exists (select from pg_roles r where r.rolname = session_user and (r.rolsuper or r.rolbypassrls))
     or exists (select from pg_class c where c.oid = 'ringleader.accounts'::regclass and pg_get_userbyid(c.relowner) = session_user) then
    raise exception using errcode = 'RL503',
      message = format('DATABASE_URL must name the app role ringleader_app: %s is a superuser, bypasses row-level security or owns the tables', session_user);
  end if;
end $$;

-- Sets the account of this transaction; every account verb begins with it. True.
create function ringleader.enter(p_account uuid) returns boolean language plpgsql as $$
begin
  if not row_security_active('ringleader.accounts'::regclass) then perform ringleader.assert_app_role(); end if;
  return set_config('ringleader.account', p_account::text, true) is not null;
end $$;

-- The zone that IANA's database means by a name of three letters, which Postgres alone takes for an abbreviation: CET is then no summer time, and
-- IST Israel. Null for an abbreviation: whose hours those are nobody knows.
create function ringleader.zone_named(p_name text) returns text language sql immutable parallel safe as $$
  select case when p_name !~ '^[A-Za-z]{3}$' or upper(p_name) in ('EST', 'GMT', 'HST', 'MST', 'PRC', 'ROC', 'ROK', 'UCT', 'UTC') then p_name
    else case upper(p_name) when 'CET' then 'Europe/Brussels' when 'MET' then 'Europe/Brussels' when 'EET' then 'Europe/Athens' when 'WET' then 'Europe/Lisbon' end end
$$;

-- The instant at which the clock on the wall of a zone has reached p_local. On a night on which clocks change it may show an hour twice, or
-- never: a window opens when its start has come for good and closes when its end is first shown, or at the jump that leaves them out.
-- So nobody is dialled at an hour that his own clock calls outside. (Postgres alone takes the second of two, and an instant after the jump.)
create function ringleader.wall_instant(p_local timestamp, p_zone text, p_last boolean) returns timestamptz language plpgsql stable as $$
declare t timestamptz := p_local at time zone p_zone; v_jump interval; e timestamptz;
begin
  v_jump := (t at time zone p_zone) - p_local;
  if v_jump <> '0' then
    return (select min(m) from generate_series(t - v_jump, t, interval '1 minute') m where m at time zone p_zone >= p_local);
  end if;
  e := t - (interval '24 hours' - (p_local - ((t - interval '24 hours') at time zone p_zone)));
  if e >= t or e at time zone p_zone <> p_local then return t; end if;
  -- Shown twice; from the first on nothing earlier is shown again when the clock goes back to this very time.
  return case when p_last and (t - interval '1 second') at time zone p_zone < p_local then t else e end;
end $$;

-- The first window that closes after p_at: weekdays (1 = Monday) on which it opens, local times, overnight when the end is not after the start.
-- A day that a zone skipped opens none; a zone that this Postgres does not know has no window, and holds up nobody else. Legal hours of a country will be intersected here, and only here.
create function ringleader.window_after(p_days int[], p_start time, p_end time, p_zone text, p_at timestamptz, out opens_at timestamptz, out closes_at timestamptz)
language plpgsql stable as $$
declare d date;
begin
  p_zone := ringleader.zone_named(p_zone);
  d := (p_at at time zone p_zone)::date - 2;
  for n in 1..18 loop
    if extract(isodow from d)::int = any (p_days) then
      closes_at := ringleader.wall_instant(case when p_end > p_start then d + p_end else d + 1 + p_end end, p_zone, false);
      if closes_at > p_at then
        opens_at := ringleader.wall_instant(d + p_start, p_zone, true);
        if opens_at < closes_at and d in ((opens_at at time zone p_zone)::date, ((opens_at - interval '1 second') at time zone p_zone)::date) then return; end if;
      end if;
    end if;
    d := d + 1;
  end loop;
  opens_at := null;
  closes_at := null;
exception when invalid_parameter_value then
  opens_at := null;
  closes_at := null;
end $$;

create function ringleader.minutes(p_n numeric) returns interval language sql immutable as $$
  select p_n * interval '1 minute'
$$;

-- From when on a pace that is changed allows the next call: no later than one gap of the new one, however slow the old one was.
create function ringleader.paced_anew(p_pace_at timestamptz, p_rate double precision, p_now timestamptz) returns timestamptz language sql immutable as $$
  select case when p_rate is null then '-infinity' else least(p_pace_at, p_now + make_interval(secs => 1 / p_rate)) end
$$;

-- States in their order; a call only ever moves to a higher one.
create function ringleader.call_rank(p_status text) returns int language sql immutable parallel safe as $$
  select case p_status when 'waiting' then 0 when 'reserved' then 1 when 'placing' then 2 when 'queued' then 3 when 'dialing' then 4
    when 'ringing' then 5 when 'in_progress' then 6 when 'unknown' then 9 else 10 end
$$;

create function ringleader.temperature_of(p_score double precision, p_hot int, p_warm int) returns text language sql immutable as $$
  select case when p_score is null then null when p_score >= p_hot then 'hot' when p_score >= p_warm then 'warm' else 'cold' end
$$;

-- One claimer at a time, the lock in a statement of its own: every later statement of the claim takes a new snapshot and sees
-- all that the claimer before committed. (A claim in one statement that counts overshoots its caps.)
create function ringleader.one_claimer() returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(74210001);
end $$;

-- A cap is lowered before or after a claim, never under one that has read the old cap.
create function ringleader.before_cap_change() returns void language plpgsql as $$
begin
  perform ringleader.one_claimer();
end $$;

-- The scores from which a lead is hot or warm change when every score that was judged by the old ones is committed, and can be judged anew.
create function ringleader.before_thresholds_change(p_campaign uuid) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(74210004, hashtext(p_campaign::text));
end $$;

-- Whoever will judge a score says so before he locks a lead or the campaign, which an edit waits for.
create function ringleader.share_thresholds(p_campaign uuid) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(74210004, hashtext(p_campaign::text));
end $$;

-- Takes the one refill of an account, unless somebody has it: then marks it, and he looks again before he gives it back. Called last, after all
-- that its caller wrote: whoever gives the refill back, or takes the mark away, does so while nobody shares this lock.
create function ringleader.take_refill(p_account uuid, p_token uuid, p_now timestamptz) returns boolean language plpgsql as $$
declare
  v_again boolean;
  v_locked boolean := pg_advisory_xact_lock_shared(74210002, hashtext(p_account::text)) is not null; -- an expression: half the cost of a statement
begin
  select r.again into v_again from ringleader.refills r where r.account_id = p_account and r.lease_until > p_now and r.token <> p_token;
  if v_again then return false; end if;
  if v_again is null then
    insert into ringleader.refills as r (account_id, token, lease_until) values (p_account, p_token, p_now + interval '1 minute')
    on conflict (account_id) do update set token = excluded.token, lease_until = excluded.lease_until where r.lease_until <= p_now or r.token = p_token;
    if found then return true; end if;
  end if;
  -- The first writes, the others find it written.
  update ringleader.refills r set again = true where r.account_id = p_account and not r.again;
  return false;
end $$;

-- Waits for everybody who has found the refill of this account taken and has not committed yet, and keeps others from looking.
create function ringleader.before_refill_ends(p_account uuid) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(74210002, hashtext(p_account::text));
end $$;

-- Ends a refill whose last claim found nothing more to dial; these are the calls of that claim. Not when somebody has found it under way, or
-- is looking just now, or one of the calls has freed its slot again: then it claims once more. True when it is over, or is somebody else's.
create function ringleader.refill_is_over(p_account uuid, p_token uuid, p_calls uuid[]) returns boolean language plpgsql as $$
begin
  if (select count(*) from ringleader.open_calls o where o.call_id = any (p_calls) and o.slot) = cardinality(p_calls)
     and pg_try_advisory_xact_lock(74210002, hashtext(p_account::text)) then
    -- Everybody who saw the mark is committed: the next claim sees what he did.
    update ringleader.refills r set again = false where r.account_id = p_account and r.token = p_token and r.again;
    if not found then delete from ringleader.refills r where r.account_id = p_account and r.token = p_token; end if;
  end if;
  return not exists (select from ringleader.refills r where r.account_id = p_account and r.token = p_token);
end $$;

-- ================================================================ rows as the API shows them

create function ringleader.account_json(a ringleader.accounts) returns jsonb language sql stable as $$
  select jsonb_build_object('id', a.id, 'name', a.name, 'email', a.email, 'timezone', a.timezone,
    'max_concurrent_calls', a.max_concurrent_calls, 'calls_per_second', a.calls_per_second,
    'live_calls', (select count(*) from ringleader.open_calls o where o.account_id = a.id and o.slot))
$$;

create function ringleader.api_key_json(k ringleader.api_keys) returns jsonb language sql stable as $$
  select jsonb_build_object('id', k.id, 'name', k.name, 'created_at', ringleader.iso(k.created_at), 'revoked_at', ringleader.iso(k.revoked_at))
$$;

create function ringleader.agent_json(g ringleader.agents) returns jsonb language sql stable as $$
  select jsonb_build_object('id', g.id, 'name', g.name, 'provider', g.provider, 'provider_agent_id', g.provider_agent_id, 'from_number', g.from_number,
    'analysis_mapping', g.analysis_mapping, 'paused_reason', g.paused_reason, 'webhook_registered', g.webhook_registered, 'created_at', ringleader.iso(g.created_at))
$$;

create function ringleader.agent_secrets_json(g ringleader.agents) returns jsonb language sql stable as $$
  select jsonb_build_object('account_id', g.account_id, 'agent_id', g.id, 'provider', g.provider, 'provider_agent_id', g.provider_agent_id,
    'from_number', g.from_number, 'credentials_sealed', g.credentials_sealed, 'webhook_secrets_sealed', g.webhook_secrets_sealed, 'analysis_mapping', g.analysis_mapping)
$$;

-- When the next lead of a campaign can be dialled; null when none waits, it does not run or its provider refuses its agent. The lane's window is worked out anew when it will have
-- closed by then.
create function ringleader.next_dial_at(k ringleader.campaigns) returns timestamptz language sql stable as $$
  select min(n.at)
  from ringleader.accounts a
  join ringleader.agents g on g.id = k.agent_id and g.paused_reason is null
  join ringleader.campaign_zones z on z.campaign_id = k.id
  cross join lateral (select l.next_attempt_at from ringleader.leads l
    where l.campaign_id = k.id and l.next_attempt_at is not null and l.zone = z.zone order by l.next_attempt_at limit 1) l
  cross join lateral (select greatest(z.opens_at, l.next_attempt_at, k.starts_at, g.hold_until) as at) d
  cross join lateral (select case when d.at < z.closes_at then d.at else greatest(d.at, (
    select w.opens_at from ringleader.window_after(k.window_days, k.window_start, k.window_end, coalesce(nullif(z.zone, ''), k.timezone, a.timezone), d.at) w)) end as at) n
  where a.id = k.account_id and k.status = 'active' and (n.at < k.ends_at) is not false
$$;

create function ringleader.campaign_json(k ringleader.campaigns) returns jsonb language sql stable as $$
  with n as (
    select coalesce(jsonb_object_agg(s.status, s.n), '{}') as by_status, coalesce(sum(s.n), 0) as total,
      coalesce(sum(s.n) filter (where s.status not in ('waiting', 'calling')), 0) as final
    from (select l.status, count(*) as n from ringleader.leads l where l.campaign_id = k.id group by 1) s
  ), d as (
    select coalesce(jsonb_object_agg(s.disposition, s.n), '{}') as by_disposition
    from (select c.disposition, count(*) as n from ringleader.calls c where c.campaign_id = k.id and c.disposition is not null group by 1) s
  )
  select jsonb_build_object(
    'id', k.id, 'name', k.name, 'agent_id', k.agent_id, 'status', k.status,
    'timezone', coalesce(k.timezone, a.timezone), 'default_country', k.default_country,
    'window', jsonb_build_object('days', to_jsonb(k.window_days), 'start', left(k.window_start::text, 5), 'end', left(k.window_end::text, 5)),
    'starts_at', ringleader.iso(k.starts_at), 'ends_at', ringleader.iso(k.ends_at),
    'max_concurrent_calls', coalesce(k.max_concurrent_calls, a.max_concurrent_calls), 'calls_per_second', k.calls_per_second,
    'retry', jsonb_build_object('max_attempts', k.max_attempts, 'no_answer_minutes', k.no_answer_minutes, 'busy_minutes', k.busy_minutes,
      'voicemail_minutes', k.voicemail_minutes, 'failed_minutes', k.failed_minutes, 'unknown_minutes', k.unknown_minutes),
    'hot_score', k.hot_score, 'warm_score', k.warm_score, 'analysis_grace_minutes', k.analysis_grace_minutes,
    'pause_reason', coalesce(k.pause_reason, (select 'The provider refuses the agent: ' || g.paused_reason from ringleader.agents g where g.id = k.agent_id and k.status = 'active')),
    'created_at', ringleader.iso(k.created_at), 'started_at', ringleader.iso(k.started_at), 'completed_at', ringleader.iso(k.completed_at),
    'counts', jsonb_build_object('leads', n.by_status, 'calls', d.by_disposition),
    'progress', case when n.total = 0 then 0 else round(n.final::numeric / n.total, 4) end,
    'hot_leads', (select count(*) from ringleader.leads l where l.campaign_id = k.id and l.temperature = 'hot'),
    'next_dial_at', ringleader.iso(ringleader.next_dial_at(k)))
  from n, d, ringleader.accounts a where a.id = k.account_id
$$;

create function ringleader.lead_json(l ringleader.leads) returns jsonb language sql stable as $$
  select jsonb_build_object('id', l.id, 'campaign_id', l.campaign_id, 'phone', l.phone, 'name', l.name, 'email', l.email, 'company', l.company,
    'timezone', l.timezone, 'variables', l.variables, 'status', l.status, 'disposition', l.disposition, 'attempts', l.attempts, 'score', l.score,
    'temperature', l.temperature, 'evidence', l.evidence, 'reasons', coalesce((select r.reasons from ringleader.call_results r where r.call_id = l.scored_call), '[]'),
    'next_attempt_at', case when l.status = 'waiting' then ringleader.iso(l.next_attempt_at) end)
$$;

create function ringleader.call_json(c ringleader.calls) returns jsonb language sql stable as $$
  select jsonb_build_object('id', c.id, 'kind', c.kind, 'direction', c.direction, 'lead_id', c.lead_id, 'campaign_id', c.campaign_id, 'phone', c.phone, 'status', c.status,
    'disposition', c.disposition, 'attempt', c.attempt, 'provider', c.provider, 'provider_call_id', c.provider_call_id,
    'reserved_at', ringleader.iso(c.reserved_at), 'placed_at', ringleader.iso(c.placed_at), 'answered_at', ringleader.iso(c.answered_at),
    'ended_at', ringleader.iso(c.ended_at), 'released_at', ringleader.iso(c.released_at), 'duration_seconds', c.duration_seconds, 'cost', c.cost,
    'transcript', (select r.transcript from ringleader.call_results r where r.call_id = c.id),
    'recording_url', (select r.recording_url from ringleader.call_results r where r.call_id = c.id),
    'score', c.score, 'evidence', c.evidence, -- by the thresholds of today, as its lead
    'temperature', coalesce((select ringleader.temperature_of(c.score, k.hot_score, k.warm_score) from ringleader.campaigns k where k.id = c.campaign_id), c.temperature),
    'reasons', coalesce((select r.reasons from ringleader.call_results r where r.call_id = c.id), '[]'), 'reason', c.reason,
    'unscored_reason', case when c.temperature is null then (select r.analysis_reason from ringleader.call_results r where r.call_id = c.id) end)
$$;

create function ringleader.notification_json(n ringleader.notifications) returns jsonb language sql stable as $$
  select jsonb_build_object('id', n.id, 'type', n.type, 'campaign_id', n.campaign_id,
    'campaign_name', (select k.name from ringleader.campaigns k where k.id = n.campaign_id),
    'agent_name', (select g.name from ringleader.agents g where g.id = n.agent_id), 'status', n.status, 'reason', n.reason, 'recipient', n.recipient,
    'attempts', n.attempts, 'provider_message_id', n.provider_message_id, 'created_at', ringleader.iso(n.created_at), 'sent_at', ringleader.iso(n.sent_at))
$$;

create function ringleader.refill_json(r ringleader.refills) returns jsonb language sql immutable as $$
  select jsonb_build_object('account_id', r.account_id, 'token', r.token)
$$;

create function ringleader.taken_json(n ringleader.notifications) returns jsonb language sql stable as $$
  select jsonb_build_object('id', n.id, 'account_id', n.account_id, 'account_name', a.name, 'account_timezone', a.timezone, 'type', n.type,
    'campaign_id', n.campaign_id, 'recipient', n.recipient, 'attempts', n.attempts, 'detail', n.detail, 'token', n.token, 'lease_until', ringleader.iso(n.lease_until))
  from ringleader.accounts a where a.id = n.account_id
$$;

-- ================================================================ inner steps (never called by the worker)

-- Wakes the lane of a lead: it has work from p_due on.
create function ringleader.wake_lane(p_account uuid, p_campaign uuid, p_zone text, p_due timestamptz, p_now timestamptz) returns void language plpgsql as $$
begin
  insert into ringleader.campaign_zones as z (account_id, campaign_id, zone, opens_at, closes_at, window_rev, next_due_at)
  select p_account, k.id, p_zone, coalesce(w.opens_at, p_now + interval '1 hour'), coalesce(w.closes_at, p_now + interval '1 hour'), a.window_rev + k.window_rev, p_due
  from ringleader.campaigns k
  join ringleader.accounts a on a.id = k.account_id
  cross join lateral ringleader.window_after(k.window_days, k.window_start, k.window_end, coalesce(nullif(p_zone, ''), k.timezone, a.timezone), p_now) w
  where k.account_id = p_account and k.id = p_campaign
  on conflict (campaign_id, zone) do update set rev = z.rev + 1, next_due_at = least(z.next_due_at, excluded.next_due_at);
end $$;

-- Works out windows again: those that have closed or are stale, or, after an edit, those of one campaign; a thousand at a time, so that no number of
-- lanes keeps others waiting. A lane that is not reached, or that somebody holds at this moment, is left to whoever rolls next; when it is closed or
-- stale nobody claims from it until then.
create function ringleader.roll_windows(p_now timestamptz, p_campaign uuid default null) returns void language plpgsql as $$
declare z record; w record;
begin
  -- Row by row: a window closes once a day for each (campaign, zone), so there is nothing to win by a set.
  for z in
    select cz.campaign_id, cz.zone, a.window_rev + k.window_rev as rev, k.window_days, k.window_start, k.window_end, coalesce(nullif(cz.zone, ''), k.timezone, a.timezone) as tz
    from ringleader.campaign_zones cz
    join ringleader.campaigns k on k.id = cz.campaign_id
    join ringleader.accounts a on a.id = k.account_id
    where case when p_campaign is null then (cz.closes_at <= p_now or cz.window_rev < a.window_rev + k.window_rev) and cz.next_due_at < 'infinity' and k.status = 'active'
      else cz.campaign_id = p_campaign end
    order by 1, 2 limit 1000
    for no key update of cz skip locked
  loop
    select * into w from ringleader.window_after(z.window_days, z.window_start, z.window_end, z.tz, p_now);
    -- A zone that is not known stays shut; tried again in an hour.
    update ringleader.campaign_zones cz set opens_at = coalesce(w.opens_at, p_now + interval '1 hour'), closes_at = coalesce(w.closes_at, p_now + interval '1 hour'),
      window_rev = z.rev where cz.campaign_id = z.campaign_id and cz.zone = z.zone;
  end loop;
end $$;

-- Completes a campaign when that is true at this instant, and owes its summary in the same transaction.
-- Whoever brings the last fact calls it: an event, a refusal, the reaper, a cancel, an expiry, the end of an import.
-- True when it was settled by this call (a canceled campaign is settled without becoming completed).
create function ringleader.complete_if_done(p_account uuid, p_campaign uuid, p_now timestamptz) returns boolean language plpgsql as $$
declare k ringleader.campaigns;
begin
  -- A cheap look first, without a lock. More than 128 calls under way: whoever ends the last of them looks again.
  -- From the end of the queue, where the living are: its beginning is full of those that were called.
  if (select l.seq from ringleader.leads l where l.campaign_id = p_campaign and l.next_attempt_at is not null order by l.zone desc, l.next_attempt_at desc, l.seq desc limit 1) is not null
  then return false; end if;
  if (select count(*) from (select 1 from ringleader.open_calls o where o.account_id = p_account and o.campaign_id = p_campaign limit 129) n) > 128 then return false; end if;
  -- Then one at a time: two last events that do not see each other's leads would both leave the campaign open.
  select * into k from ringleader.campaigns c where c.account_id = p_account and c.id = p_campaign for update;
  if k.id is null or k.settled_at is not null or k.status = 'draft' then return false; end if;
  -- In one statement: between two a call may end and its lead wait again, or a lead that waits be called.
  if (select l.seq from ringleader.leads l where l.campaign_id = p_campaign and l.next_attempt_at is not null order by l.zone, l.next_attempt_at, l.seq limit 1) is not null
    or (select o.call_id from ringleader.open_calls o where o.account_id = p_account and o.campaign_id = p_campaign limit 1) is not null then return false; end if;
  if (select i.id from ringleader.imports i where i.campaign_id = p_campaign and i.finished_at is null and i.lease_until > p_now limit 1) is not null then return false; end if;
  if (select c.id from ringleader.calls c where c.campaign_id = p_campaign and c.analysis_due_at is not null limit 1) is not null then return false; end if;
  update ringleader.campaigns c set status = case when c.status = 'canceled' then c.status else 'completed' end,
    completed_at = case when c.status = 'canceled' then c.completed_at else p_now end, settled_at = p_now where c.id = p_campaign;
  -- Hot leads not told of yet are in the summary.
  update ringleader.notifications n set status = 'skipped', reason = 'the campaign was complete first: they are in its summary', next_attempt_at = null
  where n.campaign_id = p_campaign and n.type = 'hot_lead' and n.status = 'pending' and n.attempts = 0;
  -- A canceled campaign is summed up only if it made a call.
  if k.status <> 'canceled' or exists (select from ringleader.calls c where c.campaign_id = p_campaign and c.disposition is not null) then
    perform ringleader.owe_mail(p_account, 'campaign_summary', p_campaign, null, null, p_now, p_now);
  end if;
  return true;
end $$;

-- The same for upkeep, which holds a lot and so must wait for nobody: a campaign that somebody has at this moment is left to him, or to the next tick.
create function ringleader.complete_if_free(p_account uuid, p_campaign uuid, p_now timestamptz) returns boolean language plpgsql as $$
begin
  perform 1 from ringleader.campaigns c where c.account_id = p_account and c.id = p_campaign for update skip locked;
  return found and ringleader.complete_if_done(p_account, p_campaign, p_now);
end $$;

-- Gives a reservation back undialled: the lead waits again and no attempt is counted. True when that completed the campaign.
create function ringleader.give_back(p_call uuid, p_reason text, p_again_at timestamptz, p_now timestamptz) returns boolean language plpgsql as $$
declare c ringleader.calls; l ringleader.leads; v_status text; k ringleader.campaigns; v_reason text;
begin
  select * into c from ringleader.calls x where x.id = p_call for no key update;
  if c.id is null or c.status = 'waiting' or ringleader.call_rank(c.status) >= 9 then return false; end if;
  if c.kind = 'direct' and p_reason <> 'suppressed' then
    select coalesce(g.paused_reason, case when g.deleted_at is not null then 'the agent was deleted' end) into v_reason from ringleader.agents g where g.id = c.agent_id;
    if v_reason is not null then -- it would wait until somebody mends the account, and then surprise; one of a deleted agent, for ever
      return ringleader.end_call(c.id, 'failed', v_reason, p_now);
    end if;
  end if;
  delete from ringleader.open_calls o where o.call_id = c.id;
  if c.kind = 'direct' and p_reason <> 'suppressed' then
    update ringleader.calls x set status = 'waiting', reserved_at = null, placing_at = null, released_at = null, lease_until = null, look_at = null, claim_id = null,
      fence_token = null, due_at = p_again_at, reason = p_reason where x.id = c.id;
    return false;
  end if;
  -- A call that was silent for long has freed its slot before.
  update ringleader.calls x set status = 'canceled', ended_at = p_now, released_at = coalesce(x.released_at, p_now), lease_until = null, look_at = null, reason = p_reason,
    disposition = case when x.kind = 'direct' then 'canceled' end where x.id = c.id;
  if c.lead_id is null then return false; end if;
  select * into l from ringleader.leads x where x.id = c.lead_id for no key update;
  if l.status <> 'calling' or l.call_id <> c.id then return false; end if;
  select * into k from ringleader.campaigns x where x.id = c.campaign_id;
  v_status := case when p_reason = 'suppressed' or exists (select from ringleader.suppressions x where x.account_id = c.account_id and x.phone = c.phone) then 'suppressed' when l.called_back_at is not null then 'reached' when k.status = 'canceled' then 'canceled'
    when c.attempt > k.max_attempts then 'unreached' else 'waiting' end; -- the attempts allowed were made fewer meanwhile
  update ringleader.leads x set status = v_status, attempts = least(x.attempts, c.attempt - 1), next_attempt_at = case when v_status = 'waiting' then p_again_at end,
    disposition = case when v_status = 'reached' then 'completed' else x.disposition end,
    reason = case when v_status = 'suppressed' then 'the number is suppressed' else x.reason end where x.id = l.id;
  if v_status <> 'waiting' then return ringleader.complete_if_done(c.account_id, c.campaign_id, p_now); end if;
  perform ringleader.wake_lane(c.account_id, c.campaign_id, l.zone, p_again_at, p_now);
  return false;
end $$;

-- The provider took a call and then did not dial it (no line free, no credit): it ends as the provider says and counts nowhere, its lead waits
-- again, and its agent is left alone for a moment, since the next call would fare no better. True when that completed the campaign.
create function ringleader.take_back(c ringleader.call_heads, p_status text, p_fact jsonb, p_now timestamptz) returns boolean language plpgsql as $$
declare v_again timestamptz := p_now + interval '30 seconds'; v_done boolean;
begin
  update ringleader.agents g set hold_until = greatest(g.hold_until, v_again) where g.id = c.agent_id;
  v_done := ringleader.give_back(c.id, p_fact ->> 'reason', v_again, p_now);
  update ringleader.calls x set status = p_status, ended_at = least((p_fact ->> 'ended_at')::timestamptz, p_now), released_at = coalesce(c.released_at, p_now),
    placed_at = coalesce(x.placed_at, p_now) where x.id = c.id;
  return v_done;
end $$;

-- Ends leads that wait in a campaign that is over, p_most at a time so that a statement is never cut off. The tick goes on with the rest.
create function ringleader.close_leads(p_campaign uuid, p_status text, p_most int default 20000) returns int language plpgsql as $$
declare v_n int; b record;
begin
  -- To the last of them by one scan, without a join: before the first analyze of a young account a join compares every lead with every other.
  select x.zone, x.next_attempt_at, x.seq into b from ringleader.leads x
  where x.campaign_id = p_campaign and x.next_attempt_at is not null order by x.zone, x.next_attempt_at, x.seq offset p_most - 1 limit 1;
  update ringleader.leads l set status = p_status, next_attempt_at = null
  where l.campaign_id = p_campaign and l.next_attempt_at is not null and (b.seq is null or (l.zone, l.next_attempt_at, l.seq) <= (b.zone, b.next_attempt_at, b.seq));
  get diagnostics v_n = row_count;
  return v_n;
end $$;

-- Since when nothing was dialled in a campaign. What a provider took and did not dial is no dial.
create function ringleader.silent_since(k ringleader.campaigns) returns timestamptz language sql stable as $$
  select greatest(k.started_at, k.starts_at, k.resumed_at,
    (select c.placed_at from ringleader.calls c where c.campaign_id = k.id and c.placed_at is not null and (c.disposition is not null or c.ended_at is null) and c.direction = 'outbound' order by c.seq desc limit 1))
$$;

-- When the silence of a campaign is worth a mail: a day after its last dial, and half an hour after somebody could have been dialled.
-- Null: nobody waits. A weekend without a window is no silence.
create function ringleader.nothing_dialled_at(k ringleader.campaigns) returns timestamptz language sql stable as $$
  select min(greatest(d.at, w.opens_at + interval '30 minutes'))
  from ringleader.accounts a
  join ringleader.campaign_zones z on z.campaign_id = k.id
  cross join lateral (select greatest(ringleader.silent_since(k) + interval '1 day', (
    select l.next_attempt_at from ringleader.leads l
    where l.campaign_id = k.id and l.zone = z.zone and l.next_attempt_at is not null order by l.next_attempt_at limit 1) + interval '30 minutes') as at,
    exists (select from ringleader.leads l where l.campaign_id = k.id and l.zone = z.zone and l.next_attempt_at is not null) as waits) d
  cross join lateral ringleader.window_after(k.window_days, k.window_start, k.window_end, coalesce(nullif(z.zone, ''), k.timezone, a.timezone), d.at) w
  where a.id = k.account_id and d.waits
$$;

-- True when a mail of the account is due: to be sent, or to be looked up.
create function ringleader.mail_is_due(p_account uuid, p_now timestamptz) returns boolean language plpgsql stable as $$
begin
  return exists (select from ringleader.notifications n where n.account_id = p_account and n.next_attempt_at <= p_now);
end $$;

-- True when a mail of one of the accounts whose calls these are is due.
create function ringleader.mail_is_due_to(p_calls uuid[], p_now timestamptz) returns boolean language plpgsql stable as $$
begin
  return exists (select from ringleader.calls c join ringleader.notifications n on n.account_id = c.account_id where c.id = any (p_calls) and n.next_attempt_at <= p_now);
end $$;

-- What a mail is owed for: one row per key.
create function ringleader.mail_key(p_account uuid, p_type text, p_campaign uuid, p_part text) returns text language sql stable as $$
  select concat_ws(':', p_account, p_type, p_campaign, p_part)
$$;

-- Owes the account a mail; the same key owes it once.
create function ringleader.owe_mail(p_account uuid, p_type text, p_campaign uuid, p_part text, p_detail text, p_at timestamptz, p_now timestamptz, p_agent uuid default null)
returns uuid language plpgsql as $$
declare v_id uuid; v_key text := ringleader.mail_key(p_account, p_type, p_campaign, p_part);
begin
  insert into ringleader.notifications (id, account_id, type, campaign_id, agent_id, idempotency_key, status, recipient, detail, next_attempt_at, created_at)
  select ringleader.nth_id(p_account, v_key), p_account, p_type, p_campaign, p_agent, v_key, 'pending', a.email, p_detail, p_at, p_now
  from ringleader.accounts a where a.id = p_account
  on conflict (idempotency_key) do nothing;
  select n.id into v_id from ringleader.notifications n where n.idempotency_key = v_key;
  return v_id;
end $$;

-- Tells of a lead that has become hot while its campaign runs: the first at once, then one digest per 15 minutes and campaign.
create function ringleader.note_hot_lead(p_lead uuid, p_campaign uuid, p_account uuid, p_now timestamptz) returns void language plpgsql as $$
declare v_id uuid; v_at timestamptz;
begin
  -- One at a time, so that two hot leads of one moment share a mail.
  perform 1 from ringleader.campaigns k where k.id = p_campaign and k.settled_at is null for no key update;
  if not found then return; end if;
  -- Locked: one that a sweep is taking may be composed before this lead can be seen in it.
  select n.id into v_id from ringleader.notifications n where n.campaign_id = p_campaign and n.type = 'hot_lead' and n.status = 'pending' and n.attempts = 0 limit 1
  for no key update;
  if v_id is null then
    select greatest(p_now, max(n.created_at) + interval '15 minutes') into v_at from ringleader.notifications n where n.campaign_id = p_campaign and n.type = 'hot_lead';
    v_id := ringleader.owe_mail(p_account, 'hot_lead', p_campaign, p_lead::text, null, coalesce(v_at, p_now), coalesce(v_at, p_now));
  end if;
  update ringleader.leads l set hot_notice_id = v_id where l.id = p_lead;
end $$;

-- The breaker: when at least half of the last 20 or more calls within 10 minutes failed or ended unknown, something is wrong that more
-- calls will not mend. Pauses the campaign, names the calls, and owes one mail.
create function ringleader.check_breaker(p_account uuid, p_campaign uuid, p_now timestamptz) returns void language plpgsql as $$
declare k ringleader.campaigns; v_since timestamptz; v_bad uuid[]; v_all int; v_reason text;
begin
  select * into k from ringleader.campaigns x where x.id = p_campaign;
  if k.status <> 'active' then return; end if;
  v_since := greatest(p_now - interval '10 minutes', k.resumed_at);
  -- An `unknown` may have been resolved meanwhile.
  v_bad := array(select c.id from ringleader.failed_calls f join ringleader.calls c on c.id = f.call_id
    where f.campaign_id = p_campaign and f.ended_at > v_since and c.disposition in ('failed', 'unknown') order by f.ended_at desc, c.id);
  if cardinality(v_bad) < 10 then return; end if;
  -- The newest first, and no more than it takes to know.
  select count(*) into v_all from (select from ringleader.calls c
    where c.campaign_id = p_campaign and c.disposition is not null and c.ended_at > v_since order by c.seq desc limit 2 * cardinality(v_bad) + 1) n;
  if v_all < 20 or cardinality(v_bad) * 2 < v_all then return; end if;
  select format('%s of the last %s calls failed or ended unknown: ', cardinality(v_bad), v_all) || string_agg(format('%s× %s', s.n, s.reason), '; ' order by s.n desc, s.reason)
  into v_reason
  from (select coalesce(c.reason, c.disposition) as reason, count(*) as n from ringleader.calls c
        where c.id = any (v_bad) group by 1 order by 2 desc, 1 limit 3) s;
  update ringleader.campaigns x set status = 'paused', pause_reason = v_reason || format(' (the latest: %s)', (
    select string_agg(b.id::text, ', ' order by b.nth) from unnest(v_bad[:3]) with ordinality as b(id, nth)))
  where x.id = p_campaign and x.status = 'active';
  if found then
    perform ringleader.owe_mail(p_account, 'campaign_paused', p_campaign, coalesce(extract(epoch from k.resumed_at), 0)::text, v_reason, p_now, p_now);
  end if;
end $$;

-- The provider refused the account behind an agent (key, credit): nothing of it is dialled until credentials are set again, neither by this agent
-- nor by any other with the same ones. Or it refused the agent alone. Tells of each campaign that runs, or of the agent when none does; direct calls
-- that wait for it have failed.
create function ringleader.pause_agents(p_agent uuid, p_account_wide boolean, p_reason text, p_now timestamptz) returns void language plpgsql as $$
declare g record; k record; c record; v_reason text := coalesce(p_reason, 'refused by the provider'); v_words text; v_paused boolean := false; v_told boolean := false;
begin
  v_words := format('The provider refused the %s: %s', case when p_account_wide then 'account' else 'agent' end, v_reason);
  for g in
    with refused as (select * from ringleader.agents x where x.id = p_agent)
    update ringleader.agents x set paused_reason = v_reason from refused o
    where x.paused_reason is null and (x.id = o.id
      or (p_account_wide and x.account_id = o.account_id and x.provider = o.provider and x.credentials_tag = o.credentials_tag))
    returning x.id
  loop
    v_paused := true;
    for k in select x.id, x.account_id from ringleader.campaigns x where x.agent_id = g.id and x.status = 'active' order by x.id loop
      v_told := true;
      perform ringleader.owe_mail(k.account_id, 'campaign_paused', k.id, 'agent:' || extract(epoch from p_now)::text, v_words, p_now, p_now, g.id);
    end loop;
    -- One that a claim takes at this moment is ended by the fence.
    for c in select x.id from ringleader.calls x where x.agent_id = g.id and x.due_at is not null and x.status = 'waiting' order by x.id for no key update skip locked loop
      perform ringleader.end_call(c.id, 'failed', v_reason, p_now);
    end loop;
  end loop;
  if not v_paused or v_told then return; end if;
  perform ringleader.owe_mail((select x.account_id from ringleader.agents x where x.id = p_agent), 'campaign_paused', null, 'agent:' || p_agent || ':' || extract(epoch from p_now), v_words, p_now, p_now, p_agent);
end $$;

-- What no verb saw: campaigns whose last fact is in, and silence that is to be told, once per dry spell. How many were completed, and what failed: for
-- one campaign, and never for the next.
create function ringleader.catch_up(p_now timestamptz, out done int, out failed jsonb) language plpgsql as $$
declare r record; v_k ringleader.campaigns; v_part text; v_told int := 0;
begin
  done := 0;
  failed := '[]';
  for r in select k.id, k.account_id from ringleader.campaigns k where k.settled_at is null and k.status <> 'draft'
      and not exists (select from ringleader.leads l where l.campaign_id = k.id and l.next_attempt_at is not null)
      and not exists (select from ringleader.open_calls o where o.account_id = k.account_id and o.campaign_id = k.id)
      and exists (select from ringleader.leads l where l.campaign_id = k.id) order by k.id limit 100 loop
    begin
      if ringleader.complete_if_free(r.account_id, r.id, p_now) then done := done + 1; end if;
    exception when others then failed := failed || ringleader.failure('complete', r.id, sqlstate);
    end;
  end loop;
  for v_k in select x.* from ringleader.campaigns x where x.status = 'active' and ringleader.silent_since(x) <= p_now - interval '1 day' order by x.id loop
    begin
      v_part := extract(epoch from ringleader.silent_since(v_k))::text;
      -- Whoever has been told is not in the way of others.
      if not exists (select from ringleader.notifications n where n.idempotency_key = ringleader.mail_key(v_k.account_id, 'nothing_dialled', v_k.id, v_part))
         and ringleader.nothing_dialled_at(v_k) <= p_now then
        perform ringleader.owe_mail(v_k.account_id, 'nothing_dialled', v_k.id, v_part, null, p_now, p_now);
        v_told := v_told + 1;
      end if;
    exception when others then failed := failed || ringleader.failure('tell_silence', v_k.id, sqlstate);
    end;
    exit when v_told >= 100;
  end loop;
end $$;

-- What becomes of a lead whose latest call has ended. p_again: that had ended before, and now otherwise (`unknown` was resolved, or `completed` turned
-- out to be a voicemail), which counts as long as no newer attempt has begun. True when the lead waits again, or others of its campaign are seen to wait, so that
-- there is nothing to complete.
create function ringleader.settle_lead(c ringleader.call_heads, p_disposition text, p_again boolean, p_invalid boolean, p_now timestamptz) returns boolean language plpgsql as $$
declare k record; v_status text; v_due timestamptz; v_zone text; v_waits boolean;
begin
  -- A lead that was final may wait again: before or after a completion, never in its midst.
  if p_again then perform 1 from ringleader.campaigns x where x.id = c.campaign_id for no key update; end if;
  if p_invalid then v_status := 'invalid';
  elsif p_disposition = 'completed' then v_status := 'reached';
  else
    select x.status, x.settled_at, x.ends_at, x.max_attempts, case p_disposition when 'no_answer' then x.no_answer_minutes when 'busy' then x.busy_minutes
        when 'voicemail' then x.voicemail_minutes when 'failed' then x.failed_minutes when 'unknown' then x.unknown_minutes end as minutes
      into k from ringleader.campaigns x where x.id = c.campaign_id;
    if k.minutes is null or c.attempt >= k.max_attempts or k.settled_at is not null then v_status := 'unreached';
    elsif k.status = 'canceled' then v_status := 'canceled';
    elsif exists (select from ringleader.suppressions s where s.account_id = c.account_id and s.phone = c.phone) then v_status := 'suppressed';
    elsif k.ends_at <= p_now then v_status := 'expired';
    else
      v_status := 'waiting';
      v_due := p_now + ringleader.minutes(k.minutes);
    end if;
  end if;
  if not p_again then
    update ringleader.leads l set status = v_status, disposition = p_disposition, next_attempt_at = v_due, attempts = l.attempts - (p_invalid or c.status = 'reserved')::int -- nobody was dialled
    where l.id = c.lead_id and l.call_id = c.id and l.status = 'calling' and l.called_back_at is null
    returning case when v_due is not null then true else (select w.seq from ringleader.leads w where w.campaign_id = c.campaign_id and w.next_attempt_at is not null order by w.zone desc, w.next_attempt_at desc, w.seq desc limit 1) is not null end into v_waits;
    -- A retry need not wake its lane: a lane with leads on a call is looked at every minute.
    if found then return v_waits; end if;
  else
    update ringleader.leads l set status = v_status, disposition = p_disposition, next_attempt_at = v_due
    where l.id = c.lead_id and l.call_id = c.id and l.called_back_at is null and ((l.status in ('unreached', 'waiting') and l.disposition = 'unknown')
      or (l.status = 'reached' and l.disposition = 'completed' and p_disposition = 'voicemail')) returning l.zone into v_zone;
    if found and v_due is not null then
      perform ringleader.wake_lane(c.account_id, c.campaign_id, v_zone, v_due, p_now);
      return true;
    end if;
  end if;
  -- Who has called back is reached, whatever comes of the call.
  update ringleader.leads l set status = case when p_invalid then 'invalid' else 'reached' end, disposition = case when p_invalid then p_disposition else 'completed' end,
    next_attempt_at = null, attempts = l.attempts - p_invalid::int
  where l.id = c.lead_id and l.call_id = c.id and l.called_back_at is not null and (l.status in ('calling', 'unreached', 'waiting'));
  return false;
end $$;

-- The analysis of a call that has ended may still come, unless it is here already: the campaign waits for it.
create function ringleader.await_analysis(c ringleader.call_heads, p_now timestamptz) returns void language plpgsql as $$
begin
  update ringleader.calls x set analysis_due_at = p_now + w.grace, look_at = p_now + w.grace / 2, looked_at = null, looks = 0
  from (select ringleader.minutes(coalesce(max(k.analysis_grace_minutes), 15)) as grace from ringleader.campaigns k where k.id = c.campaign_id) w
  where x.id = c.id and not exists (select from ringleader.call_results r where r.call_id = c.id and r.analysis is not null);
end $$;

-- What the end of a call, whose slot is free by now, leads to: its lead is settled, and its campaign completed when that was the last fact. True when it completed.
create function ringleader.settle_call(c ringleader.call_heads, p_disposition text, p_again boolean, p_invalid boolean, p_ended_at timestamptz, p_now timestamptz)
returns boolean language plpgsql as $$
declare v_waits boolean;
begin
  if c.lead_id is null then return false; end if;
  v_waits := ringleader.settle_lead(c, p_disposition, p_again, p_invalid, p_now);
  if p_disposition in ('failed', 'unknown') then
    insert into ringleader.failed_calls (call_id, account_id, campaign_id, ended_at) values (c.id, c.account_id, c.campaign_id, p_ended_at)
    on conflict (call_id) do update set ended_at = excluded.ended_at;
    if not v_waits and ringleader.complete_if_done(c.account_id, c.campaign_id, p_now) then return true; end if;
    -- What is complete need not be paused.
    if c.direction = 'outbound' then perform ringleader.check_breaker(c.account_id, c.campaign_id, p_now); end if;
    return false;
  end if;
  return not v_waits and ringleader.complete_if_done(c.account_id, c.campaign_id, p_now);
end $$;

-- Ends a call, whose row is locked: frees its slot, settles its lead, and completes the campaign when that was the last fact. True when it completed.
-- p_told: a provider ended it, so it was placed; p_waits: its analysis is waited for.
create function ringleader.close_call(c ringleader.call_heads, p_disposition text, p_reason text, p_ended_at timestamptz, p_told boolean, p_waits boolean, p_invalid boolean, p_now timestamptz)
returns boolean language plpgsql as $$
declare v_ended_at timestamptz := least(p_ended_at, p_now); -- a provider's clock may be ahead of ours: nothing has ended yet to come
begin
  update ringleader.calls x set status = p_disposition, disposition = p_disposition, reason = coalesce(p_reason, x.reason), ended_at = v_ended_at, due_at = null,
    released_at = coalesce(x.released_at, p_now), placed_at = case when p_told then coalesce(x.placed_at, p_now) else x.placed_at end, lease_until = null, look_at = null
  where x.id = c.id;
  if p_waits then perform ringleader.await_analysis(c, p_now); end if;
  delete from ringleader.open_calls o where o.call_id = c.id;
  return ringleader.settle_call(c, p_disposition, c.status = 'unknown', p_invalid, v_ended_at, p_now);
end $$;

-- Ends a call that no provider ended. True when that completed its campaign.
create function ringleader.end_call(p_call uuid, p_disposition text, p_reason text, p_now timestamptz, p_invalid boolean default false) returns boolean language plpgsql as $$
declare c ringleader.call_heads;
begin
  select * into c from ringleader.call_heads x where x.id = p_call for no key update;
  return ringleader.close_call(c, p_disposition, p_reason, null, false, false, p_invalid, p_now);
end $$;

-- Keeps what a fact says beside the state. What a valid analysis says counts; a provider's own tag alone counts where there is no score.
create function ringleader.enrich_call(c ringleader.call_heads, p_fact jsonb, p_now timestamptz) returns void language plpgsql as $$
declare a jsonb := p_fact -> 'analysis'; v_valid boolean := coalesce(a ->> 'state' = 'valid', false); v_score double precision; v_temp text; v_evidence text;
begin
  if v_valid or p_fact ?| array['answered_at', 'duration_seconds', 'cost'] then
    v_score := case when v_valid then (a ->> 'score')::double precision end;
    update ringleader.calls x set answered_at = coalesce(x.answered_at, (p_fact ->> 'answered_at')::timestamptz),
      duration_seconds = coalesce((p_fact ->> 'duration_seconds')::double precision, x.duration_seconds), cost = coalesce((p_fact ->> 'cost')::double precision, x.cost),
      score = coalesce(v_score, x.score), temperature = case when v_valid then coalesce(ringleader.temperature_of(coalesce(v_score, x.score), 70, 40), a ->> 'tag') else x.temperature end,
      evidence = case when not v_valid or (v_score is null and x.score is not null) then x.evidence else a ->> 'evidence' end
    where x.id = c.id returning x.score, x.temperature, x.evidence into v_score, v_temp, v_evidence;
  end if;
  perform ringleader.keep_results(c, p_fact, v_score, v_temp, v_evidence, false, p_now);
end $$;

-- Keeps what is too large for a call's row, and what a valid analysis says of the lead, which counts unless a later attempt has said more. p_score, p_temperature
-- and p_evidence are those of the call's row; p_ends: the call has ended with it, completed. Null when its lead is still to be settled; else whether leads of
-- its campaign wait.
create function ringleader.keep_results(c ringleader.call_heads, p_fact jsonb, p_score double precision, p_temperature text, p_evidence text, p_ends boolean, p_now timestamptz)
returns boolean language plpgsql as $$
declare a jsonb := p_fact -> 'analysis'; v_valid boolean := coalesce(a ->> 'state' = 'valid', false); v_temp text; v_told uuid; v_settled boolean; v_waits boolean; v_shared boolean;
begin
  if not p_fact ?| array['transcript', 'recording_url', 'analysis'] then return null; end if;
  insert into ringleader.call_results as r (call_id, account_id, transcript, recording_url, analysis, analysis_reason, reasons, saved_at)
  values (c.id, c.account_id, nullif(p_fact ->> 'transcript', ''), nullif(p_fact ->> 'recording_url', ''), a -> 'raw', a ->> 'reason', a -> 'reasons', p_now)
  on conflict (call_id) do update set saved_at = p_now, transcript = coalesce(excluded.transcript, r.transcript), recording_url = coalesce(excluded.recording_url, r.recording_url),
    analysis = coalesce(excluded.analysis, r.analysis), analysis_reason = coalesce(excluded.analysis_reason, r.analysis_reason),
    reasons = case when v_valid and p_score is not distinct from (a ->> 'score')::double precision then excluded.reasons else r.reasons end; -- they go with the score
  if not v_valid or c.lead_id is null then return null; end if;
  v_shared := pg_advisory_xact_lock_shared(74210004, hashtext(c.campaign_id::text)) is not null; -- share_thresholds, at half the cost
  update ringleader.leads x set score = p_score, temperature = coalesce(ringleader.temperature_of(p_score, k.hot_score, k.warm_score), p_temperature), evidence = p_evidence,
    scored_attempt = c.attempt, scored_call = c.id, status = case when p_ends and x.call_id = c.id and x.status = 'calling' and x.called_back_at is null then 'reached' else x.status end,
    disposition = case when p_ends and x.call_id = c.id and x.status = 'calling' and x.called_back_at is null then 'completed' else x.disposition end
  from ringleader.campaigns k where k.id = c.campaign_id and x.id = c.lead_id and coalesce(x.scored_attempt, 0) <= c.attempt
  returning x.temperature, x.hot_notice_id, p_ends and x.status = 'reached', (select w.seq from ringleader.leads w where w.campaign_id = c.campaign_id and w.next_attempt_at is not null order by w.zone desc, w.next_attempt_at desc, w.seq desc limit 1) is not null into v_temp, v_told, v_settled, v_waits;
  if found and v_temp = 'hot' and v_told is null then perform ringleader.note_hot_lead(c.lead_id, c.campaign_id, c.account_id, p_now); end if;
  return case when v_settled then v_waits end;
end $$;

-- Numbers that nobody in the account may dial from this commit on: their leads that wait are suppressed, in every campaign.
create function ringleader.suppress(p_account uuid, p_rows jsonb, p_now timestamptz) returns jsonb language plpgsql as $$
declare v_added int; v_done boolean := false; k record;
begin
  insert into ringleader.suppressions (account_id, phone, reason, created_at)
  select distinct on (r.phone) p_account, r.phone, r.reason, p_now from jsonb_to_recordset(p_rows) as r(phone text, reason text) order by r.phone
  on conflict (account_id, phone) do nothing;
  get diagnostics v_added = row_count;
  for k in
    with hit as (
      update ringleader.leads l set status = 'suppressed', next_attempt_at = null, reason = 'the number is suppressed'
      where l.account_id = p_account and l.status = 'waiting' and l.phone in (select r ->> 'phone' from jsonb_array_elements(p_rows) r)
      returning l.campaign_id
    ) select distinct campaign_id as id from hit order by 1
  loop
    v_done := ringleader.complete_if_done(p_account, k.id, p_now) or v_done;
  end loop;
  return jsonb_build_object('added', v_added, 'completed', v_done);
end $$;

-- The provider's id of a call is known from now on. Whoever looks for the call of that id before he parks an event waits until this is committed, and
-- whoever has parked one is committed before its parked events are looked for: none is overlooked by both sides.
create function ringleader.tie_call(p_account uuid, p_provider_call_id text, p_provider text, p_call uuid) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(74210003, hashtext(p_provider_call_id));
  insert into ringleader.provider_calls (account_id, provider_call_id, provider, call_id) values (p_account, p_provider_call_id, p_provider, p_call) on conflict do nothing;
end $$;

-- An inbound call of a number that is known: recorded as a call of the lead that was dialled last. Null when no lead has that number.
create function ringleader.record_call_back(p_account uuid, p_agent uuid, p_fact jsonb, p_now timestamptz) returns ringleader.call_heads language plpgsql as $$
declare l ringleader.leads; c ringleader.call_heads; v_call uuid; v_provider_call text := p_fact ->> 'provider_call_id';
begin
  select x.* into l from ringleader.leads x left join ringleader.calls d on d.id = x.call_id
  where x.account_id = p_account and x.phone = p_fact ->> 'from' order by d.placed_at desc nulls last, x.seq desc limit 1;
  if l.id is null or v_provider_call is null then return null; end if;
  -- Looked after like any call, but never reserved: it holds no slot. Two of its events at the same moment make one row.
  insert into ringleader.calls (id, account_id, kind, direction, campaign_id, lead_id, agent_id, phone, status, attempt, provider, provider_call_id, lease_until, look_at, created_at)
  select ringleader.nth_id(p_agent, v_provider_call), p_account, 'campaign', 'inbound', l.campaign_id, l.id, p_agent, l.phone, 'queued', l.attempts + 1, g.provider, v_provider_call,
    p_now + interval '10 minutes', p_now + interval '10 minutes', p_now
  from ringleader.agents g where g.id = p_agent
  on conflict do nothing returning id into v_call;
  select * into c from ringleader.call_heads x where x.account_id = p_account and x.id = ringleader.nth_id(p_agent, v_provider_call) for no key update;
  if v_call is not null then
    insert into ringleader.open_calls (call_id, account_id, campaign_id, phone, slot) values (c.id, p_account, c.campaign_id, c.phone, false);
    perform ringleader.tie_call(p_account, v_provider_call, c.provider, c.id);
  end if;
  return c;
end $$;

-- The caller was answered: its leads that wait are reached, in every campaign, and a call that is reserved or under way is their last. True when
-- that completed a campaign.
create function ringleader.reach_caller(c ringleader.call_heads, p_now timestamptz) returns boolean language plpgsql as $$
declare l record; k record; v_campaigns uuid[] := '{}'; v_done boolean := false;
begin
  for l in select x.id, x.status, x.campaign_id from ringleader.leads x where x.account_id = c.account_id and x.phone = c.phone and x.called_back_at is null
           and (x.status in ('waiting', 'calling') or (x.status = 'unreached' and x.id = c.lead_id)) order by x.id for no key update loop
    update ringleader.leads x set called_back_at = p_now where x.id = l.id;
    if l.status <> 'calling' then
      update ringleader.leads x set status = 'reached', disposition = 'completed', next_attempt_at = null where x.id = l.id;
      v_campaigns := v_campaigns || l.campaign_id;
    end if;
  end loop;
  for k in select distinct u.id from unnest(v_campaigns) u(id) order by 1 loop
    v_done := ringleader.complete_if_done(c.account_id, k.id, p_now) or v_done;
  end loop;
  return v_done;
end $$;

-- Applies a fact to a call that is known and locked. What it says beside the state is always welcome, however late, and reopens nothing. Each branch
-- writes only what it changes: what a statement costs is mostly what it names. Returns what `apply_fact` answers.
create function ringleader.apply_to_call(c ringleader.call_heads, p_fact jsonb, p_now timestamptz) returns jsonb language plpgsql as $$
declare v_status text := p_fact ->> 'status'; v_rank int; v_is int; a jsonb; v_done boolean;
  v_read boolean; v_free boolean; v_alive boolean := false; v_lease timestamptz; v_settled boolean; v_waits boolean; v_fate text; v_released boolean;
begin
  if p_fact ?| array['transcript', 'recording_url', 'analysis', 'answered_at', 'duration_seconds', 'cost'] then
    a := p_fact -> 'analysis';
    if (a ->> 'do_not_call')::boolean then
      perform ringleader.share_thresholds(c.campaign_id);
      -- All leads of the number in one order, before any campaign: two facts about it wait for each other here.
      perform 1 from ringleader.leads x where x.account_id = c.account_id and x.phone = c.phone order by x.id for no key update;
      v_done := ringleader.suppress(c.account_id, jsonb_build_array(jsonb_build_object('phone', c.phone, 'reason', 'asked not to be called')), p_now) ->> 'completed' = 'true';
    end if;
    perform ringleader.enrich_call(c, p_fact, p_now);
  end if;
  if c.provider_call_id is null or c.direction = 'inbound' then
    if c.provider_call_id is null and p_fact ? 'provider_call_id' then
      update ringleader.calls x set provider_call_id = p_fact ->> 'provider_call_id' where x.id = c.id;
      perform ringleader.tie_call(c.account_id, p_fact ->> 'provider_call_id', c.provider, c.id);
    end if;
    if c.direction = 'inbound' and v_status in ('in_progress', 'completed') then v_done := ringleader.reach_caller(c, p_now) or v_done is true; end if;
  end if;
  if v_status in ('completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled') and c.status not in ('completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled') then
    v_waits := v_status = 'completed' and a is null;
    if p_fact ?| array['undialled', 'invalid_number', 'account_refused', 'agent_refused'] then
      if (p_fact ->> 'undialled')::boolean and c.kind = 'campaign' and c.direction = 'outbound' and c.status in ('placing', 'queued', 'dialing') then
        v_done := ringleader.take_back(c, v_status, p_fact, p_now) or v_done is true;
      else
        v_done := ringleader.close_call(c, v_status, p_fact ->> 'reason', (p_fact ->> 'ended_at')::timestamptz, true, v_waits, coalesce((p_fact ->> 'invalid_number')::boolean, false), p_now) or v_done is true;
      end if;
      if (p_fact ->> 'account_refused')::boolean or (p_fact ->> 'agent_refused')::boolean then
        perform ringleader.pause_agents(c.agent_id, coalesce((p_fact ->> 'account_refused')::boolean, false), coalesce(p_fact ->> 'reason', p_fact ->> 'provider_status'), p_now);
      end if;
    else
      v_done := ringleader.close_call(c, v_status, p_fact ->> 'reason', (p_fact ->> 'ended_at')::timestamptz, true, v_waits, false, p_now) or v_done is true;
    end if;
    return jsonb_build_object('fate', 'applied', 'call_id', c.id, 'status', v_status, 'released', c.released_at is null and c.reserved_at is not null, 'completed', v_done);
  end if;
  v_rank := ringleader.call_rank(v_status);
  v_is := ringleader.call_rank(c.status);
  v_settled := a is not null;
  v_free := v_is < 9 and c.released_at is null and coalesce((p_fact ->> 'line_free')::boolean, false);
  v_fate := 'applied';
  v_released := false;
  v_read := p_fact ->> 'source' = 'read';
  v_lease := p_now + interval '10 minutes';
  if v_read then update ringleader.calls x set looked_at = p_now, looks = 0 where x.id = c.id; end if;
  if v_status is null then
    -- Whoever posts an analysis says nothing of the state; a provider's word for it that nobody knows moves nothing.
    v_fate := case when p_fact ->> 'source' = 'posted' then 'applied' else 'unknown' end;
  elsif c.status = 'completed' and v_status = 'voicemail' then
    -- A verdict that came after the end: call and lead are settled as if it had come in time, and nothing is reopened.
    update ringleader.calls x set status = v_status, disposition = v_status where x.id = c.id;
    c.status := v_status;
    if c.lead_id is not null then perform ringleader.settle_lead(c, v_status, true, false, p_now); end if;
    v_settled := true; -- a voicemail's analysis is not waited for
  elsif v_is >= 9 then
    v_fate := case when v_settled then 'applied' else 'late' end;
  elsif v_rank > v_is and v_rank < 9 then
    update ringleader.calls x set status = v_status, placed_at = coalesce(x.placed_at, p_now), answered_at = coalesce(x.answered_at, (p_fact ->> 'answered_at')::timestamptz),
      lease_until = v_lease, look_at = v_lease, looks = 0 where x.id = c.id;
    c.status := v_status;
  else
    -- Not news, but a sign of life.
    if v_rank < v_is then v_fate := 'late'; end if;
    v_alive := v_read or v_rank = v_is;
  end if;
  if v_alive or v_free then
    update ringleader.calls x set placed_at = coalesce(x.placed_at, p_now), lease_until = greatest(x.lease_until, v_lease), look_at = greatest(x.look_at, v_lease), looks = 0,
      released_at = case when v_free then p_now else x.released_at end where x.id = c.id;
  end if;
  if v_free then
    update ringleader.open_calls o set slot = false where o.call_id = c.id;
    v_released := c.reserved_at is not null;
  end if;
  -- A late analysis may have been what the campaign waited for.
  if c.analysis_due_at is not null then
    if v_settled or (v_read and c.analysis_due_at <= p_now) then
      update ringleader.calls x set analysis_due_at = null, look_at = null where x.id = c.id;
      v_done := (c.campaign_id is not null and ringleader.complete_if_done(c.account_id, c.campaign_id, p_now)) or v_done is true;
    elsif v_read then
      update ringleader.calls x set look_at = x.analysis_due_at where x.id = c.id;
    end if;
  end if;
  return jsonb_build_object('fate', v_fate, 'call_id', c.id, 'status', c.status, 'released', v_released, 'completed', v_done is true);
end $$;

-- An event that came again: counted, and shown among the call's events up to twenty times.
create function ringleader.note_repeat(p_first uuid, p_call uuid, p_event uuid, p_now timestamptz) returns void language plpgsql as $$
declare e ringleader.call_events;
begin
  if exists (select from ringleader.call_events x where x.id = p_event) then return; end if;
  update ringleader.call_events x set repeats = x.repeats + 1, repeated_at = p_now where x.id = p_first returning * into e;
  if p_call is null or e.repeats > 20 then return; end if;
  insert into ringleader.call_events (id, account_id, agent_id, call_id, event_key, provider_call_id, status, fate, fact, source, repeat_of, received_at)
  values (p_event, e.account_id, e.agent_id, p_call, e.event_key || ' again ' || p_event, e.provider_call_id, e.status, 'duplicate', '{}', e.source, e.id, p_now);
end $$;

-- Applies the events that waited for this call to be known, in the order in which they came.
create function ringleader.unpark(p_call uuid, p_now timestamptz) returns boolean language plpgsql as $$
declare c ringleader.call_heads; e record; r jsonb; v_done boolean := false;
begin
  select * into c from ringleader.call_heads x where x.id = p_call;
  if c.provider_call_id is null then return false; end if;
  perform ringleader.share_thresholds(c.campaign_id);
  for e in select x.id, x.fact from ringleader.call_events x join ringleader.agents g on g.id = x.agent_id
           where x.account_id = c.account_id and x.provider_call_id = c.provider_call_id and x.fate = 'parked' and g.provider = c.provider order by x.seq loop
    select * into c from ringleader.call_heads x where x.id = p_call for no key update;
    r := ringleader.apply_to_call(c, e.fact, p_now);
    update ringleader.call_events x set call_id = p_call, fate = r ->> 'fate' where x.id = e.id;
    v_done := v_done or (r ->> 'completed')::boolean;
  end loop;
  return v_done;
end $$;

-- ================================================================ system verbs

create function ringleader.authenticate(p_now timestamptz, p_key_hash text) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform ringleader.assert_app_role();
  return (select jsonb_build_object('account_id', k.account_id, 'api_key_id', k.id)
          from ringleader.api_keys k where k.key_hash = p_key_hash and (k.revoked_at is null or k.revoked_at > p_now));
end $$;

-- A stored event with all that it takes to apply it again, whoever's it is.
create function ringleader.event_to_replay(p_now timestamptz, p_event uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform ringleader.assert_app_role();
  return (select jsonb_build_object('account_id', e.account_id, 'agent', ringleader.agent_secrets_json(g), 'source', e.source, 'payload', e.payload,
      'attempt_id', coalesce(e.call_id::text, e.fact ->> 'attempt_id'))
    from ringleader.call_events e join ringleader.agents g on g.id = e.agent_id where e.id = p_event);
end $$;

-- Forgets what has been kept long enough, a bounded number of rows at a time: payloads after 30 days; transcripts, recordings and analyses
-- after a year; events themselves, which tell a repetition, after half a year. True when more is left.
create function ringleader.forget(p_now timestamptz, p_limit int) returns boolean language plpgsql as $$
declare v_n int; v_left boolean := false;
begin
  update ringleader.call_events e set payload = null, fact = '{}' where e.id in (
    select x.id from ringleader.call_events x where x.payload is not null and x.received_at <= p_now - interval '30 days' order by x.received_at limit p_limit for update skip locked);
  get diagnostics v_n = row_count;
  v_left := v_n = p_limit;
  delete from ringleader.call_events e where e.id in (
    select x.id from ringleader.call_events x where x.payload is null and x.received_at <= p_now - interval '180 days' limit p_limit for update skip locked);
  get diagnostics v_n = row_count;
  v_left := v_left or v_n = p_limit;
  -- What was saved before this was written down counts from now.
  update ringleader.call_results r set saved_at = p_now where r.call_id in (select x.call_id from ringleader.call_results x where x.saved_at is null limit p_limit for update skip locked);
  delete from ringleader.call_results r where r.call_id in (
    select x.call_id from ringleader.call_results x where x.saved_at <= p_now - interval '365 days' order by x.saved_at limit p_limit for update skip locked);
  get diagnostics v_n = row_count;
  return v_left or v_n = p_limit;
end $$;

-- The claim itself: reserves up to p_limit due leads and waiting direct calls under system, account and campaign caps, at the pace allowed;
-- direct calls first, then max-min fair between accounts and between the campaigns of one. Answers how many it reserved, and whether it saw that
-- nothing else could be.
create function ringleader.reserve_calls(p_now timestamptz, p_claim uuid, p_limit int, p_system_cap int, out reserved int, out dry boolean) language plpgsql as $$
declare v_free int; v_made int; v_probe int := 200; v_more boolean;
begin
  reserved := 0;
  -- Again while it came back short: the depth to which lanes are looked into is twice their fair share, and some may have less; and lanes that have
  -- nobody to dial (all their numbers are on the line) may have stood before others.
  loop
    dry := reserved < p_limit;
    exit when not dry;
    v_free := least(p_limit - reserved, p_system_cap - (select count(*) from ringleader.open_calls o where o.slot));
    exit when v_free <= 0;
    with act as materialized (           -- every live call is one row
      select o.account_id, o.campaign_id, count(*)::int as n from ringleader.open_calls o where o.slot group by 1, 2
    ), acc as materialized (             -- accounts with a free slot and a pace that allows a call now
      select a.id, a.last_claimed_at, a.window_rev, coalesce(t.n, 0) as live, a.max_concurrent_calls - coalesce(t.n, 0) as free,
        case when a.calls_per_second is null then v_free
             else least(greatest(1, ceil(a.calls_per_second)), 1 + floor(extract(epoch from p_now - greatest(a.pace_at, p_now - interval '1 minute')) * a.calls_per_second))::int end as pace
      from ringleader.accounts a left join (select account_id, sum(n)::int as n from act group by 1) t on t.account_id = a.id
      where a.max_concurrent_calls > coalesce(t.n, 0) and (a.calls_per_second is null or a.pace_at <= p_now)
    ), lanes as materialized (           -- lanes with work, in an open window
      select z.campaign_id, z.zone, z.rev, z.account_id, acc.free as a_free, least(acc.free, acc.pace) as a_most, coalesce(t.n, 0) as k_live,
        coalesce(k.max_concurrent_calls, 2147483647) - coalesce(t.n, 0) as k_free,
        case when k.calls_per_second is null then v_free
             else least(greatest(1, ceil(k.calls_per_second)), 1 + floor(extract(epoch from p_now - greatest(k.pace_at, p_now - interval '1 minute')) * k.calls_per_second))::int end as k_pace,
        acc.live as a_live, acc.last_claimed_at
      from ringleader.campaign_zones z
      join ringleader.campaigns k on k.id = z.campaign_id
      join ringleader.agents g on g.id = k.agent_id
      join acc on acc.id = z.account_id
      left join act t on t.account_id = z.account_id and t.campaign_id = z.campaign_id
      where z.next_due_at <= p_now and z.opens_at <= p_now and z.closes_at > p_now and z.window_rev = acc.window_rev + k.window_rev
        and k.status = 'active' and (k.starts_at is null or k.starts_at <= p_now) and (k.ends_at is null or k.ends_at > p_now)
        and coalesce(k.max_concurrent_calls, 2147483647) > coalesce(t.n, 0) and (k.calls_per_second is null or k.pace_at <= p_now)
        and g.paused_reason is null and g.hold_until <= p_now and g.deleted_at is null
    ), depth as materialized (
      select greatest(2, ceil(2.0 * v_free / greatest(1, count(distinct account_id))))::int as n from lanes
    ), probe as materialized (           -- the least loaded and longest unserved first
      select * from lanes order by a_live, last_claimed_at, account_id, k_live limit greatest(3 * v_free, v_probe)
    ), cand as materialized (
      select q.id, p.account_id, p.a_live, p.a_most, p.last_claimed_at, p.campaign_id, p.zone, p.k_live, least(p.k_free, p.k_pace) as k_free, q.phone, q.next_attempt_at as due, q.seq, 1 as kind
      from probe p cross join lateral (
        select l.id, l.phone, l.next_attempt_at, l.seq from ringleader.leads l
        where l.campaign_id = p.campaign_id and l.zone = p.zone and l.next_attempt_at <= p_now
          and not exists (select from ringleader.open_calls o where o.account_id = p.account_id and o.phone = l.phone and o.slot)
        order by l.next_attempt_at, l.seq limit least((select n from depth), v_free, p.k_free, p.a_free, p.k_pace)
      ) q
      union all
      select q.id, acc.id, acc.live, least(acc.free, acc.pace), acc.last_claimed_at, null, null, 0, v_free, q.phone, q.due_at, q.seq, 0
      from acc cross join lateral (
        select c.id, c.phone, c.due_at, c.seq from ringleader.calls c join ringleader.agents g on g.id = c.agent_id
        where c.account_id = acc.id and c.status = 'waiting' and c.due_at <= p_now and g.paused_reason is null and g.hold_until <= p_now
          and not exists (select from ringleader.open_calls o where o.account_id = c.account_id and o.phone = c.phone and o.slot)
        order by c.due_at, c.seq limit least(v_free, acc.free)
      ) q
      where (select c.due_at from ringleader.calls c where c.due_at <= p_now limit 1) is not null -- looked for in each account only if one waits at all
    ), one_per_number as (
      select *, row_number() over (partition by account_id, phone order by kind, due, seq) as same from cand
    ), in_campaign as (
      select *, row_number() over (partition by campaign_id, kind order by due, seq) as k_nth from one_per_number where same = 1
    ), in_account as (                   -- in the account: direct first, then the campaign with the fewest live calls
      select i.*, row_number() over (partition by account_id order by kind, k_live + k_nth, due, seq) as a_nth
      from in_campaign i where kind = 0 or k_nth <= k_free
    ), pick as materialized (            -- across accounts: whoever has the fewest live calls, ties to the longest unserved
      select i.id, i.kind, row_number() over (order by i.kind, i.a_live + i.a_nth, i.last_claimed_at, i.account_id) as nth
      from in_account i where i.a_nth <= i.a_most
      order by nth limit v_free
    ), lead as materialized (            -- a row that somebody edits right now is left for the next claim
      select p.nth, l.id, l.account_id, l.campaign_id, l.phone, l.attempts from pick p join ringleader.leads l on l.id = p.id
      where p.kind = 1 and l.status = 'waiting' for update of l skip locked
    ), made as (
      insert into ringleader.calls (id, account_id, kind, campaign_id, lead_id, agent_id, phone, status, attempt, claim_id, provider, reserved_at, lease_until, look_at, created_at)
      select ringleader.nth_id(p_claim, (reserved + row_number() over (order by l.nth))::text), l.account_id, 'campaign', l.campaign_id, l.id, k.agent_id, l.phone, 'reserved', l.attempts + 1, p_claim, g.provider,
        p_now, p_now + interval '10 minutes', p_now + interval '10 minutes', p_now
      from lead l join ringleader.campaigns k on k.id = l.campaign_id join ringleader.agents g on g.id = k.agent_id
      returning id, account_id, campaign_id, lead_id, phone, attempt
    ), taken as (
      update ringleader.leads l set status = 'calling', call_id = m.id, attempts = m.attempt, next_attempt_at = null from made m where l.id = m.lead_id
    ), direct as (
      update ringleader.calls c set status = 'reserved', claim_id = p_claim, reserved_at = p_now, due_at = null, reason = null,
        lease_until = p_now + interval '10 minutes', look_at = p_now + interval '10 minutes'
      from pick p where p.kind = 0 and c.id = p.id and c.status = 'waiting' returning c.id, c.account_id, c.phone
    ), opened as (
      insert into ringleader.open_calls (call_id, account_id, campaign_id, phone, claim_id, slot)
      select m.id, m.account_id, m.campaign_id, m.phone, p_claim, true from made m union all select d.id, d.account_id, null, d.phone, p_claim, true from direct d
    ), served as (
      update ringleader.accounts a set last_claimed_at = p_now,
        pace_at = case when a.calls_per_second is null then a.pace_at
          else greatest(a.pace_at, p_now - make_interval(secs => (greatest(1, ceil(a.calls_per_second)) - 1) / a.calls_per_second)) + make_interval(secs => s.n / a.calls_per_second) end
      from (select account_id, count(*) as n from (select account_id from made union all select account_id from direct) u group by 1) s where a.id = s.account_id
    ), paced as (
      update ringleader.campaigns k set pace_at =
        greatest(k.pace_at, p_now - make_interval(secs => (greatest(1, ceil(k.calls_per_second)) - 1) / k.calls_per_second)) + make_interval(secs => s.n / k.calls_per_second)
      from (select campaign_id, count(*) as n from made group by 1) s where k.id = s.campaign_id and k.calls_per_second is not null
    ), asleep as (                       -- lanes found empty, until their next lead is due; while leads of the campaign are on a call, a retry may come: within a minute
      update ringleader.campaign_zones z set next_due_at = coalesce(least(
        (select l.next_attempt_at from ringleader.leads l where l.campaign_id = z.campaign_id and l.zone = z.zone and l.next_attempt_at is not null
         order by l.next_attempt_at, l.seq limit 1),
        case when exists (select from ringleader.open_calls o where o.account_id = z.account_id and o.campaign_id = z.campaign_id) then p_now + interval '1 minute' end), 'infinity')
      from probe p where z.campaign_id = p.campaign_id and z.zone = p.zone and z.rev = p.rev
        and (p.campaign_id, p.zone) not in (select c.campaign_id, c.zone from cand c where c.kind = 1)
    )
    -- A look that reserves nothing may have picked rows that somebody edits, or left lanes for the next.
    select n.picked = 0 and not n.more, n.more, n.made into dry, v_more, v_made
    from (select (select count(*) from pick) as picked, (select count(*) from lanes) > (select count(*) from probe) as more,
      (select count(*) from made) + (select count(*) from direct) as made) n;
    reserved := reserved + v_made;
    if v_made = 0 then
      exit when not v_more;
      v_probe := v_probe * 8;
    end if;
  end loop;
end $$;

-- When the pace alone holds work back, in one account or in all: the instant from which it no longer does.
create function ringleader.next_pace_at(p_now timestamptz, p_account uuid) returns timestamptz language sql stable as $$
  select min(w.at) from (
    select greatest(case when a.calls_per_second is not null then a.pace_at end, case when k.calls_per_second is not null then k.pace_at end) as at
    from ringleader.campaign_zones z join ringleader.campaigns k on k.id = z.campaign_id join ringleader.accounts a on a.id = k.account_id join ringleader.agents g on g.id = k.agent_id
    where z.next_due_at <= p_now and z.opens_at <= p_now and z.closes_at > p_now and k.status = 'active' and (p_account is null or k.account_id = p_account)
      and (a.calls_per_second is not null or k.calls_per_second is not null) and g.paused_reason is null and g.hold_until <= p_now
    union all
    select a.pace_at from ringleader.calls c join ringleader.accounts a on a.id = c.account_id
    where c.status = 'waiting' and c.due_at <= p_now and a.calls_per_second is not null and (p_account is null or c.account_id = p_account)) w
  where w.at > p_now
$$;

-- What a claim has reserved, and nobody has fenced yet.
create function ringleader.reserved_by(p_claim uuid) returns uuid[] language plpgsql stable as $$
begin
  return array(select o.call_id from ringleader.open_calls o join ringleader.calls c on c.id = o.call_id where o.claim_id = p_claim and c.status = 'reserved');
end $$;

-- Reserves calls for whoever asks; the same claim id gets the same calls again. A refill (its account and token) that finds nothing looks
-- once more when all that was freed meanwhile is committed, if any was, and only then gives the refill back: no freed slot is overlooked by both sides.
create function ringleader.claim_calls(p_now timestamptz, p_claim uuid, p_limit int, p_system_cap int, p_refill_of uuid default null, p_refill uuid default null) returns json
language plpgsql security definer set search_path = pg_catalog set enable_bitmapscan = off as $$ -- an index scan also clears away the entries of dead rows
declare v_ids uuid[]; v_next_pace timestamptz; v_made int; v_dry boolean := false; -- a claim that is repeated no longer knows
begin
  perform ringleader.assert_app_role();
  perform ringleader.one_claimer();
  v_ids := ringleader.reserved_by(p_claim);
  if v_ids = '{}' then
    perform ringleader.roll_windows(p_now);
    select r.reserved, r.dry into v_made, v_dry from ringleader.reserve_calls(p_now, p_claim, p_limit, p_system_cap) r;
    if v_made = 0 then
      v_next_pace := ringleader.next_pace_at(p_now, p_refill_of);
      if p_refill_of is not null and v_next_pace is null then
        perform ringleader.before_refill_ends(p_refill_of);
        update ringleader.refills r set again = false where r.account_id = p_refill_of and r.token = p_refill and r.again;
        if found or not v_dry then
          perform ringleader.roll_windows(p_now);
          select r.reserved, r.dry into v_made, v_dry from ringleader.reserve_calls(p_now, p_claim, p_limit, p_system_cap) r;
        end if;
        if v_made = 0 then delete from ringleader.refills r where r.account_id = p_refill_of and r.token = p_refill; end if;
      end if;
    end if;
    v_dry := v_dry and v_made > 0 and p_refill_of is not null and ringleader.next_pace_at(p_now, p_refill_of) is null;
    v_ids := ringleader.reserved_by(p_claim);
  end if;
  return (
    with own as materialized (
      select c.seq, c.account_id, c.id, c.kind, c.campaign_id, c.lead_id, c.attempt, c.phone, c.name, c.variables, c.agent_id from ringleader.calls c where c.id = any (v_ids)
    )
    select json_build_object(
      'calls', coalesce((select json_agg(json_build_object('account_id', c.account_id, 'call_id', c.id, 'kind', c.kind, 'campaign_id', c.campaign_id, 'lead_id', c.lead_id,
          'attempt', c.attempt, 'phone', c.phone, 'name', case when c.kind = 'direct' then c.name else l.name end, 'email', l.email, 'company', l.company,
          'timezone', coalesce(l.timezone, k.timezone), 'variables', coalesce(case when c.kind = 'direct' then c.variables else l.variables end, '{}'), 'agent_id', c.agent_id) order by c.seq)
        from own c left join ringleader.leads l on l.id = c.lead_id left join ringleader.campaigns k on k.id = c.campaign_id), '[]'),
      'agents', coalesce((select json_agg(ringleader.agent_secrets_json(g) order by g.id) from ringleader.agents g where g.id in (select c.agent_id from own c)), '[]'),
      'next_pace_at', ringleader.iso(v_next_pace), 'dry', v_dry));
end $$;

-- The fence of one claim's calls, whosever they are: from here on the provider may be asked. What may not be dialled any more is given back.
create function ringleader.fence_calls(p_now timestamptz, p_token uuid, p_ids jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
declare v_ids uuid[] := array(select e::uuid from jsonb_array_elements_text(p_ids) e); v_go jsonb; v_held jsonb; h record;
begin
  perform ringleader.assert_app_role();
  perform 1 from ringleader.calls c where c.id = any (v_ids) order by c.id for no key update;
  -- Read once the calls are locked. Calls of one campaign and zone share their window.
  with r as materialized (
    select c.id, c.status, c.fence_token, c.lease_until, c.kind, c.attempt, c.campaign_id, g.paused_reason, g.hold_until, g.deleted_at,
      k.status as k_status, k.starts_at, k.ends_at, k.max_attempts, k.window_days, k.window_start, k.window_end, coalesce(l.timezone, k.timezone, a.timezone) as zone, l.called_back_at,
      exists (select from ringleader.suppressions s where s.account_id = c.account_id and s.phone = c.phone) as suppressed
    from ringleader.calls c
    join ringleader.accounts a on a.id = c.account_id
    join ringleader.agents g on g.id = c.agent_id
    left join ringleader.campaigns k on k.id = c.campaign_id
    left join ringleader.leads l on l.id = c.lead_id
    where c.id = any (v_ids)
  ), lane as materialized (
    select d.campaign_id, d.zone, w.opens_at
    from (select distinct r.campaign_id, r.zone, r.window_days, r.window_start, r.window_end from r where r.kind = 'campaign' and r.status = 'reserved') d
    cross join lateral ringleader.window_after(d.window_days, d.window_start, d.window_end, d.zone, p_now) w
  ), judged as materialized (
    select r.id, r.status = 'reserved' as reserved, r.hold_until, case
      when r.status = 'placing' and r.fence_token = p_token then null
      when r.status <> 'reserved' then 'the reservation is gone'
      when r.lease_until <= p_now then 'the reservation expired'
      when r.suppressed then 'suppressed'
      when r.paused_reason is not null or r.hold_until > p_now then 'the provider is paused'
      when r.deleted_at is not null then 'the agent was deleted' -- a campaign goes on with its new one
      when r.kind = 'direct' then null
      when r.k_status <> 'active' then format('the campaign is %s', r.k_status)
      when r.starts_at > p_now or r.ends_at <= p_now then 'outside starts_at and ends_at'
      when lane.opens_at is null or lane.opens_at > p_now then 'outside the calling window'
      when r.attempt > r.max_attempts then 'all attempts have been made'
      when r.called_back_at is not null then 'the lead called back' end as reason
    from r left join lane on lane.campaign_id = r.campaign_id and lane.zone = r.zone
  ), placed as (
    update ringleader.calls c set status = 'placing', fence_token = p_token, placing_at = p_now, lease_until = p_now + interval '10 minutes', look_at = p_now + interval '1 minute', looks = 0
    from judged j where c.id = j.id and j.reserved and j.reason is null
  )
  select coalesce(jsonb_agg(j.id order by j.id) filter (where j.reason is null), '[]'),
    coalesce(jsonb_agg(jsonb_build_object('call_id', j.id, 'reason', j.reason, 'reserved', j.reserved,
      'again_at', case when j.reason = 'the provider is paused' then greatest(p_now, j.hold_until) else p_now end) order by j.id) filter (where j.reason is not null), '[]')
  into v_go, v_held from judged j;
  for h in select * from jsonb_to_recordset(v_held) as x(call_id uuid, reason text, reserved boolean, again_at timestamptz) where x.reserved loop
    perform ringleader.give_back(h.call_id, h.reason, h.again_at, p_now);
  end loop;
  return jsonb_build_object('go', v_go, 'held', v_held, 'mail_due', ringleader.mail_is_due_to(v_ids, p_now));
end $$;

-- How the create-calls of one claim ended, whosever they are. With the refill (its account and token) whose claim it was, if that found nothing
-- more: it may be over with this.
create function ringleader.record_calls(p_now timestamptz, p_outcomes jsonb, p_refill_of uuid default null, p_refill uuid default null) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
declare o record; c ringleader.calls; v_released int := 0; v_done boolean := false; v_paused boolean := false; v_wait interval; v_news boolean;
  v_ids uuid[] := array(select (e ->> 'call_id')::uuid from jsonb_array_elements(p_outcomes) e);
begin
  perform ringleader.assert_app_role();
  select bool_or(l.status = 'placing') into v_news from (select x.status from ringleader.calls x where x.id = any (v_ids) order by x.id for no key update) l;
  with accepted as materialized (
    select a.call_id, a.provider_call_id, x.account_id, x.provider,
      x.provider_call_id is null and pg_advisory_xact_lock_shared(74210003, hashtext(a.provider_call_id)) is not null as news -- as tie_call
    from jsonb_to_recordset(p_outcomes) as a(call_id uuid, outcome text, provider_call_id text) join ringleader.calls x on x.id = a.call_id
    where a.outcome = 'accepted'
  ), known as (
    insert into ringleader.provider_calls (account_id, provider_call_id, provider, call_id)
    select a.account_id, a.provider_call_id, a.provider, a.call_id from accepted a where a.news
    on conflict do nothing -- a provider that gives an id twice must not keep the others of this claim from being recorded
  )
  update ringleader.calls x set provider_call_id = coalesce(x.provider_call_id, a.provider_call_id), placed_at = coalesce(x.placed_at, p_now),
    status = case when x.status = 'placing' then 'queued' else x.status end,
    lease_until = case when x.status = 'placing' then p_now + interval '10 minutes' else x.lease_until end,
    look_at = case when x.status = 'placing' then p_now + interval '10 minutes' else x.look_at end, looks = 0
  from accepted a where x.id = a.call_id;
  -- Their events that came before this answer.
  for c in select * from ringleader.calls x where x.id = any (v_ids)
           and exists (select from ringleader.call_events e join ringleader.agents g on g.id = e.agent_id
             where e.account_id = x.account_id and e.provider_call_id = x.provider_call_id and e.fate = 'parked' and g.provider = x.provider) order by x.id loop
    v_done := ringleader.unpark(c.id, p_now) or v_done;
    if c.released_at is null and exists (select from ringleader.calls x where x.id = c.id and x.released_at is not null) then v_released := v_released + 1; end if;
  end loop;
  for o in select * from jsonb_to_recordset(p_outcomes) as x(call_id uuid, fence_token uuid, outcome text, refusal text, retry_after_seconds double precision, reason text)
           where x.outcome <> 'accepted' order by x.call_id loop
    select * into c from ringleader.calls x where x.id = o.call_id;
    if c.id is null then continue; end if;
    if c.status <> 'placing' or c.fence_token <> o.fence_token then
      -- An event or the tick has said more already; or this is said again, its answer lost, and a direct call that went back is being placed by somebody else.
      continue;
    elsif o.outcome = 'unknown' then
      update ringleader.calls x set look_at = p_now + interval '1 minute', reason = o.reason where x.id = c.id;
    elsif o.refusal in ('later', 'account', 'agent') then
      v_wait := make_interval(secs => greatest(1, coalesce(o.retry_after_seconds, 10)));
      if o.refusal <> 'later' then
        perform ringleader.pause_agents(c.agent_id, o.refusal = 'account', o.reason, p_now);
        v_paused := true;
      else
        update ringleader.agents g set hold_until = greatest(g.hold_until, p_now + v_wait) where g.id = c.agent_id;
      end if;
      if o.refusal <> 'later' and c.kind = 'direct' then
        perform ringleader.end_call(c.id, 'failed', o.reason, p_now);
        v_released := v_released + 1;
        continue;
      end if;
      v_done := ringleader.give_back(c.id, coalesce(o.reason, 'the provider asked to wait'), case when o.refusal = 'later' then p_now + v_wait else p_now end, p_now) or v_done;
      v_released := v_released + 1;
    else
      v_done := ringleader.end_call(c.id, 'failed', o.reason, p_now, o.refusal = 'invalid') or v_done;
      v_released := v_released + 1;
    end if;
  end loop;
  return jsonb_build_object('released', v_released, 'completed', v_done, 'agent_paused', v_paused, 'mail_due', ringleader.mail_is_due_to(v_ids, p_now),
    -- Said again, it ends nothing: the first time may have taken away the mark of somebody who relies on this refill.
    'refill_over', p_refill is not null and case when v_news then ringleader.refill_is_over(p_refill_of, p_refill, v_ids)
      else not exists (select from ringleader.refills r where r.account_id = p_refill_of and r.token = p_refill) end);
end $$;

-- What of a tick failed: the step, whose row, and Postgres's code; never the message, which may hold a number or a name.
create function ringleader.failure(p_step text, p_id uuid, p_sqlstate text) returns jsonb language plpgsql as $$
begin
  return jsonb_build_array(jsonb_build_object('step', p_step, 'id', p_id, 'sqlstate', p_sqlstate));
end $$;

-- The steps of the tick's upkeep. Each says how many campaigns it completed (done) and what failed: what fails for one campaign or call is left for the
-- next tick and never stops the others.

-- Reservations nobody fenced: whoever claimed them is gone.
create function ringleader.end_reservations(p_now timestamptz, out given_back int, out done int, out failed jsonb) language plpgsql as $$
declare r record;
begin
  given_back := 0; done := 0; failed := '[]';
  for r in select c.id from ringleader.open_calls o join ringleader.calls c on c.id = o.call_id where c.status = 'reserved' and c.lease_until <= p_now
           order by c.id limit 200 for no key update of c skip locked loop
    begin
      if ringleader.give_back(r.id, 'the reservation expired', p_now, p_now) then done := done + 1; end if;
      given_back := given_back + 1;
    exception when others then failed := failed || ringleader.failure('give_back', r.id, sqlstate);
    end;
  end loop;
end $$;

-- Calls nobody knows anything of, though the provider was asked since their lease ended or could not be asked: two ticks later they are over. Whoever
-- was to ask may have died: then the next is sent, ten times.
-- (Asked by an earlier tick: this one may be the same again, after a lost answer.)
-- And calls that the provider calls under way for ever: no call lasts four hours, none is wound up for one after it has hung up.
create function ringleader.end_silent_calls(p_now timestamptz, out done int, out failed jsonb) language plpgsql as $$
declare r record;
begin
  done := 0; failed := '[]';
  for r in select c.id, c.reason from ringleader.open_calls o join ringleader.calls c on c.id = o.call_id
           where ((c.lease_until <= p_now - interval '2 minutes' and ((c.looked_at >= c.lease_until and c.looked_at < p_now) or c.looks >= 10))
             or ((c.placed_at <= p_now - interval '4 hours' or c.released_at <= p_now - interval '1 hour') and c.looked_at < p_now))
           and c.status in ('placing', 'queued', 'dialing', 'ringing', 'in_progress')
           order by c.id limit 200 for no key update of c skip locked loop
    begin
      if ringleader.end_call(r.id, 'unknown', coalesce(r.reason, 'the provider did not say what became of it'), p_now) then done := done + 1; end if;
    exception when others then failed := failed || ringleader.failure('end_call', r.id, sqlstate);
    end;
  end loop;
end $$;

-- More calls have fallen silent than the provider can be asked about in two ticks: their slots are free all the same, and each is asked about in its turn.
create function ringleader.free_silent_slots(p_now timestamptz) returns void language sql as $$
  with silent as (
    select c.id from ringleader.open_calls o join ringleader.calls c on c.id = o.call_id
    where o.slot and c.lease_until <= p_now - interval '2 minutes' and c.status in ('placing', 'queued', 'dialing', 'ringing', 'in_progress') order by c.id for no key update of c
  ), released as (
    update ringleader.calls c set released_at = p_now from silent where c.id = silent.id and c.released_at is null returning c.id
  )
  update ringleader.open_calls o set slot = false from released where o.call_id = released.id
$$;

-- Direct calls that went back to waiting while their agent was being refused: whoever refused it did not see them.
create function ringleader.end_refused_calls(p_now timestamptz, out done int, out failed jsonb) language plpgsql as $$
declare r record;
begin
  done := 0; failed := '[]';
  for r in select c.id, g.paused_reason from ringleader.calls c join ringleader.agents g on g.id = c.agent_id
           where c.due_at is not null and c.status = 'waiting' and g.paused_reason is not null order by c.id limit 200 for no key update of c skip locked loop
    begin
      if ringleader.end_call(r.id, 'failed', r.paused_reason, p_now) then done := done + 1; end if;
    exception when others then failed := failed || ringleader.failure('end_call', r.id, sqlstate);
    end;
  end loop;
end $$;

-- Analyses past their grace, the provider having been asked; or an hour past it, when more are missing than can be asked about in another hour.
create function ringleader.end_analyses(p_now timestamptz, p_limit int, out done int, out failed jsonb) language plpgsql as $$
declare r record; v_turn record;
begin
  done := 0; failed := '[]';
  select x.look_at, x.id into v_turn from ringleader.calls x where x.analysis_due_at is not null and x.look_at <= p_now order by x.look_at, x.id offset 60 * p_limit limit 1;
  for r in select c.id, c.account_id, c.campaign_id from ringleader.calls c
           where c.analysis_due_at <= p_now and (c.looked_at < p_now or c.looks >= 10 or (c.look_at <= p_now and (c.look_at, c.id) >= (v_turn.look_at, v_turn.id) and c.analysis_due_at <= p_now - interval '1 hour'))
           order by c.id limit 200 for no key update skip locked loop
    begin
      update ringleader.calls c set analysis_due_at = null, look_at = null where c.id = r.id;
      if r.campaign_id is not null and ringleader.complete_if_done(r.account_id, r.campaign_id, p_now) then done := done + 1; end if;
    exception when others then failed := failed || ringleader.failure('end_analysis', r.id, sqlstate);
    end;
  end loop;
end $$;

-- Imports whose worker is gone no longer keep their campaign open.
create function ringleader.end_imports(p_now timestamptz, out done int, out failed jsonb) language plpgsql as $$
declare r record;
begin
  done := 0; failed := '[]';
  for r in select i.id, i.account_id, i.campaign_id from ringleader.imports i where i.finished_at is null and i.lease_until <= p_now order by i.id for no key update skip locked loop
    begin
      update ringleader.imports i set finished_at = p_now where i.id = r.id;
      if (select l.id from ringleader.leads l where l.campaign_id = r.campaign_id limit 1) is not null
         and ringleader.complete_if_done(r.account_id, r.campaign_id, p_now) then done := done + 1; end if;
    exception when others then failed := failed || ringleader.failure('end_import', r.id, sqlstate);
    end;
  end loop;
end $$;

-- Campaigns past their end, and leads left waiting in closed ones: in all no more than one statement has time for.
create function ringleader.close_campaigns(p_now timestamptz, out expired int, out done int, out failed jsonb) language plpgsql as $$
declare r record; v_n int;
begin
  expired := 0; done := 0; failed := '[]';
  for r in select k.id, k.account_id, k.status from ringleader.campaigns k
           where k.settled_at is null and k.status <> 'draft' and (k.ends_at <= p_now or k.status = 'canceled') order by k.id limit 200 loop
    exit when expired >= 20000;
    begin
      v_n := ringleader.close_leads(r.id, case when r.status = 'canceled' then 'canceled' else 'expired' end, 20000 - expired);
      if ringleader.complete_if_free(r.account_id, r.id, p_now) then done := done + 1; end if;
      expired := expired + v_n;
    exception when others then failed := failed || ringleader.failure('close_campaign', r.id, sqlstate);
    end;
  end loop;
end $$;

-- What the provider must be asked about now, those whose lease has ended first, and of them those for whom a tick before had no time; the next look is a minute away unless the answer says otherwise.
create function ringleader.calls_to_look_at(p_now timestamptz, p_limit int) returns jsonb language plpgsql as $$
declare v_look jsonb;
begin
  with due as (
    select c.id from ringleader.calls c join (
      select x.id from ringleader.open_calls o join ringleader.calls x on x.id = o.call_id where x.status <> 'reserved' and x.look_at <= p_now
      union all
      select x.id from ringleader.calls x where x.analysis_due_at is not null and x.look_at <= p_now) u on u.id = c.id
    order by (c.lease_until <= p_now) desc nulls last, c.looks desc, c.look_at, c.id limit p_limit for no key update of c skip locked
  ), looked as (
    update ringleader.calls c set looks = c.looks + 1, look_at = p_now + interval '1 minute' from due where c.id = due.id returning c.*
  )
  select jsonb_agg(jsonb_build_object('account_id', c.account_id, 'call_id', c.id, 'agent', ringleader.agent_secrets_json(g), 'provider_call_id', c.provider_call_id,
    'status', c.status, 'phone', c.phone, 'placing_at', ringleader.iso(c.placing_at)) order by (c.lease_until <= p_now) desc nulls last, c.looks desc, c.id)
  into v_look from looked c join ringleader.agents g on g.id = c.agent_id;
  return coalesce(v_look, '[]');
end $$;

-- The tick's upkeep; p_limit is how many calls the caller can ask the provider about.
create function ringleader.tick(p_now timestamptz, p_limit int) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
declare v_back record; v_silent record; v_refused record; v_analyses record; v_imports record; v_closed record; v_done int := 0; v_failed jsonb := '[]'; v_unfinished boolean;
begin
  perform ringleader.assert_app_role();
  perform ringleader.roll_windows(p_now);
  select * into v_back from ringleader.end_reservations(p_now);
  select * into v_silent from ringleader.end_silent_calls(p_now);
  perform ringleader.free_silent_slots(p_now);
  select * into v_refused from ringleader.end_refused_calls(p_now);
  select * into v_analyses from ringleader.end_analyses(p_now, p_limit);
  select * into v_imports from ringleader.end_imports(p_now);
  select * into v_closed from ringleader.close_campaigns(p_now);
  begin
    select x.done, x.failed into v_done, v_failed from ringleader.catch_up(p_now) x;
  exception when others then v_failed := ringleader.failure('catch_up', null, sqlstate);
  end;
  -- Remembered answers are kept for two days.
  delete from ringleader.idempotency_keys i where i.created_at <= p_now - interval '2 days';
  v_unfinished := ringleader.forget(p_now, 500);
  return jsonb_build_object('look_at', ringleader.calls_to_look_at(p_now, p_limit), 'given_back', v_back.given_back, 'expired_leads', v_closed.expired,
    'completed', v_back.done + v_silent.done + v_refused.done + v_analyses.done + v_imports.done + v_closed.done + v_done, 'unfinished', v_unfinished,
    'failed', v_back.failed || v_silent.failed || v_refused.failed || v_analyses.failed || v_imports.failed || v_closed.failed || v_failed,
    'mail_due', exists (select from ringleader.notifications n where n.next_attempt_at <= p_now or (n.status = 'sending' and n.lease_until <= p_now)));
end $$;

-- Marks a mail `skipped` when its type is switched off by configuration or by the account; else takes it for sending. The row is locked by the caller.
create function ringleader.take_mail(n ringleader.notifications, p_token uuid, p_off jsonb, p_now timestamptz) returns jsonb language plpgsql as $$
declare v_reason text;
begin
  if n.requested_at is null then
    v_reason := case
      when p_off ? n.type then 'switched off by configuration (EMAIL_CAMPAIGN_SUMMARY_ENABLED is not true)'
      when exists (select from ringleader.notification_preferences p where p.account_id = n.account_id and not case n.type
        when 'campaign_summary' then p.campaign_summary_emails when 'hot_lead' then p.hot_lead_emails
        when 'campaign_paused' then p.campaign_paused_emails else p.nothing_dialled_emails end) then 'switched off in the notification preferences' end;
  end if;
  if v_reason is not null then
    update ringleader.notifications x set status = 'skipped', reason = v_reason, next_attempt_at = null where x.id = n.id;
    return null;
  end if;
  update ringleader.notifications x set status = 'sending', token = p_token, attempts = x.attempts + 1, lease_until = p_now + interval '20 minutes',
    next_attempt_at = null, reason = null
  where x.id = n.id returning * into n;
  return ringleader.taken_json(n);
end $$;

-- Completes what is done, and takes the mails that are due. A send whose end nobody recorded may have gone out: it is `unknown`, and handed out to be
-- looked up after 1, 5, 15 and 60 minutes before a person decides.
create function ringleader.sweep_notifications(p_now timestamptz, p_token uuid, p_limit int, p_off jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
declare n ringleader.notifications; v_taken jsonb := '[]'; v_one jsonb; v_done int; v_look jsonb;
begin
  perform ringleader.assert_app_role();
  select u.done into v_done from ringleader.catch_up(p_now) u; -- what failed of it the tick tells, which does the same
  update ringleader.notifications x set status = 'unknown', reason = 'the worker was lost while sending; it may have been sent', lease_until = null,
    lookups = 0, next_attempt_at = p_now + interval '1 minute'
  where x.status = 'sending' and x.lease_until <= p_now;
  select coalesce(jsonb_agg(ringleader.taken_json(x) order by x.seq), '[]') into v_taken from ringleader.notifications x where x.token = p_token and x.status = 'sending';
  if v_taken = '[]' then
    for n in select * from ringleader.notifications x where x.status = 'pending' and x.next_attempt_at <= p_now order by x.next_attempt_at, x.seq for update skip locked loop
      v_one := ringleader.take_mail(n, p_token, p_off, p_now);
      if v_one is not null then v_taken := v_taken || jsonb_build_array(v_one); end if;
      exit when jsonb_array_length(v_taken) >= p_limit;
    end loop;
  end if;
  with due as (
    select x.id from ringleader.notifications x where x.status = 'unknown' and x.next_attempt_at <= p_now order by x.next_attempt_at, x.seq limit p_limit for no key update skip locked
  ), taken as (
    update ringleader.notifications x set next_attempt_at = p_now + interval '10 minutes' from due where x.id = due.id returning x.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'account_id', t.account_id, 'campaign_id', t.campaign_id, 'type', t.type,
    'nth', t.lookups, 'last', t.lookups = 3, 'overdue', coalesce(t.requested_at, t.created_at) <= p_now - interval '2 days')), '[]') into v_look from taken t;
  return jsonb_build_object('taken', v_taken, 'look_up', v_look, 'completed', v_done);
end $$;

-- The mail provider says that a mail came back or was complained of: the address is marked until the account changes it. False: no mail of ours.
create function ringleader.note_bounce(p_now timestamptz, p_notification uuid, p_email text, p_problem text) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
declare n ringleader.notifications;
begin
  perform ringleader.assert_app_role();
  update ringleader.notifications x set reason = p_problem where x.id = p_notification and lower(x.recipient) = lower(p_email) returning * into n;
  if n.id is null then return 'false'; end if;
  update ringleader.accounts a set email_problem = p_problem, email_problem_at = p_now where a.id = n.account_id and lower(a.email) = lower(p_email);
  return 'true';
end $$;

-- The earliest instant at which anything may have to be done; null when nothing is pending.
create function ringleader.next_due(p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform ringleader.assert_app_role();
  return to_jsonb(ringleader.iso(least(
    (select min(greatest(z.next_due_at, case when z.window_rev = a.window_rev + k.window_rev then z.opens_at end, k.starts_at, g.hold_until,
       case when a.calls_per_second is not null then a.pace_at end, case when k.calls_per_second is not null then k.pace_at end)) from ringleader.campaign_zones z
     join ringleader.campaigns k on k.id = z.campaign_id join ringleader.accounts a on a.id = k.account_id join ringleader.agents g on g.id = k.agent_id
     where z.next_due_at < 'infinity' and k.status = 'active' and g.paused_reason is null),
    (select min(k.ends_at) from ringleader.campaigns k where k.settled_at is null and k.status in ('active', 'paused')),
    -- Leads of a canceled campaign that are still to be ended.
    (select p_now from ringleader.campaigns k where k.settled_at is null and k.status = 'canceled'
     and (select l.seq from ringleader.leads l where l.campaign_id = k.id and l.next_attempt_at is not null order by l.zone, l.next_attempt_at, l.seq limit 1) is not null limit 1),
    -- Silence in a campaign that nobody dials is told: looked at after a day, and exactly from then on.
    (select min(d.at) from ringleader.campaigns k cross join lateral (select ringleader.silent_since(k) + interval '1 day' as day) s
     cross join lateral (select case when s.day > p_now then s.day else ringleader.nothing_dialled_at(k) end as at) d
     where k.status = 'active' and d.at > p_now),
    (select min(i.lease_until) from ringleader.imports i where i.finished_at is null),
    (select min(c.look_at) from ringleader.open_calls o join ringleader.calls c on c.id = o.call_id),
    (select min(c.look_at) from ringleader.calls c where c.analysis_due_at is not null),
    (select min(case when g.paused_reason is not null then p_now else greatest(c.due_at, g.hold_until, case when a.calls_per_second is not null then a.pace_at end) end)
     from ringleader.calls c join ringleader.agents g on g.id = c.agent_id join ringleader.accounts a on a.id = c.account_id where c.status = 'waiting' and c.due_at is not null),
    (select min(n.next_attempt_at) from ringleader.notifications n where n.next_attempt_at is not null),
    (select min(n.lease_until) from ringleader.notifications n where n.status = 'sending'))));
end $$;

create function ringleader.system_status(p_now timestamptz, p_system_cap int) returns jsonb
language plpgsql security definer set search_path = pg_catalog as $$
begin
  perform ringleader.assert_app_role();
  return jsonb_build_object(
    'accounts', (select count(*) from ringleader.accounts),
    'live_calls', (select count(*) from ringleader.open_calls o where o.slot),
    'waiting_leads', (select count(*) from ringleader.leads l join ringleader.campaigns k on k.id = l.campaign_id where l.next_attempt_at is not null and k.status = 'active'),
    'waiting_direct_calls', (select count(*) from ringleader.calls c where c.status = 'waiting' and c.due_at is not null),
    'notifications', coalesce((select jsonb_object_agg(s.status, s.n) from (select status, count(*) as n from ringleader.notifications group by 1) s), '{}'),
    'unknown_events', (select count(*) from ringleader.call_events e where e.fate = 'unknown'),
    'next_due_at', ringleader.next_due(p_now));
end $$;

-- The server's own view of our sessions. As the caller, who may see his own: the owner of the system verbs may not.
create function ringleader.server_sessions(p_now timestamptz) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('state', s.state, 'count', s.n) order by s.state), '[]')
  from (select a.state, count(*) as n from pg_stat_activity a where a.usename = session_user and a.application_name = 'ringleader' group by 1) s
$$;

-- ================================================================ account verbs: accounts, keys, preferences

create function ringleader.create_account(p_account uuid, p_now timestamptz, p_name text, p_email text, p_timezone text, p_cap int, p_key_id uuid, p_key_hash text) returns jsonb
language plpgsql as $$
declare a ringleader.accounts;
begin
  perform ringleader.enter(p_account);
  insert into ringleader.accounts (id, name, email, timezone, max_concurrent_calls, created_at)
  values (p_account, p_name, p_email, p_timezone, p_cap, p_now) on conflict (id) do nothing;
  insert into ringleader.api_keys (id, account_id, name, key_hash, created_at) values (p_key_id, p_account, 'first key', p_key_hash, p_now) on conflict (id) do nothing;
  insert into ringleader.notification_preferences (account_id) values (p_account) on conflict do nothing;
  select * into a from ringleader.accounts x where x.id = p_account;
  return ringleader.account_json(a);
end $$;

create function ringleader.get_account(p_account uuid, p_now timestamptz) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select ringleader.account_json(a) from ringleader.accounts a where a.id = p_account);
end $$;

create function ringleader.update_account(p_account uuid, p_now timestamptz, p_patch jsonb) returns jsonb language plpgsql as $$
declare k record;
begin
  perform ringleader.enter(p_account);
  if p_patch ? 'max_concurrent_calls' then perform ringleader.before_cap_change(); end if;
  update ringleader.accounts a set name = coalesce(p_patch ->> 'name', a.name), email = coalesce(p_patch ->> 'email', a.email),
    timezone = coalesce(p_patch ->> 'timezone', a.timezone), window_rev = a.window_rev + (p_patch ? 'timezone')::int,
    max_concurrent_calls = coalesce((p_patch ->> 'max_concurrent_calls')::int, a.max_concurrent_calls),
    calls_per_second = case when p_patch ? 'calls_per_second' then (p_patch ->> 'calls_per_second')::double precision else a.calls_per_second end,
    pace_at = case when p_patch ? 'calls_per_second' then ringleader.paced_anew(a.pace_at, (p_patch ->> 'calls_per_second')::double precision, p_now) else a.pace_at end,
    email_problem = case when p_patch ? 'email' then null else a.email_problem end
  where a.id = p_account;
  if p_patch ? 'timezone' then
    for k in select c.id from ringleader.campaigns c where c.account_id = p_account and c.timezone is null and c.settled_at is null loop
      perform ringleader.roll_windows(p_now, k.id);
    end loop;
  end if;
  return (select ringleader.account_json(a) from ringleader.accounts a where a.id = p_account);
end $$;

create function ringleader.create_api_key(p_account uuid, p_now timestamptz, p_id uuid, p_name text, p_key_hash text) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  insert into ringleader.api_keys (id, account_id, name, key_hash, created_at) values (p_id, p_account, p_name, p_key_hash, p_now) on conflict (id) do nothing;
  return (select ringleader.api_key_json(k) from ringleader.api_keys k where k.account_id = p_account and k.id = p_id);
end $$;

create function ringleader.list_api_keys(p_account uuid, p_now timestamptz, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return coalesce((select jsonb_agg(ringleader.api_key_json(k) || jsonb_build_object('seq', k.seq::text) order by k.seq)
    from (select * from ringleader.api_keys x where x.account_id = p_account and x.seq > coalesce(p_after, 0) order by x.seq limit p_limit) k), '[]');
end $$;

create function ringleader.revoke_api_key(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  update ringleader.api_keys k set revoked_at = coalesce(k.revoked_at, p_now) where k.account_id = p_account and k.id = p_id;
  return to_jsonb(found);
end $$;

create function ringleader.get_preferences(p_account uuid, p_now timestamptz) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select to_jsonb(p) - 'account_id' from ringleader.notification_preferences p where p.account_id = p_account);
end $$;

create function ringleader.put_preferences(p_account uuid, p_now timestamptz, p_preferences jsonb) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  update ringleader.notification_preferences p set campaign_summary_emails = (p_preferences ->> 'campaign_summary_emails')::boolean,
    hot_lead_emails = (p_preferences ->> 'hot_lead_emails')::boolean, campaign_paused_emails = (p_preferences ->> 'campaign_paused_emails')::boolean,
    nothing_dialled_emails = (p_preferences ->> 'nothing_dialled_emails')::boolean where p.account_id = p_account;
  return (select to_jsonb(p) - 'account_id' from ringleader.notification_preferences p where p.account_id = p_account);
end $$;

-- One type of mail, on or off.
create function ringleader.set_preference(p_account uuid, p_now timestamptz, p_type text, p_on boolean) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  update ringleader.notification_preferences p set
    campaign_summary_emails = case p_type when 'campaign_summary' then p_on else p.campaign_summary_emails end,
    hot_lead_emails = case p_type when 'hot_lead' then p_on else p.hot_lead_emails end,
    campaign_paused_emails = case p_type when 'campaign_paused' then p_on else p.campaign_paused_emails end,
    nothing_dialled_emails = case p_type when 'nothing_dialled' then p_on else p.nothing_dialled_emails end
  where p.account_id = p_account;
  return to_jsonb(found);
end $$;

create function ringleader.account_status(p_account uuid, p_now timestamptz, p_off jsonb) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return jsonb_build_object(
    'live_calls', (select count(*) from ringleader.open_calls o where o.account_id = p_account and o.slot),
    'waiting_leads', (select count(*) from ringleader.leads l join ringleader.campaigns k on k.id = l.campaign_id
      where k.account_id = p_account and k.status = 'active' and l.next_attempt_at is not null),
    'waiting_direct_calls', (select count(*) from ringleader.calls c where c.account_id = p_account and c.status = 'waiting' and c.due_at is not null),
    'next_due_at', ringleader.iso(least(
      (select min(ringleader.next_dial_at(k)) from ringleader.campaigns k where k.account_id = p_account and k.status = 'active'),
      (select min(greatest(c.due_at, g.hold_until)) from ringleader.calls c join ringleader.agents g on g.id = c.agent_id
       where c.account_id = p_account and c.status = 'waiting' and c.due_at is not null and g.paused_reason is null))),
    'unknown_events', (select count(*) from ringleader.call_events e where e.account_id = p_account and e.fate = 'unknown'),
    'email_problem', (select a.email_problem from ringleader.accounts a where a.id = p_account),
    'mails_off', coalesce((select jsonb_agg(jsonb_build_object('type', t.type, 'reason', t.reason)) from (
      select o.type, 'switched off by configuration' as reason from jsonb_array_elements_text(p_off) o(type)
      union all
      select v.type, 'switched off in the notification preferences' from ringleader.notification_preferences p
      cross join lateral (values ('campaign_summary', p.campaign_summary_emails), ('hot_lead', p.hot_lead_emails),
        ('campaign_paused', p.campaign_paused_emails), ('nothing_dialled', p.nothing_dialled_emails)) v(type, on_)
      where p.account_id = p_account and not v.on_) t), '[]'));
end $$;

-- ================================================================ account verbs: agents

create function ringleader.create_agent(p_account uuid, p_now timestamptz, p_agent jsonb) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  insert into ringleader.agents (id, account_id, name, provider, provider_agent_id, from_number, credentials_sealed, credentials_tag, webhook_secrets_sealed, analysis_mapping, created_at)
  values ((p_agent ->> 'id')::uuid, p_account, p_agent ->> 'name', p_agent ->> 'provider', p_agent ->> 'provider_agent_id', p_agent ->> 'from_number',
    p_agent ->> 'credentials_sealed', p_agent ->> 'credentials_tag', p_agent ->> 'webhook_secrets_sealed', nullif(p_agent -> 'analysis_mapping', 'null'), p_now) on conflict (id) do nothing;
  return (select ringleader.agent_json(g) from ringleader.agents g where g.account_id = p_account and g.id = (p_agent ->> 'id')::uuid);
end $$;

create function ringleader.list_agents(p_account uuid, p_now timestamptz, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return coalesce((select jsonb_agg(ringleader.agent_json(g) || jsonb_build_object('seq', g.seq::text) order by g.seq)
    from (select * from ringleader.agents x where x.account_id = p_account and x.deleted_at is null and x.seq > coalesce(p_after, 0) order by x.seq limit p_limit) g), '[]');
end $$;

create function ringleader.get_agent(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select ringleader.agent_json(g) from ringleader.agents g where g.account_id = p_account and g.id = p_id and g.deleted_at is null);
end $$;

create function ringleader.update_agent(p_account uuid, p_now timestamptz, p_id uuid, p_patch jsonb) returns jsonb language plpgsql as $$
declare v_was text;
begin
  perform ringleader.enter(p_account);
  select g.paused_reason into v_was from ringleader.agents g where g.account_id = p_account and g.id = p_id and g.deleted_at is null for no key update;
  update ringleader.agents g set name = coalesce(p_patch ->> 'name', g.name), provider_agent_id = coalesce(p_patch ->> 'provider_agent_id', g.provider_agent_id),
    from_number = case when p_patch ? 'from_number' then p_patch ->> 'from_number' else g.from_number end,
    credentials_sealed = coalesce(p_patch ->> 'credentials_sealed', g.credentials_sealed),
    credentials_tag = case when p_patch ? 'credentials_sealed' then p_patch ->> 'credentials_tag' else g.credentials_tag end,
    webhook_secrets_sealed = case when p_patch ? 'webhook_secrets_sealed' then p_patch ->> 'webhook_secrets_sealed' else g.webhook_secrets_sealed end,
    analysis_mapping = case when p_patch ? 'analysis_mapping' then nullif(p_patch -> 'analysis_mapping', 'null') else g.analysis_mapping end,
    paused_reason = case when p_patch ?| array['credentials_sealed', 'paused_reason'] then null else g.paused_reason end
  where g.account_id = p_account and g.id = p_id and g.deleted_at is null;
  -- Who shares these credentials was paused with it, and goes on with it; if no new ones were set, whoever was paused for the same reason.
  if p_patch ?| array['credentials_tag', 'paused_reason'] then
    update ringleader.agents g set paused_reason = null
    from ringleader.agents o where o.account_id = p_account and o.id = p_id and o.deleted_at is null
      and g.account_id = p_account and g.provider = o.provider and g.credentials_tag = o.credentials_tag and g.paused_reason is not null
      and (p_patch ? 'credentials_tag' or g.paused_reason = v_was);
  end if;
  return (select ringleader.agent_json(g) from ringleader.agents g where g.account_id = p_account and g.id = p_id and g.deleted_at is null);
end $$;

-- Tags agents that a release without tags left bare, unless their credentials were set anew meanwhile; returns those of the provider that are bare still.
create function ringleader.tag_agents(p_account uuid, p_now timestamptz, p_provider text, p_tags jsonb) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  update ringleader.agents g set credentials_tag = t.tag from jsonb_to_recordset(p_tags) as t(agent_id uuid, sealed text, tag text)
  where g.account_id = p_account and g.id = t.agent_id and g.credentials_sealed = t.sealed and g.credentials_tag is null;
  return coalesce((select jsonb_agg(ringleader.agent_secrets_json(g) order by g.seq) from ringleader.agents g
    where g.account_id = p_account and g.provider = p_provider and g.credentials_tag is null and g.deleted_at is null), '[]');
end $$;

create function ringleader.set_webhook_registered(p_account uuid, p_now timestamptz, p_id uuid, p_registered boolean) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  update ringleader.agents g set webhook_registered = p_registered where g.account_id = p_account and g.id = p_id;
  return to_jsonb(found);
end $$;

-- Whether the account has this agent; it is then not deleted before this transaction has ended.
create function ringleader.keep_agent(p_account uuid, p_agent uuid) returns boolean language plpgsql as $$
begin
  perform 1 from ringleader.agents g where g.account_id = p_account and g.id = p_agent and g.deleted_at is null for key share;
  return found;
end $$;

-- Deleted agents stay as rows: their calls point at them, and late webhooks still arrive.
create function ringleader.delete_agent(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare c record;
begin
  perform ringleader.enter(p_account);
  perform 1 from ringleader.agents g where g.account_id = p_account and g.id = p_id and g.deleted_at is null for update;
  if not found then return 'false'; end if;
  if exists (select from ringleader.campaigns k where k.agent_id = p_id and k.account_id = p_account and k.settled_at is null and k.status in ('active', 'paused', 'draft')) then
    return ringleader.refuse(409, 'agent_in_use', 'a campaign that is not finished uses this agent: complete, cancel or delete it first');
  end if;
  update ringleader.agents g set deleted_at = p_now where g.id = p_id;
  -- Direct calls that wait for it. One that a claim takes at this moment is ended by the fence.
  for c in select x.id from ringleader.calls x where x.account_id = p_account and x.agent_id = p_id and x.due_at is not null and x.status = 'waiting' order by x.id for no key update skip locked loop
    perform ringleader.end_call(c.id, 'canceled', 'the agent was deleted', p_now);
  end loop;
  return 'true';
end $$;

create function ringleader.agent_secrets(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select ringleader.agent_secrets_json(g) from ringleader.agents g where g.account_id = p_account and g.id = p_id);
end $$;

-- ================================================================ account verbs: campaigns

create function ringleader.create_campaign(p_account uuid, p_now timestamptz, p_id uuid, c jsonb) returns jsonb language plpgsql as $$
declare r jsonb := coalesce(c -> 'retry', '{}');
begin
  perform ringleader.enter(p_account);
  if not ringleader.keep_agent(p_account, (c ->> 'agent_id')::uuid) then
    return ringleader.refuse_field('agent_id', 'must be the id of one of your agents');
  end if;
  if (c ->> 'ends_at')::timestamptz <= p_now then
    return ringleader.refuse_field('ends_at', 'must lie ahead');
  end if;
  insert into ringleader.campaigns (id, account_id, agent_id, name, timezone, default_country, window_days, window_start, window_end, starts_at, ends_at,
    max_concurrent_calls, calls_per_second, max_attempts, no_answer_minutes, busy_minutes, voicemail_minutes, failed_minutes, unknown_minutes,
    hot_score, warm_score, analysis_grace_minutes, created_at)
  values (p_id, p_account, (c ->> 'agent_id')::uuid, c ->> 'name', c ->> 'timezone', c ->> 'default_country',
    (select array_agg(d::int order by d::int) from jsonb_array_elements_text(c -> 'window' -> 'days') d), (c -> 'window' ->> 'start')::time, (c -> 'window' ->> 'end')::time,
    (c ->> 'starts_at')::timestamptz, (c ->> 'ends_at')::timestamptz, (c ->> 'max_concurrent_calls')::int, (c ->> 'calls_per_second')::double precision,
    coalesce((r ->> 'max_attempts')::int, 3),
    case when r ? 'no_answer_minutes' then (r ->> 'no_answer_minutes')::int else 60 end,
    case when r ? 'busy_minutes' then (r ->> 'busy_minutes')::int else 15 end,
    (r ->> 'voicemail_minutes')::int, (r ->> 'failed_minutes')::int, (r ->> 'unknown_minutes')::int,
    coalesce((c ->> 'hot_score')::int, 70), coalesce((c ->> 'warm_score')::int, 40), coalesce((c ->> 'analysis_grace_minutes')::int, 15), p_now)
  on conflict (id) do nothing;
  return (select ringleader.campaign_json(k) from ringleader.campaigns k where k.account_id = p_account and k.id = p_id);
end $$;

create function ringleader.list_campaigns(p_account uuid, p_now timestamptz, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return coalesce((select jsonb_agg(ringleader.campaign_json(k) || jsonb_build_object('seq', k.seq::text) order by k.seq desc)
    from (select * from ringleader.campaigns x where x.account_id = p_account and x.seq < coalesce(p_after, 9223372036854775807) order by x.seq desc limit p_limit) k), '[]');
end $$;

create function ringleader.get_campaign(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select ringleader.campaign_json(k) from ringleader.campaigns k where k.account_id = p_account and k.id = p_id);
end $$;

create function ringleader.update_campaign(p_account uuid, p_now timestamptz, p_id uuid, c jsonb) returns jsonb language plpgsql as $$
declare k ringleader.campaigns; r jsonb := coalesce(c -> 'retry', '{}'); w jsonb := c -> 'window';
begin
  perform ringleader.enter(p_account);
  if c ?| array['hot_score', 'warm_score'] then perform ringleader.before_thresholds_change(p_id); end if;
  if c ? 'max_concurrent_calls' then perform ringleader.before_cap_change(); end if;
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_id for update;
  if k.id is null then return null; end if;
  if k.status in ('completed', 'canceled') then
    return ringleader.refuse(409, 'campaign_closed', format('a %s campaign cannot be changed', k.status));
  end if;
  if c ? 'agent_id' and not ringleader.keep_agent(p_account, (c ->> 'agent_id')::uuid) then
    return ringleader.refuse_field('agent_id', 'must be the id of one of your agents');
  end if;
  if c ? 'starts_at' then k.starts_at := (c ->> 'starts_at')::timestamptz; end if;
  if c ? 'ends_at' then k.ends_at := (c ->> 'ends_at')::timestamptz; end if;
  k.hot_score := coalesce((c ->> 'hot_score')::int, k.hot_score);
  k.warm_score := coalesce((c ->> 'warm_score')::int, k.warm_score);
  if k.ends_at <= k.starts_at and not c ? 'ends_at' then
    return ringleader.refuse_field('starts_at', 'must be before ends_at');
  end if;
  if k.ends_at <= k.starts_at or (c ? 'ends_at' and k.ends_at <= p_now) then
    return ringleader.refuse_field('ends_at', 'must be after starts_at and lie ahead');
  end if;
  if k.hot_score < k.warm_score and not c ? 'hot_score' then
    return ringleader.refuse_field('warm_score', 'must not be above hot_score');
  end if;
  if k.hot_score < k.warm_score then
    return ringleader.refuse_field('hot_score', 'must not be below warm_score');
  end if;
  update ringleader.campaigns x set name = coalesce(c ->> 'name', x.name), agent_id = coalesce((c ->> 'agent_id')::uuid, x.agent_id),
    timezone = case when c ? 'timezone' then c ->> 'timezone' else x.timezone end,
    default_country = case when c ? 'default_country' then c ->> 'default_country' else x.default_country end,
    window_days = case when w is null then x.window_days else (select array_agg(d::int order by d::int) from jsonb_array_elements_text(w -> 'days') d) end,
    window_start = coalesce((w ->> 'start')::time, x.window_start), window_end = coalesce((w ->> 'end')::time, x.window_end),
    window_rev = x.window_rev + (c ? 'window' or c ? 'timezone')::int,
    starts_at = k.starts_at, ends_at = k.ends_at,
    max_concurrent_calls = case when c ? 'max_concurrent_calls' then (c ->> 'max_concurrent_calls')::int else x.max_concurrent_calls end,
    calls_per_second = case when c ? 'calls_per_second' then (c ->> 'calls_per_second')::double precision else x.calls_per_second end,
    pace_at = case when c ? 'calls_per_second' then ringleader.paced_anew(x.pace_at, (c ->> 'calls_per_second')::double precision, p_now) else x.pace_at end,
    max_attempts = coalesce((r ->> 'max_attempts')::int, x.max_attempts),
    no_answer_minutes = case when r ? 'no_answer_minutes' then (r ->> 'no_answer_minutes')::int else x.no_answer_minutes end,
    busy_minutes = case when r ? 'busy_minutes' then (r ->> 'busy_minutes')::int else x.busy_minutes end,
    voicemail_minutes = case when r ? 'voicemail_minutes' then (r ->> 'voicemail_minutes')::int else x.voicemail_minutes end,
    failed_minutes = case when r ? 'failed_minutes' then (r ->> 'failed_minutes')::int else x.failed_minutes end,
    unknown_minutes = case when r ? 'unknown_minutes' then (r ->> 'unknown_minutes')::int else x.unknown_minutes end,
    hot_score = k.hot_score, warm_score = k.warm_score, analysis_grace_minutes = coalesce((c ->> 'analysis_grace_minutes')::int, x.analysis_grace_minutes)
  where x.id = p_id;
  if c ? 'hot_score' or c ? 'warm_score' then
    update ringleader.leads l set temperature = ringleader.temperature_of(l.score, k.hot_score, k.warm_score)
    where l.campaign_id = p_id and l.score is not null and l.temperature is distinct from ringleader.temperature_of(l.score, k.hot_score, k.warm_score);
  end if;
  if c ? 'window' or c ? 'timezone' then perform ringleader.roll_windows(p_now, p_id); end if;
  -- Fewer attempts than before: who waits for one too many has had all of them.
  if r ? 'max_attempts' then
    update ringleader.leads l set status = 'unreached', next_attempt_at = null
    where l.campaign_id = p_id and l.next_attempt_at is not null and l.attempts >= (r ->> 'max_attempts')::int;
    if found then perform ringleader.complete_if_done(p_account, p_id, p_now); end if;
  end if;
  return (select ringleader.campaign_json(x) from ringleader.campaigns x where x.id = p_id);
end $$;

-- Suppressions and the notifications' history outlive the campaign; a mail about it that has not been sent no longer is.
create function ringleader.delete_campaign(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare k ringleader.campaigns;
begin
  perform ringleader.enter(p_account);
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_id for update;
  if k.id is null then return 'false'; end if;
  if k.status not in ('draft', 'completed', 'canceled') then
    return ringleader.refuse(409, 'wrong_state', format('the campaign is %s: only a draft, completed or canceled campaign can be deleted; cancel it first', k.status));
  end if;
  if k.status = 'canceled' and k.settled_at is null then
    return ringleader.refuse(409, 'wrong_state', 'calls of this campaign are still on the line: delete it when they have ended');
  end if;
  update ringleader.notifications n set status = 'skipped', reason = 'the campaign was deleted first', next_attempt_at = null
  where n.campaign_id = p_id and n.status = 'pending';
  -- Imports first: one that is adding leads at this moment is waited for, and adds no more.
  delete from ringleader.imports i where i.campaign_id = p_id;
  delete from ringleader.call_events e using ringleader.calls c where c.campaign_id = p_id and e.call_id = c.id;
  delete from ringleader.call_results r using ringleader.calls c where c.campaign_id = p_id and r.call_id = c.id;
  delete from ringleader.provider_calls p using ringleader.calls c where c.campaign_id = p_id and p.account_id = p_account and p.provider_call_id = c.provider_call_id and p.call_id = c.id;
  delete from ringleader.failed_calls f where f.campaign_id = p_id;
  delete from ringleader.open_calls o where o.account_id = p_account and o.campaign_id = p_id; -- of somebody who calls back just now
  delete from ringleader.calls c where c.campaign_id = p_id;
  delete from ringleader.leads l where l.campaign_id = p_id;
  delete from ringleader.import_errors e where e.campaign_id = p_id;
  delete from ringleader.campaign_zones z where z.campaign_id = p_id;
  delete from ringleader.campaigns x where x.id = p_id;
  return 'true';
end $$;

create function ringleader.start_campaign(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare k ringleader.campaigns;
begin
  perform ringleader.enter(p_account);
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_id for update;
  if k.id is null then return null; end if;
  if k.status <> 'draft' then
    return ringleader.refuse(409, 'wrong_state', format('the campaign is %s: only a draft can be started%s', k.status,
      case k.status when 'paused' then '; resume it' when 'active' then '; pause or cancel it' else '' end));
  end if;
  if k.ends_at <= p_now then return ringleader.refuse(409, 'ended', 'ends_at has passed: set a later one first'); end if;
  if (select l.seq from ringleader.leads l where l.campaign_id = p_id and l.next_attempt_at is not null order by l.zone, l.next_attempt_at, l.seq limit 1) is null then
    return ringleader.refuse(409, 'no_leads', 'the campaign has no lead that can be called: upload some first');
  end if;
  update ringleader.campaigns x set status = 'active', started_at = p_now where x.id = p_id;
  perform ringleader.roll_windows(p_now, p_id);
  return (select ringleader.campaign_json(x) from ringleader.campaigns x where x.id = p_id);
end $$;

create function ringleader.pause_campaign(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare k ringleader.campaigns;
begin
  perform ringleader.enter(p_account);
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_id for update;
  if k.id is null then return null; end if;
  if k.status <> 'active' then
    return ringleader.refuse(409, 'wrong_state', format('the campaign is %s: only an active campaign can be paused', k.status));
  end if;
  update ringleader.campaigns x set status = 'paused', pause_reason = 'paused by a person' where x.id = p_id;
  return (select ringleader.campaign_json(x) from ringleader.campaigns x where x.id = p_id);
end $$;

create function ringleader.resume_campaign(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare k ringleader.campaigns;
begin
  perform ringleader.enter(p_account);
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_id for update;
  if k.id is null then return null; end if;
  if k.status <> 'paused' then
    return ringleader.refuse(409, 'wrong_state', format('the campaign is %s: only a paused campaign can be resumed', k.status));
  end if;
  update ringleader.campaigns x set status = 'active', pause_reason = null, resumed_at = p_now where x.id = p_id;
  perform ringleader.roll_windows(p_now, p_id);
  return (select ringleader.campaign_json(x) from ringleader.campaigns x where x.id = p_id);
end $$;

create function ringleader.cancel_campaign(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare k ringleader.campaigns;
begin
  perform ringleader.enter(p_account);
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_id for update;
  if k.id is null then return null; end if;
  if k.status not in ('draft', 'active', 'paused') then
    return ringleader.refuse(409, 'wrong_state', format('the campaign is %s: only a draft, active or paused campaign can be canceled', k.status));
  end if;
  update ringleader.campaigns x set status = 'canceled' where x.id = p_id;
  -- Leads on a call end with it; the fence gives reservations back, and the tick catches a lead that went back to waiting meanwhile.
  perform ringleader.close_leads(p_id, 'canceled');
  perform ringleader.complete_if_done(p_account, p_id, p_now);
  return (select ringleader.campaign_json(x) from ringleader.campaigns x where x.id = p_id);
end $$;

-- ================================================================ account verbs: leads and imports

create function ringleader.begin_import(p_account uuid, p_now timestamptz, p_import uuid, p_campaign uuid) returns jsonb language plpgsql as $$
declare k ringleader.campaigns;
begin
  perform ringleader.enter(p_account);
  -- Locked, so that an import begins before or after a completion, never in its midst.
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_campaign for update;
  if k.id is null then return null; end if;
  if k.status in ('completed', 'canceled') then
    return ringleader.refuse(409, 'campaign_closed', format('the campaign is %s: leads can no longer be added', k.status));
  end if;
  insert into ringleader.imports (id, account_id, campaign_id, lease_until, created_at) values (p_import, p_account, p_campaign, p_now + interval '10 minutes', p_now)
  on conflict (id) do nothing;
  return jsonb_build_object('default_country', k.default_country);
end $$;

create function ringleader.import_leads(p_account uuid, p_now timestamptz, p_import uuid, p_campaign uuid, p_rows jsonb, p_errors jsonb) returns jsonb language plpgsql as $$
declare v_imported int; v_suppressed int; z record;
begin
  perform ringleader.enter(p_account);
  -- A lease that has run out is over, though no tick has ended the import yet: its campaign may be closing at this moment.
  update ringleader.imports i set lease_until = p_now + interval '10 minutes'
  where i.id = p_import and i.account_id = p_account and i.campaign_id = p_campaign and i.finished_at is null and i.lease_until > p_now;
  if not found then return ringleader.refuse(409, 'import_closed', 'the import is over: upload the file again'); end if;
  if exists (select from ringleader.campaigns k where k.id = p_campaign and k.status in ('completed', 'canceled')) then
    return ringleader.refuse(409, 'campaign_closed', 'the campaign was closed during the import: leads can no longer be added');
  end if;
  insert into ringleader.leads (id, account_id, campaign_id, phone, name, email, company, timezone, zone, variables, status, next_attempt_at, reason, import_id, import_row, created_at)
  select r.id, p_account, p_campaign, r.phone, r.name, r.email, r.company, r.timezone, coalesce(lower(r.timezone), ''), coalesce(r.variables, '{}'),
    case when s.phone is null then 'waiting' else 'suppressed' end, case when s.phone is null then p_now end,
    case when s.phone is not null then 'the number is suppressed' end, p_import, r.row, p_now
  from jsonb_to_recordset(p_rows) as r(id uuid, "row" int, phone text, name text, email text, company text, timezone text, variables jsonb)
  left join ringleader.suppressions s on s.account_id = p_account and s.phone = r.phone
  order by r.row
  on conflict (campaign_id, phone) do nothing;
  -- Counted from the table, not from the insert: the same batch sent again gets the same answer. Row by row through an index: before the first
  -- analyze of a young account anything else reads all its leads once for each batch.
  select count(*), count(*) filter (where l.status = 'suppressed') into v_imported, v_suppressed
  from jsonb_to_recordset(p_rows) as r(id uuid)
  cross join lateral (select x.status from ringleader.leads x where x.id = r.id offset 0) l;
  insert into ringleader.import_errors (account_id, campaign_id, import_id, row, "column", code, message, cells)
  select p_account, p_campaign, p_import, e.row, e."column", e.code, e.message, coalesce(e.cells, '{}')
  from jsonb_to_recordset(p_errors) as e("row" int, "column" text, code text, message text, cells jsonb)
  on conflict (import_id, row) do nothing;
  for z in select distinct coalesce(lower(r ->> 'timezone'), '') as zone from jsonb_array_elements(p_rows) r order by 1 loop
    perform ringleader.wake_lane(p_account, p_campaign, z.zone, p_now, p_now);
  end loop;
  return jsonb_build_object('imported', v_imported, 'duplicates', jsonb_array_length(p_rows) - v_imported, 'suppressed', v_suppressed);
end $$;

create function ringleader.finish_import(p_account uuid, p_now timestamptz, p_import uuid, p_campaign uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  update ringleader.imports i set finished_at = coalesce(i.finished_at, p_now) where i.id = p_import and i.account_id = p_account;
  -- Only a campaign that has had leads may complete here: an empty upload ends nothing.
  return jsonb_build_object('completed', (select l.id from ringleader.leads l where l.campaign_id = p_campaign limit 1) is not null
    and ringleader.complete_if_done(p_account, p_campaign, p_now));
end $$;

create function ringleader.list_leads(p_account uuid, p_now timestamptz, p_campaign uuid, p_status text, p_temperature text, p_after bigint, p_limit int, p_sort text) returns jsonb
language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  if not exists (select from ringleader.campaigns k where k.account_id = p_account and k.id = p_campaign) then return null; end if;
  if p_sort = 'score' then
    return coalesce((select jsonb_agg(ringleader.lead_json(l) || jsonb_build_object('seq', l.seq::text) order by (l.temperature = 'hot') desc nulls last, l.score desc nulls last, l.seq)
      from (
        (select * from ringleader.leads x where x.campaign_id = p_campaign and x.temperature is not null and (p_status is null or x.status = p_status)
           and (p_temperature is null or x.temperature = p_temperature) order by (x.temperature = 'hot') desc, x.score desc nulls last, x.seq limit p_limit)
        union all
        (select * from ringleader.leads x where x.campaign_id = p_campaign and x.temperature is null and (p_status is null or x.status = p_status)
           and p_temperature is null order by x.seq limit p_limit)
        limit p_limit) l), '[]');
  end if;
  return coalesce((select jsonb_agg(ringleader.lead_json(l) || jsonb_build_object('seq', l.seq::text) order by l.seq)
    from (select * from ringleader.leads x where x.campaign_id = p_campaign and x.seq > coalesce(p_after, 0)
            and (p_status is null or x.status = p_status) and (p_temperature is null or x.temperature = p_temperature)
          order by x.seq limit p_limit) l), '[]');
end $$;

create function ringleader.get_lead(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select ringleader.lead_json(l) || jsonb_build_object('calls',
      coalesce((select jsonb_agg(ringleader.call_json(c) order by c.seq) from ringleader.calls c where c.lead_id = l.id), '[]'))
    from ringleader.leads l where l.account_id = p_account and l.id = p_id);
end $$;

create function ringleader.export_leads(p_account uuid, p_now timestamptz, p_campaign uuid, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  if not exists (select from ringleader.campaigns k where k.account_id = p_account and k.id = p_campaign) then return null; end if;
  return coalesce((select jsonb_agg(ringleader.lead_json(l) || jsonb_build_object('seq', l.seq::text,
      'reason', case when l.reason is not null then l.reason
        when l.attempts > 0 then c.reason
        when l.status = 'expired' then 'the campaign ended before it could be called'
        when l.status = 'canceled' then 'the campaign was canceled before it was called'
        when l.status = 'waiting' then 'not called yet'
        else c.reason end,
      'last_call_at', ringleader.iso(c.placed_at)) order by l.seq)
    from (select * from ringleader.leads x where x.campaign_id = p_campaign and x.seq > coalesce(p_after, 0) order by x.seq limit p_limit) l
    left join ringleader.calls c on c.id = l.call_id), '[]');
end $$;

create function ringleader.list_import_errors(p_account uuid, p_now timestamptz, p_campaign uuid, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  if not exists (select from ringleader.campaigns k where k.account_id = p_account and k.id = p_campaign) then return null; end if;
  return coalesce((select jsonb_agg(jsonb_build_object('row', e.row, 'column', e."column", 'code', e.code, 'message', e.message, 'cells', e.cells, 'seq', e.seq::text) order by e.seq)
    from (select * from ringleader.import_errors x where x.campaign_id = p_campaign and x.seq > coalesce(p_after, 0) order by x.seq limit p_limit) e), '[]');
end $$;

-- One reason, as the API shows it.
create function ringleader.why(p_code text, p_message text) returns jsonb language sql immutable as $$
  select jsonb_build_array(jsonb_build_object('code', p_code, 'message', p_message))
$$;

-- What holds up all leads of a campaign that could be dialled now: caps and paces that are used up.
create function ringleader.busy_reasons(k ringleader.campaigns, a ringleader.accounts, p_system_cap int, p_now timestamptz) returns jsonb language plpgsql stable as $$
declare v jsonb := '[]';
begin
  if (select count(*) from ringleader.open_calls o where o.account_id = a.id and o.campaign_id = k.id and o.slot)
     >= coalesce(k.max_concurrent_calls, 2147483647) then
    v := v || ringleader.why('campaign_cap', format('All %s calls of the campaign are in use.', k.max_concurrent_calls));
  end if;
  if (select count(*) from ringleader.open_calls o where o.account_id = a.id and o.slot) >= a.max_concurrent_calls then
    v := v || ringleader.why('account_cap', format('All %s calls of the account are in use.', a.max_concurrent_calls));
  end if;
  if ringleader.system_is_full(p_system_cap) then
    v := v || ringleader.why('system_cap', 'All calls of the system are in use.');
  end if;
  if (a.calls_per_second is not null and a.pace_at > p_now) or (k.calls_per_second is not null and k.pace_at > p_now) then
    v := v || ringleader.why('pace', 'The calls-per-second pace allows the next call in a moment.');
  end if;
  return v;
end $$;

-- Why leads that are alike are not dialled now, and when they will be: the same rules as the claim and the fence, said in words. Of p_lead only status,
-- attempts, disposition, next_attempt_at and timezone count; p_busy: what busy_reasons says of their campaign.
create function ringleader.explain_alike(k ringleader.campaigns, a ringleader.accounts, g ringleader.agents, p_lead ringleader.leads, p_suppressed boolean, p_in_call boolean, p_busy jsonb, p_now timestamptz,
  out reasons jsonb, out next_at timestamptz) language plpgsql stable as $$
declare w record; v_zone text := coalesce(p_lead.timezone, k.timezone, a.timezone); v_open boolean := false;
begin
  reasons := '[]';
  if p_lead.status = 'calling' then
    reasons := reasons || ringleader.why('number_in_call', 'A call to this lead is under way.');
  elsif p_lead.status = 'suppressed' or p_suppressed then
    reasons := reasons || ringleader.why('suppressed', 'The number is on the suppression list.');
  elsif p_lead.status = 'unreached' and p_lead.attempts >= k.max_attempts then
    reasons := reasons || ringleader.why('attempts_used', format('All %s attempts have been made.', k.max_attempts));
  elsif p_lead.status <> 'waiting' then
    reasons := reasons || ringleader.why('lead_final', format('The lead is %s; it will not be dialled again.', p_lead.status));
  else
    v_open := true;
  end if;
  if k.status <> 'active' then
    reasons := reasons || ringleader.why('campaign_not_active', format('The campaign is %s.', k.status));
    v_open := false;
  end if;
  if k.ends_at <= p_now then
    reasons := reasons || ringleader.why('ended', format('The campaign ended at %s.', ringleader.iso(k.ends_at)));
    v_open := false;
  end if;
  if k.starts_at > p_now then
    reasons := reasons || ringleader.why('not_started', format('The campaign starts at %s.', ringleader.iso(k.starts_at)));
  end if;
  if not v_open then return; end if;
  next_at := greatest(p_now, p_lead.next_attempt_at, k.starts_at, g.hold_until, case when a.calls_per_second is not null then a.pace_at end, case when k.calls_per_second is not null then k.pace_at end);
  if p_lead.next_attempt_at > p_now then
    reasons := reasons || ringleader.why('waiting_for_retry',
      format('The last call ended %s; the next attempt is due at %s.', coalesce(p_lead.disposition, 'without a result'), ringleader.iso(p_lead.next_attempt_at)));
  end if;
  select * into w from ringleader.window_after(k.window_days, k.window_start, k.window_end, v_zone, next_at);
  if w.opens_at is null then
    reasons := reasons || ringleader.why('unknown_timezone', format('The time zone %s is not known: nobody is dialled in it.', v_zone));
    next_at := null;
  end if;
  if w.opens_at > next_at then next_at := w.opens_at; end if;
  select * into w from ringleader.window_after(k.window_days, k.window_start, k.window_end, v_zone, p_now);
  if w.opens_at > p_now then
    reasons := reasons || ringleader.why('outside_campaign_window',
      format('It is %s in %s; the calling window next opens at %s.', to_char(p_now at time zone ringleader.zone_named(v_zone), 'HH24:MI'), v_zone, ringleader.iso(w.opens_at)));
  end if;
  if k.ends_at <= next_at then
    reasons := reasons || ringleader.why('ended', format('The campaign ends at %s, before the lead may be dialled.', ringleader.iso(k.ends_at)));
    next_at := null;
  end if;
  if p_in_call then
    reasons := reasons || ringleader.why('number_in_call', 'Another call to this number is under way.');
  end if;
  if g.paused_reason is not null then
    reasons := reasons || ringleader.why('provider_paused', 'The provider refuses this agent: ' || g.paused_reason);
    next_at := null;
  elsif g.hold_until > p_now then
    reasons := reasons || ringleader.why('provider_paused', format('The provider asked to wait until %s.', ringleader.iso(g.hold_until)));
  end if;
  reasons := reasons || p_busy;
end $$;

create function ringleader.explain_lead(p_account uuid, p_now timestamptz, p_id uuid, p_system_cap int) returns jsonb language plpgsql as $$
declare l ringleader.leads; k ringleader.campaigns; a ringleader.accounts; g ringleader.agents; e record;
begin
  perform ringleader.enter(p_account);
  select * into l from ringleader.leads x where x.account_id = p_account and x.id = p_id;
  if l.id is null then return null; end if;
  select * into k from ringleader.campaigns x where x.id = l.campaign_id;
  select * into a from ringleader.accounts x where x.id = p_account;
  select * into g from ringleader.agents x where x.id = k.agent_id;
  select * into e from ringleader.explain_alike(k, a, g, l,
    exists (select from ringleader.suppressions s where s.account_id = p_account and s.phone = l.phone),
    exists (select from ringleader.open_calls o where o.account_id = p_account and o.phone = l.phone and o.slot),
    ringleader.busy_reasons(k, a, p_system_cap, p_now), p_now);
  return jsonb_build_object('dialable', jsonb_array_length(e.reasons) = 0, 'reasons', e.reasons, 'next_eligible_at', ringleader.iso(e.next_at));
end $$;

-- When all who wait will have had one attempt: p_lanes are [{zone, leads, from}], p_seconds what one attempt takes, p_rate attempts a second.
-- Of the lanes whose window is open, the one that closes first is served first. Null: a lane never opens, or it is too far ahead to say.
create function ringleader.finish_estimate(k ringleader.campaigns, p_lanes jsonb, p_seconds double precision, p_rate double precision) returns timestamptz language plpgsql stable as $$
declare v_zone text[]; v_left double precision[]; v_opens timestamptz[]; v_closes timestamptz[]; v_at timestamptz; v_until timestamptz; v_end timestamptz; v_window record; n int; i int;
begin
  select array_agg(x.zone), array_agg(x.leads), array_agg(greatest(w.opens_at, x."from")), array_agg(w.closes_at), min(greatest(w.opens_at, x."from"))
  into v_zone, v_left, v_opens, v_closes, v_at
  from jsonb_to_recordset(p_lanes) as x(zone text, leads double precision, "from" timestamptz)
  cross join lateral ringleader.window_after(k.window_days, k.window_start, k.window_end, x.zone, x."from") w;
  if array_position(v_opens, null) is not null then return null; end if;
  v_end := (select max(o) from unnest(v_opens) o) + make_interval(secs => p_seconds);
  for step in 1..2000 loop
    select count(*), min(u.o) into n, v_until from unnest(v_left, v_opens) as u(l, o) where u.l > 0;
    if n = 0 then return greatest(v_end, v_at); end if;
    v_at := greatest(v_at, v_until);
    select u.nth into i from unnest(v_left, v_opens, v_closes) with ordinality as u(l, o, c, nth) where u.l > 0 and u.o <= v_at order by u.c, u.nth limit 1;
    -- Until it is done, its window closes, or another opens that may close before it.
    v_until := least(v_at + make_interval(secs => least(v_left[i] / p_rate, 1e9)), v_closes[i], (select min(u.o) from unnest(v_left, v_opens) as u(l, o) where u.l > 0 and u.o > v_at));
    v_left[i] := case when v_until = v_at + make_interval(secs => least(v_left[i] / p_rate, 1e9)) then 0 else v_left[i] - extract(epoch from greatest(v_until, v_at) - v_at) * p_rate end;
    v_at := greatest(v_at, v_until);
    for j in 1..array_length(v_zone, 1) loop
      if v_left[j] > 0 and v_closes[j] <= v_at then
        select * into v_window from ringleader.window_after(k.window_days, k.window_start, k.window_end, v_zone[j], v_at);
        v_opens[j] := v_window.opens_at;
        v_closes[j] := v_window.closes_at;
        v_end := greatest(v_end, v_opens[j] + make_interval(secs => p_seconds));
      end if;
    end loop;
  end loop;
  return null;
end $$;

-- What explain_lead says of all leads of a campaign, counted, and when it may be done. Leads that are alike are explained once, so that
-- the cost is one pass over them. Of a draft or a paused campaign it also says what would hold it up if it ran from now on.
create function ringleader.preflight_campaign(p_account uuid, p_now timestamptz, p_id uuid, p_system_cap int) returns jsonb language plpgsql as $$
declare k ringleader.campaigns; a ringleader.accounts; g ringleader.agents; r record; e record; l ringleader.leads; v_busy jsonb; v_idle jsonb := '[]';
  v_leads int := 0; v_dialable int := 0; v_all jsonb := '[]'; v_lanes jsonb := '[]'; v_next timestamptz; v_seconds double precision; v_finish timestamptz; v_calling boolean := false;
begin
  perform ringleader.enter(p_account);
  select * into k from ringleader.campaigns x where x.account_id = p_account and x.id = p_id;
  if k.id is null then return null; end if;
  select * into a from ringleader.accounts x where x.id = p_account;
  select * into g from ringleader.agents x where x.id = k.agent_id;
  if k.status in ('draft', 'paused') then
    v_idle := ringleader.why('campaign_not_active', format('The campaign is %s.', k.status));
    k.status := 'active';
  end if;
  v_busy := ringleader.busy_reasons(k, a, p_system_cap, p_now);
  for r in
    select x.status, x.timezone, case when x.status = 'unreached' then least(x.attempts, k.max_attempts) else 0 end as attempts, s.phone is not null as suppressed, o.phone is not null as in_call,
      x.next_attempt_at > p_now as later, case when x.next_attempt_at > p_now then x.disposition end as disposition, count(*)::int as n, min(x.next_attempt_at) as first_at, max(x.next_attempt_at) as last_at
    from ringleader.leads x
    left join ringleader.suppressions s on s.account_id = p_account and s.phone = x.phone
    left join ringleader.open_calls o on o.account_id = p_account and o.phone = x.phone and o.slot
    where x.campaign_id = p_id group by 1, 2, 3, 4, 5, 6, 7
  loop
    l.status := r.status; l.timezone := r.timezone; l.attempts := r.attempts; l.disposition := r.disposition; l.next_attempt_at := r.first_at;
    select * into e from ringleader.explain_alike(k, a, g, l, r.suppressed, r.in_call, v_busy, p_now);
    e.reasons := v_idle || e.reasons;
    v_leads := v_leads + r.n;
    v_calling := v_calling or r.status = 'calling';
    if e.reasons = '[]' then v_dialable := v_dialable + r.n; end if;
    v_next := least(v_next, e.next_at);
    v_all := v_all || coalesce((select jsonb_agg(x || jsonb_build_object('leads', r.n)) from jsonb_array_elements(e.reasons) x), '[]');
    if r.status = 'waiting' and not r.suppressed then
      v_lanes := v_lanes || jsonb_build_array(jsonb_build_object('zone', coalesce(r.timezone, k.timezone, a.timezone), 'leads', r.n, 'from', greatest(p_now, r.last_at, k.starts_at, g.hold_until)));
    end if;
  end loop;
  -- How long an attempt holds its slot: the campaign's last 200, else a minute.
  select coalesce(avg(extract(epoch from c.released_at - c.reserved_at)), 60) into v_seconds from (
    select x.released_at, x.reserved_at from ringleader.calls x
    where x.campaign_id = p_id and x.disposition is not null and x.direction = 'outbound' and x.released_at > x.reserved_at order by x.seq desc limit 200) c;
  if v_lanes <> '[]' and g.paused_reason is null and k.status = 'active' then
    v_finish := ringleader.finish_estimate(k, v_lanes, v_seconds,
      least(least(k.max_concurrent_calls, a.max_concurrent_calls, p_system_cap) / v_seconds, k.calls_per_second, a.calls_per_second));
  end if;
  if v_lanes = '[]' and v_calling then v_finish := p_now + make_interval(secs => v_seconds); end if;
  return jsonb_build_object('leads', v_leads, 'dialable', v_dialable,
    'reasons', coalesce((select jsonb_agg(jsonb_build_object('code', x.code, 'message', x.message, 'leads', x.n) order by x.n desc, x.code, x.message)
      from (select y.code, y.message, sum(y.leads)::int as n from jsonb_to_recordset(v_all) as y(code text, message text, leads int) group by 1, 2) x), '[]'),
    'next_eligible_at', ringleader.iso(v_next),
    'average_call_seconds', round(v_seconds::numeric, 1),
    'estimated_finish_at', ringleader.iso(case when v_lanes <> '[]' and k.status = 'active' then least(v_finish, k.ends_at) else v_finish end));
end $$;

-- The one thing of the whole system that an account may learn: whether it is full.
create function ringleader.system_is_full(p_system_cap int) returns boolean
language sql stable security definer set search_path = pg_catalog as $$
  select count(*) >= p_system_cap from ringleader.open_calls o where o.slot
$$;

-- ================================================================ account verbs: calls

-- Keeps an event whose call is not known, with all that it takes to apply it once it is.
create function ringleader.park(p_account uuid, p_now timestamptz, p_agent uuid, p_event uuid, p_fact jsonb, p_payload text) returns jsonb language plpgsql as $$
declare e ringleader.call_events;
begin
  insert into ringleader.call_events (id, account_id, agent_id, event_key, provider_call_id, status, fate, fact, payload, source, replay_of, received_at)
  values (p_event, p_account, p_agent, p_fact ->> 'event_key', p_fact ->> 'provider_call_id', p_fact ->> 'provider_status', 'parked', p_fact, p_payload, p_fact ->> 'source',
    (p_fact ->> 'replay_of')::uuid, p_now)
  on conflict (agent_id, event_key) do nothing returning * into e;
  if e.id is null then
    select * into e from ringleader.call_events x where x.agent_id = p_agent and x.event_key = p_fact ->> 'event_key' for no key update;
    if e.id <> p_event and p_fact ->> 'source' <> 'read' then perform ringleader.note_repeat(e.id, null, p_event, p_now); end if;
  end if;
  return jsonb_build_object('fate', e.fate, 'call_id', case when e.id = p_event then e.call_id end, 'status', null, 'released', false, 'completed', false, 'refill', null);
end $$;

-- What else is to be told of a fact that was applied: whether a mail is due, which may have come to be owed by a completion, a hot lead, or failures
-- that paused something; and the refill of the account, when a slot was freed and nobody is at it.
create function ringleader.and_then(r jsonb, p_mail boolean, p_refill boolean, p_account uuid, p_event uuid, p_now timestamptz) returns jsonb language plpgsql as $$
begin
  if p_mail and ringleader.mail_is_due(p_account, p_now) then r := r || '{"mail_due": true}'; end if;
  if p_refill and ringleader.take_refill(p_account, p_event, p_now) then
    r := r || jsonb_build_object('refill', (select ringleader.refill_json(x) from ringleader.refills x where x.account_id = p_account));
  end if;
  return r;
end $$;

-- The call of which a provider speaks at the address of an agent, locked. One of ours may be another agent's of the account: some providers have one
-- address for all agents.
create function ringleader.call_of(p_account uuid, p_agent uuid, p_attempt uuid, p_provider_call_id text) returns ringleader.call_heads language plpgsql as $$
declare c ringleader.call_heads; v_provider text; v_told uuid;
begin
  select g.provider into v_provider from ringleader.agents g where g.account_id = p_account and g.id = p_agent;
  select p.call_id into v_told from ringleader.provider_calls p where p.account_id = p_account and p.provider_call_id = p_provider_call_id and p.provider = v_provider;
  select x.* into c from ringleader.call_heads x where x.account_id = p_account and x.id in (p_attempt, v_told) and x.provider = v_provider
    and (x.agent_id = p_agent or x.direction = 'outbound') and coalesce(x.provider_call_id = p_provider_call_id, true) order by x.id = p_attempt desc nulls last limit 1 for no key update;
  return c;
end $$;

-- Applies what is said of a call, once, in whatever order it comes and whoever says it.
create function ringleader.apply_any(p_account uuid, p_now timestamptz, p_agent uuid, p_event uuid, p_fact jsonb, p_attempt uuid, p_payload text) returns jsonb language plpgsql as $$
declare c ringleader.call_heads; e record; r jsonb; v_seen boolean;
begin
  -- The same attempt under another id of the provider is another call: none of ours.
  select x.* into c from ringleader.call_heads x where x.account_id = p_account and x.agent_id = p_agent and x.id = p_attempt
    and coalesce(x.provider_call_id = p_fact ->> 'provider_call_id', true) for no key update;
  if c.placing_at is null then
    if c.id is null then c := ringleader.call_of(p_account, p_agent, p_attempt, p_fact ->> 'provider_call_id'); end if;
    if c.id is null then
      if not exists (select from ringleader.agents g where g.account_id = p_account and g.id = p_agent) then return null; end if;
      if p_fact ->> 'direction' = 'inbound' and not p_fact ? 'elsewhere' then c := ringleader.record_call_back(p_account, p_agent, p_fact, p_now);
      else
        -- Once more, when whoever is recording this call just now is committed (see tie_call).
        perform pg_advisory_xact_lock(74210003, hashtext(p_fact ->> 'provider_call_id'));
        c := ringleader.call_of(p_account, p_agent, p_attempt, p_fact ->> 'provider_call_id');
        if c.id is null and not p_fact ? 'elsewhere' then return ringleader.park(p_account, p_now, p_agent, p_event, p_fact, p_payload); end if;
      end if;
      if c.id is null then return jsonb_build_object('fate', 'ignored', 'call_id', null, 'status', null, 'released', false, 'completed', false); end if;
    end if;
    if c.placing_at is null and c.direction = 'outbound' and p_fact ->> 'source' = 'posted' then
      return ringleader.refuse(409, 'wrong_state', format('the call is %s and was not placed: there is nothing to analyse', c.status));
    end if;
  end if;
  insert into ringleader.call_events (id, account_id, agent_id, call_id, event_key, provider_call_id, status, fate, fact, payload, source, replay_of, received_at)
  values (p_event, p_account, c.agent_id, c.id, p_fact ->> 'event_key', p_fact ->> 'provider_call_id', p_fact ->> 'provider_status', 'applied', '{}', p_payload, p_fact ->> 'source',
    (p_fact ->> 'replay_of')::uuid, p_now)
  on conflict do nothing; -- by its key, or, said again, by its id, which may have been kept at another agent's address
  if not found then
    -- Seen before. A read says what is true now and counts again; so does an event that could not be matched when it came.
    select * into e from ringleader.call_events x where x.id = p_event or (x.agent_id = c.agent_id and x.event_key = p_fact ->> 'event_key')
    order by x.id = p_event desc limit 1 for no key update;
    if e.id = p_event then -- the very same statement, whose answer was lost: the refill it took is still its own
      return jsonb_build_object('fate', e.fate, 'call_id', e.call_id, 'status', c.status, 'released', coalesce(c.released_at = p_now, false),
        'completed', exists (select from ringleader.campaigns k where k.id = c.campaign_id and k.settled_at = p_now),
        'refill', (select ringleader.refill_json(x) from ringleader.refills x where x.account_id = p_account and x.token = p_event));
    end if;
    if e.fate <> 'parked' and p_fact ->> 'source' <> 'read' then
      perform ringleader.note_repeat(e.id, c.id, p_event, p_now);
      return jsonb_build_object('fate', 'duplicate', 'call_id', c.id, 'status', c.status, 'released', false, 'completed', false, 'refill', null);
    end if;
    v_seen := true;
  end if;
  if c.provider_call_id is null then perform ringleader.share_thresholds(c.campaign_id); end if;
  r := ringleader.apply_to_call(c, p_fact, p_now);
  if v_seen or r ->> 'fate' <> 'applied' then
    update ringleader.call_events x set fate = r ->> 'fate', call_id = c.id where x.agent_id = c.agent_id and x.event_key = p_fact ->> 'event_key';
  end if;
  -- The first fact that ties our attempt to the provider's id lets the parked ones in.
  if c.provider_call_id is null and p_fact ? 'provider_call_id' then
    if ringleader.unpark(c.id, p_now) then r := r || '{"completed": true}'; end if;
    if c.released_at is null and c.reserved_at is not null and exists (select from ringleader.calls x where x.id = c.id and x.released_at is not null) then r := r || '{"released": true}'; end if;
  end if;
  -- Whoever reads a call in the tick dispatches anyway.
  return ringleader.and_then(r, (r ->> 'completed')::boolean or p_fact ? 'analysis' or r ->> 'status' = 'failed', (r ->> 'released')::boolean and p_fact ->> 'source' <> 'read', p_account, p_event, p_now);
end $$;

-- Applies what is said of a call, once. p_attempt: our attempt id as the provider echoed it, if it did; p_fact: what is said beside what has a parameter
-- of its own, or null. A worker of an earlier release leaves those parameters, and says it all in p_fact.
--
-- Nearly every event is decided by one update: the call that it names has moved on, or ended. What that does not fit, and what asks for more, goes the
-- long way. Its rows are those of the call of this account and agent, so that it runs past row-level security (docs/adr/0016). Both ways lock the call
-- before they write the event, so that none waits for the other in a circle.
create function ringleader.apply_fact(p_account uuid, p_now timestamptz, p_agent uuid, p_event uuid, p_fact jsonb, p_attempt uuid default null, p_payload text default null,
  p_event_key text default null, p_provider_call_id text default null, p_status text default null, p_provider_status text default null, p_source text default null)
returns jsonb language plpgsql security definer set search_path = pg_catalog as $$
declare c ringleader.call_heads; v_fact jsonb; v_moves_to int; v_free boolean; v_answered_at timestamptz; v_ended_at timestamptz; v_reason text; v_duration double precision; v_cost double precision;
  a jsonb; v_score double precision; v_temp text; v_evidence text; v_applied boolean; v_released boolean; v_waits boolean; v_done boolean; -- null: no; a default costs as much as any expression
begin
  v_moves_to := case when p_source = 'event' and (p_fact ?| array['transcript', 'recording_url', 'analysis', 'duration_seconds', 'cost']) is not true
    then array_position(array['placing', 'queued', 'dialing', 'ringing', 'in_progress'], p_status) end;
  if v_moves_to > 1 then
    begin
      if p_fact is not null then
        v_free := (p_fact ->> 'line_free')::boolean;
        v_answered_at := p_fact ->> 'answered_at';
      end if;
      update ringleader.calls x set status = p_status, placed_at = coalesce(x.placed_at, p_now), answered_at = coalesce(x.answered_at, v_answered_at),
        released_at = case when v_free then p_now else x.released_at end, lease_until = p_now + interval '10 minutes', look_at = p_now + interval '10 minutes', looks = 0
      where x.id = p_attempt and x.account_id = p_account and x.agent_id = p_agent and x.provider_call_id = p_provider_call_id and x.placing_at is not null
        and array_position(array['placing', 'queued', 'dialing', 'ringing', 'in_progress'], x.status) < v_moves_to + (v_free is true)::int and (v_free is not true or x.released_at is null);
      if found then
        insert into ringleader.call_events (id, account_id, agent_id, call_id, event_key, provider_call_id, status, fate, fact, payload, source, received_at)
        values (p_event, p_account, p_agent, p_attempt, p_event_key, p_provider_call_id, p_provider_status, 'applied', '{}', p_payload, 'event', p_now);
        if v_free is not true then return jsonb_build_object('fate', 'applied', 'call_id', p_attempt, 'status', p_status, 'released', false, 'completed', false); end if;
        v_applied := true;
      end if;
    exception when unique_violation then v_applied := false; -- its key was here before, with other words: nothing has been done
    end;
    if v_applied then
      update ringleader.open_calls o set slot = false where o.call_id = p_attempt;
      return ringleader.and_then(jsonb_build_object('fate', 'applied', 'call_id', p_attempt, 'status', p_status, 'released', true, 'completed', false),
        false, true, p_account, p_event, p_now);
    end if;
  elsif p_source = 'event' and p_status in ('completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled')
    and (p_fact ?| array['undialled', 'invalid_number', 'account_refused', 'agent_refused']) is not true and (p_fact -> 'analysis' ? 'do_not_call') is not true
  then
    begin
      if p_fact is not null then
        v_ended_at := p_fact ->> 'ended_at';
        v_answered_at := p_fact ->> 'answered_at';
        v_reason := p_fact ->> 'reason';
        v_duration := p_fact ->> 'duration_seconds';
        v_cost := p_fact ->> 'cost';
        a := p_fact -> 'analysis';
        if a ->> 'state' = 'valid' then
          v_score := a ->> 'score';
          v_temp := coalesce(ringleader.temperature_of(v_score, 70, 40), a ->> 'tag');
          v_evidence := a ->> 'evidence';
        end if;
      end if;
      update ringleader.calls x set status = p_status, disposition = p_status, ended_at = least(v_ended_at, p_now), reason = coalesce(v_reason, x.reason), placed_at = coalesce(x.placed_at, p_now),
        answered_at = coalesce(x.answered_at, v_answered_at), released_at = coalesce(x.released_at, p_now), lease_until = null, look_at = null,
        duration_seconds = coalesce(v_duration, x.duration_seconds), cost = coalesce(v_cost, x.cost),
        score = coalesce(v_score, x.score), temperature = coalesce(v_temp, x.temperature), evidence = coalesce(v_evidence, x.evidence)
      where x.id = p_attempt and x.account_id = p_account and x.agent_id = p_agent and x.provider_call_id = p_provider_call_id and x.placing_at is not null
        and x.status in ('placing', 'queued', 'dialing', 'ringing', 'in_progress') and (a is null or x.temperature is null)
      returning x.id, x.account_id, x.campaign_id, x.lead_id, x.direction, x.phone, x.attempt, x.status, x.ended_at
      into c.id, c.account_id, c.campaign_id, c.lead_id, c.direction, c.phone, c.attempt, c.status, v_ended_at;
      if found then
        insert into ringleader.call_events (id, account_id, agent_id, call_id, event_key, provider_call_id, status, fate, fact, payload, source, received_at)
        values (p_event, p_account, p_agent, p_attempt, p_event_key, p_provider_call_id, p_provider_status, 'applied', '{}', p_payload, 'event', p_now);
        v_applied := true;
      end if;
    exception when unique_violation then v_applied := false; -- as above
    end;
    if v_applied then
      if p_fact is not null then v_waits := ringleader.keep_results(c, p_fact, v_score, v_temp, v_evidence, p_status = 'completed', p_now); end if;
      if p_status = 'completed' and a is null then perform ringleader.await_analysis(c, p_now); end if;
      delete from ringleader.open_calls o where o.call_id = p_attempt returning o.slot into v_released;
      if v_waits is null then v_done := ringleader.settle_call(c, p_status, false, false, v_ended_at, p_now);
      elsif not v_waits then v_done := ringleader.complete_if_done(p_account, c.campaign_id, p_now);
      end if;
      return ringleader.and_then(jsonb_build_object('fate', 'applied', 'call_id', p_attempt, 'status', p_status, 'released', v_released is true, 'completed', v_done is true),
        v_done or a is not null or p_status = 'failed', v_released, p_account, p_event, p_now);
    end if;
  end if;
  if p_event_key is not null then
    v_fact := coalesce(p_fact, '{}') || jsonb_strip_nulls(jsonb_build_object('event_key', p_event_key, 'attempt_id', p_attempt, 'provider_call_id', p_provider_call_id,
      'status', p_status, 'provider_status', p_provider_status, 'source', p_source));
  end if;
  return ringleader.apply_any(p_account, p_now, p_agent, p_event, coalesce(v_fact, p_fact), p_attempt, p_payload);
end $$;

-- Takes the one refill of the account for whoever has just added work; false: somebody has it and will see that work.
create function ringleader.begin_refill(p_account uuid, p_now timestamptz, p_token uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return to_jsonb(ringleader.take_refill(p_account, p_token, p_now));
end $$;

-- Gives back a refill whose invocation has reached its limits: the next freed slot starts another, and the tick goes on meanwhile.
create function ringleader.end_refill(p_account uuid, p_now timestamptz, p_token uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  delete from ringleader.refills r where r.account_id = p_account and r.token = p_token;
  return to_jsonb(found);
end $$;

create function ringleader.note_unfound(p_account uuid, p_now timestamptz, p_call uuid) returns jsonb language plpgsql as $$
declare c ringleader.calls; v_done boolean := false;
begin
  perform ringleader.enter(p_account);
  select * into c from ringleader.calls x where x.account_id = p_account and x.id = p_call for no key update;
  if c.id is null then return null; end if;
  update ringleader.calls x set looked_at = p_now, looks = 0 where x.id = c.id;
  if c.status in ('placing', 'queued', 'dialing', 'ringing', 'in_progress') and c.lease_until <= p_now then
    v_done := ringleader.end_call(c.id, 'unknown', coalesce(c.reason, 'the provider knows no such call'), p_now);
    return jsonb_build_object('fate', 'applied', 'call_id', c.id, 'status', 'unknown', 'released', c.released_at is null, 'completed', v_done,
      'mail_due', ringleader.mail_is_due(p_account, p_now));
  end if;
  return jsonb_build_object('fate', 'late', 'call_id', c.id, 'status', c.status, 'released', false, 'completed', false);
end $$;

-- The provider could not be asked what became of a call. False: no such call.
create function ringleader.note_unasked(p_account uuid, p_now timestamptz, p_call uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  update ringleader.calls x set looked_at = p_now, looks = 0 where x.account_id = p_account and x.id = p_call;
  return to_jsonb(found);
end $$;

create function ringleader.request_direct_call(p_account uuid, p_now timestamptz, p_id uuid, p_agent uuid, p_to text, p_name text, p_variables jsonb) returns jsonb language plpgsql as $$
declare c ringleader.calls; g ringleader.agents;
begin
  perform ringleader.enter(p_account);
  select * into g from ringleader.agents x where x.account_id = p_account and x.id = p_agent and x.deleted_at is null for key share; -- as keep_agent
  if g.id is null then
    return ringleader.refuse_field('agent_id', 'must be the id of one of your agents');
  end if;
  if exists (select from ringleader.suppressions s where s.account_id = p_account and s.phone = p_to) then
    return ringleader.refuse(409, 'suppressed', 'the number is on the suppression list');
  end if;
  insert into ringleader.calls (id, account_id, kind, agent_id, phone, name, variables, status, attempt, provider, due_at, created_at)
  values (p_id, p_account, 'direct', p_agent, p_to, p_name, p_variables, 'waiting', 1, g.provider, p_now, p_now) on conflict (id) do nothing;
  select * into c from ringleader.calls x where x.account_id = p_account and x.id = p_id;
  return jsonb_build_object('call', ringleader.call_json(c), 'position',
    (select count(*) from ringleader.calls x where x.account_id = p_account and x.status = 'waiting' and x.due_at is not null and x.seq <= c.seq));
end $$;

create function ringleader.direct_position(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select to_jsonb(count(*)) from ringleader.calls x join ringleader.calls c on c.id = p_id and c.account_id = p_account
    where x.account_id = p_account and x.status = 'waiting' and x.due_at is not null and c.status = 'waiting' and x.seq <= c.seq);
end $$;

create function ringleader.list_calls(p_account uuid, p_now timestamptz, p_campaign uuid, p_status text, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return coalesce((select jsonb_agg(ringleader.call_json(c) || jsonb_build_object('seq', c.seq::text) order by c.seq desc)
    from (select * from ringleader.calls x where x.account_id = p_account and (p_campaign is null or x.campaign_id = p_campaign)
            and (p_status is null or x.status = p_status) and x.seq < coalesce(p_after, 9223372036854775807) order by x.seq desc limit p_limit) c), '[]');
end $$;

create function ringleader.get_call(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select ringleader.call_json(c) from ringleader.calls c where c.account_id = p_account and c.id = p_id);
end $$;

create function ringleader.list_call_events(p_account uuid, p_now timestamptz, p_id uuid, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  if not exists (select from ringleader.calls c where c.account_id = p_account and c.id = p_id) then return null; end if;
  return coalesce((select jsonb_agg(jsonb_build_object('id', e.id, 'call_id', e.call_id, 'provider_call_id', e.provider_call_id, 'status', e.status, 'fate', e.fate, 'source', e.source,
      'received_at', ringleader.iso(e.received_at), 'repeats', e.repeats, 'repeated_at', ringleader.iso(e.repeated_at), 'repeat_of', e.repeat_of, 'replay_of', e.replay_of,
      'payload', e.payload, 'seq', e.seq::text) order by e.seq)
    from (select * from ringleader.call_events x where x.account_id = p_account and x.call_id = p_id and x.seq > coalesce(p_after, 0) order by x.seq limit p_limit) e), '[]');
end $$;

-- The agent of a call, with its mapping: what an application posts is read as its provider's words would be. And the last event of the call.
create function ringleader.call_agent(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select ringleader.agent_secrets_json(g) || jsonb_build_object('last_event',
      (select jsonb_build_object('id', e.id, 'source', e.source, 'event_key', e.event_key) from ringleader.call_events e
       where e.call_id = c.id and e.repeat_of is null order by e.seq desc limit 1))
    from ringleader.calls c join ringleader.agents g on g.id = c.agent_id where c.account_id = p_account and c.id = p_id);
end $$;

-- The agent whose call an event names that came to another's address; null when the call is none of the account's.
create function ringleader.agent_of_call(p_account uuid, p_now timestamptz, p_agent uuid, p_attempt uuid, p_provider_call_id text) returns jsonb language plpgsql as $$
declare c ringleader.call_heads;
begin
  perform ringleader.enter(p_account);
  c := ringleader.call_of(p_account, p_agent, p_attempt, p_provider_call_id);
  return (select ringleader.agent_secrets_json(g) from ringleader.agents g where g.id = c.agent_id);
end $$;

create function ringleader.cancel_call(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare c ringleader.calls; v_stop jsonb;
begin
  perform ringleader.enter(p_account);
  select * into c from ringleader.calls x where x.account_id = p_account and x.id = p_id for no key update;
  if c.id is null then return null; end if;
  if c.status in ('waiting', 'reserved') then
    perform ringleader.end_call(c.id, 'canceled', 'canceled by a person', p_now);
  elsif ringleader.call_rank(c.status) >= 9 then
    return ringleader.refuse(409, 'wrong_state', format('the call has ended (%s): there is nothing to cancel', c.status));
  elsif c.provider_call_id is null then
    return ringleader.refuse(409, 'wrong_state', 'the call is being placed: cancel it once the provider has accepted it');
  else
    v_stop := jsonb_build_object('agent_id', c.agent_id, 'provider_call_id', c.provider_call_id);
  end if;
  return jsonb_build_object('call', (select ringleader.call_json(x) from ringleader.calls x where x.id = p_id), 'stop', v_stop);
end $$;

-- ================================================================ account verbs: suppressions

create function ringleader.add_suppressions(p_account uuid, p_now timestamptz, p_rows jsonb) returns jsonb language plpgsql as $$
declare v_suppressed jsonb;
begin
  perform ringleader.enter(p_account);
  v_suppressed := ringleader.suppress(p_account, p_rows, p_now);
  return jsonb_build_object('added', v_suppressed -> 'added', 'mail_due', ringleader.mail_is_due(p_account, p_now));
end $$;

create function ringleader.list_suppressions(p_account uuid, p_now timestamptz, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return coalesce((select jsonb_agg(jsonb_build_object('phone', s.phone, 'reason', s.reason, 'created_at', ringleader.iso(s.created_at), 'seq', s.seq::text) order by s.seq)
    from (select * from ringleader.suppressions x where x.account_id = p_account and x.seq > coalesce(p_after, 0) order by x.seq limit p_limit) s), '[]');
end $$;

create function ringleader.delete_suppression(p_account uuid, p_now timestamptz, p_phone text) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  delete from ringleader.suppressions s where s.account_id = p_account and s.phone = p_phone;
  return to_jsonb(found);
end $$;

-- ================================================================ account verbs: notifications

create function ringleader.list_notifications(p_account uuid, p_now timestamptz, p_after bigint, p_limit int) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return coalesce((select jsonb_agg(ringleader.notification_json(n) || jsonb_build_object('seq', n.seq::text) order by n.seq desc)
    from (select * from ringleader.notifications x where x.account_id = p_account and x.seq < coalesce(p_after, 9223372036854775807) order by x.seq desc limit p_limit) n), '[]');
end $$;

create function ringleader.request_send(p_account uuid, p_now timestamptz, p_id uuid) returns jsonb language plpgsql as $$
declare n ringleader.notifications;
begin
  perform ringleader.enter(p_account);
  select * into n from ringleader.notifications x where x.account_id = p_account and x.id = p_id for update;
  if n.id is null then return null; end if;
  if n.status not in ('failed', 'skipped', 'unknown') then
    return ringleader.refuse(409, 'wrong_state', format('the mail is %s: only a failed, skipped or unknown one can be sent again', n.status));
  end if;
  if n.campaign_id is not null and not exists (select from ringleader.campaigns k where k.account_id = p_account and k.id = n.campaign_id) then
    return ringleader.refuse(409, 'campaign_deleted', 'the campaign was deleted: there is nothing left to tell');
  end if;
  -- Sent to the address the account has now, whatever the preferences say: a person asked.
  update ringleader.notifications x set status = 'pending', requested_at = p_now, next_attempt_at = p_now, reason = null, attempts = 0,
    recipient = (select a.email from ringleader.accounts a where a.id = p_account) where x.id = p_id returning * into n;
  return ringleader.notification_json(n);
end $$;

-- Answers with the status that follows: a transient failure is tried again for a day, then it has failed.
create function ringleader.record_notification(p_account uuid, p_now timestamptz, p_id uuid, p_result text, p_reason text, p_message text, p_token uuid default null) returns jsonb language plpgsql as $$
declare n ringleader.notifications; v_status text;
begin
  perform ringleader.enter(p_account);
  select * into n from ringleader.notifications x where x.account_id = p_account and x.id = p_id for update;
  if n.id is null then return null; end if;
  -- Only whoever took it may say how it ended, save that a mail found to be sent is sent, even if a person has just asked for it again.
  if n.status <> 'sending' and not (n.status in ('unknown', 'pending') and p_result = 'sent') then return to_jsonb(n.status); end if;
  -- Nor may he once another has taken it: this may be his word again, after a lost answer.
  if n.status = 'sending' and n.token <> p_token and p_result <> 'sent' then return to_jsonb(n.status); end if;
  v_status := case when p_result <> 'again' then p_result when coalesce(n.requested_at, n.created_at) < p_now - interval '1 day' then 'failed' else 'pending' end;
  update ringleader.notifications x set status = v_status, reason = p_reason, provider_message_id = coalesce(p_message, x.provider_message_id), lease_until = null,
    sent_at = case when v_status = 'sent' then p_now end, lookups = 0,
    next_attempt_at = case v_status when 'pending' then p_now + least(power(2, least(x.attempts, 10) - 1), 60) * interval '1 minute' when 'unknown' then p_now + interval '1 minute' end
  where x.id = n.id;
  return to_jsonb(v_status);
end $$;

-- The look-up p_nth found nothing: the next one, or none any more (p_last: whatever their number). True when that was the last. A
-- worker that stalled over a look-up must not count a later one, whose failure it did not report.
create function ringleader.note_lookup(p_account uuid, p_now timestamptz, p_id uuid, p_nth int, p_last boolean) returns jsonb language plpgsql as $$
declare n ringleader.notifications;
begin
  perform ringleader.enter(p_account);
  select * into n from ringleader.notifications x where x.account_id = p_account and x.id = p_id for update;
  if n.id is null or n.status <> 'unknown' then return 'false'; end if;
  update ringleader.notifications x set lookups = x.lookups + 1, next_attempt_at = case when not p_last then
    p_now + case x.lookups when 0 then interval '4 minutes' when 1 then interval '10 minutes' when 2 then interval '45 minutes' end end
  where x.id = n.id and x.lookups = p_nth;
  return to_jsonb((select x.next_attempt_at is null from ringleader.notifications x where x.id = n.id));
end $$;

create function ringleader.summary_data(p_account uuid, p_now timestamptz, p_campaign uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (
    with l as (
      select count(*) as n, count(*) filter (where x.attempts > 0 or x.called_back_at is not null) as dialled, count(*) filter (where x.status = 'reached') as reached,
        count(*) filter (where x.temperature = 'hot') as hot
      from ringleader.leads x where x.campaign_id = p_campaign
    ), c as (
      select coalesce(sum(x.duration_seconds), 0) as seconds, count(*) as n from ringleader.calls x where x.campaign_id = p_campaign and x.disposition = 'completed'
    )
    select jsonb_build_object('campaign_id', k.id, 'campaign_name', k.name, 'account_name', a.name, 'timezone', a.timezone,
      'leads', l.n, 'dialled', l.dialled, 'reached', l.reached, 'hot_leads', l.hot, 'completed_seconds', c.seconds, 'completed_calls', c.n,
      'dispositions', coalesce((select jsonb_object_agg(s.disposition, s.n) from (
        select x.disposition, count(*) as n from ringleader.calls x where x.campaign_id = p_campaign and x.disposition is not null group by 1) s), '{}'),
      'lead_statuses', coalesce((select jsonb_object_agg(s.status, s.n) from (
        select x.status, count(*) as n from ringleader.leads x where x.campaign_id = p_campaign group by 1) s), '{}'))
    from ringleader.campaigns k join ringleader.accounts a on a.id = k.account_id, l, c
    where k.account_id = p_account and k.id = p_campaign);
end $$;

-- Best first; ties go to the later call, then to the id. p_after: score, call_at and lead_id of the last one seen, so that whatever changes above it
-- moves no other lead past the reader. In two parts, each read from its place in the index: those with a score, and those that a tag alone says are hot.
create function ringleader.list_hot_leads(p_account uuid, p_now timestamptz, p_campaign uuid, p_after jsonb, p_limit int) returns jsonb language plpgsql as $$
declare v_score double precision := (p_after ->> 'score')::double precision; v_at timestamptz := (p_after ->> 'call_at')::timestamptz; v_id uuid := (p_after ->> 'lead_id')::uuid;
begin
  perform ringleader.enter(p_account);
  if not exists (select from ringleader.campaigns k where k.account_id = p_account and k.id = p_campaign) then return null; end if;
  return coalesce((select jsonb_agg(jsonb_build_object('lead_id', l.id, 'name', l.name, 'phone', l.phone, 'score', l.score, 'temperature', l.temperature, 'email', l.email,
      'company', l.company, 'call_at', ringleader.iso(p.call_at), 'summary', l.evidence) order by p.score desc nulls last, p.call_at desc, l.id)
    from (
      -- Narrow rows are sorted; the page alone is read whole.
      (select x.id, x.score, coalesce(c.placed_at, c.created_at) as call_at
       from ringleader.leads x join ringleader.calls c on c.id = x.scored_call
       where x.campaign_id = p_campaign and x.temperature = 'hot' and x.score <= case when v_id is null then 'infinity' else v_score end
         and (v_id is null or x.score < v_score or coalesce(c.placed_at, c.created_at) < v_at or (coalesce(c.placed_at, c.created_at) = v_at and x.id > v_id))
       order by x.score desc nulls last, 3 desc, x.id limit p_limit)
      union all
      (select x.id, x.score, coalesce(c.placed_at, c.created_at) as call_at
       from ringleader.leads x join ringleader.calls c on c.id = x.scored_call
       where x.campaign_id = p_campaign and x.temperature = 'hot' and x.score is null
         and (v_id is null or v_score is not null or coalesce(c.placed_at, c.created_at) < v_at or (coalesce(c.placed_at, c.created_at) = v_at and x.id > v_id))
       order by 3 desc, x.id limit p_limit)
      order by 2 desc nulls last, 3 desc, 1 limit p_limit
    ) p join ringleader.leads l on l.id = p.id), '[]');
end $$;

-- What the mails beside the summary tell: the campaign, of a hot-lead mail its leads, best first, and of a pause the latest calls that failed or the
-- agent that was refused, for which no campaign need run.
create function ringleader.notice_data(p_account uuid, p_now timestamptz, p_notification uuid) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  return (select jsonb_build_object('campaign_id', k.id, 'campaign_name', k.name, 'status', k.status, 'pause_reason', coalesce(n.detail, k.pause_reason),
      'agent', (select jsonb_build_object('id', g.id, 'name', g.name) from ringleader.agents g where g.id = n.agent_id),
      'waiting', (select count(*) from ringleader.leads l where l.campaign_id = k.id and l.next_attempt_at is not null),
      'hot_leads', coalesce((select jsonb_agg(jsonb_build_object('lead_id', l.id, 'name', l.name, 'phone', l.phone, 'company', l.company, 'score', l.score, 'evidence', l.evidence)
        order by l.score desc nulls last, l.seq) from ringleader.leads l where l.hot_notice_id = n.id), '[]'),
      'failed_calls', coalesce((select jsonb_agg(jsonb_build_object('name', f.name, 'phone', f.phone, 'disposition', f.disposition, 'reason', f.reason) order by f.nth)
        from (select l.name, c.phone, c.disposition, c.reason, row_number() over (order by c.ended_at desc, c.id) as nth
              from ringleader.failed_calls x join ringleader.calls c on c.id = x.call_id join ringleader.leads l on l.id = c.lead_id
              where n.type = 'campaign_paused' and x.campaign_id = k.id and c.disposition in ('failed', 'unknown')
                and c.ended_at > n.created_at - interval '10 minutes' and c.ended_at <= n.created_at
              order by c.ended_at desc, c.id limit 10) f), '[]'))
    from ringleader.notifications n left join ringleader.campaigns k on k.id = n.campaign_id
    where n.account_id = p_account and n.id = p_notification and (k.id is not null or n.campaign_id is null));
end $$;

-- ================================================================ account verbs: idempotency keys

create function ringleader.begin_idempotent(p_account uuid, p_now timestamptz, p_key text, p_route text, p_body_hash text) returns jsonb language plpgsql as $$
declare i ringleader.idempotency_keys; v_n int;
begin
  perform ringleader.enter(p_account);
  insert into ringleader.idempotency_keys (account_id, route, key, body_hash, created_at) values (p_account, p_route, p_key, p_body_hash, p_now) on conflict do nothing;
  get diagnostics v_n = row_count;
  if v_n = 1 then return jsonb_build_object('state', 'new', 'status', null, 'body', null); end if;
  select * into i from ringleader.idempotency_keys x where x.account_id = p_account and x.route = p_route and x.key = p_key for update;
  if i.body_hash <> p_body_hash then
    return ringleader.refuse(409, 'idempotency_conflict', 'this Idempotency-Key was used with another body');
  end if;
  -- Whoever used it first is gone; ids follow from the key, so what he may have made is met again, not made twice.
  if i.status is null and i.created_at <= p_now - interval '10 minutes' then
    update ringleader.idempotency_keys x set created_at = p_now where x.account_id = p_account and x.route = p_route and x.key = p_key;
    return jsonb_build_object('state', 'new', 'status', null, 'body', null);
  end if;
  return jsonb_build_object('state', case when i.status is null then 'running' else 'done' end, 'status', i.status, 'body', i.body);
end $$;

create function ringleader.finish_idempotent(p_account uuid, p_now timestamptz, p_key text, p_route text, p_status int, p_body jsonb) returns jsonb language plpgsql as $$
begin
  perform ringleader.enter(p_account);
  if p_status is null then
    delete from ringleader.idempotency_keys x where x.account_id = p_account and x.route = p_route and x.key = p_key and x.status is null;
  else
    update ringleader.idempotency_keys x set status = p_status, body = p_body where x.account_id = p_account and x.route = p_route and x.key = p_key and x.status is null;
  end if;
  return to_jsonb(found);
end $$;

-- ================================================================ who may run what

do $$
declare f record;
begin
  for f in select p.oid::regprocedure as name, p.prosecdef from pg_proc p where p.pronamespace = 'ringleader'::regnamespace loop
    execute format('revoke all on function %s from public', f.name);
    execute format('grant execute on function %s to ringleader_app, ringleader_system', f.name);
    if f.prosecdef then execute format('alter function %s owner to ringleader_system', f.name); end if;
  end loop;
end $$;
revoke create on schema ringleader from ringleader_system;

-- A verb ends before the driver gives up on it; Neon's pooler takes no such startup options.
alter role ringleader_app set statement_timeout = '8s';
alter role ringleader_app set idle_in_transaction_session_timeout = '30s';
alter role ringleader_app set timezone = 'UTC';
-- Every lookup has its index. A plan made while a small, busy table was all but empty must not read all of its dead rows for ever after.
alter role ringleader_app set enable_seqscan = off;
alter role ringleader_app set jit = off; -- no statement here is long enough to gain by it
