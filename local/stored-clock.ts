/** Local time goes on where it stopped: what the clock shows is written down while it runs. */
import * as z from 'zod';
import type { Clock, ClockSetting } from './clock.ts';
import { readJson, writeJson } from './json-file.ts';

const Stored = z.object({ virtual: z.number() });
const EVERY_REAL_MS = 1000;

/** Where a clock begins: at the asked instant, else at the later of the real now and where the stored one stopped. */
export const settingFor = (file: string, speed: number, asked: number | undefined, realNow: number): ClockSetting => {
  const stored = Stored.safeParse(readJson(file));
  const going = stored.success ? Math.max(realNow, stored.data.virtual) : realNow;
  return { realStart: realNow, virtualStart: asked ?? going, speed };
};

/**
 * Keeps the file up to date; the answer ends that with a last, exact entry. Between entries the file says what the clock
 * will show at the next but one, so that a start after a crash never goes back in time.
 */
export const keepClock = (file: string, clock: Clock): (() => void) => {
  const write = (aheadRealMs: number): void =>
    writeJson(file, { virtual: clock.now().getTime() + aheadRealMs * clock.setting.speed });
  write(2 * EVERY_REAL_MS);
  const timer = setInterval(() => write(2 * EVERY_REAL_MS), EVERY_REAL_MS);
  return () => {
    clearInterval(timer);
    write(0);
  };
};
