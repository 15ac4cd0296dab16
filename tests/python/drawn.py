"""Reads what the page passes to its component, in pages without a browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest


class Card(NamedTuple):
    """Holds the texts of the card of a KPI."""

    label: str
    value: str
    change: str | None


def cards(page: AppTest) -> list[Card]:
    """Returns the cards of the header; none if it is not drawn."""
    found = [one["cards"] for one in _drawn(page) if one["kind"] == "cards"]
    return [Card(one["label"], one["value"], one["change"]) for some in found for one in some]


def plots(page: AppTest) -> list[dict[str, Any]]:
    """Returns what the page's charts are drawn from."""
    return [one for one in _drawn(page) if one["kind"] == "plot"]


def tables(page: AppTest) -> dict[str, list[list[Any]]]:
    """Returns the cells of the page's tables, each with the name that screen readers read."""
    return {one["description"]: one["rows"] for one in _drawn(page) if one["kind"] == "table"}


def _drawn(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(one.proto.json) for one in page.get("bidi_component")]
