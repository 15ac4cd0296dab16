"""Searches transactions, cards, merchants and terminals by what a viewer has typed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ccstream.dashboard import orders_queries as queries
from ccstream.dashboard import orders_tables, reading
from ccstream.dashboard.figures import OTHERS
from ccstream.dashboard.orders_tables import Orders, Reach

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

MOST = 20
"""The number of matches that are listed."""
LONGEST = 200
"""The number of characters that a search may have, which is that of the longest name of a merchant."""
AMONG = 10_000
"""The number of newest transactions with four last digits whose cards are listed."""
EXACT = {"card": "card_token", "terminal": "terminal_id"}
"""The kinds that are found by their whole name, with their columns."""
LAST4 = "card_last4"
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}
"""The kinds of characters that are not visible, such as marks of the direction of writing."""


class Match(NamedTuple):
    """Holds something that was found.

    Attributes:
        kind: ``transaction``, ``card``, ``merchant`` or ``terminal``.
        value: its id, token or name.
        last4: the last four digits of a card.
        last: the time of its newest transaction, in UTC.
    """

    kind: str
    value: str
    last4: str | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Found:
    """Holds what a search has found.

    Attributes:
        matches: what was found, first what has exactly the searched name.
        left_out: the number of further merchants.
        reach: how far the search has looked.
        is_readable: whether ``orders`` exists and may be read.
    """

    matches: list[Match] = field(default_factory=list)
    left_out: int = 0
    reach: Reach = field(default_factory=Reach)
    is_readable: bool = True


def clean(text: str) -> str:
    """Returns a text as it is searched: without invisible characters, and with single spaces."""
    visible = "".join(" " if one in "\t\r\n" else one for one in text if one in "\t\r\n" or not _is_hidden(one))
    return " ".join(visible.split())


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in HIDDEN


def search(url: str, text: str, merchants: Iterable[str | None]) -> Found:
    """Searches for a text.

    It finds the transaction with this id, the card with this token, the cards with these last four digits, the terminal
    with this id, and the merchants whose names contain the text.

    Args:
        url: the URL of the database.
        text: the text, in any form.
        merchants: the names of all merchants.

    Raises:
        psycopg.Error: the database is unavailable, or a query has reached its time limit.
    """
    wanted = clean(text)
    if not wanted or len(wanted) > LONGEST:
        return Found()
    with reading.connect(url) as connection:
        orders = orders_tables.begin(connection)
        if orders is None:
            return Found(is_readable=False)
        matches, reach = _by_id(orders, wanted)
    named = _named(wanted, merchants)
    found = [*matches, *(Match("merchant", name) for name in named)]
    return Found(found[:MOST], max(0, len(found) - MOST), reach)


def _by_id(orders: Orders, wanted: str) -> tuple[list[Match], Reach]:
    """Returns the transaction, the cards and the terminal with an id, and how far the search has looked."""
    rows = orders.connection.execute(queries.EXISTS, [wanted]).fetchall()
    if rows:
        # What is the id of a transaction is nothing else, so nothing else has to be read.
        return [Match("transaction", number, last=time) for number, time in rows], Reach()
    matches = []
    there = set(orders.columns)
    searched = [column for column in EXACT.values() if column in there]
    for kind, column in EXACT.items():
        if column in there:
            rows = orders.newest(queries.LAST, column, wanted, (LAST4, "timestamp"), among=1)
            matches += [Match(kind, wanted, last4 if kind == "card" else None, last) for last4, last in rows]
    digits = re.sub(r"^[•*·\s]+", "", wanted)
    if re.fullmatch(r"[0-9]{4}", digits) and {LAST4, "card_token"} <= there:
        searched.append(LAST4)
        rows = orders.newest(queries.CARDS, LAST4, digits, ("card_token", "timestamp"), among=AMONG, limit=MOST)
        matches += [Match("card", token, digits, last) for token, last in rows]
    return matches, orders.reach(*searched)


def _named(wanted: str, merchants: Iterable[str | None]) -> list[str]:
    """Returns the merchants whose names contain a text, in any case: first the same name, then those that begin so."""
    part = wanted.casefold()

    def order(name: str) -> tuple[bool, bool, str]:
        whole = clean(name).casefold()
        return whole != part, not whole.startswith(part), whole

    found = [name for name in merchants if name and name != OTHERS and part in clean(name).casefold()]
    return sorted(found, key=order)
