"""Draws the panel "Fraud": how many transactions scored high, which and why, and how good and stable the scores are."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import charts, fraud_charts, fraud_figures
from ccstream.dashboard.board import box, choice, items, text
from ccstream.dashboard.clock import clock, micros, span
from ccstream.dashboard.component import Column, plot, table
from ccstream.dashboard.dimensions import shown
from ccstream.dashboard.fraud_charts import BY_TRUTH, IN_SHADOW, LABELS
from ccstream.dashboard.fraud_queries import MOST_HIGH
from ccstream.dashboard.head import head
from ccstream.dashboard.quality import LARGE, LEAST_ROWS, MODERATE
from ccstream.dashboard.view import THRESHOLDS
from ccstream.dashboard.words import doubtful, good

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from decimal import Decimal

    from ccstream import KpiStatus
    from ccstream.dashboard.component import Form
    from ccstream.dashboard.fraud_figures import Drift, Row
    from ccstream.dashboard.fraud_tables import Days, Now
    from ccstream.dashboard.fraud_watch import FraudState, Newest
    from ccstream.dashboard.view import View
    from ccstream.dashboard.words import Run


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
    """Adds the panel to the current board, or nothing if there are no scores.

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
            text("fraud-unread", [doubtful(f"! Scores cannot be read now: {state.why}")], small=True)
        return
    with box("panel", "fraud"):
        head("Fraud", "fraud", help=_help(view))
        if state.why and not status.trouble:
            moment = clock(int(state.read_at * 1e6), zone)
            why = f"! The scores cannot be read: {state.why} This panel has the figures of {moment}."
            text("fraud-why", [doubtful(why)])
        text("fraud-headline", fraud_figures.headline(state.now, currency))
        text("fraud-reached", _reached(state.now, state.newest))
        _over_time(state.now, state.days)
        if riskiest is not None:
            _riskiest(replace(state.now, riskiest=state.now.riskiest[:riskiest]), zone)
            return
        _who(state, zone)
        if state.days is not None and state.drift is not None:
            with box("row", "fraud-days", [1, 1]):
                with box("column", "fraud-quality-column"):
                    _quality(state.days, state.now, view, changed)
                with box("column", "fraud-drift-column"):
                    _drift(state.drift, state.now)


def _who(state: FraudState, zone: tzinfo) -> None:
    """Adds the riskiest transactions, cards and merchants."""
    now, days = state.now, state.days
    if now is None:
        return
    with box("row", "fraud-named", [1, 1]):
        with box("column", "fraud-transactions-column"):
            _riskiest(now, zone)
            if days is not None and not now.riskiest:
                _cards(days)
        with box("column", "fraud-cards-column"):
            if days is not None:
                if now.riskiest:
                    _cards(days)
                _merchants(days)


def _help(view: View) -> str:
    filters = " The filters of the side bar do not apply to this panel." if view.narrows else ""
    return (
        "A score is the probability that a transaction is a fraud. It is high from `ccstream analyze --explain` on, "
        f"0.5 by default. The amount at stake is the sum of absolute amounts, declined ones included.{filters}"
    )


def _reached(now: Now, newest: Newest) -> list[Run]:
    """Says whether a run is analyzing, and how far it has come."""
    unread = sum(max(0, end - now.next_offsets.get(partition, 0)) for partition, end in newest.ends.items())
    parts = ["", f"lag of the analysis {unread:,}" if newest.ends else "lag of the analysis unknown"]
    if newest.time is not None:
        behind = newest.time - micros(now.event_time)
        what = f"{span(behind)} behind" if behind >= 10**6 else "up to"
        parts.append(f"scored {what} the newest transaction")
    if now.late:
        parts.append(f"{now.late:,} scored late")
    rest = " · ".join(parts)
    if now.is_held:
        return [good("✓ an analyzer is running"), rest]
    return [doubtful("! no analyzer is running"), ", start one with ", ("code", "ccstream analyze"), rest]


def _over_time(now: Now, days: Days | None) -> None:
    with box("row", "fraud-over-time", [1, 1]):
        with box("column", "fraud-share-column"):
            head(
                f"Share of high scores per {charts.describe(now.width)}",
                "fraud-share",
                help="A pale bar is not over yet.",
            )
            form = charts.time_form(now.width, len(now.series))
            if now.high:
                alt = "Share of high scores over time"
                plot(fraud_figures.over_time(now), fraud_charts.share_over_time(form), key="fraud-share", alt=alt)
            else:
                text("fraud-none", ["No transaction of this time range scored high."], small=True)
        if days is None:
            return
        with box("column", "fraud-scores-column"):
            newest = len(days.main)
            head(
                f"Scores of {f'the newest {newest} days' if newest > 1 else 'one day'}",
                "fraud-scores",
                help="A bar begins at the score below it. Numbers are on a logarithmic scale. A fraud is known once "
                "its label has come.",
            )
            alt = "Transactions by score"
            plot(fraud_figures.distribution(days), fraud_charts.distribution(), key="fraud-scores", alt=alt)


