"""Time zones that no database of time zones has."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

FOREVER = datetime(9999, 1, 1, tzinfo=timezone.utc)


class Shifted(tzinfo):
    """UTC, but for a while, in which clocks show some minutes more or fewer.

    As some zones of dateutil, it cannot be hashed. Local times within the while have the fold.

    Args:
        minutes: the offset from UTC within the while.
        start: the beginning of the while.
        end: its end, exclusive.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, minutes: int, start: datetime, end: datetime = FOREVER) -> None:
        self._offset = timedelta(minutes=minutes)
        self._start = start
        self._end = end

    def __eq__(self, other: object) -> bool:
        return self is other

    def fromutc(self, moment: datetime) -> datetime:
        """The local time of a moment, which is UTC but has this zone."""
        inside = self._start <= moment.replace(tzinfo=timezone.utc) < self._end
        return (moment + self._offset).replace(fold=1) if inside else moment

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """The offset of a local time that :meth:`fromutc` has made."""
        return self._offset if moment and moment.fold else timedelta(0)

    def dst(self, _: datetime | None) -> timedelta:
        """None of it is summer time."""
        return timedelta(0)

    def tzname(self, _: datetime | None) -> str:
        """A name."""
        return "shifted"


class Nowhere(tzinfo):
    """A zone without an offset from UTC."""

    def fromutc(self, moment: datetime) -> datetime:
        """The moment itself."""
        return moment

    def utcoffset(self, _: datetime | None) -> None:
        """None is known."""

    def dst(self, _: datetime | None) -> None:
        """None is known."""

    def tzname(self, _: datetime | None) -> None:
        """None is known."""
