"""Draws why transactions were declined: by response code, network and country. A click on a row filters by it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ccstream.dashboard import declines_figures
from ccstream.dashboard.board import box, text
from ccstream.dashboard.choosing import toggle
from ccstream.dashboard.component import Column, table
from ccstream.dashboard.dimensions import named
from ccstream.dashboard.head import head
from ccstream.dashboard.words import bold
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from datetime import tzinfo

    import pandas as pd

    from ccstream import KpiEngine
    from ccstream.dashboard.declines_figures import Declines
    from ccstream.dashboard.view import View
    from ccstream.dashboard.words import Run

HELP = (
    "The share is of all declined transactions, and the change is from the preceding period of equal length. The value "
    "is the sum of the declined amounts; a declined refund is negative. A retry may have recovered it. Click a row to "
    "filter by it, and again to undo it."
)


def panel(engine: KpiEngine, view: View, zone: tzinfo) -> None:
    """Draws the panel; nothing if no status of these transactions means approved or declined.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
    """
    found = declines_figures.load(engine, view, zone)
    if not found.decided:
        return
    with box("panel", "declines"):
        head("Why declined", "declines", found.by_value, help=HELP, currency=found.currency)
        text("declines-summary", _summary(found))
        if not found.declined:
            return
        places = {"payment_method": found.networks, "country": found.countries}
        if found.coded:
            with box("row", "declines-tables", [3, 2]):
                with box("column", "declines-codes"):
                    _codes(found, view)
                with box("column", "declines-places"):
                    for name, frame in places.items():
                        _places(frame, name, view)
        elif some := {name: frame for name, frame in places.items() if not frame.empty}:
            with box("row", "declines-tables", [1] * len(some)):
                for name, frame in some.items():
                    _places(frame, name, view)


def _summary(found: Declines) -> list[Run]:
    if not found.declined:
        return [f"None of {found.decided:,} transactions was declined."]
    if found.value is None:
        return [f"None of {found.declined:,} declined transactions has an amount in the currency of this page."]
    currency = found.currency or "without a currency"
    amount = bold(f"{found.value:,.2f}")
    return ["Declined amounts: ", amount, f" {currency}. Retries may have recovered a part of them."]


def _codes(found: Declines, view: View) -> None:
    frame = found.codes
    heads = [
        Column("Reason"),
        Column("Declined", "number"),
        Column("Share", "share"),
        Column("Change", "number"),
        Column(found.currency or "Value", "number"),
    ]
    cells = [
        [reason, f"{declined:,}", [share, f"{share:.1%}"], change or "-", "-" if math.isnan(value) else f"{value:,.2f}"]
        for reason, declined, share, change, value in zip(
            frame["reason"], frame["declined"], frame["share"], frame["change"], frame["value"], strict=True
        )
    ]
    _table(heads, cells, frame["response_code"].tolist(), "response_code", view)
    if found.other_codes:
        text("declines-others", [f"Other response codes: {found.other_codes:,}."], small=True)


def _places(frame: pd.DataFrame, name: str, view: View) -> None:
    if frame.empty:
        return
    heads = [Column(DIMENSIONS[name]), Column("Declined", "number"), Column("Decline rate", "share")]
    most = max(0.01, float(frame["rate"].max()))
    cells = [
        [named(value), f"{declined:,}", [rate / most, f"{rate:.1%}"]]
        for value, declined, rate in zip(frame[name], frame["declined"], frame["rate"], strict=True)
    ]
    _table(heads, cells, frame[name].tolist(), name, view)


def _table(heads: list[Column], cells: list[list[Any]], values: list[str], dimension: str, view: View) -> None:
    """Draws a table. A click on a row makes its value the filter, or undoes that."""
    table(
        heads,
        cells,
        key=f"declines-{dimension}",
        alt=f"Declined transactions by {DIMENSIONS[dimension].lower()}",
        picks=values,
        chosen=view.filters.get(dimension, ()),
        picked=lambda name, adds: toggle(dimension, name, adds=adds),
    )
