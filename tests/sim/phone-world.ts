/** The telephony provider and the people it calls: executions, their events, and what may go wrong with both. */
import type { CallFact } from '../../lib/verb-shapes.ts';
import type { Counts } from './faults.ts';
import { MINUTE, SECOND, type Invocation, type Kernel } from './kernel.ts';
import type { Random } from './random.ts';

export type Dialect = 'bolna' | 'retell';
type Truth = NonNullable<CallFact['status']>;

/** One step of an execution, in the provider's own words. */
export interface Step {
  word: string;
  at: number;
}
export interface Execution {
  id: string;
  dialect: Dialect;
  attempt: string;
  account: string;
  agent: string;
  to: string;
  /** Where its events go, and the key that signs them. */
  webhook: string;
  secret: string;
  acceptedAt: number;
  /** When the line is free. */
  hungUpAt: number;
  steps: Step[];
  /** What truly became of it. */
  truth: Truth;
  seconds: number;
  /** Null: no analysis ever comes. */
  score: number | null;
  analysedAt: number;
  echoes: boolean;
  /** False: asked about this call, the provider answers 500 for ever. */
  readable: boolean;
  /** No event of it is pushed. */
  silent: boolean;
  /** Milliseconds by which all its events are late. */
  behind: number;
  /** Words of the events that the worker answered 2xx. */
  acknowledged: Set<string>;
}
export interface Dial {
  invocation: Invocation;
  account: string;
  /** By its id at the provider. */
  agent: string;
  attempt: string;
  to: string;
  webhook: string;
  secret: string;
}
/** How a create-call is answered; null: not at all. */
export type Answer =
  | { kind: 'accepted'; id: string }
  | { kind: 'refused'; refusal: 'later' | 'invalid' | 'account' | 'other'; after?: number }
  | { kind: 'error'; status: number };

const OUTCOMES: readonly (readonly [Truth, number])[] = [
  ['completed', 0.38],
  ['no_answer', 0.18],
  ['busy', 0.12],
  ['voicemail', 0.12],
  ['failed', 0.12],
  ['canceled', 0.08],
];
const WORDS: Readonly<Record<string, string>> = { no_answer: 'no-answer', busy: 'busy', failed: 'failed', canceled: 'canceled' };
/** Words after which nothing more happens on the line. */
export const LAST_WORDS: ReadonlySet<string> = new Set(['completed', 'ended', 'analyzed', ...Object.values(WORDS)]);

export class PhoneWorld {
  readonly executions = new Map<string, Execution>();
  readonly byAttempt = new Map<string, Execution>();
  /** Attempts that were asked for; true once the provider has said no to the last request. */
  readonly asked = new Map<string, boolean>();
  readonly counts: Counts = { dials: 0, asked: 0 };
  /** Told of a request before the provider answers it; of every event that the provider pushes. */
  onDial: (dial: Dial) => void = () => undefined;
  onEvent: (execution: Execution, step: Step) => void = () => undefined;
  onTwice: (attempt: string) => void = () => undefined;
  /** Milliseconds within which a create-call is answered when nothing is wrong. */
  readonly answersWithin: number;
  readonly #kernel: Kernel;
  readonly #fateOf: (dial: Dial) => Random;

  /** @param fateOf draws what becomes of a call */
  constructor(kernel: Kernel, answersWithin: number, fateOf: (dial: Dial) => Random = () => kernel.random) {
    this.#kernel = kernel;
    this.answersWithin = answersWithin;
    this.#fateOf = fateOf;
  }

  /** A create-call leaves the worker. */
  ask(dial: Dial): void {
    this.counts['asked'] += 1;
    if (this.asked.has(dial.attempt) && this.asked.get(dial.attempt) !== true) this.onTwice(dial.attempt);
    this.asked.set(dial.attempt, false);
  }

  /** A create-call arrives at the provider. */
  receive(dial: Dial, dialect: Dialect): Answer {
    const kernel = this.#kernel;
    const { invocation } = dial;
    if (kernel.strikes('provider_5xx', invocation)) return { kind: 'error', status: 503 };
    const refusal = this.#refusal(invocation);
    if (refusal) {
      this.asked.set(dial.attempt, true);
      return refusal;
    }
    this.onDial(dial);
    const execution = this.#place(dial, dialect);
    if (kernel.strikes('provider_5xx_accepted', invocation)) return { kind: 'error', status: 502 };
    return { kind: 'accepted', id: execution.id };
  }

