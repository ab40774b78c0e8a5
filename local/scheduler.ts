/** Fires the crons of `wrangler.toml` on the local clock: `wrangler dev` never does by itself. */
import type { Clock } from './clock.ts';

/** Every minute and every five, as `wrangler.toml` has them; a test compares the two. */
export const CRONS: readonly { cron: string; everyMinutes: number }[] = [
  { cron: '* * * * *', everyMinutes: 1 },
  { cron: '*/5 * * * *', everyMinutes: 5 },
];

export type Fire = (cron: string, scheduled: Date) => Promise<void>;

const MINUTE = 60_000;

/**
 * Runs until stopped. A cron never overlaps itself: while one is under way its next turns are left out, as the platform may.
 * @param fire must not reject
 * @returns stops it and waits for what is under way, at most one real second
 */
export const startScheduler = (clock: Clock, fire: Fire): (() => Promise<void>) => {
  const underWay = new Map<string, Promise<void>>();
  let cancel: () => void = () => undefined;
  let stopped = false;

  const turn = (minute: number): void => {
    for (const { cron, everyMinutes } of CRONS) {
      if (minute % everyMinutes !== 0 || underWay.has(cron)) continue;
      underWay.set(
        cron,
        fire(cron, new Date(minute * MINUTE)).finally(() => underWay.delete(cron)),
      );
    }
  };
  const plan = (): void => {
    if (stopped) return;
    const next = Math.floor(clock.now().getTime() / MINUTE) + 1;
    cancel = clock.after(next * MINUTE - clock.now().getTime(), () => {
      turn(next);
      plan();
    });
  };
  plan();
  return async () => {
    stopped = true;
    cancel();
    await Promise.race([Promise.all(underWay.values()), new Promise((resolve) => setTimeout(resolve, 1000).unref())]);
  };
};

/** Fires a cron at a worker in `wrangler dev`; what goes wrong is told to `log`, for the next turn mends it. */
export const fireAt =
  (workerUrl: string, log: (line: string) => void): Fire =>
  async (cron, scheduled) => {
    const query = new URLSearchParams({ cron, time: String(scheduled.getTime()) });
    try {
      const answer = await fetch(`${workerUrl}/cdn-cgi/handler/scheduled?${query}`, { signal: AbortSignal.timeout(60_000) });
      const text = await answer.text();
      if (!answer.ok) log(`cron ${cron}: ${answer.status} ${text.slice(0, 200)}`);
    } catch (error) {
      log(`cron ${cron}: ${String(error)}`);
    }
  };
