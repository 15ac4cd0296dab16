"""Draws the side bar, whose widgets are the settings of a page. The page's address sets their first values."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import viewer
from ccstream.dashboard.custom import DIVISIBLE, MAX_AMOUNT, MEASURES, Custom, CustomError
from ccstream.dashboard.dimensions import named, plain, shown
from ccstream.dashboard.view import EVERY, FROM_TO, LATEST, LOCAL, MOST_KPIS, SPANS, UTC, View
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

FIRST = ("category", "city", "merchant", "status")
"""The dimensions whose filters are above all others."""
MOST_CHOICES = 1000
"""The number of values that a filter offers. Any other value can be typed."""
IN_PANELS = ("metric", "stack", "compare", "threshold")
"""The settings that are chosen in panels."""
BETTER = {"as the measure says": None, "more": 1, "less": -1, "neither": 0}
"""What a viewer can choose as the better direction of a KPI."""
LOOK_EVERY = 10.0
"""The interval between two checks for new values, in seconds."""


def fill(view: View, zone: tzinfo) -> None:
    """Sets the widgets to a view."""
    state = st.session_state
    state["range"] = view.span
    for name in DIMENSIONS:
        state[f"only_{name}"] = list(view.filters.get(name, ()))
    state["min"] = None if view.min_amount is None else float(view.min_amount)
    state["max"] = None if view.max_amount is None else float(view.max_amount)
    state["money"] = view.money or ""
    state["latest"], state["every"], state["zone"] = view.latest, view.every, view.zone
    for name in IN_PANELS:
        state[name] = getattr(view, name)
    state["customs"] = list(view.customs)
    if view.start and view.end:
        _set_times(view.start, view.end, zone)


def _set_times(start: datetime, end: datetime, zone: tzinfo) -> None:
    """Sets the widgets of a range from a time to another."""
    state = st.session_state
    state["from"], state["to"] = (_local(moment, zone) for moment in (start, end))
    # The widgets have whole minutes. The exact range applies until other times are chosen.
    state["exact"] = ((state["from"], state["to"]), start, end)


def _convert_times() -> None:
    """Makes the widgets of a range show the same moments in the time zone that was just chosen."""
    view: View = st.session_state["view"]
    if view.start and view.end:
        _set_times(view.start, view.end, viewer.zone())


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)


def zoom(start: datetime, end: datetime, zone: tzinfo) -> None:
    """Sets the time range to a part of it, and keeps the range of before for :func:`back`."""
    state = st.session_state
    before: View = state["view"]
    state.setdefault("zooms", []).append((before.span, before.start, before.end))
    state["range"] = FROM_TO
    _set_times(start, end, zone)


def back() -> None:
    """Returns to the time range before the last zoom, if there was one."""
    if not is_zoomed():
        return
    state = st.session_state
    state["range"], start, end = state["zooms"].pop()
    state["from"] = state["to"] = state["exact"] = None
    if start and end:
        _set_times(start, end, viewer.zone())


def is_zoomed() -> bool:
    """Returns whether the time range is that of a zoom. Another choice of a range ends all zooms."""
    state = st.session_state
    if state["range"] != FROM_TO or (state.get("from"), state.get("to")) != (state.get("exact") or [None])[0]:
        state["zooms"] = []
    return bool(state.get("zooms"))


def clear() -> None:
    """Removes all filters but the time range."""
    for name in DIMENSIONS:
        st.session_state[f"only_{name}"] = []
    st.session_state["min"] = st.session_state["max"] = None


def offer(values: Mapping[str, list[str | None]]) -> None:
    """Keeps how many values each dimension has, for :func:`is_outdated`."""
    st.session_state["offered"] = {name: len(some) for name, some in values.items()}


def is_outdated(choices: Callable[[str], list[str | None]]) -> bool:
    """Returns whether a dimension has other values than the page offers. It checks every :data:`LOOK_EVERY` seconds.

    Args:
        choices: a function that returns all values of a dimension.
    """
    state = st.session_state
    offered: dict[str, int] = state.get("offered", {})
    waits = any(offered.values()) and monotonic() - state.get("looked", 0.0) < LOOK_EVERY
    if waits:
        return False
    state["looked"] = monotonic()
    # A filter that offers its maximum would not offer another value.
    return any(count <= MOST_CHOICES and len(choices(name)) != count for name, count in offered.items())


def draw(
    values: Mapping[str, list[str | None]], known: Collection[str], zone: tzinfo, draw_end: Callable[[], None]
) -> tuple[View, bool]:
    """Draws the side bar. A filter without values is left out.

    Args:
        values: all values of each dimension; None stands for an absent one.
        known: the dimensions that have a value.
        zone: the viewer's time zone.
        draw_end: a function that draws what is at the end of the side bar.

    Returns:
        The view that the widgets are set to, and whether refreshing is paused.
    """
    there = {name for name, some in values.items() if {*some} - {None}}
    with st.sidebar:
        names = {key: label for key, (label, _) in SPANS.items()} | {FROM_TO: "From-to"}
        span = st.pills(
            "Time range",
            list(names),
            key="range",
            required=True,
            format_func=names.__getitem__,
            help="By the transactions' own timestamps.",
        )
        start, end = _times(zone) if span == FROM_TO else (None, None)
        _zones()
        filters = {name: _pick(name, values[name]) for name in FIRST if _is_shown(name, known)}
        with st.expander("More filters"):
            # Unlike the first filters, these have no places to keep while no row was read.
            more = [name for name in DIMENSIONS if name not in FIRST and _is_shown(name, there)]
            filters |= {name: _pick(name, values[name]) for name in more}
            left, right = st.columns(2)
            most = float(MAX_AMOUNT)
            low, high = (
                column.number_input(
                    label, key=key, value=None, min_value=-most, max_value=most, step=10.0, format="%.2f"
                )
                for column, label, key in ((left, "Amount from", "min"), (right, "Amount to", "max"))
            )
        money = _money(values["currency"])
        customs = _customs()
        left, right = st.columns(2)
        every = left.selectbox("Refresh, s", EVERY, key="every")
        latest = right.selectbox("Latest rows", LATEST, key="latest")
        paused = st.toggle("Pause", key="paused")
        draw_end()
    view = View(
        span=span or View.span,
        start=start,
        end=end,
        filters={name: values for name, values in filters.items() if values},
        min_amount=None if low is None else Decimal(f"{low:.2f}"),
        max_amount=None if high is None else Decimal(f"{high:.2f}"),
        money=money or None,
        latest=latest,
        every=every,
        zone=st.session_state["zone"],
        turn=st.session_state["view"].turn,
        **{name: st.session_state[name] for name in IN_PANELS},
        customs=tuple(customs),
    )
    return view, paused


def _money(currencies: list[str | None]) -> str:
    """Draws the choice of a currency, unless there is no choice. Returns an empty text for the most frequent one."""
    chosen: str = st.session_state.setdefault("money", "")
    if sum(one is not None for one in currencies) < 2 and not chosen:  # noqa: PLR2004
        return chosen
    return st.selectbox(
        "Currency of amounts",
        list(dict.fromkeys(["", *map(shown, currencies), chosen])),
        key="money",
        format_func=lambda name: name or "Automatic: the most frequent",
        help="Amounts of different currencies are never added up.",
    )


def _is_shown(name: str, known: Collection[str]) -> bool:
    """Returns whether a filter is shown. One that the address has set is shown even if no transaction has a value."""
    return name in known or bool(st.session_state.get(f"only_{name}"))


def _pick(name: str, values: list[str | None]) -> tuple[str, ...]:
    key = f"only_{name}"
    chosen = st.session_state.get(key, [])
    there = [shown(value) for value in values[:MOST_CHOICES]]
    # A value that the address or a click has chosen stays among the options, even if no row has it (yet).
    options = list(dict.fromkeys([*there, *chosen]))
    return tuple(
        st.multiselect(
            DIMENSIONS[name], options, key=key, placeholder="All", accept_new_options=True, format_func=named
        )
    )


def _zones() -> None:
    """Draws the switch between the viewer's time zone and UTC, unless both are the same."""
    own = str(viewer.own_zone())
    if own == "UTC":
        return
    st.segmented_control(
        "Times in",
        [LOCAL, UTC],
        key="zone",
        format_func={LOCAL: own, UTC: "UTC"}.__getitem__,
        required=True,
        on_change=_convert_times,
    )


