"""The parts of the page: figures in, widgets on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import charts
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.figures import is_zero, to_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ccstream.dashboard.figures import Figures, Metric

ACROSS = 4
"""Metrics side by side, where there is room for so many of :data:`NARROW` pixels."""
NARROW = 165
COLOURS = {1: "normal", 0: "off", -1: "inverse"}
STYLE = """<style>
.st-key-header [data-testid="stMetric"] { container-type: inline-size }
.st-key-header [data-testid="stMetricValue"] { font-size: clamp(1.05rem, 13cqi, 2.25rem) }
@media (max-width: 640px) { .st-key-header [data-testid="stMetric"] { padding: .5rem .7rem } }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: .85 }
[data-testid="stMetric"] g[role="graphics-symbol"]:empty { display: none }
</style>"""
"""A metric's value is as large as its card has room for. Faint texts have enough contrast, and a mark of a small chart
that is drawn only under the mouse is hidden until then from readers of screens."""


def header(metrics: list[Metric]) -> None:
    """The figures, each with its change and its course."""
    grid = st.grid(ACROSS, min_column_width=NARROW, gap="small", key="header")
    for metric in metrics:
        zero = metric.change is not None and is_zero(metric.change)
        grid.metric(
            plain(metric.label),
            metric.value,
            metric.change,
            delta_color="off" if zero else COLOURS[metric.good],  # type: ignore[arg-type]
            delta_arrow="off" if zero else "auto",
            border=True,
            height="stretch",
            chart_data=metric.trend or None,
            chart_type="area",
            help=plain(metric.help) or None,
        )


def graphs(figures: Figures, land: str, pick: Callable[[str, str], None], clicks: int) -> None:
    """Every chart.

    Args:
        figures: what they show.
        land: where a browser finds the coastlines.
        pick: called with a dimension and the key of its chart when somebody clicks one of its bars.
        clicks: how often that was; a chart begins anew after each.
    """
    left, right = st.columns([1, 1])
    with left.container(border=True, height="stretch"):
        _over_time(figures)
        st.markdown(f"##### Amounts in {plain(figures.currency or 'no currency')}")
        _chart(_numbered(figures.amount_bins), charts.amounts(), "amounts", "Transactions by the size of their amounts")
    with right.container(border=True, height="stretch"):
        st.markdown("##### Busiest merchants")
        _merchants(figures)
    left, right = st.columns([3, 2])
    with left:
        with st.container(border=True):
            st.markdown("##### Where")
            _where(figures, land)
        with st.container(border=True, height="stretch"):
            st.markdown("##### By weekday and hour", help="By your clock.")
            _chart(figures.week, charts.week(), "week", "Transactions by weekday and hour")
    with right:
        with st.container(border=True):
            st.markdown("##### Categories", help="A click on a bar filters by it.")
            _bars(figures.categories, "category", pick, clicks)
        with st.container(border=True, height="stretch"):
            st.markdown("##### Payment methods", help="A click on a bar filters by it.")
            _bars(figures.methods, "payment_method", pick, clicks)


def _where(figures: Figures, land: str) -> None:
    known = figures.places.dropna(subset=["latitude", "longitude"])
    if known.empty:
        st.caption("These transactions name no cities with coordinates.")
        return
    alt = f"A map of the transactions of {len(known)} cities"
    st.vega_lite_chart(known, charts.world(land), key="world", height=300, alt=alt)
    if lost := figures.count - int(known["transactions"].sum()):
        st.caption(f"{lost:,} transactions are elsewhere, or of a city without coordinates.")


def _chart(frame: pd.DataFrame, spec: charts.Spec, key: str, alt: str) -> None:
    st.vega_lite_chart(frame, spec, key=key, alt=alt)


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{charts.ORDER: range(len(frame))})


def _over_time(figures: Figures) -> None:
    if figures.width is None or figures.series.empty:
        st.caption("These transactions have no time.")
        return
    form = charts.time_form(figures.width, len(figures.series))
    width = charts.describe(figures.width)
    paler = "Pale: a bucket that is still running, or lies in the range only in part."
    st.markdown(f"##### Transactions per {width}", help=f"{paler} The line is the usual level, a moving average.")
    spec = charts.over_time("transactions", figures.width, form)
    _chart(figures.series.drop(columns="value"), spec, "count", f"Transactions per {width}")
    st.markdown(f"##### Value per {width}, {plain(figures.currency or 'no currency')}", help=paler)
    spec = charts.over_time("value", figures.width, form)
    _chart(figures.series.drop(columns=["transactions", "usual"]), spec, "value", f"Value per {width}")
    if figures.untimed:
        st.caption(f"{figures.untimed:,} transactions have no time; they are in all other figures.")


def _bars(frame: pd.DataFrame, name: str, pick: Callable[[str, str], None], clicks: int) -> None:
    key = f"{name}-{clicks}"
    with st.container(key=f"bars-{name}"):
        st.vega_lite_chart(
            _numbered(frame),
            charts.bars(name),
            key=key,
            on_select=lambda: pick(name, key),
            selection_mode=charts.PICK,
            alt=f"Transactions by {name.replace('_', ' ')}",
        )


def _merchants(figures: Figures) -> None:
    # 368 pixels together, which a page of 1,280 has for them; on a wider one they grow.
    st.dataframe(
        figures.merchants,
        hide_index=True,
        height="content",
        placeholder="-",
        alt="The busiest merchants with their trends",
        column_config={
            "merchant": st.column_config.TextColumn("Merchant", width=133),
            "trend": st.column_config.AreaChartColumn("Trend", width=60, y_min=0, color=charts.TRANSACTIONS),
            "transactions": st.column_config.NumberColumn("Count", width=70, format="localized"),
            "value": st.column_config.NumberColumn(figures.currency or "Value", width=105, format="accounting"),
        },
    )


def latest(frame: pd.DataFrame, zone: str | None) -> None:
    """The last transactions, as they arrived."""
    with st.container(border=True):
        st.markdown("##### Latest transactions", help="In the order in which they were stored, of any time.")
        if frame.empty:
            st.caption("None match these filters.")
            return
        st.dataframe(
            frame,
            hide_index=True,
            key="latest_rows",
            height="content",
            alt="The latest transactions",
            column_config={
                "time": st.column_config.DatetimeColumn("Time", format="YYYY-MM-DD HH:mm:ss", timezone=zone),
                "merchant": st.column_config.TextColumn("Merchant", width="medium"),
                "amount": st.column_config.NumberColumn("Amount", format="accounting"),
                "currency": "Currency",
                "status": "Status",
                "category": "Category",
                "payment_method": "Method",
                "city": "City",
                "country": "Country",
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
        width="content",
    )


def messages(kept: list[tuple[str, str, bytes | None]]) -> None:
    """Rejected messages, as text and never as anything else: where they come from, what is wrong, what they are."""
    for place, detail, payload in kept:
        st.caption(plain(place))
        st.text(detail)
        text = b"(no payload)" if payload is None else payload
        st.code(text.decode(errors="backslashreplace"), language=None, wrap_lines=True)
