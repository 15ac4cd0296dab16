"""The parts of the page: figures in, widgets on the screen."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import charts
from ccstream.dashboard.figures import to_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ccstream import KeptMessage, KpiStatus
    from ccstream.dashboard.broker import BrokerState
    from ccstream.dashboard.figures import Figures, Metric

ACROSS = 4
"""Metrics side by side."""
COLOURS = {1: "normal", 0: "off", -1: "inverse"}


def header(metrics: list[Metric]) -> None:
    """The figures, each with its change and its course."""
    for at in range(0, len(metrics), ACROSS):
        for column, metric in zip(st.columns(ACROSS), metrics[at : at + ACROSS], strict=False):
            column.metric(
                metric.label,
                metric.value,
                None if metric.change is None else f"{metric.change:+.1%}",
                delta_color=COLOURS[metric.good],  # type: ignore[arg-type]
                border=True,
                chart_data=metric.trend or None,
                chart_type="area",
                help=metric.help or None,
            )


def graphs(figures: Figures, pick: Callable[[str, str], None], clicks: int) -> None:
    """Every chart.

    Args:
        figures: what they show.
        pick: called with a dimension and the key of its chart when somebody clicks one of its bars.
        clicks: how often that was; a chart begins anew after each.
    """
    left, right = st.columns([1, 1])
    with left.container(border=True, height="stretch"):
        _over_time(figures)
    with right.container(border=True, height="stretch"):
        st.markdown("**Busiest merchants** · with their trend")
        _merchants(figures)
    left, right = st.columns([3, 2])
    with left.container(border=True, height="stretch"):
        st.markdown("**Where**")
        known = figures.places.dropna(subset=["latitude", "longitude"])
        if known.empty:
            st.caption("These transactions name no cities with coordinates.")
        else:
            st.vega_lite_chart(known, charts.world(), key="world")
    with right.container(border=True, height="stretch"):
        st.markdown("**Payment methods** · click to filter")
        _bars(figures.methods, "payment_method", pick, clicks)
        st.markdown("**Amounts** · by size in " + (figures.currency or "no currency"))
        st.vega_lite_chart(figures.amounts, charts.amounts(), key="amounts")
    left, right = st.columns([2, 3])
    with left.container(border=True, height="stretch"):
        st.markdown("**Categories** · click to filter")
        _bars(figures.categories, "category", pick, clicks)
    with right.container(border=True, height="stretch"):
        st.markdown("**When** · by weekday and hour, your time")
        st.vega_lite_chart(figures.week, charts.week(), key="week")


def _over_time(figures: Figures) -> None:
    if figures.width is None or figures.series.empty:
        st.caption("These transactions have no time.")
        return
    form = charts.time_form(figures.width, len(figures.series))
    st.markdown(f"**Transactions** · per {charts.describe(figures.width)}")
    frame = figures.series
    st.vega_lite_chart(
        frame[["time", "transactions"]], charts.over_time("transactions", figures.width, form), key="count"
    )
    st.markdown(f"**Value** · {figures.currency or 'no currency'} per {charts.describe(figures.width)}")
    st.vega_lite_chart(frame[["time", "value"]], charts.over_time("value", figures.width, form), key="value")
    if figures.untimed:
        st.caption(f"{figures.untimed:,} transactions have no time; they are in the figures above.")


def _bars(frame: pd.DataFrame, name: str, pick: Callable[[str, str], None], clicks: int) -> None:
    key = f"{name}-{clicks}"
    with st.container(key=f"bars-{name}"):
        st.vega_lite_chart(
            frame, charts.bars(name), key=key, on_select=lambda: pick(name, key), selection_mode=charts.PICK
        )


def _merchants(figures: Figures) -> None:
    st.dataframe(
        figures.merchants,
        hide_index=True,
        height="stretch",
        column_config={
            "merchant": st.column_config.TextColumn("Merchant", width="medium"),
            "trend": st.column_config.AreaChartColumn("Trend", width="small", y_min=0),
            "transactions": st.column_config.NumberColumn("Count", width=70, format="localized"),
            "value": st.column_config.NumberColumn(figures.currency or "Value", width=110, format="accounting"),
        },
    )


def latest(frame: pd.DataFrame, zone: str | None) -> None:
    """The last transactions, as they arrived."""
    with st.container(border=True):
        st.markdown(f"**Latest {len(frame)} transactions** · as they arrived")
        st.dataframe(
            frame,
            hide_index=True,
            key="latest_rows",
            column_config={
                "time": st.column_config.DatetimeColumn("Time", format="YYYY-MM-DD HH:mm:ss", timezone=zone),
                "merchant": "Merchant",
                "category": "Category",
                "city": "City",
                "country": "Country",
                "amount": st.column_config.NumberColumn("Amount", format="%.2f"),
                "currency": "Currency",
                "payment_method": "Method",
                "status": "Status",
            },
        )


def download(figures: Figures) -> None:
    """All that is shown, as a file."""
    st.download_button(
        "Download as CSV",
        lambda: to_csv(figures),
        file_name="ccstream.csv",
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
        key="csv",
    )


def clock(micros: int | None, zone: tzinfo) -> str:
    """A moment by the viewer's clock; with its day, where that is not today."""
    if micros is None:
        return "unknown"
    moment = (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)).astimezone(zone)
    today = moment.date() == datetime.now(zone).date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%Y-%m-%d %H:%M:%S}"


