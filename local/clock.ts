/**
 * The one local clock: from its start, time runs `speed` times as fast, from a chosen instant. Worker, scheduler and phone
 * network are given the same {@link ClockSetting}, so they agree without talking; nothing divides a delay by hand.
 */

/** Everything there is to know of a clock; crosses process borders as JSON. Milliseconds since 1970. */
export interface ClockSetting {
  /** The real instant at which the clock was started. */
  realStart: number;
  /** What it showed at that moment. */
  virtualStart: number;
  /** Virtual seconds in one real second. */
  speed: number;
}

export interface Clock {
  readonly setting: ClockSetting;
  readonly now: () => Date;
  /** Resolves when so many virtual milliseconds have passed. */
  readonly sleep: (virtualMs: number) => Promise<void>;
  /** Runs `action` once, after so many virtual milliseconds; the answer cancels it. */
  readonly after: (virtualMs: number, action: () => void) => () => void;
}

/** What the clock shows at a real instant. */
export const virtualAt = ({ realStart, virtualStart, speed }: ClockSetting, real: number): number =>
  virtualStart + (real - realStart) * speed;

/** How many real milliseconds remain until the clock shows `virtual`; 0 when it has passed. */
export const realUntil = (setting: ClockSetting, virtual: number, real: number): number =>
  Math.max(0, (virtual - virtualAt(setting, real)) / setting.speed);

/** Timers take at most 2^31 − 1 ms and would fire at once beyond it. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** A clock over the real time that `real` tells. */
export const createClock = (setting: ClockSetting, real: () => number = Date.now): Clock => {
  const after = (virtualMs: number, action: () => void): (() => void) => {
    const due = virtualAt(setting, real()) + virtualMs;
    let timer: ReturnType<typeof setTimeout>;
    const wait = (): void => {
      const left = realUntil(setting, due, real());
      timer = setTimeout(left > 0 ? wait : action, Math.min(Math.ceil(left), LONGEST_TIMER));
    };
    wait();
    return () => clearTimeout(timer);
  };
  return {
    setting,
    now: () => new Date(virtualAt(setting, real())),
    sleep: (virtualMs) => new Promise((resolve) => after(virtualMs, resolve)),
    after,
  };
};
