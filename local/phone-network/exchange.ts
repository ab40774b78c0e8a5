/** The network's memory: create-calls as received, executions, who is live, who is queued above the ceiling, and the counts. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { FREES_LINE, LAST, STEPS, fateOf } from './script.ts';
import type { Script, Status } from './script.ts';
import { costOf, executionBody } from './wire.ts';
import type { Execution } from './wire.ts';
import { newLine } from './webhooks.ts';
import type { Control, EventRecord, Line, Webhooks } from './webhooks.ts';

/** A well-formed create-call. */
export interface CreateCall {
  agent_id: string;
  to: string;
  from: string;
  user_data: Readonly<Record<string, unknown>> | null;
}

/** One create-call as `GET /calls` shows it. */
export interface CallRecord {
  received_at: string;
  agent_id: unknown;
  recipient_phone_number: unknown;
  user_data: unknown;
  /** The body as received: the JSON value, or the text when it was none. */
  body: unknown;
  /** The HTTP status it was answered with; null: never answered. */
  answered: number | null;
  execution_id: string | null;
  /** The call's status now; null when none was made. */
  status: Status | null;
  events: EventRecord[];
}

interface Call {
  execution: Execution;
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
}

export const createExchange = ({ clock, control, webhooks, base }: ExchangeOptions) => {
  const calls = new Map<string, Call>();
  const waiting: Call[] = [];
  const live = new Set<Call>();
  const records: CallRecord[] = [];
  const webhookUrls = new Map<string, string>();
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

  const liveCount = (wanted: (call: Call) => boolean): number => [...live].filter(wanted).length;
  const liveOfKey = (key: string): number => liveCount((call) => call.key === key);
  const agent = (id: string): Counted => {
    const counted = byAgent.get(id) ?? { calls_created: 0, max_live: 0 };
    byAgent.set(id, counted);
    return counted;
  };

  const tell = (call: Call): void => {
    const { execution, record, line } = call;
    const event: EventRecord = { status: execution.status, at: execution.updated_at.toISOString(), deliveries: [] };
    record.status = execution.status;
    record.events.push(event);
    webhooks.emit(line, JSON.stringify(executionBody(execution, 'webhook', base())), event, LAST.has(execution.status));
  };

  const become = (call: Call, status: Status): void => {
    call.execution.status = status;
    call.execution.updated_at = clock.now();
    if (status === 'initiated') call.execution.initiated_at = call.execution.updated_at;
    // The line is free before anybody hears of it.
    if (FREES_LINE.has(status)) hangUp(call);
    tell(call);
  };

  const run = (call: Call, step: number): void => {
    const next = STEPS[call.execution.script.ending][step];
    if (next === undefined) return;
    call.cancel = clock.after(next.after, () => {
      become(call, next.status);
      run(call, step + 1);
    });
  };

  /** Counts a call, once, whose number is on another call. */
  const clash = (call: Call): void => {
    if (call.clashed || liveCount(({ execution }) => execution.to === call.execution.to) === 0) return;
    call.clashed = true;
    total.dials_while_on_a_call += 1;
  };

  const goLive = (call: Call): void => {
    const { execution } = call;
    live.add(call);
    total.max_live = Math.max(total.max_live, live.size);
    const counted = agent(execution.agent_id);
    const ofAgent = liveCount(({ execution: other }) => other.agent_id === execution.agent_id);
    counted.max_live = Math.max(counted.max_live, ofAgent);
    run(call, 0);
  };

  const hasRoom = (key: string): boolean => control.ceiling === null || liveOfKey(key) < control.ceiling;

  /** Dials what waited for room, oldest first. */
  const promote = (): void => {
    const nextUp = (): number => waiting.findIndex(({ key }) => hasRoom(key));
    for (let next = nextUp(); next !== -1; next = nextUp()) {
      const [call] = waiting.splice(next, 1);
      clash(call);
      goLive(call);
    }
  };

  const hangUp = (call: Call): void => {
    if (live.delete(call)) promote();
  };

  const accept = (asked: CreateCall, script: Script, key: string, record: CallRecord): void => {
    const now = clock.now();
    const execution: Execution = {
      id: randomUUID(),
      ...asked,
      script,
      status: 'queued',
      carrier_call_id: randomUUID(),
      created_at: now,
      updated_at: now,
      initiated_at: null,
    };
    const line = newLine(script.webhooks, () => webhookUrls.get(asked.agent_id));
    const call: Call = { execution, key, line, record, clashed: false, cancel: () => undefined };
    calls.set(execution.id, call);
    record.execution_id = execution.id;
    total.calls_created += 1;
    agent(asked.agent_id).calls_created += 1;
    clash(call);
    if (hasRoom(key)) goLive(call);
    else {
      total.ceiling_violations += 1;
      waiting.push(call);
    }
    tell(call);
  };

  return {
    records,

    /** Writes a create-call down, before anything is made of it. */
    receive(body: unknown, fields: Readonly<Record<string, unknown>>): CallRecord {
      const record: CallRecord = {
        received_at: clock.now().toISOString(),
        agent_id: fields['agent_id'] ?? null,
        recipient_phone_number: fields['recipient_phone_number'] ?? null,
        user_data: fields['user_data'] ?? null,
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
      key: string,
      record: CallRecord,
    ): { accepted: false; status: 429 | 500 } | { accepted: true; script: Script } {
      const place = JSON.stringify([asked.user_data?.['campaign_id'] ?? null, asked.to]);
      const before = seen.get(place) ?? { creates: 0, dials: 0 };
      const fate = fateOf(asked.to, before);
      seen.set(place, { creates: before.creates + 1, dials: before.dials + (fate.accepted ? 1 : 0) });
      const attempt = asked.user_data?.['attempt_id'];
      if (typeof attempt === 'string') {
        if (attempts.has(attempt)) total.duplicate_creates += 1;
        if (fate.accepted) attempts.add(attempt);
      }
      if (fate.accepted) accept(asked, fate.script, key, record);
      return fate;
    },

    read: (id: string): Execution | undefined => calls.get(id)?.execution,

    /** The executions of an agent, newest first. */
    ofAgent: (agentId: string): Execution[] =>
      [...calls.values()]
        .map(({ execution }) => execution)
        .filter(({ agent_id }) => agent_id === agentId)
        .toReversed(),

    /** Stops a call that has not been dialled yet. `too_late` with the status it has. */
    stop(id: string): 'stopped' | 'missing' | { too_late: Status } {
      const call = calls.get(id);
      if (call === undefined) return 'missing';
      if (call.execution.status !== 'queued') return { too_late: call.execution.status };
      call.cancel();
      const place = waiting.indexOf(call);
      if (place !== -1) waiting.splice(place, 1);
      become(call, 'stopped');
      return 'stopped';
    },

    setWebhookUrl(agentId: string, url: string | null): void {
      if (url === null) webhookUrls.delete(agentId);
      else webhookUrls.set(agentId, url);
    },

    /** To be called when the ceiling may have risen. */
    promote,
    liveOfKey,

    /** Cents spent so far. */
    spent: (): number => [...calls.values()].reduce((sum, { execution }) => sum + costOf(execution), 0),

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
      for (const { execution } of live) agent(execution.agent_id).max_live += 1;
    },

    /** Cancels every step to come. */
    close(): void {
      for (const call of calls.values()) call.cancel();
    },
  };
};

export type Exchange = ReturnType<typeof createExchange>;
