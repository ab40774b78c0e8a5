/** Keeps Postgres alive: starts it again, where clients look for it, when it was killed. */
import { type Postgres, type PostgresOptions, startPostgres } from './postgres.ts';

export interface PostgresKeeperOptions extends PostgresOptions {
  /** Called with each server that came up. */
  started: (postgres: Postgres) => void;
}

export interface KeptPostgres {
  /** The server that runs now, or ran last: its port and its URL stay, its pid and its socket change. */
  readonly current: Postgres;
  /** Ends it for good. */
  stop(): Promise<void>;
}

/** Real milliseconds between two tries to start it again: doubled each time, up to the longest. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 3200;
/** How many tries fail before it is said why. */
const SAID_AFTER = 5;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Why it did not start, in one line: Postgres's own last word, or the first line of ours. */
const reasonOf = (error: unknown): string => {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n');
  return (lines.find((line) => line.includes('FATAL:')) ?? lines[0] ?? '').replace(/^.*FATAL:\s*/, '');
};

/**
 * Starts Postgres and keeps it running until it is stopped: what keeps a killed one from coming back may pass, so it is tried
 * again without end, and when that takes some seconds, why is said.
 * @throws what {@link startPostgres} throws, of the first start
 */
export const keepPostgres = async (options: PostgresKeeperOptions): Promise<KeptPostgres> => {
  let current = await startPostgres(options);
  const ending = new AbortController();
  const { port } = current;

  /** Starts it again, unless it is not wanted any more. */
  const again = async (): Promise<void> => {
    for (let failed = 0; !ending.signal.aborted;) {
      try {
        current = await startPostgres({ ...options, port });
        options.started(current);
        if (ending.signal.aborted) await current.stop(); // it came up when nobody wanted it any more
        return;
      } catch (error) {
        failed += 1;
        if (failed === SAID_AFTER) options.say?.(`Postgres does not come back, and is tried again: ${reasonOf(error)}`);
        await pause(Math.min(FIRST_PAUSE_MS * 2 ** failed, LONGEST_PAUSE_MS));
      }
    }
  };
  const watch = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      await current.ended;
      await again();
    }
  };
  options.started(current);
  const watching = watch();
  return {
    get current() {
      return current;
    },
    async stop() {
      ending.abort();
      await current.stop();
      await watching;
    },
  };
};