def _riskiest(now: Now, zone: tzinfo) -> None:
    where = "" if now.is_in_range else ", newest 24 hours"
    head(
        f"Who and why{where}",
        "fraud-riskiest",
        help="The highest scores of the time range, or of the newest 24 hours if it has none, each with its reasons.",
    )
    if not now.riskiest:
        none = f"None of the newest {MOST_HIGH:,} high scores is in this time range, or in the newest 24 hours."
        text("fraud-no-riskiest", [none], small=True)
        return
    # A table would cut off the reasons, or not fit a phone.
    items("fraud-riskiest", fraud_figures.riskiest(now, zone))


def _cards(days: Days) -> None:
    newest = max(days.main, default=None)
    day = fraud_figures.short(newest) if newest else "the day"
    head(
        f"Riskiest cards of {day}",
        "fraud-cards",
        help="By the highest score of the day, in UTC. Fraud: whether a label says that the card had one on this day.",
    )
    heads = ["Card", "Score", "Fraud", "Merchant", "Amount", "Curr."]
    forms: list[Form] = ["text", "share", "text", "text", "number", "text"]
    cells = [
        [
            shown(one.card),
            [one.score, f"{one.score:.3f}"],
            "yes" if one.is_known else "",
            shown(one.merchant),
            _number(one.amount, ",.2f"),
            shown(one.currency),
        ]
        for one in days.top_cards
    ]
    table(list(map(Column, heads, forms)), cells, key="fraud-cards", alt="The riskiest cards")


def _merchants(days: Days) -> None:
    head(
        "Riskiest merchants of 24 hours",
        "fraud-merchants",
        help="By the sum of their high scores, which is the number of frauds to expect among them.",
    )
    heads = [Column("Merchant"), *(Column(name, "number") for name in ("High scores", "Their sum", "Cards"))]
    cells = [
        [merchant, f"{high:,}", f"{total:.1f}", f"{cards:,}"] for merchant, high, total, cards, _ in days.merchants
    ]
    table(heads, cells, key="fraud-merchants", alt="The riskiest merchants")


def _quality(days: Days, now: Now, view: View, changed: Callable[[], None]) -> None:
    found = fraud_figures.qualities(days, now.event_time, view.threshold, now.shadow)
    head(
        "How good: average precision by day",
        "fraud-quality",
        help="The precision, averaged over the frauds. A hollow point, or a star in the table, marks a day whose "
        f"labels are still coming: nine of ten came within {days.maturity.total_seconds() / 86_400:.1f} days. Days are "
        "in UTC. AP is the average precision. CP@100 is the share with a fraud among the 100 cards with the day's "
        "highest scores, and the ceiling is the greatest CP@100 that is possible on the day. The lift is the share of "
        "frauds in the top 1 %, divided by that among all.",
    )
    lines = fraud_figures.quality_lines(found)
    plot(lines, fraud_charts.quality(), key="fraud-quality", alt="Average precision by day")
    points = [name for name in (LABELS, BY_TRUTH, IN_SHADOW) if any(one.who == name for one in found)]
    if st.session_state.get("fraud-who") not in points:
        st.session_state["fraud-who"] = LABELS
    with box("line", "fraud-settings"):
        if len(points) > 1:
            choice("select", "fraud-who", "Figures", {name: f"Figures {name}" for name in points})
        thresholds = {one: f"Found from a score of {one:g}" for one in THRESHOLDS}
        choice("select", "threshold", "Threshold", thresholds, changed)
    _qualities(fraud_figures.quality_table(found, st.session_state["fraud-who"]))


def _qualities(rows: list[Row]) -> None:
    heads = {
        "day": ("Day", ""),
        "frauds": ("Frauds", ",.0f"),
        "precision": ("Precision", ".2f"),
        "recall": ("Recall", ".2f"),
        "ap": ("AP", ".2f"),
        "cards": ("CP@100", ".2f"),
        "ceiling": ("Ceiling", ".2f"),
        "lift": ("Lift", ".0f"),
    }
    cells = [[_number(row[name], form) if form else row[name] for name, (_, form) in heads.items()] for row in rows]
    titles = [Column(title, "number" if form else "text") for title, form in heads.values()]
    table(titles, cells, key="fraud-qualities", alt="Quality by day")


def _drift(found: Drift, now: Now) -> None:
    head(
        "How stable: drift by day",
        "fraud-drift",
        help="The population stability index of a day against the seven days before it. Below "
        f"{MODERATE:g} a change is small, from {LARGE:g} on it is large "
        "(dashed lines). A hollow point is a day that is not over.",
    )
    if not found.days:
        none = f"A day is compared with the days before it, once both have {LEAST_ROWS} rows."
        text("fraud-no-drift", [none], small=True)
        return
    today = now.event_time.date()
    lines = fraud_figures.drift_lines(found, today)
    plot(lines, fraud_charts.drift(), key="fraud-drift", alt="Drift by day")
    # A table would cut off the names of the features.
    items("fraud-drifts", fraud_figures.drift_list(found, today))


def _number(value: float | Decimal | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)
