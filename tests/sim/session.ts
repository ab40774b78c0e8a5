/**
 * A database session of one task, as `lib/db.ts` offers it: verbs in turn, tried again by their class, over a connection that may
 * fail in every way a connection can. Its policy is the wrapper's, on virtual time.
 */
import { mayRepeat, toDbError } from '../../lib/db-errors.ts';
import type { Report } from '../../lib/deps.ts';
import { DbError } from '../../lib/errors.ts';
import type { RetryClass, VerbRunner } from '../../lib/verbs.ts';
import type { SimDatabase } from './database.ts';
import { SECOND, type Invocation, type Kernel } from './kernel.ts';
import type { Ledger } from './ledger.ts';

const TRIES = 8;
const FIRST_WAIT = 50;
const LONGEST_WAIT = 1500;
const RETRY_BUDGET = 8 * SECOND;
const PATIENCE = 10 * SECOND;
/** Verbs that write nothing, by their SQL names. */
const READING =
  /^(authenticate|get_|list_|export_|agent_secrets|summary_data|notice_data|explain_lead|preflight_campaign|next_due|direct_position|account_status|system_status)/;

/** The worker's clock, which every verb is given first or second. */
const INSTANT = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

/** What all sessions of a seed share. */
export interface Shared {
  kernel: Kernel;
  database: SimDatabase;
  ledger: Ledger;
  /** Until then the server accepts no write. */
  readOnlyUntil: number;
  /** Verbs → whether an upgrade of the schema has changed them, so that a worker of the version before cannot call them. */
  changed: Map<string, boolean>;
  /** Statements that ran. */
  statements: number;
}

/** Of the verbs, how many an upgrade changes. */
const CHANGED = 0.3;

const lost = (): Error => new Error('Connection terminated unexpectedly');
const serverError = (code: string, message: string): Error => Object.assign(new Error(message), { code, severity: 'ERROR' });

export class SimSession implements VerbRunner {
  readonly #shared: Shared;
  readonly #invocation: Invocation;
  readonly #report: Report;
  #connected = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(shared: Shared, invocation: Invocation, report: Report) {
    this.#shared = shared;
    this.#invocation = invocation;
    this.#report = report;
  }

  query(
    text: string,
    params: readonly unknown[],
    { verb, retry }: { verb: string; retry: RetryClass },
  ): Promise<{ rows: unknown[] }> {
    const mine = this.#last.then(() => this.#persist(verb, retry, text, params));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  close(): void {
    if (this.#connected) this.#invocation.connections -= 1;
    this.#connected = false;
  }

  async #persist(verb: string, retry: RetryClass, text: string, params: readonly unknown[]): Promise<{ rows: unknown[] }> {
    const { kernel } = this.#shared;
    const began = kernel.now;
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#connect(verb);
        return { rows: [{ result: await this.#send(verb, text, params) }] };
      } catch (error) {
        if (!(error instanceof DbError)) throw error;
        const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** tries);
        const wait = Math.round((longest / 2) * (1 + kernel.random.next()));
        const inTime = tries < TRIES && kernel.now - began + wait <= RETRY_BUDGET;
        if (!inTime || !mayRepeat(error.failure, retry)) {
          this.#report(error.failure.errorType, error, { verb });
          throw error;
        }
        await kernel.park(this.#invocation, wait, () => undefined);
      }
    }
  }

  async #connect(verb: string): Promise<void> {
    if (this.#connected) return;
    const { kernel } = this.#shared;
    const refused = kernel.strikes('db_connect', this.#invocation);
    await kernel.park(this.#invocation, kernel.random.between(5, 300), () => undefined);
    if (refused) throw toDbError(new Error('connect ECONNREFUSED'), { verb, ready: false, sent: false });
    this.#connected = true;
    this.#invocation.subrequests += 1;
    this.#invocation.connections += 1;
    this.#invocation.mostConnections = Math.max(this.#invocation.mostConnections, this.#invocation.connections);
  }

  async #send(verb: string, text: string, params: readonly unknown[]): Promise<unknown> {
    const { kernel } = this.#shared;
    const invocation = this.#invocation;
    const halfOpen = kernel.strikes('db_half_open', invocation);
    const arrives = !halfOpen || kernel.random.chance(0.5);
    try {
      const slow = kernel.strikes('db_slow', invocation) ? kernel.random.between(0.2, 3) * SECOND : 0;
      const result = await kernel.park(invocation, slow + kernel.random.between(1, 50), () =>
        arrives ? this.#execute(verb, text, params) : undefined,
      );
      if (!halfOpen) return result;
      await kernel.park(invocation, PATIENCE, () => undefined);
      throw new Error('Query read timeout');
    } catch (error) {
      const failure = toDbError(error, { verb, ready: true, sent: true });
      if (failure.failure.outcome !== 'rejected') this.close();
      throw failure;
    }
  }

  async #execute(verb: string, text: string, params: readonly unknown[]): Promise<unknown> {
    const { kernel, ledger, database } = this.#shared;
    const { name } = this.#invocation;
    if (kernel.strikes('db_lost_before', this.#invocation)) throw lost();
    if (this.#invocation.old && this.#isChanged(verb)) throw serverError('42883', 'function does not exist');
    if (!READING.test(verb)) {
      if (kernel.strikes('db_read_only', this.#invocation))
        this.#shared.readOnlyUntil = kernel.now + kernel.random.between(5, 60) * SECOND;
      if (kernel.now < this.#shared.readOnlyUntil) throw serverError('25006', 'cannot execute in a read-only transaction');
      if (kernel.strikes('db_rolled_back', this.#invocation)) throw serverError('40001', 'could not serialize access');
    }
    const ran = await database.run(verb, text, params).catch((error: unknown) => {
      const { code, message } = error as { code?: string; message: string };
      ledger.violated(`#12 ${verb} failed: ${code ?? ''} ${message}`);
      throw error;
    });
    this.#shared.statements += 1;
    kernel.trace(name, verb, `${params.slice(1).join(' ')} → ${ran.text}`);
    const at = params
      .slice(0, 2)
      .map(String)
      .find((one) => INSTANT.test(one));
    ledger.commit(ran.changes, { by: this.#invocation, at: Date.parse(at ?? '') });
    this.#judge(verb, params, ran.text);
    if (verb === 'fence_calls' && kernel.strikes('worker_stalled_at_fence', this.#invocation)) kernel.stall(this.#invocation);
    if (kernel.strikes('db_ack_lost', this.#invocation)) throw lost();
    return JSON.parse(ran.text);
  }

  #isChanged(verb: string): boolean {
    const { changed, kernel } = this.#shared;
    if (!changed.has(verb)) changed.set(verb, kernel.random.chance(CHANGED));
    return changed.get(verb)!;
  }

  #judge(verb: string, params: readonly unknown[], text: string): void {
    const { ledger } = this.#shared;
    const first = String(params[0]);
    if (ledger.accounts.has(first)) ledger.judgeAnswer(first, verb, text);
    if (verb === 'tick') ledger.judgeLeases(Date.parse(first));
    if (verb === 'summary_data' && text !== 'null') {
      ledger.judgeFigures(String(params[2]), JSON.parse(text) as Record<string, unknown>);
    }
  }
}
