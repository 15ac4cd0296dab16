"""Draws the parts of the page that show figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import charts
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.figures import to_csv
from ccstream.dashboard.metrics import is_zero

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.metrics import Metric

ACROSS = 6
"""The number of metrics in a row, if each has room for :data:`NARROW` pixels."""
NARROW = 150
COLOURS = {1: "normal", 0: "off", -1: "inverse"}
STYLE = """<style>
.st-key-header [data-testid="stMetric"] { container-type: inline-size }
.st-key-header [data-testid="stMetricValue"] { font-size: clamp(1.05rem, 13cqi, 2.25rem) }
.st-key-header [data-testid="stMetricChart"] { margin-bottom: 0 }
[data-testid="stMainBlockContainer"] { padding-top: 3.5rem }
.st-key-status { row-gap: .25rem }
.st-key-status [data-testid="stPageLink"] a { padding-left: 0 }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: .85 }
:is([data-testid="stMetric"], .st-key-fraud) g[role="graphics-symbol"]:empty { display: none }
</style>"""
"""The page's style. It makes a metric's value as large as its card allows, and gives faint texts enough contrast. It
also hides from screen readers empty groups of marks, such as those that are drawn only under the mouse."""


def header(metrics: list[Metric]) -> None:
    """Draws the header: each metric with its change and its trend."""
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


def graphs(figures: Figures, metric: str, land: str, pick: Callable[[str, str], None], clicks: int) -> None:
    """Draws the charts below those over time.

    Args:
        figures: the figures to show.
        metric: the measure that the charts show, a key of :data:`ccstream.dashboard.charts.SHOWN`.
        land: the URL of the coastlines.
        pick: a function that is called with a dimension and the key of its chart after a click on one of its bars.
        clicks: the number of clicks so far. It is part of each chart's key, so that a click creates the chart again.
    """
    title = charts.SHOWN[metric].title
    left, right = st.columns([1, 1])
    with left:
        with st.container(border=True):
            st.markdown(f"##### {title} by payment method", help="Click a value to filter by it.")
            _bars(figures.methods, "payment_method", metric, pick, clicks)
        with st.container(border=True, height="stretch"):
            st.markdown(f"##### Amounts in {plain(figures.currency or 'no currency')}")
            st.caption(f"Of all transactions. {figures.sizes}")
            alt = "Transactions by the size of their amounts"
            _chart(_numbered(figures.amount_bins), charts.amounts(), "amounts", alt)
    with right.container(border=True, height="stretch", key="merchants"):
        st.markdown("##### Busiest merchants")
        _merchants(figures, metric)
    left, right = st.columns([1, 1])
    with left:
        with st.container(border=True):
            st.markdown(f"##### {title} by city")
            _where(figures, metric, land)
        with st.container(border=True, height="stretch"):
            st.markdown(f"##### {title} by weekday and hour", help="In your time zone.")
            _chart(figures.week, charts.week(metric), f"week-{metric}", f"{title} by weekday and hour")
    with right.container(border=True, height="stretch"):
        st.markdown(f"##### {title} by category", help="Click a value to filter by it.")
        _bars(figures.categories, "category", metric, pick, clicks)


def _where(figures: Figures, metric: str, land: str) -> None:
    known = figures.places.dropna(subset=["latitude", "longitude"])
    if known.empty:
        st.caption("None of these transactions has a city with coordinates.")
        return
    alt = f"A map of the transactions of {len(known)} cities"
    st.vega_lite_chart(known, charts.world(land, metric), key=f"world-{metric}", height=300, alt=alt)
    if lost := figures.count - int(known["transactions"].sum()):
        st.caption(
            f"{lost:,} transactions are not on the map: their city is unknown, has no coordinates, or is too rare."
        )


def _chart(frame: pd.DataFrame, spec: charts.Spec, key: str, alt: str) -> None:
    st.vega_lite_chart(frame, spec, key=key, alt=alt)


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{charts.ORDER: range(len(frame))})


def _bars(frame: pd.DataFrame, name: str, metric: str, pick: Callable[[str, str], None], clicks: int) -> None:
    key = f"{name}-{metric}-{clicks}"
    with st.container(key=f"bars-{name}"):
        st.vega_lite_chart(
            _numbered(frame),
            charts.bars(name, metric),
            key=key,
            on_select=lambda: pick(name, key),
            selection_mode=charts.PICK,
            alt=f"{charts.SHOWN[metric].title} by {name.replace('_', ' ')}",
        )


def _merchants(figures: Figures, metric: str) -> None:
    last = "value" if metric == "count" else charts.SHOWN[metric].column
    currency = figures.currency or "Value"
    # The widths add up to 368 pixels, which a page of 1,280 pixels has for the table. They grow on a wider page.
    st.dataframe(
        figures.merchants,
        hide_index=True,
        height="content",
        placeholder="-",
        column_order=("merchant", "trend", "transactions", last),
        alt="The busiest merchants with their trends",
        column_config={
            "merchant": st.column_config.TextColumn("Merchant", width=133),
            "trend": st.column_config.AreaChartColumn("Trend", width=60, y_min=0, color=charts.TRANSACTIONS),
            "transactions": st.column_config.NumberColumn("Count", width=70, format="localized"),
            "value": st.column_config.NumberColumn(currency, width=105, format="accounting"),
            "average": st.column_config.NumberColumn(f"Avg. {currency}", width=105, format="accounting"),
            "share": st.column_config.NumberColumn("Approved", width=105, format="percent"),
        },
    )


def latest(figures: Figures, zone: str | None) -> None:
    """Draws the table of the transactions that were stored last, and the button that downloads all figures."""
    frame = figures.latest
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(
                "##### Latest transactions",
                help="In the order in which they were stored. The time range does not apply.",
                width="content",
            )
            _download(figures)
        if frame.empty:
            st.caption("No transactions match these filters.")
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
                "city": st.column_config.TextColumn("City", width=110),
                "country": "Country",
            },
        )


def _download(figures: Figures) -> None:
    """Draws the button that downloads all figures as a file."""
    st.download_button(
        "Figures as CSV",
        lambda: to_csv(figures),
        file_name="ccstream.csv",
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
        key="csv",
        width="content",
    )


def messages(kept: list[tuple[str, str, bytes | None]]) -> None:
    """Draws rejected messages: the place, the error and the payload of each, always as plain text."""
    for place, detail, payload in kept:
        st.caption(plain(place))
        st.text(detail)
        text = b"(no payload)" if payload is None else payload
        st.code(text.decode(errors="backslashreplace"), language=None, wrap_lines=True)
