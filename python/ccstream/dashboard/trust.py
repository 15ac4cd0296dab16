"""Shows whether the figures can be trusted: services that are down, how messages were counted, rows that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard.board import box, items, text
from ccstream.dashboard.clock import age, clock, span
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.words import bad, bold, doubtful, good
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from datetime import tzinfo

    from ccstream import KpiStatus, PartitionState
    from ccstream.dashboard.broker import BrokerState
    from ccstream.dashboard.words import Run

AHEAD = 5 * 60 * 10**6
"""The page warns if the newest row is ahead of the database's clock by more than this number of microseconds."""
MOST_REASONS = 8
"""The number of reasons above which their list is split in two."""
LONGEST_MS = 86_400_000
"""The largest latency, in milliseconds. Longer ones are counted as this one."""


def troubles(status: KpiStatus, broker: BrokerState, zone: tzinfo) -> None:
    """Shows which services are down and since when, and what else affects the figures."""
    if status.trouble:
        seconds = int(status.trouble_for.total_seconds()) if status.trouble_for else 0
        what = "The tables have been unusable" if status.unusable else "PostgreSQL has been unavailable"
        st.warning(
            f"{what} for {span(seconds * 10**6)}. "
            f"The figures are those of {clock(status.snapshot_at, zone)}; the page refreshes by itself.",
            icon=":material/power_off:",
        )
        with st.expander("The error"):
            st.code(status.trouble, language=None, wrap_lines=True)
    elif not status.consumers and status.no_consumer_since is not None:
        since = clock(status.no_consumer_since, zone)
        st.info(
            f"No consumer is running; the last commit was at {since}. Start one: `python consumer.py`",
            icon=":material/pause_circle:",
        )
    if broker.down_since is not None:
        st.info(
            f"The lag has been unknown since {clock(int(broker.down_since * 1e6), zone)}: {plain(broker.why)}",
            icon=":material/cloud_off:",
        )
    if status.dropped_until is not None:
        st.info(
            f"The figures include all transactions since {clock(status.dropped_until, zone)}; older ones were evicted "
            "from memory."
        )
    if status.folded:
        named = ", ".join(DIMENSIONS.get(name, name).lower() for name in status.folded)
        cards = " The numbers of distinct cards are too low." if "card" in status.folded else ""
        st.info(
            f"Memory has no room for all distinct values. The rarest of {named} are counted together as (others)."
            f"{cards} Raise `CCSTREAM_KPI_MEMORY`, a number of bytes."
        )
    if status.outdated:
        st.warning(
            "Another program keeps changing or deleting rows of orders. Figures may include old values until the table "
            "is read again."
        )
    _odd_rows(status, zone)


def _odd_rows(status: KpiStatus, zone: tzinfo) -> None:
    """Shows warnings about rows that are gone and rows from the future."""
    if status.lacking_rows > 0:
        st.warning(
            f"{status.lacking_rows:,} rows that were stored are no longer in orders. `ccstream verify` shows the "
            "minutes that they belong to."
        )
    if status.expired_rows:
        st.info(
            f"{status.expired_rows:,} rows from before {clock(status.first_at, zone)} were stored and have been "
            "deleted since, as a retention policy does."
        )
    if status.last_at is not None and status.snapshot_at is not None:
        ahead = status.last_at - status.snapshot_at
        if ahead > AHEAD:
            st.warning(
                f"The newest transactions are dated {clock(status.last_at, zone)}, {span(ahead)} ahead of the "
                "database's clock. Check whether their timestamps are local times without an offset.",
                icon=":material/schedule:",
            )


def _of_group(status: KpiStatus, topic: str, group: str) -> tuple[list[PartitionState], list[PartitionState]]:
    """Splits the partitions into those of the page's group and topic, and all others."""
    ours: list[PartitionState] = []
    others: list[PartitionState] = []
    for one in status.partitions:
        (ours if (one.topic, one.group) == (topic, group) else others).append(one)
    return ours, others


def status_line(status: KpiStatus, broker: BrokerState, topic: str, group: str) -> list[Run]:
    """Says in one line whether the figures can be trusted."""
    ours, _ = _of_group(status, topic, group)
    rejected = sum(one.rejected for one in ours)
    parts = [
        "",
        f"lag {_lag(status, broker, topic, group)}",
        f"last commit {_last_commit(status, ours)}",
        _within(95, "stored ", status.latency_ms[1]) if status.latency_ms else "no events in 5 min",
        f"{rejected:,} rejected",
    ]
    return [_verdict(status, ours, topic, group), " · ".join(parts)]