  #refusal(invocation: Invocation): Answer | null {
    const kernel = this.#kernel;
    if (kernel.strikes('provider_429', invocation)) {
      return { kind: 'refused', refusal: 'later', after: kernel.random.int(1, 30) };
    }
    if (kernel.strikes('provider_invalid', invocation)) return { kind: 'refused', refusal: 'invalid' };
    if (kernel.strikes('provider_refused', invocation)) return { kind: 'refused', refusal: 'other' };
    if (kernel.strikes('provider_account', invocation)) return { kind: 'refused', refusal: 'account' };
    return null;
  }

  #place(dial: Dial, dialect: Dialect): Execution {
    const { faults, now } = this.#kernel;
    const random = this.#fateOf(dial);
    this.counts['dials'] += 1;
    let share = random.next();
    const truth = OUTCOMES.find(([, part]) => (share -= part) < 0)?.[0] ?? 'completed';
    const ringing = now + random.between(0.2, 3) * SECOND;
    const answered = ringing + random.between(1, 25) * SECOND;
    const dropped = truth === 'failed' && random.chance(0.3);
    const talks = truth === 'completed' || truth === 'voicemail' || dropped;
    const hungUpAt = talks ? answered + random.between(3, random.chance(0.2) ? 300 : 60) * SECOND : answered;
    const late = faults.hit('analysis_late') ? random.between(1, 40) * MINUTE : random.between(1, 20) * SECOND;
    const never = faults.hit('analysis_never');
    const stuck = talks && !dropped && faults.hit('provider_never_ends');
    const readable = !faults.hit('provider_unreadable');
    const analysedAt = never ? Infinity : hungUpAt + late;
    const execution: Execution = {
      id: `x-${random.uuid()}`,
      dialect,
      attempt: dial.attempt,
      account: dial.account,
      agent: dial.agent,
      to: dial.to,
      webhook: dial.webhook,
      secret: dial.secret,
      acceptedAt: now,
      hungUpAt,
      steps: [],
      truth,
      seconds: Math.round((hungUpAt - answered) / SECOND),
      score: truth === 'completed' && !never ? random.int(0, 100) : null,
      analysedAt,
      echoes: !faults.hit('webhook_no_echo'),
      readable,
      silent: faults.hit('webhook_silent'),
      // Where nothing can be read, the events too are often late: later than anybody waits.
      behind: !readable && random.chance(0.7) ? random.between(12, 40) * MINUTE : 0,
      acknowledged: new Set(),
    };
    const { steps } = execution;
    if (random.chance(0.5)) steps.push({ word: 'queued', at: now + random.between(0, 200) });
    steps.push({ word: 'initiated', at: now + random.between(50, 600) }, { word: 'ringing', at: ringing });
    if (talks) steps.push({ word: 'in-progress', at: answered });
    if (talks && !dropped) {
      if (dialect === 'bolna') {
        steps.push({ word: 'call-disconnected', at: hungUpAt });
        // Here the last word comes when post-processing is done, with or without an analysis.
        if (!stuck) steps.push({ word: 'completed', at: hungUpAt + late });
      } else if (!stuck) {
        steps.push({ word: 'ended', at: hungUpAt });
        if (truth === 'completed' && !never) steps.push({ word: 'analyzed', at: analysedAt });
      }
    } else steps.push({ word: WORDS[truth], at: hungUpAt });
    steps.sort((a, b) => a.at - b.at);
    this.executions.set(execution.id, execution);
    this.byAttempt.set(dial.attempt, execution);
    this.#kernel.trace('phones', 'dial', `${dial.to} ${execution.id} will be ${truth}`);
    for (const step of steps) this.#kernel.after(step.at - now, () => this.onEvent(execution, step));
    return execution;
  }

  /** The execution as the provider shows it now. */
  stepNow(execution: Execution): Step {
    const past = execution.steps.filter((step) => step.at <= this.#kernel.now);
    return past.at(-1) ?? { word: 'queued', at: execution.acceptedAt };
  }

  /** Another call to this number of this account that is on the line now. */
  onTheLine(account: string, to: string): Execution | undefined {
    const { now } = this.#kernel;
    for (const execution of this.executions.values()) {
      if (execution.account === account && execution.to === to && execution.hungUpAt > now) return execution;
    }
    return undefined;
  }

  /** A person asked the provider to stop a call: what has not happened yet does not. */
  stop(id: string): boolean {
    const execution = this.executions.get(id);
    const { now } = this.#kernel;
    if (!execution || execution.hungUpAt <= now) return false;
    execution.steps = execution.steps.filter((step) => step.at <= now);
    execution.steps.push({ word: 'canceled', at: now });
    execution.truth = 'canceled';
    execution.score = null;
    execution.hungUpAt = now;
    this.onEvent(execution, execution.steps.at(-1)!);
    return true;
  }
}
