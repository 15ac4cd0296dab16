"""Adds the head of a panel to a board: the title, what it means, and a button that downloads the panel's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccstream.dashboard.board import add, offer
from ccstream.dashboard.csv_texts import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from ccstream.dashboard.words import Run


def head(
    title: str,
    name: str,
    frame: Callable[[], pd.DataFrame] | None = None,
    *,
    help: str | None = None,
    currency: str | None = None,
    beside: Sequence[Run] = (),
) -> None:
    """Adds a head.

    Args:
        title: the title.
        name: the name of the panel, which names the file.
        frame: a function that returns the figures. It is called when the button is clicked. Default: no button.
        help: what the title means.
        currency: the currency of the amounts.
        beside: a sentence beside the title.
    """
    part = {"kind": "head", "title": title, "help": help, "said": list(beside), "file": frame is not None}
    events = {}
    if frame is not None:
        events["file"] = offer(f"ccstream-{name}.csv", lambda: tidy(frame(), currency))
    add(f"csv-{name}", part, events)
