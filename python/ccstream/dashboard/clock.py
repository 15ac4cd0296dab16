"""Moments and lengths of time as the page writes them. Moments are in microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo


def clock(micros: int | None, zone: tzinfo) -> str:
    """A moment by the viewer's clock; with its day, where that is not today."""
    if micros is None:
        return "unknown"
    moment = (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)).astimezone(zone)
    today = moment.date() == datetime.now(zone).date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%Y-%m-%d %H:%M:%S}"


def day(micros: int, zone: tzinfo) -> str:
    """The day of a moment by the viewer's clock."""
    return f"{(datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)).astimezone(zone):%Y-%m-%d}"


def age(micros: int, now: int) -> str:
    """How long ago, in one unit."""
    seconds = max(0, now - micros) // 10**6
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"


def span(micros: int) -> str:
    """A length of time in its two greatest units."""
    seconds = micros // 10**6
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for at, (unit, length) in enumerate(units):
        if seconds >= length or length == 1:
            rest, smaller = seconds % length, units[at + 1 : at + 2]
            more = [f"{rest // size} {name}" for name, size in smaller if rest >= size]
            return " ".join([f"{seconds // length:,} {unit}", *more])
    return "0 s"
