/** The network's memory: create-calls as received, calls, who is live, who is queued above the ceiling, and the counts. */
import type { Clock } from '../clock.ts';
import { costOf, isFinal } from './call.ts';
import type { Call, Dialect } from './call.ts';
import { FREES_LINE, STEPS, fateOf } from './script.ts';
import type { Script, Status } from './script.ts';
import { newLine } from './webhooks.ts';
import type { Control, EventRecord, Line, Receiver, Webhooks } from './webhooks.ts';

/** A well-formed create-call. */
export interface CreateCall extends Pick<Call, 'agent_id' | 'to' | 'from' | 'user_data' | 'asked'> {
  receiver: Receiver;
}

/** What `GET /calls` shows of a create-call's body, well-formed or not. */
export interface Shown {
  agent_id: unknown;
  recipient_phone_number: unknown;
  user_data: unknown;
}

/** One create-call as `GET /calls` shows it. */
export interface CallRecord extends Shown {
  received_at: string;
  provider: Dialect['name'];
  /** The body as received: the JSON value, or the text when it was none. */
  body: unknown;
  /** The HTTP status it was answered with; null: never answered. */
  answered: number | null;
  execution_id: string | null;
  /** The call's status now; null when none was made. */
  status: Status | null;
  events: EventRecord[];
}

/** A call with what the network needs to carry it through. */
interface Kept {
  call: Call;
  dialect: Dialect;
  key: string;
  line: Line;
  record: CallRecord;
  /** It was accepted, or left the queue, while its number was on another call. */
  clashed: boolean;
  /** Cancels the next step. */
  cancel: () => void;
}

interface Counted {
  calls_created: number;
  max_live: number;
}

export interface ExchangeOptions {
  clock: Pick<Clock, 'now' | 'after'>;
  control: Control;
  webhooks: Webhooks;
  /** Where this network listens; known only once it does. */
  base: () => string;
  newUuid: () => string;
}

/** Virtual milliseconds after which a call that found no line is told to have ended. */
const NO_LINE_MS = 250;