def _times(zone: tzinfo) -> tuple[datetime, datetime]:
    """Draws the widgets of a range from a time to another, and returns the range."""
    state = st.session_state
    now = datetime.now(zone).replace(tzinfo=None, second=0, microsecond=0)
    for name, usual in (("from", now - timedelta(days=1)), ("to", now)):
        if state.get(name) is None:
            state[name] = usual
    start, end = (
        st.datetime_input(
            label,
            key=name,
            min_value=datetime(1970, 1, 1),  # noqa: DTZ001
            max_value=datetime(2099, 12, 30),  # noqa: DTZ001
            format="YYYY-MM-DD",
            step=60,
        )
        for label, name in (("From", "from"), ("To, not included", "to"))
    )
    # A cleared widget has no time.
    start, end = start or now - timedelta(days=1), end or now
    exact = state.get("exact")
    if exact and (start, end) == exact[0]:
        return exact[1], exact[2]
    if end <= start:
        st.caption(":material/error: The end is not after the start; one minute is shown.")
        end = start + timedelta(minutes=1)
    return start.replace(tzinfo=zone).astimezone(timezone.utc), end.replace(tzinfo=zone).astimezone(timezone.utc)


def _divisor(text: str) -> str | None:
    """Returns the condition of a divisor; None if nothing was typed."""
    typed = text.strip()
    return ("" if typed == "all" else typed) if typed else None


def _customs() -> list[Custom]:
    customs: list[Custom] = st.session_state["customs"]
    with st.expander("Your own KPIs"):
        with st.form("custom", clear_on_submit=False, border=False):
            name = st.text_input("Name", placeholder="Declined over 500 abroad")
            measure = st.selectbox("Measure", list(MEASURES), format_func=MEASURES.__getitem__)
            where = st.text_input("Condition", placeholder="status = declined and amount > 500 and country != US")
            of = st.text_input(
                "Divided by the same where",
                placeholder="status = declined",
                help="Makes the KPI a rate, for example of one response code among declines. `all` stands for all "
                f"transactions. Possible for: {', '.join(MEASURES[name] for name in DIVISIBLE)}.",
            )
            good = BETTER[st.selectbox("Better", list(BETTER))]
            added = st.form_submit_button("Add to the header", help=f"At most {MOST_KPIS}.")
            if added and len(customs) < MOST_KPIS:
                try:
                    customs.append(Custom(name, measure, where, _divisor(of), good))
                except CustomError as error:
                    st.error(plain(str(error)))
        for at, custom in enumerate(list(customs)):
            if st.button(f"Remove “{plain(custom.name)}”", key=f"remove-{at}"):
                customs.remove(custom)
                st.rerun()
    return customs
