"""KPIs of the viewer's own: a measure of the transactions that meet a condition, in one line of text.

``status = declined and amount > 500 and country != US`` is a condition: parts joined by ``and``, each a dimension or
``amount`` with ``=``, ``!=`` (several values separated by ``|``) or, for the amount, ``>``, ``>=``, ``<``, ``<=``. What
is in double quotes is taken as it is: ``merchant = "Salt and Pepper"``.
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
    "sum": "Value",
    "mean": "Average",
    "p50": "Median",
    "p95": "p95",
    "p99": "p99",
    "approved_share": "Conversion rate",
    "declined": "Declines",
    "cards": "Distinct cards",
    "rate": "Events / s",
}
"""What can be measured, and what the page calls it."""
_PART = re.compile(r"\s*(\w+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_JOINED = re.compile(r"""\s+and\s+(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_VALUES = re.compile(r"""\|(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_CENT = Decimal("0.01")
MAX_AMOUNT = Decimal("99999999.99")
"""No amount in ``orders`` is greater: its column is NUMERIC(10,2)."""


class CustomError(ValueError):
    """A KPI that cannot be, with what is wrong about it."""


@dataclass(frozen=True)
class Custom:
    """One KPI.

    Attributes:
        name: what it is called.
        measure: a key of :data:`MEASURES`.
        where: the condition; empty for all transactions.
    """

    name: str
    measure: str
    where: str = ""

    def __post_init__(self) -> None:
        """Checks all of it.

        Raises:
            CustomError: what is wrong, and what would be right.
        """
        if not self.name.strip():
            raise CustomError("it has no name")
        if "~" in self.name:
            raise CustomError(f"{self.name}: a name cannot have a ~")
        if self.measure not in MEASURES:
            raise CustomError(f"{self.name}: there is no measure {self.measure!r}; there are {', '.join(MEASURES)}")
        _conditions(self)

    def narrow(self, rows: Mapping[str, Any], values: Callable[[str], list[str | None]]) -> dict[str, Any]:
        """What the page shows already, narrowed by the condition.

        Args:
            rows: ``filters``, ``min_amount`` and ``max_amount``, as the engine takes them.
            values: the values that a dimension has.
        """
        filters = {name: list(chosen) for name, chosen in rows["filters"].items()}
        low, high = rows["min_amount"], rows["max_amount"]
        for name, sign, given in _conditions(self):
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
                # A value that is not there yet counts as well once it is.
                filters[name] = list(given) if sign == "=" else [v for v in values(name) if v not in given]
        return {"filters": filters, "min_amount": low, "max_amount": high}

    def in_address(self) -> str:
        """The text that stands for it in the page's address."""
        return f"{self.name}~{self.measure}~{self.where}"

    @classmethod
    def from_address(cls, text: str) -> Custom:
        """Reads :meth:`in_address`.

        Raises:
            CustomError: it is none.
        """
        parts = text.split("~", 2)
        if len(parts) < 2:  # noqa: PLR2004
            raise CustomError(f"{text!r} is not name~measure~condition")
        return cls(parts[0], parts[1], parts[2] if len(parts) > 2 else "")  # noqa: PLR2004


def _conditions(custom: Custom) -> list[tuple[str, str, tuple[Any, ...]]]:
    found: list[tuple[str, str, tuple[Any, ...]]] = []
    if custom.where.count('"') % 2:
        raise CustomError(f"{custom.name}: a double quote is missing in {custom.where!r}")
    for part in _JOINED.split(custom.where.strip()) if custom.where.strip() else []:
        match = _PART.fullmatch(part)
        if not match:
            raise CustomError(f"{custom.name}: {part!r} is no condition such as: status = declined")
        name, sign, text = match.groups()
        if name == "amount":
            found.append((name, sign, (_bound(custom, sign, text),)))
            continue
        if name not in DIMENSIONS:
            raise CustomError(f"{custom.name}: there is no {name!r}; there are amount, {', '.join(DIMENSIONS)}")
        if sign not in {"=", "!="}:
            raise CustomError(f"{custom.name}: {name} can be = or !=, not {sign}")
        if not text:
            raise CustomError(f"{custom.name}: {part!r} names no value")
        values = tuple(_meant(value.strip()) for value in _VALUES.split(text))
        found.append((name, sign, values))
    return found


def _meant(text: str) -> str | None:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else meant(text)


def _bound(custom: Custom, sign: str, text: str) -> Decimal:
    try:
        bound = Decimal(text)
    except InvalidOperation:
        raise CustomError(f"{custom.name}: {text!r} is no amount") from None
    if sign == "!=" or not bound.is_finite() or abs(bound) > MAX_AMOUNT - _CENT or bound != round(bound, 2):
        raise CustomError(
            f"{custom.name}: amount {sign} {text} cannot be asked; say amount > 500 or amount <= 12.50, "
            "below 100 million"
        )
    return bound


def read_file(path: Path) -> tuple[list[Custom], list[str]]:
    """The KPIs of a TOML file, and what is wrong with those that cannot be.

    Each is a table ``[[kpi]]`` with ``name``, ``measure`` and ``where``. No file: none.
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
    known = ("name", "measure", "where")
    name = str(table.get("name", "a KPI"))
    for key in table:
        if key not in known:
            raise CustomError(f"{name}: there is no {key!r}; there are {', '.join(known)}")
    return Custom(*(str(table.get(key, "")) for key in known))
