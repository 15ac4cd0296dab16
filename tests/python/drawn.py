"""Reads what the page passes to its component, in pages without a browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ccstream.dashboard.words import said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlit.testing.v1 import AppTest


class Card(NamedTuple):
    """Holds the texts of the card of a KPI."""

    label: str
    value: str
    change: str | None


def cards(page: AppTest) -> list[Card]:
    """Returns the cards of the header; none if it is not drawn."""
    return [Card(one["label"], one["value"], one["change"]) for some in of_kind(page, "cards") for one in some["cards"]]


def plots(page: AppTest) -> list[dict[str, Any]]:
    """Returns what the page's charts are drawn from."""
    return of_kind(page, "plot")


def tables(page: AppTest) -> dict[str, list[list[Any]]]:
    """Returns the cells of the page's tables, each with the name that screen readers read."""
    return {one["description"]: one["rows"] for one in of_kind(page, "table")}


def texts(page: AppTest) -> str:
    """Returns the texts of the page and its buttons, a line each; those of boards come last, without their styles."""
    shown = [*page.markdown, *page.caption, *page.info, *page.warning, *page.success, *page.error, *page.code]
    texts = [*(one.value for one in shown), *(one.label for one in page.button)]
    return "\n".join([*texts, *(text for one in _parts(page) for text in _texts(one))])


def of_kind(page: AppTest, kind: str) -> list[dict[str, Any]]:
    """Returns the parts of the page's boards that are of a kind."""
    return [one for one in _parts(page) if one["kind"] == kind]


def _texts(part: dict[str, Any]) -> list[str]:
    match part["kind"]:
        case "text":
            return [said(*part["runs"])]
        case "head":
            return [part["title"], said(*part["said"])]
        case "items":
            return [said(*one) for one in part["items"]]
        case "choices":
            return [said(*one["runs"]) for one in part["choices"]]
        case "box" if part["title"]:
            return [part["title"]]
        case "link":
            return [part["text"]]
        case "legend":
            return [name for _, _, name in part["keys"]]
    return []


def _parts(page: AppTest) -> Iterator[dict[str, Any]]:
    for element in page.get("bidi_component"):
        # The component that draws nothing has no data.
        if board := element.proto.bytes:
            yield from _within(json.loads(board)["parts"])


def _within(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in parts:
        yield one
        if one["kind"] == "box":
            yield from _within(one["parts"])
