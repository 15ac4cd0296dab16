"""Converts moments and time zones for the engine, to microseconds since 1970 UTC and to offsets from UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from operator import index
from typing import TYPE_CHECKING, SupportsIndex

from ccstream.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_BEGIN, _END = 0, 4_102_444_800
"""The years 1970 and 2100, in seconds since 1970. A zone's first offset also holds before, its last one after."""
_STEP = 6 * 86_400
"""The step of the search, in seconds. Two changes of an offset within one step may be missed; in the tz database
(2026a), no two changes since 1970 are closer than 6.9 days."""
_MOST = 64
"""The number of zones whose offsets are cached. Finding the offsets of one takes 20 to 50 ms."""

_known: dict[int, tuple[tzinfo, Offsets]] = {}
"""The cached offsets by the zone's ``id``, because some zones cannot be hashed (those of dateutil). Holding the zone
keeps its id from being reused."""

Offsets = tuple[int, list[tuple[int, int]]]
"""The first offset in seconds east of UTC, and its changes. Each change is a moment in microseconds since 1970 UTC and
the offset from then on."""


def minute(moment: int) -> str:
    """Formats a moment, in microseconds since 1970 UTC, to the minute in UTC.

    Example:
        >>> minute(1_767_607_200_000_000)
        '2026-01-05 10:00'
    """
    return f"{EPOCH + timedelta(microseconds=moment):%Y-%m-%d %H:%M}"


def micros(name: str, moment: datetime | np.datetime64 | SupportsIndex) -> int:
    """Converts a moment to microseconds since 1970 UTC.

    Args:
        name: the argument's name, for the message.
        moment: an aware ``datetime``, a naive ``datetime`` or a ``datetime64`` in UTC, or microseconds since 1970 UTC.

    Raises:
        ConfigError: the moment is NaT ("not a time").
        TypeError: the moment has another type.
    """
    if isinstance(moment, datetime):
        if moment != moment:  # noqa: PLR0124 - pandas.NaT is a datetime
            raise ConfigError(f"{name}: {moment!r} is not a time", 2)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return (aware - EPOCH) // _MICROSECOND
    if hasattr(moment, "astype"):
        return int(moment.astype("datetime64[us]").astype("int64"))
    try:
        return index(moment)
    except TypeError:
        kind = type(moment).__name__
        raise TypeError(f"{name}: pass a datetime or microseconds since 1970 UTC (int), not {kind}") from None


def offsets(zone: tzinfo) -> Offsets:
    """Finds the offsets of a time zone and the moments at which they change, from 1970 to 2100.

    Args:
        zone: a time zone of ``zoneinfo`` or of another library.

    Returns:
        The offset in 1970, and the changes in the order of time.

    Raises:
        ConfigError: the zone has no offset from UTC.
        TypeError: the zone is not a ``tzinfo``.
    """
    if not isinstance(zone, tzinfo):
        kind = type(zone).__name__
        raise TypeError(f'tz: pass a datetime.tzinfo such as zoneinfo.ZoneInfo("Europe/Berlin"), not {kind}')
    if id(zone) in _known:
        return _known[id(zone)][1]
    first = before = _offset(zone, _BEGIN)
    changes: list[tuple[int, int]] = []
    # A `datetime.timezone` has one offset for all time, so it needs no search.
    for begin in range(_BEGIN, _BEGIN if isinstance(zone, timezone) else _END, _STEP):
        low, end = begin, begin + _STEP
        after = _offset(zone, end)
        while before != after:
            high = end
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
            low, before = high, _offset(zone, high)
            changes.append((high * 1_000_000, before))
    if len(_known) >= _MOST:
        _known.clear()
    _known[id(zone)] = (zone, (first, changes))
    return first, changes


def _offset(zone: tzinfo, moment: int) -> int:
    """Returns a zone's offset in seconds east of UTC at a moment in seconds since 1970 UTC."""
    found = datetime.fromtimestamp(moment, zone).utcoffset()
    if found is None:
        raise ConfigError(f"tz: {zone!r} has no offset from UTC", 2)
    return found // timedelta(seconds=1)
