"""Draws the drawer: one card, merchant, terminal or transaction with its history, alerts and scores, at one address.

The address is the only place that says what is open, so that it opens the same again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import streamlit as st

from ccstream.dashboard import alerts, drawer_charts, drawer_figures, drawer_tables, viewer
from ccstream.dashboard.alert_detail import ICONS, READ_EVERY, times
from ccstream.dashboard.alert_queries import TIME_LIMIT
from ccstream.dashboard.component import plot
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.drawer_figures import STATUSES
from ccstream.dashboard.drawer_tables import COLUMNS, KINDS
from ccstream.dashboard.fraud_charts import FRAUD

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from ccstream.dashboard.alert_tables import Alert
    from ccstream.dashboard.drawer_tables import One, Several

PARAMETER = "open"
"""The part of the address that says what is open."""
FIND = "find"
"""The kind of what the search has found."""
WIDTH = 660
"""The drawer's width in pixels. A viewer can change it, and a phone has less."""
STYLE = """<style>
.st-key-drawer [data-testid="stPageLink"] a { padding-left: 0 }
.st-key-drawer p { overflow-wrap: anywhere }
.st-key-matches button { min-height: 2.25rem; text-align: left; justify-content: flex-start }
</style>"""
ICON = {
    "card": ":material/credit_card:",
    "merchant": ":material/storefront:",
    "terminal": ":material/point_of_sale:",
    "transaction": ":material/receipt_long:",
    FIND: ":material/search:",
}


class Place(NamedTuple):
    """Holds what is open: a kind of ``KINDS`` or ``FIND``, and its id, token, name or text."""

    kind: str
    value: str


def address() -> dict[str, list[str]]:
    """Returns the part of the page's address that says what is open; empty if nothing is."""
    place = opened()
    return {} if place is None else {PARAMETER: [f"{place.kind}:{place.value}"]}


def opened() -> Place | None:
    """Returns what is open."""
    kind, _, value = st.query_params.get(PARAMETER, "").partition(":")
    return Place(kind, value) if kind in {*KINDS, FIND} and value else None


def notes() -> list[str]:
    """Returns a note if the address names something that cannot be opened."""
    if PARAMETER not in st.query_params or opened():
        return []
    return [f"The address has {PARAMETER}={st.query_params[PARAMETER]}, which is not valid; it is ignored."]


def show(kind: str, value: str) -> None:
    """Opens a card, a merchant, a terminal, a transaction or a search."""
    st.query_params[PARAMETER] = f"{kind}:{value}"


def close() -> None:
    """Closes the drawer."""
    st.query_params.pop(PARAMETER, None)


def draw(url: str, zone: tzinfo, find: Callable[[str], None]) -> None:
    """Draws the drawer, if anything is open. It remains while the rest of the page refreshes.

    Args:
        url: the URL of the database.
        zone: the viewer's time zone.
        find: a function that draws what a search for a text has found.
    """
    place = opened()
    if place is None:
        return
    title = plain(f"{'Search' if place.kind == FIND else place.kind.capitalize()}: {place.value[:80]}")

    def content() -> None:
        if opened() != place:
            # A button within the drawer has opened something else, which has another title.
            st.rerun()
        st.html(STYLE)
        with st.container(key="drawer"):
            try:
                if place.kind == FIND:
                    find(place.value)
                elif place.kind == "transaction":
                    _one(_read_one(url, place.value), zone)
                else:
                    _several(_read_several(url, *place), place, zone)
            except psycopg.Error as error:
                st.warning(failure(error), icon=":material/power_off:")

    st.dialog(title, width=WIDTH, position="right", icon=ICON[place.kind], on_dismiss=close)(content)()


