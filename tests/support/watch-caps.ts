/**
 * Judges every commit that reserves a call. A deferred constraint trigger takes one advisory transaction lock and then counts, so that
 * every commit is checked against all commits before it; sampling would prove nothing.
 */

/** SQL for the superuser: what such a commit leaves behind stands in `watch.counted`: how many calls were live, and under which cap. */
export const watchCaps = (systemCap: number): string => `
  create schema watch;
  create table watch.counted (cap text not null, live int not null, allowed int not null);
  create function watch.count_live() returns trigger language plpgsql security definer as $$
  begin
    perform pg_advisory_xact_lock(4711);
    insert into watch.counted
    select 'system', count(*), ${systemCap} from ringleader.calls c where c.reserved_at is not null and c.released_at is null
    union all
    select 'account', count(*), a.max_concurrent_calls from ringleader.calls c join ringleader.accounts a on a.id = c.account_id
      where c.account_id = new.account_id and c.reserved_at is not null and c.released_at is null group by a.max_concurrent_calls
    union all
    select 'campaign', count(*), k.max_concurrent_calls from ringleader.calls c join ringleader.campaigns k on k.id = c.campaign_id
      where c.campaign_id = new.campaign_id and c.reserved_at is not null and c.released_at is null group by k.max_concurrent_calls;
    return null;
  end $$;
  create constraint trigger made after insert on ringleader.calls deferrable initially deferred
    for each row when (new.reserved_at is not null) execute function watch.count_live();
  create constraint trigger taken after update of reserved_at on ringleader.calls deferrable initially deferred
    for each row when (old.reserved_at is null and new.reserved_at is not null) execute function watch.count_live();`;