def age(micros: int, now: int) -> str:
    """How long ago, in one unit."""
    seconds = max(0, now - micros) // 10**6
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"


def troubles(status: KpiStatus, broker: BrokerState, zone: tzinfo) -> None:
    """What is down, since when, in plain words."""
    if status.trouble and status.snapshot_at is not None:
        seconds = int(status.trouble_for.total_seconds()) if status.trouble_for else 0
        st.warning(
            f"PostgreSQL has not answered for {seconds:,} s. "
            f"These are the figures of {clock(status.snapshot_at, zone)}; the page comes back by itself.",
            icon=":material/power_off:",
        )
    elif not status.consumers and status.no_consumer_since is not None:
        since = clock(status.no_consumer_since, zone)
        st.info(
            f"No consumer is running; the last row was stored at {since}. Start one: `python consumer.py`",
            icon=":material/pause_circle:",
        )
    if broker.down_since is not None:
        st.info(
            f"The broker has not answered since {clock(int(broker.down_since * 1e6), zone)}: lag is unknown. "
            "Start it with `docker-compose up -d` or `ccstream up`.",
            icon=":material/cloud_off:",
        )
    if status.dropped_until is not None:
        st.info(
            f"The page sees everything since {clock(status.dropped_until, zone)}; what is older had to leave memory."
        )
    if status.lacking_rows > 0:
        st.warning(f"{status.lacking_rows:,} rows that were stored are not in orders any more: somebody removed them.")


def trust(status: KpiStatus, broker: BrokerState, topic: str, group: str) -> None:
    """Whether the figures can be trusted: what became of every message."""
    parts = status.partitions
    consumed, stored = sum(one.consumed for one in parts), sum(one.stored for one in parts)
    duplicate, rejected = sum(one.duplicate for one in parts), sum(one.rejected for one in parts)
    agrees = consumed == stored + duplicate + rejected
    left, right = st.columns([3, 2])
    with left:
        st.markdown(
            f"{':green[✓]' if agrees else ':red[✗]'} **consumed {consumed:,} = stored {stored:,} + "
            f"duplicate {duplicate:,} + rejected {rejected:,}**"
        )
        missing = sum(one.missing for one in parts)
        own = [one for one in parts if (one.topic, one.group) == (topic, group)]
        lag = sum(max(0, broker.ends.get(one.partition, 0) - one.next_offset) for one in own)
        newest = max((one.updated_at for one in parts), default=None)
        rows = [
            ("Rows in orders", f"{status.rows:,}"),
            ("of them another program's, as of the last full reading", f"{status.foreign_rows:,}"),
            ("Missing: taken by Kafka's retention before they were read", f"{missing:,}"),
            ("Consumer lag, messages", f"{lag:,}" if broker.ends and own else "unknown"),
            (
                "Age of the newest row",
                "unknown" if newest is None or status.snapshot_at is None else age(newest, status.snapshot_at),
            ),
            ("Event to stored, last 5 min: p50, p95, p99 at most", _latency(status)),
            ("Read as", status.role or "the user itself, in read-only transactions: there is no reading role"),
        ]
        st.markdown("\n".join(["| | |", "|---|--:|", *[f"| {what} | {value} |" for what, value in rows]]))
    with right:
        st.markdown(f"**Rejected messages: {rejected:,}**")
        if status.rejected:
            st.dataframe(
                {"Reason": [name for name, _ in status.rejected], "Messages": [count for _, count in status.rejected]},
                hide_index=True,
                key="rejected",
            )


def _latency(status: KpiStatus) -> str:
    if not status.latency_ms:
        return "no events"
    return ", ".join(f"{ms:,} ms" if ms < 10**4 else f"{ms // 1000:,} s" for ms in status.latency_ms)


def messages(kept: list[KeptMessage]) -> None:
    """Rejected messages, as text and never as anything else."""
    for one in kept:
        st.caption(f"partition {one.partition}, offset {one.offset:,} · {one.rejected_at}")
        st.text(one.detail)
        payload = b"(no payload)" if one.payload is None else one.payload
        st.code(payload[:2000].decode(errors="backslashreplace"), language=None, wrap_lines=True)
