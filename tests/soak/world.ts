/** The world outside of the soak: a phone network and a mail provider in this process, which lose, double, delay and die as their dice say. */
import { randomUUID } from 'node:crypto';
import type { Disposition } from '../../lib/domain/vocabulary.ts';
import type { Mail, Mailer, MailResult } from '../../lib/mail.ts';
import type { CreateCall, Provider, ProviderAgent, ReadResult } from '../../lib/providers/provider.ts';
import type { CallFact, CallOutcome } from '../../lib/verb-shapes.ts';
import { createRandom, type Random } from '../sim/random.ts';

/** The worker is gone: whoever awaits this never records it. */
export class Died extends Error {
  override name = 'Died';
}

const SECOND = 1000;

interface Step {
  at: number;
  status: NonNullable<CallFact['status']>;
}
export interface Execution {
  id: string;
  attempt: string;
  account: string;
  agent: string;
  steps: Step[];
}
/** A webhook on its way. */
export interface Delivery {
  due: number;
  account: string;
  agent: string;
  fact: CallFact;
}

export interface World {
  provider: Provider;
  mail: Mailer;
  /** Whether anything still goes wrong. */
  calm: boolean;
  faults: Record<string, number>;
  executions: ReadonlyMap<string, Execution>;
  /** Create-calls by attempt, save those told to wait; more than one is a second dial. */
  asked: ReadonlyMap<string, number>;
  /** Accepted mails by notification. */
  mails: ReadonlyMap<string, number>;
  /** Takes a webhook that is due, any of them; undefined: none is. */
  take(dice: Random): Delivery | undefined;
  /** It was not answered 2xx: it comes again. */
  giveBack(delivery: Delivery): void;
  /** When the next webhook comes; null: none is left. */
  next(): number | null;
}

/** How calls end, and how often in a hundred. */
const ENDS: readonly [Exclude<Disposition, 'unknown'>, number][] = [
  ['completed', 45],
  ['no_answer', 22],
  ['busy', 15],
  ['voicemail', 10],
  ['failed', 8],
];
const ended = (dice: Random): Step['status'] => {
  let left = dice.int(1, 100);
  return ENDS.find(([, share]) => (left -= share) <= 0)?.[0] ?? 'completed';
};

const FINAL: ReadonlySet<string> = new Set([...ENDS.map(([end]) => end), 'canceled']);

/** What an agent of the soak is called at its provider. */
export const providerAgentId = (account: string, agent: string): string => `${account}/${agent}`;

