"""Adds the charts and the table of transactions by their values: merchants, places, categories and others."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from ccstream.dashboard import charts, viewer
from ccstream.dashboard.board import box, text
from ccstream.dashboard.choosing import toggle
from ccstream.dashboard.component import Column, plot, table
from ccstream.dashboard.figures import TOP
from ccstream.dashboard.head import head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    import pandas as pd

    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.view import View

    Draw: TypeAlias = Callable[[Figures, View], None]

OTHERS = re.compile(r"1 other|[\d,]+ others")
"""The name of all values that have no separate bar or row."""
CLICK = (
    "Click a value to filter by it, and again to undo it; with Ctrl or Cmd, several. By keyboard, choose with the "
    "arrow keys and Enter."
)


def draw(figures: Figures, view: View) -> None:
    """Adds all of them in two columns, except those of dimensions without values.

    Args:
        figures: the figures to show.
        view: the settings of the page.
    """
    known = figures.known
    places = [where] if "city" in known and _has_places(figures) else []
    first = [*([methods] if "payment_method" in known else []), sizes]
    _columns("busiest", figures, view, first, [merchants] if "merchant" in known else [])
    _columns("where", figures, view, [*places, week], [categories] if "category" in known else [])


def overview(figures: Figures, view: View) -> None:
    """Adds cities beside payment methods and categories, as far as they have values.

    Args:
        figures: the figures to show.
        view: the settings of the page.
    """
    known = figures.known
    bars = [*([methods] if "payment_method" in known else []), *([categories] if "category" in known else [])]
    has_map = "city" in known and _has_places(figures)
    _columns("where", figures, view, [where, week] if has_map else [*bars, week], bars if has_map else [])


def _columns(name: str, figures: Figures, view: View, left: Sequence[Draw], right: Sequence[Draw]) -> None:
    """Adds panels in two columns. Without any on the right, those on the left are beside each other."""
    sides = [left, right] if right else [[one] for one in left]
    with box("row", name, [1] * len(sides)):
        for at, some in enumerate(sides):
            with box("column", f"{name}-{at}"):
                for one in some:
                    with box("panel", f"panel-{one.__name__}"):
                        one(figures, view)


def methods(figures: Figures, view: View) -> None:
    """Adds a chart of networks and other methods of payment."""
    _heading(view, "by payment method", CLICK, figures.methods, figures.currency)
    _bars(figures.methods, "payment_method", view)


def categories(figures: Figures, view: View) -> None:
    """Adds a chart of categories."""
    _heading(view, "by category", CLICK, figures.categories, figures.currency)
    _bars(figures.categories, "category", view)


def week(figures: Figures, view: View) -> None:
    """Adds a heat map of weekdays and hours."""
    about = f"In the time zone {viewer.zone()}."
    _heading(view, "by weekday and hour", about, figures.week, figures.currency)
    alt = f"{charts.SHOWN[view.metric].title} by weekday and hour"
    plot(figures.week, charts.week(view.metric), key="week", alt=alt)


def sizes(figures: Figures, view: View) -> None:  # noqa: ARG001
    """Adds a chart of transactions by the size of their amounts."""
    title = f"Amounts in {figures.currency or 'no currency'}"
    head(title, "amounts", lambda: figures.amount_bins, currency=figures.currency)
    text("sizes", ["Of all transactions. ", *figures.sizes], small=True)
    alt = "Transactions by the size of their amounts"
    plot(_numbered(figures.amount_bins), charts.amounts(), key="amounts", alt=alt)


def where(figures: Figures, view: View) -> None:
    """Adds a map of cities; a chart of them if none has coordinates."""
    _heading(view, "by city", CLICK, figures.places, figures.currency)
    known = figures.places.dropna(subset=["latitude", "longitude"])
    known = known[known["latitude"] >= charts.SOUTH]
    if known.empty:
        _bars(figures.places.head(TOP), "city", view)
        if len(figures.places) > TOP:
            text("cities", [f"The {TOP} busiest cities. None has coordinates for a map."], small=True)
        return
    alt = f"A map of the transactions of {len(known)} cities"
    _picked(known, charts.world(view.metric), "city", view, key="world", alt=alt)
    if (lost := figures.count - int(known["transactions"].sum())) and "city" not in view.filters:
        lacking = (
            f"{lost:,} transactions are not on the map: the city is unknown, has no coordinates, is too far south, "
            "or is too rare."
        )
        text("not-on-map", [lacking], small=True)


def _has_places(figures: Figures) -> bool:
    """Returns whether cities can be shown. Without coordinates, two cities of one name would be one bar."""
    places = figures.places
    return bool(places["latitude"].notna().any() or places["city"].is_unique)


def _heading(view: View, by: str, about: str, frame: pd.DataFrame, currency: str | None) -> None:
    title = f"{charts.SHOWN[view.metric].title} {by}"
    head(title, by.replace(" ", "-"), lambda: frame, help=about, currency=currency)


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{charts.ORDER: range(len(frame))})


def _bars(frame: pd.DataFrame, name: str, view: View) -> None:
    alt = f"{charts.SHOWN[view.metric].title} by {name.replace('_', ' ')}"
    _picked(_numbered(frame), charts.bars(name, view.metric), name, view, key=f"bars-{name}", alt=alt)


def _picked(frame: pd.DataFrame, spec: charts.Spec, name: str, view: View, *, key: str, alt: str) -> None:
    """Adds a chart of the values of a dimension. A click on one chooses it as the filter, or undoes that."""

    def picked(sent: dict[str, Any]) -> None:
        if not OTHERS.fullmatch(sent[name]):
            toggle(name, sent[name], adds=sent["adds"])

    plot(frame, spec, key=key, alt=alt, chosen=view.filters.get(name, ()), picked=picked, pick=[name])


def merchants(figures: Figures, view: View) -> None:
    """Adds a table of the busiest merchants with their trends."""
    frame = figures.merchants
    about = "Click a row to filter by it, and again to undo it."
    head("Busiest merchants", "by-merchant", lambda: frame, help=about, currency=figures.currency)
    last = "value" if view.metric == "count" else view.metric
    shown = charts.SHOWN[last]
    unit = f", {figures.currency or 'no currency'}" if shown.column in charts.MONEY else ""
    heads = [Column("Merchant"), Column("Trend", "trend"), Column("Count", "number")]
    cells = [[one.merchant, one.trend, f"{one.transactions:,}"] for one in frame.itertuples()]
    if "status" in figures.known:
        heads.append(Column(f"{shown.title}{unit}", "number"))
        for row, number in zip(cells, frame[shown.column], strict=True):
            row.append("-" if math.isnan(number) else format(number, shown.exact))
    table(
        heads,
        cells,
        key="merchants",
        alt="The busiest merchants with their trends",
        picks=[None if OTHERS.fullmatch(name) else name for name in frame["merchant"]],
        chosen=view.filters.get("merchant", ()),
        picked=lambda name, adds: toggle("merchant", name, adds=adds),
    )
