/** Stands for `lib/db.ts` in a simulation: a session of the simulated network, closed with the work on every path. */
import type { Db, withDb as real } from '../../../lib/db.ts';
import type { SimInvocation } from '../platform.ts';

/** What a connection costs is not simulated. */
const STATS: Db['stats'] = {
  connect_ms: 0,
  query_ms: 0,
  verbs: 0,
  failed: 0,
  slow: 0,
  retried: 0,
  opened: 0,
  terminated_idle: 0,
  lost_in_flight: 0,
  connect_failed: 0,
  refused_full: 0,
};

export const withDb: typeof real = async (invocation, work) => {
  const session = (invocation as unknown as SimInvocation).openSession();
  try {
    return await work({
      stats: STATS,
      query: (text, params, options) => session.query(text, params, options),
      transaction: () => Promise.reject(new Error('nothing in the worker opens a transaction')),
    });
  } finally {
    session.close();
  }
};
