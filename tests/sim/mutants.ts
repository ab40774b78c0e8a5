/**
 * Planted bugs: text patches of the real source and schema, at least one for each invariant. A suite that lets one of them live proves
 * nothing by passing. The claim without its lock is planted, and seen, in tests/sql/caps.test.ts. The invariants themselves stand in docs/reliability.md.
 */

export interface Patch {
  /** From the root of the project. */
  file: string;
  /** Stands exactly once in it. */
  find: string;
  put: string;
}
export interface Mutant {
  /** What the planted bug does. */
  name: string;
  /** Whose number a violation must bear, save that whatever is noticed first counts as a kill. */
  invariant: number;
  patches: readonly Patch[];
  /** What kills it: a seed (others are tried when the source has moved on), or a test of another suite where the simulator cannot see it. */
  killer: { seed: number } | { suite: string; test: string };
}

const schema = (find: string, put: string): Patch => ({ file: 'schema.sql', find, put });
const source = (file: string, find: string, put: string): Patch => ({ file, find, put });

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'the system’s cap counts nothing',
    invariant: 1,
    patches: [schema('p_system_cap - (select count(*) from ringleader.open_calls o where o.slot));', 'p_system_cap);')],
    killer: { seed: 2 },
  },
  {
    name: 'the account’s cap is the most per claim',
    invariant: 1,
    patches: [
      schema(
        'coalesce(t.n, 0) as live, a.max_concurrent_calls - coalesce(t.n, 0) as free',
        'coalesce(t.n, 0) as live, a.max_concurrent_calls as free',
      ),
    ],
    killer: { seed: 6 },
  },
  {
    name: 'a create-call without an answer is asked again',
    invariant: 2,
    patches: [
      source(
        'lib/dial.ts',
        "  const expected = outcome.outcome === 'accepted'",
        "  if (outcome.outcome === 'unknown' && deadline < Infinity) return createCall(deps, call, agent, Infinity);\n  const expected = outcome.outcome === 'accepted'",
      ),
    ],
    killer: { seed: 2 },
  },
  {
    name: 'a create-call without an answer goes back to the queue',
    invariant: 4,
    patches: [
      source(
        'lib/dial.ts',
        '  return { call_id: call.call_id, ...outcome };',
        "  if (outcome.outcome === 'unknown') return { call_id: call.call_id, outcome: 'refused', refusal: 'later', reason: 'no answer' };\n  return { call_id: call.call_id, ...outcome };",
      ),
    ],
    killer: { seed: 8 },
  },
  {
    name: 'the fence does not look at the window',
    invariant: 3,
    patches: [schema("      when lane.opens_at is null or lane.opens_at > p_now then 'outside the calling window'\n", '')],
    killer: { seed: 24 },
  },
  {
    name: 'the fence does not look at the campaign',
    invariant: 3,
    patches: [schema("      when r.k_status <> 'active' then format('the campaign is %s', r.k_status)\n", '')],
    killer: { seed: 50 },
  },
  {
    name: 'windows are worked out once, with today’s offset from UTC',
    invariant: 3,
    patches: [
      schema(
        '    perform ringleader.roll_windows(p_now);\n    select r.reserved, r.dry into v_made, v_dry',
        "    update ringleader.campaign_zones set opens_at = opens_at + interval '1 day', closes_at = closes_at + interval '1 day' where closes_at <= p_now;\n    select r.reserved, r.dry into v_made, v_dry",
      ),
      schema("      when lane.opens_at is null or lane.opens_at > p_now then 'outside the calling window'\n", ''),
    ],
    killer: { seed: 24 },
  },
  {
    name: 'a worker that stalled after its fence dials all the same',
    invariant: 4,
    patches: [source('lib/dial.ts', 'if (deps.elapsedMs() > deadline) {', 'if (deadline < 0) {')],
    killer: { seed: 43 },
  },
  {
    name: 'nobody takes back a reservation whose worker is gone',
    invariant: 5,
    patches: [
      schema("    if ringleader.give_back(r.id, 'the reservation expired', p_now, p_now) then done := done + 1; end if;\n", ''),
    ],
    killer: { seed: 5 },
  },
  {
    name: 'a call that has ended ends again with the next event',
    invariant: 6,
    patches: [schema(" and c.status not in ('completed', 'no_answer', 'busy', 'voicemail', 'failed', 'canceled') then", ' then')],
    killer: { seed: 35 },
  },
  {
    name: 'states move back with late events',
    invariant: 6,
    patches: [schema('elsif v_rank > v_is and v_rank < 9 then', 'elsif v_rank < 9 then')],
    killer: { seed: 2 },
  },
  {
    name: 'a call that has ended ends again with the next event, which is a common one',
    invariant: 6,
    patches: [
      schema(
        " and x.status in ('placing', 'queued', 'dialing', 'ringing', 'in_progress') and (a is null or",
        ' and (a is null or',
      ),
    ],
    killer: { seed: 1 },
  },
  {
    name: 'states move back with late events, which are common ones',
    invariant: 6,
    patches: [schema(', x.status) < v_moves_to + (v_free is true)::int', ', x.status) <> v_moves_to + (v_free is true)::int')],
    killer: { seed: 2 },
  },
  {
    name: 'events that came before the create-call’s answer stay parked',
    invariant: 6,
    patches: [
      schema('    v_done := ringleader.unpark(c.id, p_now) or v_done;\n', ''),
      schema('    if ringleader.unpark(c.id, p_now) then', '    if false then'),
    ],
    killer: { seed: 80 },
  },
  {
    name: 'a mail without an answer is sent again',
    invariant: 7,
    patches: [source('lib/summarise.ts', "later: 'again', unknown: 'unknown'", "later: 'again', unknown: 'again'")],
    killer: { seed: 26 },
  },
  {
    name: 'a mail whose sender is gone is sent again',
    invariant: 7,
    patches: [
      schema(
        "set status = 'unknown', reason = 'the worker was lost while sending; it may have been sent'",
        "set status = 'pending', reason = 'the worker was lost while sending; it may have been sent'",
      ),
    ],
    killer: { seed: 24 },
  },
  {
    name: 'a campaign is complete although an analysis may still come',
    invariant: 7,
    patches: [
      schema(
        '  if (select c.id from ringleader.calls c where c.campaign_id = p_campaign and c.analysis_due_at is not null limit 1) is not null then return false; end if;\n',
        '',
      ),
    ],
    killer: { seed: 6 },
  },
  {
    name: 'a campaign is complete although a lead is on a call',
    invariant: 7,
    patches: [
      schema(
        '\n    or (select o.call_id from ringleader.open_calls o where o.account_id = p_account and o.campaign_id = p_campaign limit 1) is not null then',
        ' then',
      ),
    ],
    killer: { seed: 2 },
  },
  {
    name: 'a suppression reaches every account, and row-level security lets it',
    invariant: 8,
    patches: [
      schema(
        "where l.account_id = p_account and l.status = 'waiting' and l.phone in",
        "where l.status = 'waiting' and l.phone in",
      ),
      schema("using (%2$I = nullif(current_setting('ringleader.account', true), '')::uuid)", 'using (true)'),
      schema("with check (%2$I = nullif(current_setting('ringleader.account', true), '')::uuid)$p$", 'with check (true)$p$'),
    ],
    killer: { seed: 105 },
  },
  {
    name: 'a call goes out through whichever agent was made first',
    invariant: 8,
    patches: [
      schema(
        "l.account_id, 'campaign', l.campaign_id, l.id, k.agent_id, l.phone",
        "l.account_id, 'campaign', l.campaign_id, l.id, (select x.id from ringleader.agents x order by x.seq limit 1), l.phone",
      ),
    ],
    killer: { seed: 2 },
  },
  {
    name: 'a reservation that was given back costs an attempt',
    invariant: 9,
    patches: [schema('attempts = least(x.attempts, c.attempt - 1)', 'attempts = c.attempt')],
    killer: { seed: 5 },
  },
  {
    name: 'the last attempt is followed by one more',
    invariant: 9,
    patches: [
      schema('c.attempt >= k.max_attempts or k.settled_at is not null', 'c.attempt > k.max_attempts or k.settled_at is not null'),
      schema("      when r.attempt > r.max_attempts then 'all attempts have been made'\n", ''),
    ],
    killer: { seed: 3 },
  },
  {
    name: 'suppressions count only at the claim',
    invariant: 10,
    patches: [schema("      when r.suppressed then 'suppressed'\n", '')],
    killer: { seed: 27 },
  },
  {
    name: 'the provider is never asked what became of a call',
    invariant: 11,
    patches: [source('functions/dispatch.ts', 'await reconcile(deps, upkeep.look_at, LOOKS_MS)', 'await reconcile(deps, [])')],
    killer: { seed: 30 },
  },
  {
    name: 'an analysis is waited for without end',
    invariant: 11,
    patches: [schema('    update ringleader.calls c set analysis_due_at = null, look_at = null where c.id = r.id;\n', '')],
    killer: { seed: 306 },
  },
  {
    name: 'a retry wakes nobody',
    invariant: 11,
    patches: [
      schema(
        "        case when exists (select from ringleader.open_calls o where o.account_id = z.account_id and o.campaign_id = z.campaign_id) then p_now + interval '1 minute' end), 'infinity')",
        "        null), 'infinity')",
      ),
    ],
    killer: { seed: 5 },
  },
  {
    name: 'work after the answer fails in silence and alone',
    invariant: 12,
    patches: [source('lib/background.ts', '      report(type, error, { ...context, task: name });', '      throw error;')],
    killer: { seed: 6 },
  },
  {
    name: 'nobody listens to an idle connection',
    invariant: 12,
    patches: [source('lib/db.ts', "    client.on('error', fell);\n", '')],
    killer: {
      suite: 'tests/platform/faults.test.ts',
      test: 'an idle connection terminated by the server is exactly one warning',
    },
  },
  {
    name: 'an invocation dials until nothing is left to dial',
    invariant: 13,
    patches: [
      source('lib/dial.ts', 'const MAX_CREATES = 24;', 'const MAX_CREATES = 2400;'),
      source('functions/dispatch.ts', 'const ASKS = 28;', 'const ASKS = 2800;'),
    ],
    killer: { seed: 59 },
  },
  {
    name: 'an invocation dials all at once',
    invariant: 13,
    patches: [source('lib/dial.ts', 'const BATCH = 4;', 'const BATCH = 16;')],
    killer: { seed: 35 },
  },
];
