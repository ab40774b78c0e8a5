-- The claim as it must not be written: one SQL statement, its lock in it. The snapshot by which it counts is older than the lock that it waits for.
drop function ringleader.claim_calls;
create function ringleader.claim_calls(p_now timestamptz, p_claim uuid, p_limit int, p_system_cap int, p_refill_of uuid default null, p_refill uuid default null) returns jsonb
language sql security definer set search_path = pg_catalog as $$
  with alone as materialized (
    select pg_advisory_xact_lock(74210001)
  ), live as materialized (
    select o.account_id, o.campaign_id from ringleader.open_calls o, alone where o.slot
  ), room as materialized (
    select k.id, k.agent_id, least(p_limit, p_system_cap - (select count(*) from live),
      a.max_concurrent_calls - (select count(*) from live l where l.account_id = a.id),
      k.max_concurrent_calls - (select count(*) from live l where l.campaign_id = k.id)) as slots
    from ringleader.campaigns k join ringleader.accounts a on a.id = k.account_id where k.status = 'active' order by slots desc, k.id limit 1
  ), lead as materialized (
    select l.*, r.agent_id from room r cross join lateral (
      select * from ringleader.leads x where x.campaign_id = r.id and x.status = 'waiting' and x.next_attempt_at <= p_now
      order by x.next_attempt_at, x.seq limit greatest(r.slots, 0) for update skip locked) l
  ), made as (
    insert into ringleader.calls (id, account_id, kind, campaign_id, lead_id, agent_id, phone, status, attempt, claim_id, provider, reserved_at, lease_until, look_at, created_at)
    select gen_random_uuid(), l.account_id, 'campaign', l.campaign_id, l.id, l.agent_id, l.phone, 'reserved', l.attempts + 1, p_claim, 'bolna', p_now,
      p_now + interval '10 minutes', p_now + interval '10 minutes', p_now from lead l
    returning *
  ), taken as (
    update ringleader.leads l set status = 'calling', call_id = m.id, attempts = m.attempt, next_attempt_at = null from made m where l.id = m.lead_id
  ), opened as (
    insert into ringleader.open_calls (call_id, account_id, campaign_id, phone, claim_id, slot) select m.id, m.account_id, m.campaign_id, m.phone, p_claim, true from made m
  )
  select jsonb_build_object('agents', '[]'::jsonb, 'next_pace_at', null, 'dry', false, 'calls', coalesce(jsonb_agg(jsonb_build_object('account_id', m.account_id, 'call_id', m.id,
    'kind', m.kind, 'campaign_id', m.campaign_id, 'lead_id', m.lead_id, 'attempt', m.attempt, 'phone', m.phone, 'name', null, 'email', null, 'company', null,
    'timezone', null, 'variables', '{}'::jsonb, 'agent_id', m.agent_id)), '[]')) from made m
$$;
alter function ringleader.claim_calls owner to ringleader_system;
grant execute on function ringleader.claim_calls to ringleader_app;
