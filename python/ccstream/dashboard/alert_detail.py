"""Draws one alert: why it was opened, what an analyst may do, and the last transactions of its card or merchant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd
import psycopg
import streamlit as st

from ccstream.dashboard import alert_actions, alert_kpi, alert_tables, viewer
from ccstream.dashboard.alert_actions import LENGTHS, ActionError
from ccstream.dashboard.alert_queries import AMONG, LAST
from ccstream.dashboard.alert_tables import OF
from ccstream.dashboard.clock import clock, micros
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.fraud_charts import FRAUD

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, tzinfo

    from ccstream.dashboard.alert_tables import Alert, Last, Rights

ICONS = {
    "critical": ":red[:material/error:]",
    "warning": ":orange[:material/warning:]",
    "info": ":blue[:material/info:]",
}
LINK = re.compile(r"https?://[^\s<>\"]+")
"""A runbook that is shown as a link. Any other is shown as text, because it could be a program."""
READ_EVERY = 10
"""The interval, in seconds, at which the last transactions of a card or merchant are read."""


@st.cache_data(ttl=READ_EVERY, max_entries=100, show_spinner=False)
def _last(url: str, column: str, value: str) -> Last:
    return alert_tables.last(url, column, value)


@st.cache_data(ttl=READ_EVERY, max_entries=100, show_spinner=False)
def _places(url: str, transaction: str | None, by: tuple[str, ...], key: str | None) -> dict[str, str]:
    return alert_tables.places(url, transaction, by, key)


def moment(at: datetime, zone: tzinfo) -> str:
    """Formats a time of the tables in the viewer's time zone."""
    return clock(micros(at), zone)


def times(alert: Alert, zone: tzinfo) -> str:
    """Says how often a rule has fired, and since when."""
    since = f"since {moment(alert.opened_at, zone)}"
    return f"once, {since}" if alert.count == 1 else f"{alert.count:,} times {since}"


def attempt(done: str, action: Callable[..., None], *arguments: object) -> None:
    """Does an action of an analyst, and notes for the page what became of it.

    Args:
        done: what to say after success.
        action: the action.
        arguments: its arguments.
    """
    try:
        action(*arguments)
    except ActionError as error:
        said = (False, str(error))
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        said = (False, f"Nothing was written: {lines[0]}")
    else:
        said = (True, done)
    st.session_state["alert_said"] = said


def draw(url: str, alert: Alert, rights: Rights, zone: tzinfo) -> None:
    """Draws an alert.

    Args:
        url: the URL of the database.
        alert: the alert.
        rights: whether the page may write.
        zone: the viewer's time zone.
    """
    with st.container(border=True, gap="small"):
        _facts(alert, zone)
        if said := st.session_state.get("alert_said"):
            (st.success if said[0] else st.error)(plain(said[1]))
        if not rights.may_write:
            st.caption(f":material/lock: {_why_not(rights)}")
        _decide(url, alert, disabled=not rights.may_write)
        _silence(url, alert, disabled=not rights.may_write)
    alert_kpi.draw(url, alert, zone)
    # An anomaly of all transactions, or of a network, is about too many of them.
    if alert.place or not alert.is_anomaly:
        with st.container(border=True):
            _transactions(url, alert)


def _facts(alert: Alert, zone: tzinfo) -> None:
    key = "" if alert.key is None else f" · {plain(alert.key)}"
    st.markdown(f"##### {plain(alert.rule)}{key}")
    parts = [f"{ICONS[alert.severity]} {alert.severity}", alert.state]
    parts += [alert.outcome] if alert.outcome else []
    parts += ["silenced"] if alert.silenced else []
    ended = alert.closed_at or (alert.last_at if alert.count > 1 else None)
    until = f", {'closed' if alert.closed_at else 'last'} at {moment(ended, zone)}" if ended else ""
    st.markdown(" · ".join(parts))
    st.markdown(plain(alert.why_text))
    where = [f"alert {alert.id}", f"version {alert.version} of the rule"]
    where += [f"transaction {plain(alert.transaction)}"] if alert.transaction else []
    st.caption(f"{times(alert, zone)}{until} · {' · '.join(where)}")
    if alert.runbook and LINK.fullmatch(alert.runbook):
        st.link_button("What to do", alert.runbook, icon=":material/menu_book:", type="tertiary")
    elif alert.runbook:
        st.markdown(f":material/menu_book: What to do: {plain(alert.runbook)}")


def _why_not(rights: Rights) -> str:
    """Says what an administrator runs so that the page may write."""
    grant = f"GRANT ccstream_analyst TO {rights.user};"
    if not rights.exists:
        return (
            f"To decide here, an administrator runs `CREATE ROLE ccstream_analyst NOLOGIN; {grant}` and starts "
            "`ccstream analyze` again, which gives the role its privileges."
        )
    if not rights.is_granted:
        return f"To decide here, an administrator runs `{grant}`"
    return "To decide here, start `ccstream analyze` again, which gives the role `ccstream_analyst` its privileges."


