/** Keeps Postgres alive: starts it again, where clients look for it, when it was killed. */
import { type Postgres, type PostgresOptions, startPostgres } from './postgres.ts';

export interface PostgresKeeperOptions extends PostgresOptions {
  /** Called with each server that came up. */
  started: (postgres: Postgres) => void;
  /** Called when it cannot be kept alive. */
  gaveUp: (reason: string) => void;
}

export interface KeptPostgres {
  /** The server that runs now, or ran last: its port and its URL stay, its pid and its socket change. */
  readonly current: Postgres;
  /** Ends it for good. */
  stop(): Promise<void>;
}

/** How long it may take to come up again, in real milliseconds: what a killed server leaves may outlive it for a moment. */
const RECOVERY_MS = 60_000;

/**
 * Starts Postgres and keeps it running until it is stopped.
 * @throws what {@link startPostgres} throws, of the first start
 */
export const keepPostgres = async (options: PostgresKeeperOptions): Promise<KeptPostgres> => {
  let current = await startPostgres(options);
  const ending = new AbortController();
  const { port } = current;

  /** Starts it again; false when it is not wanted any more, or cannot be had. */
  const again = async (): Promise<boolean> => {
    const end = Date.now() + RECOVERY_MS;
    while (!ending.signal.aborted) {
      try {
        current = await startPostgres({ ...options, port });
        options.started(current);
        if (ending.signal.aborted) await current.stop(); // it came up when nobody wanted it any more
        return true;
      } catch (error) {
        if (Date.now() > end) {
          options.gaveUp(error instanceof Error ? error.message : String(error));
          return false;
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    return false;
  };
  const watch = async (): Promise<void> => {
    do await current.ended;
    while (await again());
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
