/**
 * Delivery of webhooks: in order per call and once, unless control or the number's script say otherwise; repeated when they are
 * not answered 2xx.
 */
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import type { Script } from './script.ts';

const Share = z.number().min(0).max(1);

/** What `PUT /control` may change; absent fields stay. */
export const ControlPatch = z.strictObject({
  /** Live calls per key; null lifts it. */
  ceiling: z.int().min(0).nullable().optional(),
  /** Share of webhooks that never leave. */
  drop: Share.optional(),
  /** Share of webhooks sent twice. */
  duplicate: Share.optional(),
  /** Share of webhooks held back until a later one of the same call has been sent. */
  reorder: Share.optional(),
  /** Virtual seconds by which every webhook is late. */
  delay_seconds: z.number().min(0).max(86_400).optional(),
});

export interface Control {
  ceiling: number | null;
  drop: number;
  duplicate: number;
  reorder: number;
  delay_seconds: number;
}

/** Real milliseconds that a receiver has to answer: its own work takes real time at any speed. */
const PATIENCE_MS = 10_000;

export interface Delivery {
  at: string;
  /** The HTTP status, `unanswered`, or null while it is under way. */
  answer: number | 'unanswered' | null;
}

/** One webhook of a call, as `GET /calls` shows it. */
export interface EventRecord {
  /** The status that it tells of, or the provider's name for the event. */
  status: string;
  at: string;
  /** Why there is no delivery: dropped by control or by the number's script, or there is no webhook URL. */
  lost?: 'dropped' | 'no_webhook_url';
  deliveries: Delivery[];
}

interface Job {
  body: string;
  record: EventRecord;
}

/** To whom the webhooks of a call go. */
export interface Receiver {
  url: () => string | undefined;
  /** What goes beside the body; asked for anew with every delivery. */
  headers: (body: string, now: Date) => Readonly<Record<string, string>>;
  /** Virtual seconds after an unsuccessful delivery until it is tried again. */
  repeats: readonly number[];
}

/** The webhooks of one call. */
export interface Line {
  receiver: Receiver;
  mode: Script['webhooks'];
  /** Waiting for a later one to be sent first. */
  held: Job[];
  /** Everything handed to a tripled call, in order. */
  past: Job[];
  answered: boolean;
  /** Ends when the last first delivery so far has been answered. */
  tail: Promise<void>;
}

export const newLine = (mode: Script['webhooks'], receiver: Receiver): Line => ({
  receiver,
  mode,
  held: [],
  past: [],
  answered: false,
  tail: Promise.resolve(),
});

export interface Counts {
  sent: number;
  repeated: number;
  dropped: number;
}

export const createWebhooks = (clock: Pick<Clock, 'now' | 'after'>, random: () => number, control: Control) => {
  const counts: Counts = { sent: 0, repeated: 0, dropped: 0 };
  const ended = new AbortController();
  const state = { begun: false };
  const cancels = new Set<() => void>();

  const later = (seconds: number, action: () => void): void => {
    const cancel = clock.after(seconds * 1_000, () => {
      cancels.delete(cancel);
      action();
    });
    cancels.add(cancel);
  };

  const post = async (url: string, body: string, headers: Readonly<Record<string, string>>): Promise<number | 'unanswered'> => {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([ended.signal, AbortSignal.timeout(PATIENCE_MS)]),
      });
      await response.arrayBuffer();
      return response.status;
    } catch {
      // Refused, reset, timed out: to the sender all the same, and recorded as such.
      return 'unanswered';
    }
  };

  const attempt = async (line: Line, job: Job, repeats: number): Promise<void> => {
    if (ended.signal.aborted) return;
    const { url: urlNow, headers, repeats: waits } = line.receiver;
    const url = urlNow();
    if (url === undefined) {
      job.record.lost = 'no_webhook_url';
      return;
    }
    counts[repeats === 0 ? 'sent' : 'repeated'] += 1;
    const delivery: Delivery = { at: clock.now().toISOString(), answer: null };
    job.record.deliveries.push(delivery);
    delivery.answer = await post(url, job.body, headers(job.body, clock.now()));
    const good = typeof delivery.answer === 'number' && delivery.answer >= 200 && delivery.answer < 300;
    if (good || repeats === waits.length || ended.signal.aborted) return;
    later(waits[repeats], () => void attempt(line, job, repeats + 1));
  };

  const send = (line: Line, jobs: readonly Job[]): void => {
    const queue = (): void => {
      for (const job of jobs) line.tail = line.tail.then(() => attempt(line, job, 0));
    };
    if (control.delay_seconds > 0) later(control.delay_seconds, queue);
    else queue();
  };

  /** Swapped in pairs while the call lasts; when it is over, all of it backwards, twice. */
  const sendTripled = (line: Line, jobs: readonly Job[], last: boolean): void => {
    line.past.push(...jobs);
    line.held.unshift(...jobs);
    if (line.held.length < 2 && !last) return;
    send(line, line.held);
    line.held = [];
    if (!last) return;
    const backwards = line.past.toReversed();
    send(line, [...backwards, ...backwards]);
  };

  return {
    counts,

    /** From here on webhooks leave: what a start recalls of the past has been told before. */
    begin(): void {
      state.begun = true;
    },

    /** Takes over one webhook of a call. `answered`: it says that somebody answered; `last`: nothing follows it. */
    emit(line: Line, body: string, record: EventRecord, { answered, last }: { answered: boolean; last: boolean }): void {
      if (!state.begun) {
        line.answered ||= answered;
        return;
      }
      // All three are drawn every time, so that one share does not shift the luck of the others.
      const dropped = random() < control.drop;
      const twice = random() < control.duplicate;
      const late = random() < control.reorder;
      const lost = line.mode === 'lost_once_answered' && line.answered;
      if (answered) line.answered = true;
      const job: Job = { body, record };
      const jobs = dropped || lost ? [] : line.mode !== 'tripled' && twice ? [job, job] : [job];
      if (jobs.length === 0) {
        record.lost = 'dropped';
        counts.dropped += 1;
      }
      if (line.mode === 'tripled') return sendTripled(line, jobs, last);
      if (late && !last) {
        line.held.unshift(...jobs);
        return;
      }
      // One held back leaves only behind a later one; a lost one takes nobody along, save at the end.
      if (jobs.length === 0 && !last) return;
      send(line, [...jobs, ...line.held]);
      line.held = [];
    },

    /** Abandons everything under way. */
    stop(): void {
      ended.abort();
      for (const cancel of cancels) cancel();
    },
  };
};

export type Webhooks = ReturnType<typeof createWebhooks>;
