"""Prepares frames and sentences of the panel "Fraud" from what :mod:`ccstream.dashboard.fraud_tables` read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ccstream.dashboard import quality
from ccstream.dashboard.charts import ORDER
from ccstream.dashboard.clock import clock, micros
from ccstream.dashboard.dimensions import UNKNOWN
from ccstream.dashboard.fraud_charts import BY_TRUTH, FEATURE, IN_SHADOW, LABELS, SCORE
from ccstream.dashboard.fraud_queries import MOST_HIGH
from ccstream.dashboard.words import bold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import tzinfo

    from ccstream.dashboard.fraud_tables import Days, Now, Planted, Scored
    from ccstream.dashboard.quality import Cells
    from ccstream.dashboard.words import Run

WORST = 3
"""The number of features whose drift is named."""
NEWEST = 8
"""The number of days whose drift is written out."""
DEFAULT_MODEL = "habits-2"
"""The name of the model that comes with ccstream."""
Row: TypeAlias = "dict[str, Any]"
"""A row of a chart or a table."""


@dataclass(frozen=True)
class DayQuality:
    """Holds the quality of a day from one point of view.

    Attributes:
        day: the day in UTC.
        who: the point of view, such as :data:`LABELS`.
        model: the model.
        quality: the figures by transactions.
        cards: the card precision at 100 and its ceiling; None if unknown.
        is_mature: whether the labels of the day have come.
    """

    day: date
    who: str
    model: str
    quality: quality.Quality
    cards: tuple[float, float] | None
    is_mature: bool


@dataclass(frozen=True)
class Drift:
    """Holds population stability indexes of each day against the seven days before it.

    Attributes:
        score: the index of the scores by day.
        features: the greatest indexes of features by day, with the names of the features.
    """

    score: Mapping[date, float]
    features: Mapping[date, list[tuple[str, float]]]

    @property
    def days(self) -> list[date]:
        """All days with an index, in order."""
        return sorted({*self.score, *self.features})


def headline(now: Now, currency: str | None) -> list[Run]:
    """Says how many transactions of the range scored high, and what amount is at stake."""
    if not now.scored:
        return ["No transaction of this time range has a score. ", *_models(now)]
    share = bold(f"{now.high / now.scored:.2%}")
    high: list[Run] = [bold(f"{now.high:,}"), f" of {now.scored:,} transactions scored high (", share, "). "]
    if not now.high:
        return [*high, "Nothing is at stake. ", *_models(now)]
    newest = f"Of the newest {MOST_HIGH:,}" if now.high > MOST_HIGH else "Of these"
    count, amount = now.stake.get(currency, (0, 0.0))
    of = f"{newest}, {count:,} are in {currency or 'no currency'}: "
    return [*high, of, bold(f"{amount:,.2f}"), " is at stake. ", *_models(now)]


def _models(now: Now) -> list[Run]:
    """Names the models that score, and says what the default model is for."""
    made_for = ", made for the simulated world and not for real cards" if now.model == DEFAULT_MODEL else ""
    shadow = f"; {now.shadow} scores beside it" if now.shadow else ""
    return ["Model: ", bold(now.model), f"{made_for}{shadow}."]


def over_time(now: Now) -> list[Row]:
    """Returns the share of high scores over time for :func:`ccstream.dashboard.fraud_charts.share_over_time`."""
    width, reached = now.width.total_seconds(), micros(now.event_time) / 1e6
    return [
        {
            "time": start * 1000,
            "end": (start + width) * 1000,
            "whole": start + width <= reached,
            "share": high / max(scored, 1),
            "scored": scored,
            "high": high,
        }
        for start, scored, high in now.series
    ]


def distribution(days: Days) -> list[Row]:
    """Returns the scores of the newest days by the models that score, without empty bars."""
    rows = quality.distribution([days.cells[key] for key in _main(days)])
    ends = [f"{edge:g}" for edge, _, _ in rows[1:]] + ["1"]
    return [
        {"label": f"{edge:g}", "score": f"{edge:g} to {end}", "kind": kind, "count": count, ORDER: at}
        for at, ((edge, scored, frauds), end) in enumerate(zip(rows, ends, strict=True))
        for kind, count in (("transactions", scored), ("known frauds", frauds))
        if count > 0
    ]


def riskiest(now: Now, zone: tzinfo) -> list[list[Run]]:
    """Returns the riskiest transactions of the range, each with the reasons for its score, as texts.

    Args:
        now: the recent figures.
        zone: the viewer's time zone.
    """

    def written(row: Scored) -> list[Run]:
        what = f"{row.currency or ''} at {row.merchant or UNKNOWN}"
        if row.amount is not None:
            what = f"{'refund of ' * (row.amount < 0)}{abs(row.amount):,.2f} {what}"
        whose = f"{clock(micros(row.time), zone)}, card {row.card or UNKNOWN}"
        why = "; ".join([whose, *(row.reasons or ())])
        return [bold(f"{row.score:.3f}"), f" {what.strip()}\n", ("small", why)]

    return [*map(written, now.riskiest)]


def qualities(days: Days, reached: datetime, threshold: float, shadow: str | None) -> list[DayQuality]:
    """Returns the quality of each day: by labels, by what was planted, and of the shadow.

    Args:
        days: the daily figures.
        reached: the event time that the analysis has reached.
        threshold: the score from which a transaction counts as found.
        shadow: the name of the model that scores beside the active one.
    """
    found = []
    for key in _main(days):
        day, model = key
        mature = datetime.combine(day + timedelta(days=1), time()) + days.maturity <= reached
        with_fraud, among_top = days.cards.get(day, (0, 0))
        card = quality.card_precision(among_top, with_fraud)
        found.append(DayQuality(day, LABELS, model, quality.measure(days.cells[key], threshold), card, mature))
        if day in days.planted:
            planted = days.planted[day]
            card = quality.card_precision(planted.found, planted.cards)
            measured = quality.measure(_planted(days.cells[key], planted), threshold)
            is_over = day < reached.date()
            found.append(DayQuality(day, BY_TRUTH, model, measured, card, is_over))
        if shadow and shadow != model and (day, shadow) in days.cells:
            measured = quality.measure(days.cells[day, shadow], threshold)
            found.append(DayQuality(day, IN_SHADOW, shadow, measured, None, mature))
    return found


def quality_lines(found: list[DayQuality]) -> list[Row]:
    """Returns the average precision by day, as :func:`ccstream.dashboard.fraud_charts.quality` takes it."""
    known = [one for one in found if one.quality.average_precision is not None]
    return [
        {
            "day": short(one.day),
            "who": one.who,
            "value": one.quality.average_precision,
            "complete": one.is_mature,
            ORDER: at,
        }
        for at, one in enumerate(known)
    ]


def quality_table(found: list[DayQuality], who: str) -> list[Row]:
    """Returns the quality by day from one point of view, the newest day first."""
    return [
        {
            "day": short(one.day) + ("" if one.is_mature else " *"),
            "frauds": one.quality.frauds,
            "precision": one.quality.precision,
            "recall": one.quality.recall,
            "ap": one.quality.average_precision,
            "cards": one.cards[0] if one.cards else None,
            "ceiling": one.cards[1] if one.cards else None,
            "lift": one.quality.lift,
        }
        for one in reversed(found)
        if one.who == who
    ]


def drift(days: Days) -> Drift:
    """Computes the drift of the scores and of all features. Scores are compared only with those of the same model."""
    counts: dict[str, list[tuple[date, float, float]]] = {}
    for day, model in _main(days):
        cells = days.cells[day, model]
        counts.setdefault(model, []).extend(
            (day, bound, count) for bound, count in zip(cells.at_least.tolist(), cells.scored.tolist(), strict=True)
        )
    score = {day: index for some in counts.values() for day, index in quality.drift(some).items()}
    features: dict[date, list[tuple[str, float]]] = {}
    for name, seen in days.features.items():
        for day, index in quality.drift(seen).items():
            features.setdefault(day, []).append((name, index))
    return Drift(score, {day: sorted(some, key=lambda one: -one[1])[:WORST] for day, some in features.items()})


def drift_lines(found: Drift, today: date) -> list[Row]:
    """Returns the drift by day, as :func:`ccstream.dashboard.fraud_charts.drift` takes it."""

    def lines() -> Iterator[Row]:
        for day in found.days:
            at = {"day": short(day), "complete": day < today}
            if day in found.score:
                yield at | {"who": SCORE, "value": found.score[day], "name": "score"}
            for name, index in found.features.get(day, [])[:1]:
                yield at | {"who": FEATURE, "value": index, "name": name}

    return [{**line, ORDER: at} for at, line in enumerate(lines())]


def drift_list(found: Drift, today: date) -> list[list[Run]]:
    """Returns the drift of the newest days, with the features that have drifted most, as texts."""

    def written(day: date) -> list[Run]:
        score = found.score.get(day)
        own = "score unknown" if score is None else f"score {score:.2f} ({quality.in_words(score)})"
        features = ", ".join(f"{name} {index:.2f}" for name, index in found.features.get(day, []))
        name = short(day) if day < today else f"{short(day)} so far"
        return [bold(name), f" {own}\n", ("small", features or "features unknown")]

    return [*map(written, found.days[: -NEWEST - 1 : -1])]


def short(day: date) -> str:
    """Returns a day's name in charts and tables."""
    return f"{day:%b} {day.day}"


def _main(days: Days) -> list[tuple[date, str]]:
    """Returns each day with the model that scored most of it."""
    return [key for key in sorted(days.cells) if days.main.get(key[0]) == key[1]]


def _planted(cells: Cells, planted: Planted) -> Cells:
    """Returns a day's cells with the planted frauds instead of the known ones."""
    at = np.searchsorted(cells.at_least, planted.scores, side="right") - 1
    return cells.with_frauds(np.bincount(np.maximum(at, 0), minlength=len(cells.at_least)).astype(float))