def _decide(url: str, alert: Alert, *, disabled: bool) -> None:
    """Draws the note with the buttons that write it. Until one is pressed, what was typed stays in the browser."""
    key = f"note-{alert.id}"
    st.session_state.setdefault(key, alert.note or "")
    with st.form(f"decide-{alert.id}", enter_to_submit=False, border=False):
        st.text_area("Note", key=key, height=80, max_chars=2_000, disabled=disabled, persist_state="page")
        with st.container(horizontal=True):
            if alert.state == "open":
                st.form_submit_button(
                    "Acknowledge",
                    key=f"acknowledge-{alert.id}",
                    icon=":material/visibility:",
                    disabled=disabled,
                    on_click=_acknowledge,
                    args=(url, alert),
                )
            names = {"fraud": "Fraud", "not fraud": "Not fraud"} if alert.transaction else {}
            for outcome, name in {**names, "noise": "Noise", "": "Close"}.items():
                if outcome or not names:
                    st.form_submit_button(
                        name,
                        key=f"close-{outcome or 'unknown'}-{alert.id}".replace(" ", "-"),
                        disabled=disabled,
                        on_click=_close,
                        args=(url, alert, outcome or None),
                    )


def _acknowledge(url: str, alert: Alert) -> None:
    note = st.session_state[f"note-{alert.id}"].strip()
    attempt("The alert is acknowledged.", alert_actions.acknowledge, url, alert, note)


def _close(url: str, alert: Alert, outcome: str | None) -> None:
    note = st.session_state[f"note-{alert.id}"].strip()
    labelled = " Its transaction has the label." if outcome in alert_actions.FRAUD else ""
    done = f"The alert is closed{f' as {outcome}' if outcome else ''}.{labelled}"
    attempt(done, alert_actions.close, url, alert, outcome, note)


def _silence(url: str, alert: Alert, *, disabled: bool) -> None:
    with st.expander("Silence", icon=":material/notifications_paused:", key=f"silence-of-{alert.id}"):
        whole = f"the rule {plain(alert.rule)}, every key"
        keys = {True: whole} if alert.key is None else {False: f"only {plain(alert.key)}", True: whole}
        with st.form(f"silence-form-{alert.id}", enter_to_submit=False, border=False):
            st.radio("What", list(keys), format_func=keys.__getitem__, key=f"silence-all-{alert.id}", disabled=disabled)
            st.pills(
                "How long",
                list(LENGTHS),
                default=next(iter(LENGTHS)),
                required=True,
                key=f"silence-length-{alert.id}",
                disabled=disabled,
                help="By the time of the stream.",
            )
            st.text_input("Why", key=f"silence-note-{alert.id}", max_chars=500, disabled=disabled)
            st.form_submit_button(
                "Silence",
                key=f"silence-now-{alert.id}",
                disabled=disabled,
                on_click=_silence_now,
                args=(url, alert),
            )


def _silence_now(url: str, alert: Alert) -> None:
    state = st.session_state
    length = state[f"silence-length-{alert.id}"]
    key = None if state[f"silence-all-{alert.id}"] else alert.key
    note = state[f"silence-note-{alert.id}"].strip()
    attempt("It is silent from now on.", alert_actions.silence, url, alert.rule, key, LENGTHS[length], note)


def _transactions(url: str, alert: Alert) -> None:
    st.markdown("**Last transactions**", help="● marks the transaction on which the rule fired.")
    try:
        places = alert.place or _places(url, alert.transaction, alert.by, alert.key)
        if not places:
            st.caption("This alert is about no single card or merchant.")
            return
        names = {name: f"{OF[name].capitalize()} {plain(value)}" for name, value in places.items()}
        chosen = next(iter(names))
        if len(names) > 1:
            chosen = st.pills(
                "Of",
                list(names),
                default=chosen,
                required=True,
                format_func=names.__getitem__,
                key=f"of-{alert.id}",
                label_visibility="collapsed",
            )
        else:
            st.markdown(names[chosen])
        found = _last(url, chosen, places[chosen])
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        st.caption(f":material/error: They cannot be read now: {plain(lines[0])}")
        return
    if found.rows:
        _table(found, alert, chosen)
    if not found.has_index:
        only = "" if len(found.rows) == LAST else f" Only the newest {AMONG:,} scored transactions were searched."
        st.caption(
            f"`orders` has no index by which a {OF[chosen]} is found.{only} "
            f"`CREATE INDEX CONCURRENTLY ON orders ({chosen}, timestamp);` makes it find all."
        )
    elif not found.rows:
        st.caption("There are none in `orders`.")


def _table(found: Last, alert: Alert, column: str) -> None:
    frame = pd.DataFrame(found.rows)
    frame.insert(0, "fired", ["●" if one.id == alert.transaction else "" for one in found.rows])
    frame["amount"] = frame["amount"].astype(float)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        key=f"last-{alert.id}",
        placeholder="-",
        alt="The last transactions",
        # All rows have the same card, or the same merchant.
        column_order=[
            *("fired", "time", "amount", "score", "currency", "status", "response_code"),
            *(name for name in ("merchant", "card") if name != {"card_token": "card"}.get(column, column)),
            *("entry_mode", "country"),
        ],
        column_config={
            "fired": st.column_config.TextColumn("●", width=24),
            "time": st.column_config.DatetimeColumn(
                "Time", width=108, format="MM-DD HH:mm:ss", timezone=str(viewer.zone())
            ),
            "amount": st.column_config.NumberColumn("Amount", width=74, format="accounting"),
            "currency": st.column_config.TextColumn("Curr.", width=46),
            "status": st.column_config.TextColumn("Status", width=72),
            "score": st.column_config.ProgressColumn(
                "Score", width=80, min_value=0, max_value=1, format="%.3f", color=FRAUD
            ),
            "merchant": st.column_config.TextColumn("Merchant", width=136),
            "card": st.column_config.TextColumn("Card", width=60),
            "response_code": st.column_config.TextColumn("Code", width=44),
            "entry_mode": st.column_config.TextColumn("Entry", width=82),
            "country": st.column_config.TextColumn("Country", width=60),
        },
    )
