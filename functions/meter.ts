/**
 * What database connections went through, hour by hour, kept outside the database: looking at it wakes nobody, and it survives the
 * isolates that told it. One Durable Object for the whole system, told once per connection, when that is closed and the answer has gone.
 */
import type { DbCounts } from '../lib/db-session.ts';
import type { Report } from '../lib/deps.ts';
import { addTally, emptyTally, hourOf, HOURS_KEPT, type Measured, type Tally } from '../lib/domain/connections.ts';
import type { ErrorType } from '../lib/errors.ts';

/** What the object is asked, over its `fetch`. */
type Question = { ask: 'add'; hour: number; tally: Tally } | { ask: 'read'; hour: number };

/** What of a Durable Object's state this one needs. */
interface State {
  storage: {
    get(key: string): Promise<Tally | undefined>;
    put(key: string, value: Tally): Promise<void>;
    list(options: { start?: string; end?: string }): Promise<Map<string, Tally>>;
    delete(keys: string[]): Promise<number>;
  };
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T>;
}

/** Sorts as the hours do. */
const keyOf = (hour: number): string => `hour:${String(hour).padStart(8, '0')}`;
const hourIn = (key: string): number => Number(key.slice('hour:'.length));

/** The Durable Object; one for the whole system. */
export class Meter {
  private readonly state: State;
  constructor(state: State) {
    this.state = state;
  }

  async fetch(request: Request): Promise<Response> {
    const question: Question = await request.json();
    const { hour } = question;
    if (question.ask === 'read') {
      const found = await this.state.storage.list({ start: keyOf(hour - HOURS_KEPT + 1), end: keyOf(hour + 1) });
      const hours = [...found].map(([key, tally]) => ({ hour: hourIn(key), tally }));
      return Response.json({ now: hour, hours } satisfies Measured);
    }
    await this.state.blockConcurrencyWhile(() => this.add(hour, question.tally));
    return Response.json({});
  }

  private async add(hour: number, more: Tally): Promise<void> {
    const { storage } = this.state;
    const known = await storage.get(keyOf(hour));
    const tally = known ?? emptyTally();
    addTally(tally, more);
    await storage.put(keyOf(hour), tally);
    if (known) return;
    // A new hour has begun: what is older than two days goes.
    const old = [...(await storage.list({ end: keyOf(hour - HOURS_KEPT + 1) })).keys()];
    if (old.length > 0) await storage.delete(old.slice(0, 128));
  }
}

/** What of a Durable Object namespace is used. */
export interface MeterNamespace {
  idFromName(name: string): unknown;
  get(id: never): { fetch(url: string, init: RequestInit): Promise<Response> };
}

/** The meter as an invocation uses it. What fails is reported and stops nothing. */
export interface OpenMeter {
  counted(counts: DbCounts): Promise<void>;
  mailFailed(): Promise<void>;
  webhookForged(): Promise<void>;
  measured(): Promise<Measured | null>;
}

/** Opens the meter of a namespace; without one nothing is counted. */
export const openMeter = (namespace: MeterNamespace | undefined, now: () => Date, report: Report): OpenMeter => {
  const ask = async (question: Question): Promise<Response> => {
    if (namespace === undefined) throw new Error('the binding METER is missing');
    const stub = namespace.get(namespace.idFromName('system') as never);
    const response = await stub.fetch('https://meter/', { method: 'POST', body: JSON.stringify(question) });
    if (!response.ok) throw new Error('the meter does not answer');
    return response;
  };
  const hour = (): number => hourOf(now().getTime());
  const add = async (tally: Tally): Promise<void> => {
    if (namespace === undefined) return;
    try {
      await (await ask({ ask: 'add', hour: hour(), tally })).body?.cancel();
    } catch (error) {
      report('background_task_failed', error, { task: 'count' });
    }
  };
  return {
    counted: ({ stats, times }) => add({ counts: stats, times }),
    mailFailed: () => add({ counts: { mail_failures: 1 }, times: {} }),
    webhookForged: () => add({ counts: { forged_webhooks: 1 }, times: {} }),
    async measured() {
      try {
        return await (await ask({ ask: 'read', hour: hour() })).json();
      } catch (error) {
        report('background_task_failed', error, { task: 'read_counts' });
        return null;
      }
    },
  };
};

const MAIL_FAILURES: ReadonlySet<ErrorType> = new Set([
  'campaign_summary_email_failed',
  'campaign_summary_generation_failed',
  'notification_email_failed',
]);

/** A report that also counts the mails that failed. */
export const countingMails =
  (report: Report, meter: OpenMeter, ctx: { waitUntil(promise: Promise<unknown>): void }): Report =>
  (type, error, context) => {
    report(type, error, context);
    if (MAIL_FAILURES.has(type)) ctx.waitUntil(meter.mailFailed());
  };
