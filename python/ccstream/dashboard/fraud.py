"""Draws the panel "Fraud": how many transactions scored high, which and why, and how good and stable the scores are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import charts, fraud_charts, fraud_figures
from ccstream.dashboard.clock import clock, micros, span
from ccstream.dashboard.component import plot
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.fraud_charts import BY_TRUTH, IN_SHADOW, LABELS
from ccstream.dashboard.fraud_queries import MOST_HIGH
from ccstream.dashboard.quality import LARGE, LEAST_ROWS, MODERATE
from ccstream.dashboard.view import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    import pandas as pd
    from streamlit.elements.lib.column_types import ColumnConfig

    from ccstream import KpiStatus
    from ccstream.dashboard.fraud_figures import Drift
    from ccstream.dashboard.fraud_tables import Days, Now
    from ccstream.dashboard.fraud_watch import FraudState, Newest
    from ccstream.dashboard.view import View

ROW = 35
"""The height of a table's row, in pixels."""
TALL = 9 * ROW + 2
"""The greatest height of a table by day, whose other rows scroll into view."""


def panel(
    state: FraudState,
    status: KpiStatus,
    view: View,
    zone: tzinfo,
    *,
    currency: str | None,
    changed: Callable[[], None],
    riskiest: int | None = None,
) -> None:
    """Draws the panel, or nothing if there are no scores.

    Args:
        state: the most recent readings.
        status: the state of the page's engine.
        view: the settings of the page.
        zone: the viewer's time zone.
        currency: the currency whose amounts are added up.
        changed: a function that is called after the threshold was changed.
        riskiest: the number of high scores to show, without tables and charts by day. Default: the whole panel.
    """
    if state.now is None:
        if state.why and not status.trouble:
            st.caption(f":material/error: Scores cannot be read now: {plain(state.why)}")
        return
    with st.container(border=True, key="fraud"):
        st.markdown("##### Fraud", help=_help(view))
        if state.why and not status.trouble:
            moment = clock(int(state.read_at * 1e6), zone)
            st.warning(
                f"The scores cannot be read: {plain(state.why)} This panel has the figures of {moment}.",
                icon=":material/power_off:",
            )
        st.markdown(fraud_figures.headline(state.now, currency))
        st.markdown(_reached(state.now, state.newest))
        _over_time(state.now, state.days)
        if riskiest is not None:
            _riskiest(replace(state.now, riskiest=state.now.riskiest[:riskiest]), zone)
            return
        left, right = st.columns([1, 1])
        with left:
            _riskiest(state.now, zone)
        if state.days is not None and state.drift is not None:
            with right if state.now.riskiest else left:
                _cards(state.days)
            with right:
                _merchants(state.days)
            left, right = st.columns([1, 1])
            with left:
                _quality(state.days, state.now, view, changed)
            with right:
                _drift(state.drift, state.now)


def _help(view: View) -> str:
    filters = " The filters of the side bar do not apply to this panel." if view.narrows else ""
    return (
        "A score is the probability that a transaction is a fraud. It is high from `ccstream analyze --explain` on, "
        f"0.5 by default. The amount at stake is the sum of absolute amounts, declined ones included.{filters}"
    )


def _reached(now: Now, newest: Newest) -> str:
    """Says whether a run is analyzing, and how far it has come."""
    stopped = ":orange[**!** no analyzer is running], start one with ccstream analyze"
    running = ":green[**✓** an analyzer is running]" if now.is_held else stopped
    unread = sum(max(0, end - now.next_offsets.get(partition, 0)) for partition, end in newest.ends.items())
    parts = [running, f"lag of the analysis {unread:,}" if newest.ends else "lag of the analysis unknown"]
    if newest.time is not None:
        behind = newest.time - micros(now.event_time)
        what = f"{span(behind)} behind" if behind >= 10**6 else "up to"
        parts.append(f"scored {what} the newest transaction")
    if now.late:
        parts.append(f"{now.late:,} scored late")
    return " · ".join(parts)


def _over_time(now: Now, days: Days | None) -> None:
    left, right = st.columns([1, 1])
    with left:
        st.markdown(f"**Share of high scores per {charts.describe(now.width)}**", help="A pale bar is not over yet.")
        form = charts.time_form(now.width, len(now.series))
        spec = fraud_charts.share_over_time(form)
        if now.high:
            frame = fraud_figures.over_time(now)
            plot(frame, spec, key="fraud-share", alt="Share of high scores over time")
        else:
            st.caption("No transaction of this time range scored high.")
    if days is None:
        return
    with right:
        shown = len(days.main)
        st.markdown(
            f"**Scores of {f'the newest {shown} days' if shown > 1 else 'one day'}**",
            help="A bar begins at the score below it. Numbers are on a logarithmic scale. A fraud is known once "
            "its label has come.",
        )
        frame = fraud_figures.distribution(days)
        plot(frame, fraud_charts.distribution(), key="fraud-scores", alt="Transactions by score")