export const createExchange = ({ clock, control, webhooks, base, newUuid }: ExchangeOptions) => {
  const calls = new Map<string, Kept>();
  const waiting: Kept[] = [];
  const live = new Set<Kept>();
  const records: CallRecord[] = [];
  /** What numbers saw within their campaigns. */
  const seen = new Map<string, { creates: number; dials: number }>();
  const attempts = new Set<string>();
  const total: Counted & Record<'ceiling_violations' | 'duplicate_creates' | 'dials_while_on_a_call', number> = {
    calls_created: 0,
    max_live: 0,
    ceiling_violations: 0,
    duplicate_creates: 0,
    dials_while_on_a_call: 0,
  };
  const byAgent = new Map<string, Counted>();

  const liveCount = (wanted: (kept: Kept) => boolean): number => [...live].filter(wanted).length;
  const liveOfKey = (key: string): number => liveCount((kept) => kept.key === key);
  const agent = (id: string): Counted => {
    const counted = byAgent.get(id) ?? { calls_created: 0, max_live: 0 };
    byAgent.set(id, counted);
    return counted;
  };

  const tell = ({ call, dialect, record, line }: Kept): void => {
    record.status = call.status;
    const events = dialect.events(call, base());
    for (const [i, { name, body }] of events.entries()) {
      const event: EventRecord = { status: name, at: call.updated_at.toISOString(), deliveries: [] };
      record.events.push(event);
      const last = isFinal(call) && i === events.length - 1;
      webhooks.emit(line, JSON.stringify(body), event, { answered: call.status === 'in-progress', last });
    }
  };

  const become = (kept: Kept, status: Status): void => {
    const { call } = kept;
    const now = clock.now();
    call.status = status;
    call.updated_at = now;
    if (status === 'initiated') call.initiated_at = now;
    if (status === 'in-progress') call.answered_at = now;
    // The line is free before anybody hears of it.
    if (FREES_LINE.has(status)) {
      call.ended_at ??= now;
      hangUp(kept);
    }
    tell(kept);
  };

  const run = (kept: Kept, step: number): void => {
    const next = STEPS[kept.call.script.ending][step];
    if (next === undefined) return;
    kept.cancel = clock.after(next.after, () => {
      become(kept, next.status);
      run(kept, step + 1);
    });
  };

  /** Counts a call, once, whose number is on another call. */
  const clash = (kept: Kept): void => {
    if (kept.clashed || liveCount(({ call }) => call.to === kept.call.to) === 0) return;
    kept.clashed = true;
    total.dials_while_on_a_call += 1;
  };

  const goLive = (kept: Kept): void => {
    const { agent_id } = kept.call;
    live.add(kept);
    total.max_live = Math.max(total.max_live, live.size);
    const counted = agent(agent_id);
    counted.max_live = Math.max(
      counted.max_live,
      liveCount(({ call }) => call.agent_id === agent_id),
    );
    run(kept, 0);
  };

  const hasRoom = (key: string): boolean => control.ceiling === null || liveOfKey(key) < control.ceiling;

  /** Dials what waited for room, oldest first. */
  const promote = (): void => {
    const nextUp = (): number => waiting.findIndex(({ key }) => hasRoom(key));
    for (let next = nextUp(); next !== -1; next = nextUp()) {
      const [kept] = waiting.splice(next, 1);
      clash(kept);
      goLive(kept);
    }
  };

  const hangUp = (kept: Kept): void => {
    if (live.delete(kept)) promote();
  };

  /** A call for which there is no line: it waits, or ends before it was dialled, as its provider does it. */
  const refuseLine = (kept: Kept): void => {
    total.ceiling_violations += 1;
    if (kept.dialect.queues) {
      waiting.push(kept);
      return;
    }
    kept.call.over_ceiling = true;
    kept.cancel = clock.after(NO_LINE_MS, () => become(kept, 'failed'));
  };

  const accept = (
    { receiver, ...asked }: CreateCall,
    script: Script,
    dialect: Dialect,
    key: string,
    record: CallRecord,
  ): Call => {
    const now = clock.now();
    const call: Call = {
      id: dialect.newId(newUuid()),
      ...asked,
      script,
      status: 'queued',
      over_ceiling: false,
      carrier_call_id: newUuid(),
      created_at: now,
      updated_at: now,
      initiated_at: null,
      answered_at: null,
      ended_at: null,
    };
    const line = newLine(script.webhooks, receiver);
    const kept: Kept = { call, dialect, key, line, record, clashed: false, cancel: () => undefined };
    calls.set(call.id, kept);
    record.execution_id = call.id;
    total.calls_created += 1;
    agent(asked.agent_id).calls_created += 1;
    clash(kept);
    if (hasRoom(key)) goLive(kept);
    else refuseLine(kept);
    tell(kept);
    return call;
  };

  return {
    records,

    /** Writes a create-call down, before anything is made of it. */
    receive(provider: Dialect['name'], body: unknown, shown: Shown): CallRecord {
      const record: CallRecord = {
        received_at: clock.now().toISOString(),
        provider,
        ...shown,
        body,
        answered: null,
        execution_id: null,
        status: null,
        events: [],
      };
      records.push(record);
      return record;
    },

    /** Lets the number decide about a well-formed create-call. */
    create(
      asked: CreateCall,
      dialect: Dialect,
      key: string,
      record: CallRecord,
    ): { accepted: false; status: 429 | 500 } | { accepted: true; call: Call } {
      const place = JSON.stringify([asked.user_data?.['campaign_id'] ?? null, asked.to]);
      const before = seen.get(place) ?? { creates: 0, dials: 0 };
      const fate = fateOf(asked.to, before);
      seen.set(place, { creates: before.creates + 1, dials: before.dials + (fate.accepted ? 1 : 0) });
      const attempt = asked.user_data?.['attempt_id'];
      if (typeof attempt === 'string') {
        if (attempts.has(attempt)) total.duplicate_creates += 1;
        if (fate.accepted) attempts.add(attempt);
      }
      return fate.accepted ? { accepted: true, call: accept(asked, fate.script, dialect, key, record) } : fate;
    },

    /** A call by its id; `of` whom it must have been asked for. */
    read(id: string, of?: Dialect): Call | undefined {
      const kept = calls.get(id);
      return of === undefined || kept?.dialect === of ? kept?.call : undefined;
    },

    /** The calls of a provider, newest first. */
    list: (of: Dialect): Call[] =>
      [...calls.values()]
        .filter(({ dialect }) => dialect === of)
        .map(({ call }) => call)
        .toReversed(),

    /** Whether the call is on the line, or about to be. */
    isLive: (id: string): boolean => [...live].some(({ call }) => call.id === id),

    /** Ends a call on request. `too_late` with the status it has, where `may` says that it cannot be stopped in it. */
    stop(id: string, of: Dialect, may: (status: Status) => boolean): 'stopped' | 'missing' | { too_late: Status } {
      const kept = calls.get(id);
      if (kept?.dialect !== of) return 'missing';
      if (!may(kept.call.status)) return { too_late: kept.call.status };
      kept.cancel();
      const place = waiting.indexOf(kept);
      if (place !== -1) waiting.splice(place, 1);
      become(kept, 'stopped');
      return 'stopped';
    },

    /** To be called when the ceiling may have risen. */
    promote,
    liveOfKey,

    /** Cents spent so far. */
    spent: (): number => [...calls.values()].reduce((sum, { call }) => sum + costOf(call), 0),

    stats: () => ({
      calls_created: total.calls_created,
      live: live.size,
      max_live: total.max_live,
      ceiling: control.ceiling,
      ceiling_violations: total.ceiling_violations,
      duplicate_creates: total.duplicate_creates,
      dials_while_on_a_call: total.dials_while_on_a_call,
      webhooks: { ...webhooks.counts },
      by_agent: Object.fromEntries(byAgent),
    }),

    /** Every count back to nothing, save that calls now live stay live. Calls, control and attempts seen are kept. */
    resetStats(): void {
      Object.assign(total, {
        calls_created: 0,
        max_live: live.size,
        ceiling_violations: 0,
        duplicate_creates: 0,
        dials_while_on_a_call: 0,
      });
      Object.assign(webhooks.counts, { sent: 0, repeated: 0, dropped: 0 });
      byAgent.clear();
      for (const { call } of live) agent(call.agent_id).max_live += 1;
    },

    /** Cancels every step to come. */
    close(): void {
      for (const kept of calls.values()) kept.cancel();
    },
  };
};

export type Exchange = ReturnType<typeof createExchange>;
