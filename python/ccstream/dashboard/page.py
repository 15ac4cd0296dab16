"""The dashboard's page: filters at the side, and one live part that refreshes itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import streamlit as st
from psycopg_pool import PoolTimeout

from ccstream import settings
from ccstream.dashboard import charts, queries

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from psycopg_pool import ConnectionPool

RANGES: dict[str, timedelta | None] = {
    "Last 5 minutes": timedelta(minutes=5),
    "Last hour": timedelta(hours=1),
    "Last 24 hours": timedelta(days=1),
    "Last 7 days": timedelta(days=7),
    "All": None,
}


@st.cache_resource
def _pool(url: str) -> ConnectionPool:
    """One pool for every page of this process."""
    return queries.open_pool(url)


@st.cache_data(ttl=30, show_spinner=False)
def _choices(url: str) -> dict[str, list[str]]:
    return queries.load_choices(_pool(url))


def render() -> None:
    """Draws the page; Streamlit calls it at each change of a filter."""
    st.set_page_config(page_title="ccstream", page_icon=":material/credit_card:", layout="wide")
    url = settings.database_url()
    st.markdown("#### ccstream · card transactions, live")
    filters, rows, interval = _sidebar(url)
    # The live part alone runs again at each interval: the page itself does not flicker.
    st.fragment(run_every=timedelta(seconds=interval))(_live)(url, filters, rows)


def _sidebar(url: str) -> tuple[queries.Filters, int, int]:
    choices: dict[str, list[str]] = {}
    # Without a database or table the page itself says what to do.
    _guard(lambda: choices.update(_choices(url)), quiet=True)
    with st.sidebar:
        st.header("Filters")
        since = st.selectbox("Time range", list(RANGES), index=len(RANGES) - 1, help="By the transactions' own time.")
        picked = {
            column: tuple(st.multiselect(label, choices.get(column, []), placeholder="All"))
            for column, label in (
                ("category", "Category"),
                ("city", "City"),
                ("merchant", "Merchant"),
                ("status", "Status"),
            )
        }
        st.header("Display")
        rows = st.slider("Latest transactions", 10, 200, 10, step=10)
        interval = st.slider("Refresh every (seconds)", 2, 10, 2)
    filters = queries.Filters(RANGES[since], picked["category"], picked["city"], picked["merchant"], picked["status"])
    return filters, rows, interval


def _guard(ask: Callable[[], object], *, quiet: bool = False) -> bool:
    """Runs a query; where it cannot be answered, says what to do. True if it was answered."""
    try:
        ask()
    except psycopg.errors.UndefinedTable:
        if not quiet:
            st.info(
                "There is no table **orders** yet. Start the consumer: `python consumer.py`",
                icon=":material/inbox:",
            )
    except psycopg.errors.QueryCanceled:
        if not quiet:
            st.warning(
                "PostgreSQL took too long for this question; narrow the time range.",
                icon=":material/hourglass_top:",
            )
    except (psycopg.OperationalError, PoolTimeout) as error:
        if not quiet:
            address = settings.database_url().rpartition("@")[2]
            st.warning(
                f"No answer from PostgreSQL at **{address}**. Start it with `docker-compose up -d` or `ccstream up`. "
                "This page comes back by itself.",
                icon=":material/power_off:",
            )
            with st.expander("What PostgreSQL said"):
                st.code(str(error))
    else:
        return True
    return False


def _live(url: str, filters: queries.Filters, rows: int) -> None:
    found: list[queries.Snapshot] = []
    currency = st.session_state.get("currency")
    if not _guard(lambda: found.append(queries.load_snapshot(_pool(url), filters, currency, rows))):
        return
    snapshot = found[0]
    if not snapshot.totals.transactions:
        if filters == queries.Filters():
            st.info("No transactions yet. Start the producer: `python producer.py`", icon=":material/inbox:")
        else:
            st.info("No transactions match these filters.", icon=":material/search_off:")
        return
    _header(snapshot.totals)
    _charts(snapshot)
    _latest(snapshot.latest)


def _header(totals: queries.Totals) -> None:
    unit = totals.currency or "no currency"
    with st.container(horizontal=True, key="kpis"):
        st.metric("Transactions", f"{totals.transactions:,}", border=True, help="In every currency.")
        st.metric(
            f"Total value ({unit})",
            f"{totals.value:,.2f}",
            border=True,
            help="The sum of all amounts in this currency; refunds count negative.",
        )
        st.metric(f"Average ({unit})", f"{totals.average:,.2f}", border=True, help="The mean of the same amounts.")
        rate = "unknown" if totals.conversion is None else f"{totals.conversion:.1%}"
        st.metric("Conversion rate", rate, border=True, help="Approved transactions over those with a status.")
    left, right = st.columns([3, 1], vertical_alignment="center")
    newest = f"{totals.newest:%Y-%m-%d %H:%M:%S} UTC" if totals.newest else "unknown"
    left.caption(f"Newest transaction: {newest}. Amounts of different currencies are never added up.")
    if len(totals.currencies) > 1:
        right.selectbox("Currency", totals.currencies, key="currency", label_visibility="collapsed")


def _charts(snapshot: queries.Snapshot) -> None:
    left, right = st.columns([1, 1])
    with left.container(border=True, height="stretch"):
        st.markdown(f"**Transactions over time** · per {describe(snapshot.width)}")
        st.altair_chart(charts.volume(snapshot.series, snapshot.width), key="volume")
    with right.container(border=True, height="stretch"):
        st.markdown("**Busiest merchants** · with their trend")
        _merchants(snapshot.merchants, snapshot.totals.currency)
    left, right = st.columns([3, 2])
    with left.container(border=True, height="stretch"):
        st.markdown("**Where**")
        if snapshot.cities.empty:
            st.caption("These transactions name no cities.")
        elif snapshot.cities.dropna().empty:
            st.altair_chart(charts.distribution(snapshot.cities.head(15), "city"), key="cities")
        else:
            st.altair_chart(charts.world(snapshot.cities), key="world")
    with right.container(border=True, height="stretch"):
        st.markdown("**Payment methods**")
        st.altair_chart(charts.distribution(snapshot.methods, "payment_method"), key="methods")
    left, right = st.columns([2, 3])
    with left.container(border=True, height="stretch"):
        st.markdown("**Categories**")
        st.altair_chart(charts.distribution(snapshot.categories, "category"), key="categories")
    with right.container(border=True, height="stretch"):
        st.markdown("**Busiest cities**")
        st.dataframe(
            snapshot.cities[["city", "country", "transactions"]].head(10),
            hide_index=True,
            column_config={
                "city": "City",
                "country": "Country",
                "transactions": st.column_config.NumberColumn("Transactions", format="localized"),
            },
        )


def _merchants(merchants: pd.DataFrame, currency: str | None) -> None:
    if merchants.empty:
        st.caption("These transactions name no merchants.")
        return
    st.dataframe(
        merchants,
        hide_index=True,
        height="stretch",
        column_order=["merchant", "trend", "transactions", "value"],
        column_config={
            "merchant": st.column_config.TextColumn("Merchant", width="medium"),
            "trend": st.column_config.AreaChartColumn("Trend", width="small", y_min=0),
            "transactions": st.column_config.NumberColumn("Count", width=70, format="localized"),
            "value": st.column_config.NumberColumn(currency or "Value", width=90, format="localized"),
        },
    )


def _latest(latest: pd.DataFrame) -> None:
    with st.container(border=True):
        st.markdown(f"**Latest {len(latest)} transactions**")
        st.dataframe(
            latest,
            hide_index=True,
            key="latest",
            column_config={
                "timestamp": st.column_config.DatetimeColumn("Time (UTC)", format="YYYY-MM-DD HH:mm:ss"),
                "merchant": "Merchant",
                "category": "Category",
                "city": "City",
                "value": st.column_config.NumberColumn("Amount", format="%.2f"),
                "currency": "Currency",
                "payment_method": "Method",
                "status": "Status",
                "order_id": "Id",
            },
        )


def describe(width: timedelta) -> str:
    """A bucket's width in words: ``5 minutes``."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, rest = divmod(int(width.total_seconds()), seconds)
        if number and not rest:
            return unit if number == 1 else f"{number} {unit}s"
    return str(width)


if __name__ == "__main__":
    render()
