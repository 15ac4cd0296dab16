"""Formats moments and durations for the page. Moments are in microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo


def clock(micros: int | None, zone: tzinfo) -> str:
    """Formats a moment in the viewer's time zone, with its day unless that is today."""
    if micros is None:
        return "unknown"
    moment = (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)).astimezone(zone)
    today = moment.date() == datetime.now(zone).date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%Y-%m-%d %H:%M:%S}"


def micros(moment: datetime) -> int:
    """Returns a moment, which is in UTC and naive, in microseconds since 1970 UTC."""
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # noqa: DTZ001


def day(micros: int, zone: tzinfo) -> str:
    """Formats the day of a moment in the viewer's time zone."""
    return f"{(datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)).astimezone(zone):%Y-%m-%d}"


def age(micros: int, now: int) -> str:
    """Formats the time between a moment and ``now`` in one unit."""
    seconds = max(0, now - micros) // 10**6
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"


def span(micros: int) -> str:
    """Formats a duration, in microseconds, in its two largest units."""
    seconds = micros // 10**6
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for at, (unit, length) in enumerate(units):
        if seconds >= length or length == 1:
            rest, smaller = seconds % length, units[at + 1 : at + 2]
            more = [f"{rest // size} {name}" for name, size in smaller if rest >= size]
            return " ".join([f"{seconds // length:,} {unit}", *more])
    return "0 s"
