#!/usr/bin/env python3
"""Makes windows.json: calling windows by another implementation (Python's zoneinfo), which looks at the clock on the wall minute by minute.

A window opens at the last instant at which that clock comes to show its start or later for good, and closes at the first at which it shows
its end or later; it belongs to the weekday on which it opens, and a day that the zone skipped opens none.

    python3 tests/sql/golden/windows.py > tests/sql/golden/windows.json
"""
import json
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
ALL = [1, 2, 3, 4, 5, 6, 7]


def wall(at, zone):
    return at.astimezone(zone).replace(tzinfo=None)


def around(local, zone):
    """Every minute from two days before to two days after, whatever the zone's offset."""
    first = local.replace(tzinfo=timezone.utc) - timedelta(days=2)
    return [first + n * MINUTE for n in range(4 * 24 * 60)]


def opens(local, zone):
    minutes = around(local, zone)
    before = [at for at in minutes if wall(at, zone) < local]
    return before[-1] + MINUTE


def closes(local, zone):
    return next(at for at in around(local, zone) if wall(at, zone) >= local)


def on(day, clock):
    return datetime.combine(day + timedelta(days=1), time()) if clock == "24:00" else datetime.combine(day, time.fromisoformat(clock))


def window_after(days, start, end, name, at):
    zone = ZoneInfo(name)
    today = wall(at, zone).date()
    for n in range(-2, 16):
        day = today + timedelta(days=n)
        if day.isoweekday() not in days:
            continue
        there = {wall(minute, zone).date() for minute in around(datetime.combine(day, time(12)), zone)}
        if day not in there:
            continue
        last = on(day, end) if end > start else on(day + timedelta(days=1), end)
        first, over = opens(on(day, start), zone), closes(last, zone)
        if over > at and over > first:
            return first, over
    raise AssertionError("no window")


# zone, and days (UTC) about which it is asked
CASES = [
    ("UTC", ["2026-01-05", "2026-02-28"]),
    ("America/New_York", ["2026-03-07", "2026-03-08", "2026-10-31", "2026-11-01", "2026-07-01"]),
    ("Europe/Berlin", ["2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"]),
    ("Asia/Kolkata", ["2026-01-05"]),
    ("Asia/Kathmandu", ["2026-01-05"]),
    ("Australia/Eucla", ["2026-01-05"]),
    ("America/St_Johns", ["2026-03-08", "2026-11-01"]),
    ("Australia/Lord_Howe", ["2026-04-04", "2026-10-03"]),
    ("America/Santiago", ["2026-04-04", "2026-09-05"]),
    ("America/Havana", ["2026-03-08", "2026-11-01"]),
    ("Africa/Cairo", ["2026-04-23", "2026-10-29"]),
    ("Antarctica/Troll", ["2026-03-28", "2026-10-24"]),
    ("Pacific/Auckland", ["2026-04-04", "2026-09-26"]),
    ("Pacific/Apia", ["2011-12-28", "2011-12-29", "2011-12-30"]),
    ("Pacific/Kiritimati", ["1994-12-30"]),
    ("Pacific/Honolulu", ["2026-01-05"]),
]
WINDOWS = [
    (ALL, "00:00", "24:00"),
    ([1, 2, 3, 4, 5], "09:00", "17:00"),
    (ALL, "22:00", "06:00"),
    ([5], "22:00", "06:00"),
    (ALL, "02:30", "05:00"),
    (ALL, "00:00", "02:30"),
    (ALL, "01:30", "03:00"),
    (ALL, "00:00", "01:30"),
    (ALL, "01:00", "02:00"),
    (ALL, "23:30", "01:00"),
    ([7], "00:30", "24:00"),
    (ALL, "12:00", "12:00"),
]


def main():
    rows = []
    for name, days in CASES:
        for d, day in enumerate(days):
            for w, (weekdays, start, end) in enumerate(WINDOWS):
                midnight = datetime.combine(date.fromisoformat(day), time(), timezone.utc)
                at = midnight + timedelta(hours=(5 * d + 7 * w) % 24, minutes=(11 * w) % 60)
                first, over = window_after(weekdays, start, end, name, at)
                text = lambda instant: instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")
                rows.append({"days": weekdays, "start": start, "end": end, "zone": name, "at": text(at), "opens": text(first), "closes": text(over)})
    print("[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]")


main()