def _verdict(status: KpiStatus, ours: list[PartitionState], topic: str, group: str) -> Run:
    if status.trouble:
        return doubtful("! the database cannot be read")
    if not ours:
        return f"group {group} has read nothing from {topic} yet"
    if differing := sum(one.consumed - one.stored - one.duplicate - one.rejected for one in ours):
        return bad(f"✗ {abs(differing):,} messages are in no counter")
    if status.lacking_rows:
        return bad(f"✗ {abs(status.lacking_rows):,} rows differ from the counters")
    return good("✓ every message is accounted for")


def panel(status: KpiStatus, broker: BrokerState, topic: str, group: str) -> None:
    """Adds to the current board how every message of the page's group and topic was counted."""
    ours, others = _of_group(status, topic, group)
    with box("row", "trust-columns", [3, 2]):
        with box("column", "trust-counted"):
            if ours:
                text("equation", [*_equation(ours), f"\nof group {group}, topic {topic}"])
            else:
                text("equation", [bold(f"Group {group} has read nothing from topic {topic} yet")])
            facts = _facts(status, broker, topic, group)
            items("facts", [[f"{what}: ", bold(figure)] for what, figure in facts])
            _others(others)
        with box("column", "trust-rejected"):
            text("rejected", [bold(f"Rejected messages: {sum(count for _, count in status.rejected):,}")])
            reasons: list[list[Run]] = [[f"{name}: ", bold(f"{count:,}")] for name, count in status.rejected]
            items("reasons", reasons, columns=2 if len(reasons) > MOST_REASONS else 1)


def _facts(status: KpiStatus, broker: BrokerState, topic: str, group: str) -> list[tuple[str, str]]:
    ours, _ = _of_group(status, topic, group)
    facts = [
        ("Rows in memory, from which all figures are computed", f"{status.rows:,}"),
        ("Rows written by another program, as of the last full read", f"{status.foreign_rows:,}"),
        ("Messages missing: deleted by retention, or unreadable", f"{sum(one.missing for one in ours):,}"),
        ("Messages not consumed yet", _lag(status, broker, topic, group)),
        ("From event to stored, in the last 5 min", _latency(status)),
        ("The page's role in PostgreSQL", status.role or "the user of its URL, in read-only transactions"),
    ]
    if status.odd_amounts:
        odd = "Rows whose amount is NaN or too large, counted as rows without an amount"
        facts.append((odd, f"{status.odd_amounts:,}"))
    return facts


def _others(partitions: list[PartitionState]) -> None:
    by_name: dict[tuple[str, str], list[PartitionState]] = {}
    for one in partitions:
        by_name.setdefault((one.group, one.topic), []).append(one)
    if by_name:
        with box("fold", "other-groups", title=f"Other groups or topics ({len(by_name)})"):
            items(
                "others",
                [[f"group {name}, topic {of}: ", *_equation(by_name[name, of])] for name, of in sorted(by_name)],
            )


def _equation(partitions: list[PartitionState]) -> list[Run]:
    consumed, stored, duplicate, rejected = (
        sum(getattr(one, name) for one in partitions) for name in ("consumed", "stored", "duplicate", "rejected")
    )
    verdict = good("✓ agrees") if consumed == stored + duplicate + rejected else bad("✗ differs")
    counted = f"consumed {consumed:,} = stored {stored:,} + duplicate {duplicate:,} + rejected {rejected:,}"
    return [bold(counted), " ", verdict]


def _lag(status: KpiStatus, broker: BrokerState, topic: str, group: str) -> str:
    if broker.down_since is not None or not broker.ends:
        return "unknown"
    next_offset = {
        one.partition: one.next_offset for one in status.partitions if (one.topic, one.group) == (topic, group)
    }
    return f"{sum(max(0, end - next_offset.get(partition, 0)) for partition, end in broker.ends.items()):,}"


def _last_commit(status: KpiStatus, partitions: list[PartitionState]) -> str:
    committed = max((one.updated_at for one in partitions), default=None)
    if committed is None or status.snapshot_at is None:
        return "unknown"
    return f"{age(committed, status.snapshot_at)} ago"


def _latency(status: KpiStatus) -> str:
    if not status.latency_ms:
        return "no events"
    parts = []
    for share, ms in zip((50, 95, 99), status.latency_ms, strict=True):
        parts.append(_within(share, "", ms))
        if ms >= LONGEST_MS:
            break
    return ", ".join(parts)


def _within(share: int, stored: str, ms: int) -> str:
    """Says within what time a share of events, in percent, was stored."""
    if ms >= LONGEST_MS:
        return f"at least {100 - share} % {stored}over a day late"
    return f"{share} % {stored}within {_milliseconds(ms)}"


def _milliseconds(ms: int) -> str:
    """Formats a latency of less than a day. Latencies of more than a day are counted as one day."""
    return f"{ms:,} ms" if ms < 10**4 else span(ms * 1000)
