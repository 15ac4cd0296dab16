"""Draws the parts of the page that show figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import streamlit as st

from ccstream.dashboard import charts, viewer
from ccstream.dashboard.choosing import clicked, clicks, toggle
from ccstream.dashboard.component import cards, plot
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.figures import to_csv

if TYPE_CHECKING:
    import pandas as pd

    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.metrics import Metric
    from ccstream.dashboard.view import View

NARROW = 150
"""The least width of a card of the header, in pixels."""
OTHERS = re.compile(r"1 other|[\d,]+ others")
"""The name of all values that have no bar or row of their own."""
CLICK = (
    "Click a value to filter by it, and again to undo it; with Ctrl or Cmd, several. By keyboard, choose with the "
    "arrow keys and Enter."
)
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 3.5rem }
.st-key-status { row-gap: .25rem }
.st-key-status [data-testid="stPageLink"] a { padding-left: 0 }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: .85 }
</style>"""
"""The page's style. It gives faint texts enough contrast."""


def header(metrics: list[Metric], metric: str) -> None:
    """Draws the header: each KPI with its change and its course. A click on one makes charts show its measure.

    Args:
        metrics: the KPIs.
        metric: the measure that the charts show, a key of :data:`ccstream.dashboard.charts.SHOWN`.
    """

    def pick(charted: str) -> None:
        st.session_state["metric"] = charted
        clicked()

    cards(metrics, NARROW, metric, pick, key="header")


def graphs(figures: Figures, view: View) -> None:
    """Draws the charts below those over time.

    Args:
        figures: the figures to show.
        view: the settings of the page.
    """
    metric = view.metric
    title = charts.SHOWN[metric].title
    left, right = st.columns([1, 1])
    with left:
        with st.container(border=True):
            st.markdown(f"##### {title} by payment method", help=CLICK)
            _bars(figures.methods, "payment_method", view)
        with st.container(border=True, height="stretch"):
            st.markdown(f"##### Amounts in {plain(figures.currency or 'no currency')}")
            st.caption(f"Of all transactions. {figures.sizes}")
            alt = "Transactions by the size of their amounts"
            plot(_numbered(figures.amount_bins), charts.amounts(), key="amounts", alt=alt)
    with right.container(border=True, height="stretch", key="merchants"):
        st.markdown("##### Busiest merchants", help="Click a row to filter by it, and again to undo it.")
        _merchants(figures, view)
    left, right = st.columns([1, 1])
    with left:
        with st.container(border=True):
            st.markdown(f"##### {title} by city")
            _where(figures, view)
        with st.container(border=True, height="stretch"):
            st.markdown(f"##### {title} by weekday and hour", help=f"In the time zone {viewer.zone()}.")
            plot(figures.week, charts.week(metric), key="week", alt=f"{title} by weekday and hour")
    with right.container(border=True, height="stretch"):
        st.markdown(f"##### {title} by category", help=CLICK)
        _bars(figures.categories, "category", view)


def _where(figures: Figures, view: View) -> None:
    known = figures.places.dropna(subset=["latitude", "longitude"])
    if known.empty:
        st.caption("None of these transactions has a city with coordinates.")
        return
    alt = f"A map of the transactions of {len(known)} cities"
    _picked(known, charts.world(view.metric), "city", view, key="world", alt=alt)
    if (lost := figures.count - int(known["transactions"].sum())) and "city" not in view.filters:
        st.caption(
            f"{lost:,} transactions are not on the map: their city is unknown, has no coordinates, or is too rare."
        )


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{charts.ORDER: range(len(frame))})


def _bars(frame: pd.DataFrame, name: str, view: View) -> None:
    alt = f"{charts.SHOWN[view.metric].title} by {name.replace('_', ' ')}"
    _picked(_numbered(frame), charts.bars(name, view.metric), name, view, key=f"bars-{name}", alt=alt)


def _picked(frame: pd.DataFrame, spec: charts.Spec, name: str, view: View, *, key: str, alt: str) -> None:
    """Draws a chart of the values of a dimension. A click on one chooses it as the filter, or undoes that."""

    def picked(sent: dict[str, Any]) -> None:
        if not OTHERS.fullmatch(sent[name]):
            toggle(name, sent[name], adds=sent["adds"])

    plot(frame, spec, key=key, alt=alt, chosen=view.filters.get(name, ()), picked=picked, pick=[name])


def _merchants(figures: Figures, view: View) -> None:
    metric, chosen = view.metric, view.filters.get("merchant", ())
    names = figures.merchants["merchant"].tolist()
    frame = figures.merchants
    if chosen:
        frame = frame.assign(merchant=[f"✓ {name}" if name in chosen else name for name in names])
    key = f"merchants-{clicks()}"

    def pick() -> None:
        cells = st.session_state[key]["selection"]["cells"]
        name = names[cells[0][0]] if cells else None
        if name is not None and not OTHERS.fullmatch(name):
            toggle("merchant", name, adds=False)
        else:
            clicked()

    last = "value" if metric == "count" else charts.SHOWN[metric].column
    currency = figures.currency or "Value"
    # The widths add up to 368 pixels, which a page of 1,280 pixels has for the table. They grow on a wider page.
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        placeholder="-",
        key=key,
        on_select=pick,
        selection_mode="single-cell",
        column_order=("merchant", "trend", "transactions", last),
        alt="The busiest merchants with their trends",
        column_config={
            "merchant": st.column_config.TextColumn("Merchant", width=133),
            "trend": st.column_config.AreaChartColumn("Trend", width=60, y_min=0, color=charts.TRANSACTIONS),
            "transactions": st.column_config.NumberColumn("Count", width=70, format="localized"),
            "value": st.column_config.NumberColumn(currency, width=105, format="accounting"),
            "average": st.column_config.NumberColumn(f"Avg. {currency}", width=105, format="accounting"),
            "share": st.column_config.NumberColumn("Approved", width=105, format="percent"),
            "refunds": st.column_config.NumberColumn(f"Refunds {currency}", width=105, format="accounting"),
            "declined": st.column_config.NumberColumn("Declined", width=105, format="localized"),
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
