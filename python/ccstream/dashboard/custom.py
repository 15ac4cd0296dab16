"""Defines the viewer's own KPIs. Each is a measure of the transactions that meet a condition.

An example of a condition is ``status = declined and amount > 500 and country != US``. Its parts are joined by ``and``.
Each part compares a dimension by ``=`` or ``!=`` with one or more values separated by ``|``, or compares ``amount`` by
``=``, ``>``, ``>=``, ``<`` or ``<=`` with a number. Double quotes enclose a value literally:
``merchant = "Salt and Pepper"``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ccstream.dashboard.dimensions import meant
from ccstream.declared import DIMENSIONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MEASURES = {
    "count": "Transactions",
    "value": "Value",
    "refunds": "Refunds",
    "average": "Average purchase",
    "sum": "Sum of amounts",
    "mean": "Mean amount",
    "p50": "Median",
    "p95": "p95",
    "p99": "p99",
    "approved_share": "Approval rate",
    "declined": "Declined",
    "cards": "Distinct cards",
    "rate": "Events / s",
}
"""Each measure, and its name on the page."""
DIVISIBLE = ("count", "value", "refunds", "sum", "declined", "cards")
"""The measures that can be divided by themselves under another condition."""
DIRECTIONS = {"up": 1, "down": -1, "neither": 0}
"""The words that say whether a larger value is better, with their numbers."""
_PART = re.compile(r"\s*(\w+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_JOINED = re.compile(r"""\s+and\s+(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_VALUES = re.compile(r"""\|(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_LENGTHS = (2, 3, 5)
"""The possible numbers of parts of a KPI in an address: up to the measure, the condition, or the direction."""
_CENT = Decimal("0.01")
MAX_AMOUNT = Decimal("99999999.99")
"""The largest possible amount in ``orders``, whose column is NUMERIC(10,2)."""


class CustomError(ValueError):
    """A KPI is not valid; the message says why."""


@dataclass(frozen=True)
class Custom:
    """Holds one KPI.

    Attributes:
        name: the KPI's name.
        measure: a key of :data:`MEASURES`.
        where: the condition; empty for all transactions.
        of: the condition of the divisor, which makes the KPI a rate; empty for all transactions, None for no divisor.
        good: whether a larger value is better (1), worse (-1) or neither (0); None for what the measure says.
    """

    name: str
    measure: str
    where: str = ""
    of: str | None = None
    good: int | None = None

    def __post_init__(self) -> None:
        """Checks the KPI.

        Raises:
            CustomError: the name, the measure or a condition is not valid. The message says what would be.
        """
        if not self.name.strip():
            raise CustomError("a KPI needs a name")
        if "~" in self.name:
            raise CustomError(f"{self.name}: a name cannot contain ~")
        if self.measure not in MEASURES:
            raise CustomError(f"{self.name}: there is no measure {self.measure!r}; use one of {', '.join(MEASURES)}")
        if self.of is not None and self.measure not in DIVISIBLE:
            raise CustomError(f"{self.name}: {self.measure} cannot be divided; use one of {', '.join(DIVISIBLE)}")
        for where in (self.where, self.of or ""):
            try:
                _conditions(where)
            except CustomError as error:
                raise CustomError(f"{self.name}: {error}") from None

    def in_address(self) -> str:
        """Returns the text that represents the KPI in the page's address."""
        parts = [self.name, self.measure, _escaped(self.where)]
        if self.of is not None or self.good is not None:
            parts += ["" if self.of is None else f"/{_escaped(self.of)}"]
            parts += [word for word, number in DIRECTIONS.items() if number == self.good] or [""]
        return "~".join(parts)

    @classmethod
    def from_address(cls, text: str) -> Custom:
        """Parses a text that :meth:`in_address` has returned.

        Raises:
            CustomError: the text is not a valid KPI.
        """
        parts = text.split("~")
        name, measure, where, of, good = [*parts, "", "", "", "", ""][:5]
        if len(parts) not in _LENGTHS or (of and not of.startswith("/")):
            raise CustomError(f"{text!r} is not name~measure~condition or name~measure~condition~/condition~direction")
        return cls(name, measure, _unescaped(where), _unescaped(of[1:]) if of else None, _direction(name, good))


def _escaped(where: str) -> str:
    return where.replace("%", "%25").replace("~", "%7E")


def _unescaped(where: str) -> str:
    return where.replace("%7E", "~").replace("%25", "%")


def _direction(name: str, word: str) -> int | None:
    if word and word not in DIRECTIONS:
        raise CustomError(f"{name}: good cannot be {word!r}; use one of {', '.join(DIRECTIONS)}")
    return DIRECTIONS.get(word)


def narrow(where: str, rows: Mapping[str, Any], values: Callable[[str], list[str | None]]) -> dict[str, Any]:
    """Adds a condition to the page's filters.

    Args:
        where: the condition, which a :class:`Custom` has checked.
        rows: the page's ``filters``, ``min_amount`` and ``max_amount``, as the engine takes them.
        values: a function that returns all values of a dimension.

    Returns:
        The narrowed ``filters``, ``min_amount`` and ``max_amount``.
    """
    filters = {name: list(chosen) for name, chosen in rows["filters"].items()}
    low, high = rows["min_amount"], rows["max_amount"]
    for name, sign, given in _conditions(where):
        if name == "amount":
            bound = given[0]
            if sign in {">", ">=", "="}:
                least = bound + _CENT if sign == ">" else bound
                low = least if low is None else max(low, least)
            if sign in {"<", "<=", "="}:
                most = bound - _CENT if sign == "<" else bound
                high = most if high is None else min(high, most)
        elif name in filters:
            filters[name] = [value for value in filters[name] if (value in given) == (sign == "=")]
        else:
            # A named value stays in the filter even if no row has it yet: rows may follow.
            filters[name] = list(given) if sign == "=" else [v for v in values(name) if v not in given]
    return {"filters": filters, "min_amount": low, "max_amount": high}


def _conditions(where: str) -> list[tuple[str, str, tuple[Any, ...]]]:
    found: list[tuple[str, str, tuple[Any, ...]]] = []
    if where.count('"') % 2:
        raise CustomError(f"a double quote is missing in {where!r}")
    for part in _JOINED.split(where.strip()) if where.strip() else []:
        match = _PART.fullmatch(part)
        if not match:
            raise CustomError(f"{part!r} is not a condition; an example is: status = declined")
        name, sign, text = match.groups()
        if name == "amount":
            found.append((name, sign, (_bound(sign, text),)))
            continue
        if name not in DIMENSIONS:
            raise CustomError(f"there is no field {name!r}; use one of amount, {', '.join(DIMENSIONS)}")
        if sign not in {"=", "!="}:
            raise CustomError(f"compare {name} by = or !=, not by {sign}")
        if not text:
            raise CustomError(f"{part!r} has no value")
        values = tuple(_meant(value.strip()) for value in _VALUES.split(text))
        found.append((name, sign, values))
    return found


def _meant(text: str) -> str | None:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else meant(text)


def _bound(sign: str, text: str) -> Decimal:
    try:
        bound = Decimal(text)
    except InvalidOperation:
        raise CustomError(f"{text!r} is not an amount") from None
    if sign == "!=" or not bound.is_finite() or abs(bound) > MAX_AMOUNT - _CENT or bound != round(bound, 2):
        raise CustomError(
            f"amount {sign} {text} is not possible; write amount > 500 or amount <= 12.50, with at most "
            "two decimals, below 100 million"
        )
    return bound


def read_file(path: Path) -> tuple[list[Custom], list[str]]:
    """Reads KPIs from a TOML file.

    Each is a table ``[[kpi]]`` with ``name`` and ``measure``, and if wanted ``where``, ``of`` and ``good``.

    Args:
        path: the file. A missing file has no KPIs.

    Returns:
        The valid KPIs, and a message for each of the others.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("kpi", [])
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [], [f"{path.name}: {error}"]
    if not isinstance(tables, list):
        return [], [f"{path.name}: write each KPI as [[kpi]]"]
    found, wrong = [], []
    for table in tables:
        try:
            found.append(_of_table(table))
        except CustomError as error:
            wrong.append(f"{path.name}: {error}")
    return found, wrong


def _of_table(table: object) -> Custom:
    if not isinstance(table, dict):
        raise CustomError("write each KPI as [[kpi]] with name, measure and where")
    known = ("name", "measure", "where", "of", "good")
    name = str(table.get("name", "a KPI"))
    for key in table:
        if key not in known:
            raise CustomError(f"{name}: there is no key {key!r}; use one of {', '.join(known)}")
    of = table.get("of")
    good = _direction(name, str(table.get("good", "")))
    return Custom(
        str(table.get("name", "")),
        str(table.get("measure", "")),
        str(table.get("where", "")),
        None if of is None else str(of),
        good,
    )
