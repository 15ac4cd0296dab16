"""Says whether the engine holds all transactions of a time in the past. Moments are in microseconds since 1970 UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccstream.dashboard.clock import clock

if TYPE_CHECKING:
    from datetime import tzinfo

    from ccstream import KpiStatus


def lacks(status: KpiStatus, since: int, zone: tzinfo) -> str | None:
    """Says why the engine may not hold all transactions since a moment; None if it holds them.

    Args:
        status: the state of the engine.
        since: the moment.
        zone: the time zone in which moments are written.
    """
    if status.loaded < 1:
        return "older transactions are still being read"
    if status.first_at is None:
        return "there are no transactions"
    if status.dropped_until is not None and status.dropped_until >= since:
        return f"transactions before {clock(status.dropped_until, zone)} do not fit in the page's memory"
    if status.first_at > since:
        return f"the first transaction is from {clock(status.first_at, zone)}"
    return None
