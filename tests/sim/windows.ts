/** Calling windows judged by the wall clock of the lead's zone, with the platform's own time zone data and no line of SQL. */

export interface CallingWindow {
  /** 1 = Monday. */
  days: readonly number[];
  /** `HH:MM`. */
  start: string;
  end: string;
}

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** What a clock on the wall of that zone shows. */
export type WallClock = (zone: string, at: number) => { weekday: number; minute: number };

export const createWallClock = (): WallClock => {
  const formats = new Map<string, Intl.DateTimeFormat>();
  return (zone, at) => {
    let format = formats.get(zone);
    if (!format) {
      format = new Intl.DateTimeFormat('en-US', {
        timeZone: zone,
        weekday: 'short',
        hour: '2-digit',
        minute: '2-digit',
        hourCycle: 'h23',
      });
      formats.set(zone, format);
    }
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
    return { weekday: WEEKDAYS.indexOf(parts['weekday']) + 1, minute: Number(parts['hour']) * 60 + Number(parts['minute']) };
  };
};

const minuteOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));

/** Whether the window is open at that instant. One whose end is not after its start runs overnight and belongs to the day on which it opens. */
export const isOpen = (clock: WallClock, window: CallingWindow, zone: string, at: number): boolean => {
  const { weekday, minute } = clock(zone, at);
  const [start, end] = [minuteOf(window.start), minuteOf(window.end)];
  if (end > start) return window.days.includes(weekday) && minute >= start && minute < end;
  const yesterday = weekday === 1 ? 7 : weekday - 1;
  return (window.days.includes(weekday) && minute >= start) || (window.days.includes(yesterday) && minute < end);
};
