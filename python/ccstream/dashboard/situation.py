"""Says what the figures of the dashboard are true for, or why there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st

from ccstream.dashboard.clock import clock, day
from ccstream.dashboard.dimensions import named, plain
from ccstream.dashboard.view import SPANS
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from datetime import tzinfo

    from ccstream import KpiStatus
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.view import View


def about(figures: Figures, status: KpiStatus, view: View, zone: tzinfo) -> str:
    """Returns a sentence that says for which moment, currency and preceding period the figures are true."""
    moment = clock(figures.at, zone)
    state = "exact" if status.loaded >= 1 and not status.outdated else "for the rows that were read so far"
    about = f"As of {moment} ({zone}), {state}."
    if status.foreign_rows:
        # The engine follows what consumers have stored.
        about += (
            f" They include {status.foreign_rows:,} rows of another program. Further ones are included once a row of "
            "the table is changed or deleted."
        )
    if figures.amounts < figures.count:
        share = figures.amounts / figures.count
        currency = figures.currency or "no currency"
        about += f" Amounts are in {currency}: {figures.amounts:,} of {figures.count:,} transactions ({share:.0%})."
    if any(metric.change for metric in figures.metrics):
        label, length = SPANS.get(view.span, ("", None))
        about += (
            f" Changes are from the preceding {label}."
            if length
            else " Changes are from the preceding period of equal length."
        )
    return about


def scope(view: View, zone: tzinfo) -> str:
    """Returns in words which transactions a page is about: their time range, and the filters."""
    label, length = SPANS.get(view.span, ("", None))
    span = f"last {label}" if length else "all of time"
    if view.start and view.end:
        span = " to ".join(f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (view.start, view.end))
    return " · ".join([span, *narrowed(view)])


def narrowed(view: View) -> list[str]:
    """Returns the filters of a page in words."""
    parts = [f"{DIMENSIONS[name]}: {', '.join(map(named, values))}" for name, values in view.filters.items()]
    parts += [f"amount from {view.min_amount:,.2f}"] if view.min_amount is not None else []
    return parts + ([f"amount to {view.max_amount:,.2f}"] if view.max_amount is not None else [])


def is_ready(status: KpiStatus, url: str) -> bool:
    """Returns whether there is anything to show. If there is not, it shows what to do."""
    if status.no_tables:
        st.info(
            f"{_sentence(status.trouble)}: `python consumer.py`  \nA table orders of yours keeps its rows and columns. "
            "The consumer adds what is missing.",
            icon=":material/inbox:",
        )
        return False
    if status.snapshot_at is not None:
        return True
    if status.unusable:
        st.error("The tables cannot be used; the consumer cannot write to them either.", icon=":material/error:")
        st.code(status.trouble, language=None, wrap_lines=True)
    elif status.trouble:
        st.warning(
            f"No answer from PostgreSQL at **{plain(_place(url))}**. Start it with `docker-compose up -d` or "
            "`ccstream up`. This page then refreshes by itself.",
            icon=":material/power_off:",
        )
        with st.expander("The error"):
            st.code(status.trouble, language=None, wrap_lines=True)
    else:
        st.progress(0.0, "Reading the table orders")
    return False


def nothing(status: KpiStatus, view: View, zone: tzinfo) -> None:
    """Shows why there are no figures."""
    if not status.rows:
        st.info("No transactions yet. Start the producer: `python producer.py`", icon=":material/inbox:")
    elif view.narrows:
        st.info("No transactions match these filters in this time range.", icon=":material/search_off:")
    else:
        label = SPANS[view.span][0] if view.span in SPANS else "the chosen days"
        newest = "" if status.last_at is None else f"; the newest are from {day(status.last_at, zone)}"
        st.info(f"No transactions in this time range ({label}){newest}.", icon=":material/search_off:")
        if st.button("Show all", on_click=lambda: st.session_state.update(range="all", clicked=True)):
            st.rerun()


def _sentence(text: str | None) -> str:
    return plain(text[0].upper() + text[1:]) if text else ""


def _place(url: str) -> str:
    """Returns the host and port of a database URL. Its other parts may contain a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 5432
    except ValueError:
        host = None
    return f"{host}:{port}" if host else "the database"
