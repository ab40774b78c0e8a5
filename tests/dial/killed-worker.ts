/**
 * A process that is to be killed: many invocations of the dispatcher, each of which stops for ever at one step and says so (by its number; for
 * `asked` by each attempt). Started with
 * one argument, an {@link Order} as JSON.
 */
import { Pool } from 'pg';
import { dispatch } from '../../lib/dial.ts';
import { bindVerbs, type Verbs } from '../../lib/verbs.ts';
import { dialRig } from './rig.ts';

export type Step = 'claimed' | 'fenced' | 'asked' | 'answered' | 'recorded';
export interface Order {
  appUrl: string;
  /** Where create-calls go. */
  providerUrl: string;
  step: Step;
  invocations: number;
  now: string;
}

const order = JSON.parse(process.argv[2] ?? '') as Order;
const pool = new Pool({ connectionString: order.appUrl, max: 8 });
const sound = bindVerbs({ query: (text, params) => pool.query(text, [...params]) });

const invoke = (nth: number): void => {
  const stop = (at: Step, who: number | string = nth): Promise<void> => {
    if (at !== order.step) return Promise.resolve();
    process.send!(who);
    return new Promise(() => undefined);
  };
  const verbs: Verbs = {
    ...sound,
    async claimCalls(...args) {
      const claim = await sound.claimCalls(...args);
      if (claim.calls.length > 0) await stop('claimed');
      return claim;
    },
    async fenceCalls(...args) {
      const fenced = await sound.fenceCalls(...args);
      await stop('fenced');
      return fenced;
    },
    async recordCalls(...args) {
      await stop('answered');
      const recorded = await sound.recordCalls(...args);
      await stop('recorded');
      return recorded;
    },
  };
  const { deps } = dialRig(verbs, () => new Date(order.now));
  const createCall = async (_agent: unknown, { attempt_id }: { attempt_id: string }): Promise<object> => {
    const answer = await fetch(`${order.providerUrl}/${attempt_id}`, { method: 'POST' });
    await stop('asked', attempt_id);
    return (await answer.json()) as object;
  };
  deps.providers = { ...deps.providers, bolna: { ...deps.providers.bolna, createCall } } as unknown as typeof deps.providers;
  void dispatch(deps);
};

for (let nth = 0; nth < order.invocations; nth += 1) invoke(nth);