/** @param now virtual milliseconds since 1970 */
export const createWorld = (seed: number, now: () => number): World => {
  const dice = createRandom(seed);
  const executions = new Map<string, Execution>();
  const byAttempt = new Map<string, Execution>();
  const asked = new Map<string, number>();
  const mails = new Map<string, number>();
  const due: Delivery[] = [];
  const faults: Record<string, number> = {};
  const world = { calm: false };

  /** Whether a fault of this kind happens now; counted. */
  const fault = (kind: string, share: number): boolean => {
    if (world.calm || !dice.chance(share)) return false;
    faults[kind] = (faults[kind] ?? 0) + 1;
    return true;
  };

  const factOf = ({ id, attempt }: Execution, { at, status }: Step, source: 'event' | 'read'): CallFact => {
    const over = FINAL.has(status);
    const score = Number.parseInt(id.slice(0, 2), 16) % 101;
    return {
      event_key: `${source === 'read' ? 'read:' : ''}${id}:${status}`,
      provider_call_id: id,
      ...(source === 'read' || dice.chance(0.8) ? { attempt_id: attempt } : {}),
      provider_status: status,
      status,
      source,
      ...(over ? { line_free: true, ended_at: new Date(at).toISOString() } : {}),
      ...(status === 'completed'
        ? { duration_seconds: 30, analysis: { state: 'valid' as const, score, evidence: 'said so' } }
        : {}),
    };
  };

  const announce = (execution: Execution, step: Step): void => {
    if (fault('webhook lost', 0.1)) return;
    const { account, agent } = execution;
    const late = fault('webhook late', 0.2) ? dice.between(0, 120 * SECOND) : 0;
    const delivery = { due: step.at + late, account, agent, fact: factOf(execution, step, 'event') };
    due.push(delivery);
    if (fault('webhook doubled', 0.15)) due.push({ ...delivery, due: delivery.due + dice.between(0, 60 * SECOND) });
  };

  const begin = (owner: ProviderAgent, attempt: string): Execution => {
    const [account, agent] = owner.provider_agent_id.split('/') as [string, string];
    const begun = now();
    const rings = begun + dice.between(SECOND, 5 * SECOND);
    const over = rings + dice.between(10 * SECOND, 90 * SECOND);
    const steps: Step[] = [{ at: begun, status: 'queued' }];
    if (dice.chance(0.4)) steps.push({ at: rings, status: 'ringing' });
    if (dice.chance(0.4)) steps.push({ at: rings + 5 * SECOND, status: 'in_progress' });
    steps.push({ at: over, status: ended(dice) });
    const execution = { id: dice.uuid(), attempt, account, agent, steps };
    executions.set(execution.id, execution);
    byAttempt.set(attempt, execution);
    for (const step of steps.slice(1)) announce(execution, step);
    return execution;
  };

  const createCall = (owner: ProviderAgent, { attempt_id: attempt }: CreateCall): Promise<Omit<CallOutcome, 'call_id'>> => {
    const answer = (outcome: Omit<CallOutcome, 'call_id'>) => Promise.resolve(outcome);
    if (fault('create-call told to wait', 0.04)) return answer({ outcome: 'refused', refusal: 'later', retry_after_seconds: 5 });
    asked.set(attempt, (asked.get(attempt) ?? 0) + 1);
    if (fault('number refused', 0.03)) return answer({ outcome: 'refused', refusal: 'invalid', reason: 'no such number' });
    if (fault('create-call lost on its way', 0.03)) return answer({ outcome: 'unknown', reason: 'no answer' });
    const { id } = begin(owner, attempt);
    if (fault('answer to create-call lost', 0.05)) return answer({ outcome: 'unknown', reason: 'no answer' });
    if (fault('worker dead after create-call', 0.05)) return Promise.reject(new Died());
    return answer({ outcome: 'accepted', provider_call_id: id });
  };

  const read = (execution: Execution | undefined): Promise<ReadResult> => {
    if (fault('provider not to be asked', 0.1)) return Promise.resolve({ state: 'failed', reason: 'no answer' });
    const step = execution?.steps.findLast(({ at }) => at <= now());
    return Promise.resolve(execution && step ? { state: 'found', fact: factOf(execution, step, 'read') } : { state: 'missing' });
  };

  const stopCall = (_: ProviderAgent, id: string): Promise<boolean> => {
    const execution = executions.get(id);
    const last = execution?.steps.at(-1);
    if (!execution || !last || last.at <= now()) return Promise.resolve(false);
    const stopped: Step = { at: now(), status: 'canceled' };
    execution.steps = [...execution.steps.filter(({ at }) => at <= now()), stopped];
    for (let i = due.length - 1; i >= 0; i -= 1) {
      const { fact } = due[i]!;
      if (fact.provider_call_id === id && fact.status === last.status) due.splice(i, 1); // it never came to that
    }
    announce(execution, stopped);
    return Promise.resolve(true);
  };

  const send = ({ metadata }: Mail): Promise<MailResult> => {
    const id = metadata['notification_id']!;
    if (fault('mail provider busy', 0.08)) return Promise.resolve({ outcome: 'later', reason: 'busy' });
    if (fault('mail lost on its way', 0.04)) return Promise.resolve({ outcome: 'unknown', reason: 'no answer' });
    mails.set(id, (mails.get(id) ?? 0) + 1);
    if (fault('answer to a mail lost', 0.06)) return Promise.resolve({ outcome: 'unknown', reason: 'no answer' });
    return Promise.resolve({ outcome: 'sent', messageId: randomUUID() });
  };

  return Object.assign(world, {
    faults,
    executions,
    asked,
    mails,
    provider: {
      name: 'bolna' as const,
      requiredCredentials: [],
      accountCredentials: [],
      requires: [],
      createCall,
      readCall: (_: ProviderAgent, id: string) => read(executions.get(id)),
      findCall: (_: ProviderAgent, { attempt_id }: { attempt_id: string }) => read(byAttempt.get(attempt_id)),
      stopCall,
      registerWebhook: () => Promise.resolve(true),
      contentType: 'application/json' as const,
      signed: false,
      verifyWebhook: () => Promise.resolve(true),
      parseWebhook: () => null,
    },
    mail: { send, find: (id: string) => Promise.resolve(mails.has(id) ? { messageId: id } : null) },
    take(choice: Random) {
      const ready = due.filter(({ due: at }) => at <= now());
      if (ready.length === 0) return undefined;
      const [taken] = due.splice(due.indexOf(choice.pick(ready)), 1);
      return taken;
    },
    giveBack: (delivery: Delivery) => void due.push(delivery),
    next: () => (due.length === 0 ? null : Math.min(...due.map(({ due: at }) => at))),
  });
};