def failure(error: psycopg.Error) -> str:
    """Says in Markdown why something could not be read."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"PostgreSQL has not found it within {TIME_LIMIT // 1000} s, so the search was stopped."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"It cannot be read now: {plain(lines[0])}"


@st.cache_data(ttl=READ_EVERY, max_entries=100, show_spinner=False)
def _read_several(url: str, kind: str, value: str) -> Several | None:
    return drawer_tables.several(url, kind, value)


@st.cache_data(ttl=READ_EVERY, max_entries=100, show_spinner=False)
def _read_one(url: str, number: str) -> One | None:
    return drawer_tables.one(url, number)


def _several(found: Several | None, place: Place, zone: tzinfo) -> None:
    if found is None:
        st.info(f"The table `orders` has no column `{COLUMNS[place.kind]}`, or may not be read.")
        return
    if said := drawer_figures.reach(found.reach):
        st.caption(f":material/manage_search: {said}")
    if not found.rows:
        st.info(f"There is no transaction of this {place.kind} in `orders`." if not said else "Nothing was found.")
        return
    digits = found.rows[0]["last4"] if place.kind == "card" else None
    about = [f"••{plain(digits)}"] if digits else []
    about += [drawer_figures.summary(found, zone)] if found.history else []
    about += [f"segment **{plain(found.segment)}**"] if found.segment else []
    st.markdown(" · ".join(about))
    _alerts(found.alerts, zone, f"this {place.kind}" if found.has_alerts else "")
    if found.history:
        frame, width = drawer_figures.history(found.history, zone)
        st.markdown(f"**Transactions per {width}**")
        form = "%b %d %H:%M" if width == "hour" else "%b %d, %Y"
        spec = drawer_charts.history(width, form, tuple(one for one in STATUSES if (frame["status"] == one).any()))
        plot(frame, spec, key="drawer-history", alt=f"Transactions per {width}")
    if high := drawer_figures.high_scores(found.rows, zone):
        st.markdown("**High scores**", help="Those of the transactions below, each with its reasons.")
        st.markdown(high)
    title = f"Newest {len(found.rows)} transactions" if len(found.rows) > 1 else "Transaction"
    st.markdown(f"**{title}**", help="Tick a row to open the transaction; by keyboard, with Shift and the space bar.")
    _table(found, place)


def _one(found: One | None, zone: tzinfo) -> None:
    if found is None:
        st.info("There is no transaction with this id in `orders`.")
        return
    st.markdown(drawer_figures.headline(found.columns, zone))
    of = {kind: value for kind, column in COLUMNS.items() if (value := found.columns.get(column))}
    with st.container(horizontal=True):
        for kind, value in of.items():
            name = f"••{found.columns['card_last4']}" if kind == "card" and found.columns.get("card_last4") else value
            st.button(plain(name), key=f"of-{kind}", icon=ICON[kind], on_click=show, args=(kind, value), help=kind)
    if said := drawer_figures.segments(found.segments):
        st.markdown(said)
    _alerts(found.alerts, zone, "")
    if found.score is not None:
        st.markdown(drawer_figures.score(found.score))
    if found.labels:
        st.markdown(drawer_figures.labels(found.labels, zone))
    st.dataframe(
        drawer_figures.columns(found.columns),
        hide_index=True,
        height="content",
        key="drawer-row",
        placeholder="NULL",
        alt="The row with every column",
        column_config={
            "column": st.column_config.TextColumn("Column", width=140),
            "value": st.column_config.TextColumn("Value", width=380, help="As PostgreSQL has it. Times are in UTC."),
        },
    )


def _alerts(found: list[Alert], zone: tzinfo, of: str) -> None:
    if not found and of:
        st.caption(f":material/notifications_off: None of the newest alerts is about {of}.")
    for alert in found:
        state = "" if alert.state == "open" else f" · {alert.outcome or alert.state}"
        with st.container(border=True, gap=None, key=f"drawer-alert-{alert.id}"):
            st.page_link(
                alerts.page(),
                label=f"{ICONS[alert.severity]} **{plain(alert.rule)}**{state} · {times(alert, zone)}",
                query_params={"alert": str(alert.id)},
            )
            st.caption(plain(alert.why_text))


def _table(found: Several, place: Place) -> None:
    frame = drawer_figures.listed(found.rows)
    same = {"card": {"card", "last4"}, "merchant": {"merchant"}, "terminal": {"terminal", "merchant"}}[place.kind]
    there = [name for name in frame.columns if name not in same and name not in {"card", "terminal"}]
    first = [name for name in ("time", "amount", "score") if name in there]
    key, ids = f"drawer-rows-{place.kind}-{place.value}", frame["id"].to_list()

    def clicked() -> None:
        for row in st.session_state[key]["selection"]["rows"]:
            show("transaction", ids[row])

    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        key=key,
        placeholder="-",
        alt="The newest transactions",
        column_order=[*first, *(name for name in there if name not in {*first, "id"}), "id"],
        column_config=_columns(),
        on_select=clicked,
        selection_mode="single-row",
    )


def _columns() -> dict[str, Any]:
    make = st.column_config
    return {
        "time": make.DatetimeColumn("Time", width=112, format="MM-DD HH:mm:ss", timezone=str(viewer.zone())),
        "amount": make.NumberColumn("Amount", width=78, format="accounting"),
        "score": make.ProgressColumn("Score", width=80, min_value=0, max_value=1, format="%.3f", color=FRAUD),
        "currency": make.TextColumn("Curr.", width=48),
        "status": make.TextColumn("Status", width=76),
        "response_code": make.TextColumn("Code", width=46),
        "merchant": make.TextColumn("Merchant", width=140),
        "last4": make.TextColumn("Card", width=62),
        "category": make.TextColumn("Category", width=110),
        "entry_mode": make.TextColumn("Entry", width=84),
        "city": make.TextColumn("City", width=100),
        "country": make.TextColumn("Country", width=64),
        "id": make.TextColumn("Transaction", width=290),
    }
