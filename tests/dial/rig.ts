/** The real use cases over the real verbs, with a provider that takes every call and notes it, and background work that the test runs. */
import { randomUUID } from 'node:crypto';
import type { Deps } from '../../lib/deps.ts';
import type { CreateCall } from '../../lib/providers/provider.ts';
import type { Verbs } from '../../lib/verbs.ts';

export interface DialRig {
  deps: Deps;
  /** Attempt ids in the order in which the provider was asked. */
  dialled: string[];
  /** Background work that waits to be run, oldest first. */
  later: (() => Promise<unknown>)[];
  /** Runs background work, and what it leaves behind, until none is left. */
  goOn(): Promise<void>;
  reports: string[];
  /** How often work was left to the next tick. */
  handedOver: number;
}

export const dialRig = (verbs: Verbs, now: () => Date, systemCap = 1000): DialRig => {
  const createCall = (_agent: unknown, call: CreateCall) => {
    rig.dialled.push(call.attempt_id);
    return Promise.resolve({ outcome: 'accepted', provider_call_id: `x-${call.attempt_id}` });
  };
  const deps = {
    config: { secretsKey: '0'.repeat(64), publicUrl: 'https://ringleader.test', systemMaxConcurrentCalls: systemCap },
    now,
    elapsedMs: () => 0,
    newId: randomUUID,
    sleep: () => Promise.resolve(),
    verbs,
    providers: { bolna: { createCall } },
    sealer: { open: () => Promise.resolve('{}') },
    report: (type: string) => void rig.reports.push(type),
    background: (_name: string, work: (own: Deps) => Promise<unknown>) => void rig.later.push(() => work(deps)),
    handOver: () => {
      rig.handedOver += 1;
      return Promise.resolve();
    },
  } as unknown as Deps;
  const rig: DialRig = {
    deps,
    dialled: [],
    later: [],
    reports: [],
    handedOver: 0,
    async goOn() {
      for (let work = rig.later.shift(); work; work = rig.later.shift()) await work();
    },
  };
  return rig;
};
