/** The meter's Durable Object over a storage in memory: sorted keys, values copied, as the platform's. */
import { Meter, type MeterNamespace } from '../../functions/meter.ts';
import type { Tally } from '../../lib/domain/connections.ts';

export interface MemoryMeter extends MeterNamespace {
  /** By key, as JSON. */
  kept: ReadonlyMap<string, string>;
}

export const memoryMeter = (): MemoryMeter => {
  const kept = new Map<string, string>();
  const storage = {
    get: (key: string) => Promise.resolve(kept.has(key) ? (JSON.parse(kept.get(key)!) as Tally) : undefined),
    put: (key: string, value: Tally) => Promise.resolve(void kept.set(key, JSON.stringify(value))),
    list: ({ start = '', end = '~' }: { start?: string; end?: string }) =>
      Promise.resolve(
        new Map(
          [...kept]
            .filter(([key]) => key >= start && key < end)
            .toSorted(([a], [b]) => a.localeCompare(b))
            .map(([key, value]) => [key, JSON.parse(value) as Tally]),
        ),
      ),
    delete: (keys: string[]) => Promise.resolve(keys.filter((key) => kept.delete(key)).length),
  };
  // One thing at a time, as in a Durable Object.
  let last: Promise<unknown> = Promise.resolve();
  const blockConcurrencyWhile = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    last = mine;
    return mine;
  };
  const object = new Meter({ storage, blockConcurrencyWhile });
  return {
    kept,
    idFromName: () => 'system',
    get: () => ({ fetch: (url, init) => object.fetch(new Request(url, init)) }),
  };
};
