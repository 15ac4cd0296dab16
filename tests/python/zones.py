"""Defines time zones that no time zone database contains."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

FOREVER = datetime(9999, 1, 1, tzinfo=timezone.utc)


class Shifted(tzinfo):
    """Is UTC except for one period, in which local time has another offset.

    Like some zones of dateutil, it cannot be hashed. Local times within the period have ``fold=1``.

    Args:
        minutes: the offset from UTC within the period, in minutes.
        start: the start of the period.
        end: the end of the period (exclusive).
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, minutes: int, start: datetime, end: datetime = FOREVER) -> None:
        self._offset = timedelta(minutes=minutes)
        self._start = start
        self._end = end

    def __eq__(self, other: object) -> bool:
        return self is other

    def fromutc(self, moment: datetime) -> datetime:
        """Returns the local time of a moment, which is given in UTC with this zone attached."""
        inside = self._start <= moment.replace(tzinfo=timezone.utc) < self._end
        return (moment + self._offset).replace(fold=1) if inside else moment

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Returns the offset of a local time that :meth:`fromutc` has returned."""
        return self._offset if moment and moment.fold else timedelta(0)

    def dst(self, _: datetime | None) -> timedelta:
        """Returns zero, because the zone has no summer time."""
        return timedelta(0)

    def tzname(self, _: datetime | None) -> str:
        """Returns the zone's name."""
        return "shifted"


class Nowhere(tzinfo):
    """Is a zone without an offset from UTC."""

    def fromutc(self, moment: datetime) -> datetime:
        """Returns the moment unchanged."""
        return moment

    def utcoffset(self, _: datetime | None) -> None:
        """Returns None, because the zone has none."""

    def dst(self, _: datetime | None) -> None:
        """Returns None, because the zone has none."""

    def tzname(self, _: datetime | None) -> None:
        """Returns None, because the zone has none."""
