/** Many invocations while connections die at random: the same suite, short and long. */
import { expect, test } from 'vitest';
import type { DbError } from '../../lib/errors.ts';
import { seeded } from '../edges/support.ts';
import { insertOnce, read, startRig, until } from './rig.ts';

const AT_ONCE = 20;

/** `requests` invocations, each a read and a write, with one connection in twenty killed. */
export const killSuite = (requests: number, timeout: number): void => {
  test(
    `${requests} requests with one connection in twenty killed: answered, applied once or unknown, nothing left (classes 1, 2)`,
    { timeout },
    async () => {
      const rig = await startRig();
      rig.proxy.faults.killSome({ oneIn: 20, withinMs: 15, random: seeded(1) });
      const said = new Map<string, string>();
      const request = async (id: string): Promise<void> => {
        const outcome = await rig
          .run(
            async (db) => {
              await read(db);
              await insertOnce(db, id);
            },
            { limits: { queryMs: 3000 } },
          )
          .then(
            () => 'applied',
            (error: DbError) => error.failure.outcome,
          );
        said.set(id, outcome);
      };
      const ids = Array.from({ length: requests }, (_, i) => `kill-${i}`);
      for (let i = 0; i < requests; i += AT_ONCE) await Promise.all(ids.slice(i, i + AT_ONCE).map(request));
      rig.proxy.faults.killSome(null);
      await rig.settled();
      await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);
      const { rows } = await rig.database.pool.query<{ id: string }>('select id from probe.rows');
      const there = new Set(rows.map(({ id }) => id));
      const wrong = ids.filter((id) => {
        if (said.get(id) === 'applied') return !there.has(id);
        return said.get(id) === 'unknown' ? false : there.has(id);
      });
      expect(said.size).toBe(requests);
      expect(wrong).toEqual([]);
      const unknown = [...said.values()].filter((outcome) => outcome === 'unknown').length;
      expect(rig.reports.filter(({ context }) => context['outcome'] === 'unknown')).toHaveLength(unknown);
      expect(rig.proxy.counters().killed).toBeGreaterThan(requests / 100);
    },
  );
};
