/** Instants as text for people. Pure: the zone rules come from the runtime's own time zone database. */

const FIELDS = {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
} as const;

const two = (n: number): string => String(n).padStart(2, '0');

/**
 * A zone's clock: instants as ISO 8601 local time with the offset that the zone has at that very instant, to the second:
 * `2026-07-01T16:30:00+05:30`. UTC is written `+00:00`. Making one costs a hundred times more than using it: one per list.
 *
 * @param timeZone IANA name; the instant is ISO 8601 with `Z` or an offset, or a Date
 * @throws {RangeError} when the zone is unknown; the clock itself throws one when its instant is no date
 */
export const isoClock = (timeZone: string): ((instant: string | Date) => string) => {
  const format = new Intl.DateTimeFormat('en-US', { ...FIELDS, timeZone });
  return (instant) => {
    const date = new Date(instant);
    const wholeSeconds = Math.floor(date.getTime() / 1000) * 1000;
    const parts = format.formatToParts(date);
    const value = (type: string): string => parts.find((part) => part.type === type)?.value ?? '';
    const clock = `${value('hour')}:${value('minute')}:${value('second')}`;
    const local = `${value('year').padStart(4, '0')}-${value('month')}-${value('day')}T${clock}`;
    const minutes = Math.round((Date.parse(`${local}Z`) - wholeSeconds) / 60_000);
    const size = Math.abs(minutes);
    return `${local}${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
  };
};