def _riskiest(now: Now, zone: tzinfo) -> None:
    where = "" if now.is_in_range else ", newest 24 hours"
    st.markdown(
        f"**Who and why{where}**",
        help="The highest scores of the time range, or of the newest 24 hours if it has none, each with its reasons.",
    )
    if not now.riskiest:
        st.caption(f"None of the newest {MOST_HIGH:,} high scores is in this time range, or in the newest 24 hours.")
        return
    # A table would cut off the reasons, or not fit a phone.
    with st.container(key="fraud-riskiest"):
        st.markdown(fraud_figures.riskiest(now, zone))


def _cards(days: Days) -> None:
    newest = max(days.main, default=None)
    day = fraud_figures.short(newest) if newest else "the day"
    st.markdown(f"**Riskiest cards of {day}**", help="By the highest score of the day, in UTC.")
    _table(
        fraud_figures.cards(days),
        "fraud-cards",
        "The riskiest cards",
        {
            "card": st.column_config.TextColumn("Card", width=56),
            "score": st.column_config.ProgressColumn(
                "Score", width=76, min_value=0, max_value=1, format="%.3f", color=fraud_charts.FRAUD
            ),
            "known": st.column_config.TextColumn(
                "Fraud", width=46, help="Whether a label says that the card had a fraud on this day."
            ),
            "merchant": st.column_config.TextColumn("Merchant", width=166),
            "amount": _number("Amount", 74, "accounting"),
            "currency": st.column_config.TextColumn("Curr.", width=44),
        },
    )


def _merchants(days: Days) -> None:
    st.markdown(
        "**Riskiest merchants of 24 hours**",
        help="By the sum of their high scores, which is the number of frauds to expect among them.",
    )
    _table(
        fraud_figures.merchants(days),
        "fraud-merchants",
        "The riskiest merchants",
        {
            "merchant": st.column_config.TextColumn("Merchant", width=190),
            "high": _number("High scores", 84, "localized"),
            "sum": _number("Their sum", 80, "%.1f"),
            "cards": _number("Cards", 70, "localized"),
        },
    )


def _quality(days: Days, now: Now, view: View, changed: Callable[[], None]) -> None:
    found = fraud_figures.qualities(days, now.event_time, view.threshold, now.shadow)
    st.markdown(
        "**How good: average precision by day**",
        help="The precision, averaged over the frauds. A hollow point, or a star in the table, marks a day whose "
        f"labels are still coming: nine of ten came within {days.maturity.total_seconds() / 86_400:.1f} days.",
    )
    lines = fraud_figures.quality_lines(found)
    plot(lines, fraud_charts.quality(), key="fraud-quality", alt="Average precision by day")
    points = [name for name in (LABELS, BY_TRUTH, IN_SHADOW) if any(one.who == name for one in found)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        who = st.selectbox("Figures", points, key="fraud-who") if len(points) > 1 else LABELS
        st.selectbox(
            "Threshold",
            THRESHOLDS,
            key="threshold",
            on_change=changed,
            help="The score from which a transaction counts as found, for precision and recall.",
        )
    _table(
        fraud_figures.quality_table(found, who or LABELS),
        "fraud-qualities",
        "Quality by day",
        {
            "day": st.column_config.TextColumn("Day", width=64, help="In UTC. With a star: labels are still coming."),
            "frauds": _number("Frauds", 58, "localized"),
            "precision": _number("Precision", 70, "%.2f"),
            "recall": _number("Recall", 56, "%.2f"),
            "ap": _number("AP", 48, "%.2f", help="Average precision."),
            "cards": _number(
                "CP@100",
                66,
                "%.2f",
                help="Of the 100 cards with the day's highest scores, the share with a fraud.",
            ),
            "ceiling": _number("Ceiling", 60, "%.2f", help="The greatest CP@100 that is possible on the day."),
            "lift": _number("Lift", 44, "%.0f", help="The share of frauds in the top 1 %, divided by that among all."),
        },
        height=TALL,
    )


def _drift(found: Drift, now: Now) -> None:
    st.markdown(
        "**How stable: drift by day**",
        help="The population stability index of a day against the seven days before it. Below "
        f"{MODERATE:g} a change is small, from {LARGE:g} on it is large "
        "(dashed lines). A hollow point is a day that is not over.",
    )
    if not found.days:
        st.caption(f"A day is compared with the days before it, once both have {LEAST_ROWS} rows.")
        return
    today = now.event_time.date()
    lines = fraud_figures.drift_lines(found, today)
    plot(lines, fraud_charts.drift(), key="fraud-drift", alt="Drift by day")
    # A table would cut off the names of the features.
    st.markdown(fraud_figures.drift_list(found, today))


def _number(label: str, width: int, form: str, *, help: str | None = None) -> ColumnConfig:
    return st.column_config.NumberColumn(label, width=width, format=form, help=help)


def _table(
    frame: pd.DataFrame,
    key: str,
    alt: str,
    columns: dict[str, ColumnConfig],
    *,
    height: int | None = None,
) -> None:
    """Draws a table of these columns, which may scroll beyond a height."""
    is_tall = height is not None and ROW * (len(frame) + 1) + 2 > height
    st.dataframe(
        frame,
        hide_index=True,
        key=key,
        height=height if height is not None and is_tall else "content",
        column_order=[*columns],
        placeholder="-",
        alt=alt,
        column_config=columns,
    )
