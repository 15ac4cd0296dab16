"""Moments and time zones as the engine takes them: microseconds since 1970 UTC, and offsets from UTC."""

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
"""1970 and 2100 in seconds: of a zone's offsets, the first and the last hold before and after."""
_STEP = 6 * 86_400
"""Two changes within this many seconds may be missed. In the tz database (2026a), since 1970, there are none within 6.9
days."""
_MOST = 64
"""Zones whose offsets are remembered: finding them takes 20 to 50 ms."""

_known: dict[int, tuple[tzinfo, Offsets]] = {}
"""By the zone's ``id``, as not every zone can be hashed (dateutil's cannot); holding the zone keeps the id its own."""

Offsets = tuple[int, list[tuple[int, int]]]
"""An offset in seconds east of UTC, and its changes: from which microsecond since 1970 UTC on, and to which offset."""


def minute(moment: int) -> str:
    """A moment in microseconds since 1970 UTC to the minute, as a person writes it, in UTC.

    Example:
        >>> minute(1_767_607_200_000_000)
        '2026-01-05 10:00'
    """
    return f"{EPOCH + timedelta(microseconds=moment):%Y-%m-%d %H:%M}"


def micros(name: str, moment: datetime | np.datetime64 | SupportsIndex) -> int:
    """Converts a moment to microseconds since 1970 UTC.

    Args:
        name: the argument's name, for the message.
        moment: an aware ``datetime``; a naive one or a ``datetime64``, which are UTC; or microseconds since 1970 UTC.

    Raises:
        ConfigError: it is not a time (NaT).
        TypeError: it is of another type.
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
        raise TypeError(f"{name}: a datetime or microseconds since 1970 UTC (int) is needed, not {kind}") from None


def offsets(zone: tzinfo) -> Offsets:
    """Finds the offsets of a time zone and the moments at which they change, from 1970 to 2100.

    Args:
        zone: any zone, of ``zoneinfo`` or another library.

    Returns:
        The offset in 1970, and its changes in rising order.

    Raises:
        ConfigError: the zone has no offset.
        TypeError: it is not a ``tzinfo``.
    """
    if not isinstance(zone, tzinfo):
        kind = type(zone).__name__
        raise TypeError(f'tz: a datetime.tzinfo is needed, such as zoneinfo.ZoneInfo("Europe/Berlin"), not {kind}')
    if id(zone) in _known:
        return _known[id(zone)][1]
    first = before = _offset(zone, _BEGIN)
    changes: list[tuple[int, int]] = []
    # A ``timezone`` has one offset for all time.
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
    """A zone's seconds east of UTC at a number of seconds since 1970."""
    found = datetime.fromtimestamp(moment, zone).utcoffset()
    if found is None:
        raise ConfigError(f"tz: {zone!r} has no offset from UTC", 2)
    return found // timedelta(seconds=1)
