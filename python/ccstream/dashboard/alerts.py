"""Draws the page "Alerts": a list of alerts with filters, beside it the one that is selected, and the silences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import streamlit as st

from ccstream import settings
from ccstream.dashboard import alert_detail, alert_tables, hidden, viewer
from ccstream.dashboard.alert_actions import end_silence
from ccstream.dashboard.alert_detail import ICONS, attempt, moment, times
from ccstream.dashboard.alert_tables import SEVERITIES, STATES, Filters
from ccstream.dashboard.dimensions import plain

if TYPE_CHECKING:
    from datetime import tzinfo

    from streamlit.navigation.page import Page

    from ccstream.dashboard.alert_tables import Alert, Reading, Silence

EVERY = timedelta(seconds=5)
"""The interval between two refreshes."""
MORE = 25
"""The number of alerts that are listed, and by which the list grows."""
STYLE = """<style>
[class*="st-key-alert-row-"] { gap: 0; border-left-width: 5px; padding: .6rem .9rem }
[class*="st-key-alert-row-"] { position: relative; isolation: isolate }
[class*="st-key-alert-row-critical"] { border-left-color: #D55E00 }
[class*="st-key-alert-row-warning"] { border-left-color: #E69F00 }
[class*="st-key-alert-row-info"] { border-left-color: #56B4E9 }
[class*="st-key-alert-row-"] :is([data-testid="stElementContainer"], .stButton, button) { position: static }
[class*="st-key-alert-row-"] button { min-height: 0; padding: 0; text-align: left; justify-content: flex-start }
[class*="st-key-alert-row-"] button::after { content: ""; position: absolute; inset: 0; z-index: 1 }
[class*="st-key-alert-row-"]:hover { background: #8881 }
[class*="st-key-alert-row-"] [data-testid="stMarkdown"] p { font-size: .875rem }
[class*="st-key-alert-row-"] button p { font-size: 1rem }
.st-key-alert-list { gap: .6rem }
.st-key-alert-detail [data-testid="stCaptionContainer"] code { color: inherit }
.st-key-alert-detail [data-testid="stLinkButton"] a { min-height: 0; padding: 0 }
[class*="st-key-alert-row-"] p, .st-key-alert-detail p, .st-key-silences p { overflow-wrap: anywhere }
@media (min-width: 641px) {
    .st-key-alert-back { display: none }
    .st-key-alert-list { position: sticky; top: 3.5rem; max-height: calc(100vh - 4.5rem); overflow-y: auto }
    .st-key-alert-silenced { align-self: flex-end; padding-bottom: .4rem }
}
@media (max-width: 640px) {
    [data-testid="stMain"]:has(.st-key-alert-back) :is(
        [data-testid="stColumn"]:has(.st-key-alert-list), .st-key-alert-filters, .st-key-silences) { display: none }
    .st-key-alert-hint { display: none }
    .st-key-alert-filters > :is(.st-key-alert-rule, .st-key-alert-key) { flex: 1 1 40%; min-width: 0 }
    .st-key-alert-filters > :is(.st-key-alert-severities, .st-key-alert-silenced) { flex: 1 1 100% }
}
</style>"""
"""The page's style. A row of the list is a button as a whole. On a phone, the selected alert replaces the list."""
CHOSEN = """<style>
[class*="st-key-alert-row-"][class*="-{id}-"] {{
    background: #0072B222; border-top-color: #0072B2; border-right-color: #0072B2; border-bottom-color: #0072B2 }}
</style>"""


@st.cache_data(ttl=30, max_entries=5, show_spinner=False)
def _rules(url: str) -> list[str] | None:
    return alert_tables.rules(url)


def page() -> Page:
    """Returns this page, to which others link."""
    return st.Page(draw, title="Alerts", icon=":material/notifications:", url_path="alerts")


def draw() -> None:
    """Draws the page. Streamlit calls this when the page is opened; what is in it refreshes by itself."""
    st.html(STYLE)
    st.markdown("#### ccstream · alerts")
    state = st.session_state
    asked = st.query_params.get("alert", "")
    # A link within the page opens another address in a session that may have a selection.
    if asked.isdecimal() and len(asked) < len(str(2**63)):
        state["alert"] = int(asked)
    state.setdefault("alert", None)
    _in_address()
    every = None if hidden.is_hidden() else EVERY
    st.fragment(run_every=every)(_live)(settings.database_url())


def select(number: int | None) -> None:
    """Selects an alert, or none, and shows it in the page's address."""
    st.session_state["alert"] = number
    st.session_state.pop("alert_said", None)
    _in_address()


def _in_address() -> None:
    number = st.session_state["alert"]
    wanted = viewer.in_address() | ({} if number is None else {"alert": str(number)})
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def _live(url: str) -> None:
    state, zone = st.session_state, viewer.zone()
    limit = state.setdefault("alert_limit", MORE)
    try:
        names = _rules(url)
        found = None if names is None else alert_tables.read(url, _filters(names), state["alert"], limit)
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        st.warning(f"Alerts cannot be read now: {plain(lines[0])}", icon=":material/power_off:")
        found = state.get("alert_reading")
        if found is None:
            return
    if found is None:
        st.info(
            "There are no alerts. `ccstream analyze` opens them by the rules of `alerts.toml`, and creates their "
            "tables when it starts.",
            icon=":material/notifications_off:",
        )
        return
    state["alert_reading"] = found
    left, right = st.columns([3, 5], gap="medium")
    with left, st.container(key="alert-list"):
        _list(found, zone)
    with right:
        if found.selected is None:
            with st.container(key="alert-hint"):
                st.info("Select an alert to see why it was opened, and to decide.", icon=":material/arrow_back:")
        else:
            with st.container(key="alert-detail"):
                st.button(
                    "Back to the list",
                    key="alert-back",
                    icon=":material/arrow_back:",
                    type="tertiary",
                    on_click=select,
                    args=(None,),
                )
                alert_detail.draw(url, found.selected, found.rights, zone)
        if found.silences:
            with st.container(border=True, key="silences"):
                _silences(url, found, zone)


def _filters(rules: list[str]) -> Filters:
    """Draws the filters. They remain as they are while the viewer is on another page."""
    with st.container(horizontal=True, key="alert-filters"):
        states = st.pills(
            "State",
            STATES,
            selection_mode="multi",
            default=Filters.states,
            format_func=str.capitalize,
            key="alert-states",
            persist_state="session",
        )
        severities = st.pills(
            "Severity",
            SEVERITIES,
            selection_mode="multi",
            format_func=str.capitalize,
            key="alert-severities",
            persist_state="session",
        )
        chosen = st.session_state.get("alert-rule")
        options = list(dict.fromkeys([*rules, *([chosen] if chosen else [])]))
        rule = st.selectbox(
            "Rule", options, index=None, placeholder="All", key="alert-rule", persist_state="session", width=220
        )
        key = st.text_input("Key", placeholder="A part of it", key="alert-key", persist_state="session", width=180)
        silenced = st.toggle(
            "Silenced, too",
            key="alert-silenced",
            persist_state="session",
            help="Whether alerts that were opened during a silence are listed.",
        )
    return Filters(tuple(states) or STATES, tuple(severities), rule, key.strip(), silenced)


def _list(found: Reading, zone: tzinfo) -> None:
    counts = ", ".join(f"**{count:,}** {severity}" for severity, count in found.open.items())
    st.markdown(f"Open: {counts}" if counts else ":green[**✓** No alert is open]")
    if not found.alerts:
        st.caption("No alert matches these filters.")
    if found.selected is not None:
        st.html(CHOSEN.format(id=found.selected.id))
    for alert in found.alerts:
        with st.container(border=True, key=f"alert-row-{alert.severity}-{alert.id}-"):
            key = "" if alert.key is None else f" · {plain(alert.key)}"
            st.button(
                f"**{plain(alert.rule)}**{key}",
                key=f"alert-{alert.id}",
                type="tertiary",
                on_click=select,
                args=(alert.id,),
                wrap=True,
            )
            st.markdown(f"{_about(alert)} · {times(alert, zone)}")
            st.caption(plain(alert.why_text))
    if found.total > len(found.alerts):
        st.button(f"Show {MORE} more of {found.total:,}", key="alert-more", on_click=_more)


def _about(alert: Alert) -> str:
    parts = [f"{ICONS[alert.severity]} {alert.severity}"]
    parts += [] if alert.state == "open" else [alert.outcome or alert.state]
    parts += ["silenced"] if alert.silenced else []
    return " · ".join(parts)


def _more() -> None:
    st.session_state["alert_limit"] += MORE


def _silences(url: str, found: Reading, zone: tzinfo) -> None:
    st.markdown("##### Silences", help="They end by the time of the stream.")
    for one in found.silences:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(_words(one, zone), width="stretch")
            st.button(
                "End",
                key=f"silence-{one.id}",
                help=f"End silence {one.id}",
                disabled=not found.rights.may_write,
                on_click=attempt,
                args=("The silence has ended.", end_silence, url, one.id),
            )


def _words(one: Silence, zone: tzinfo) -> str:
    rule = "every rule" if one.rule is None else f"**{plain(one.rule)}**"
    key = "every key" if one.key is None else plain(one.key)
    note = f" · {plain(one.note)}" if one.note else ""
    return f"{rule} for {key} until {moment(one.ends_at, zone)}{note}"
