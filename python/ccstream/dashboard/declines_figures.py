"""Queries why transactions were declined, and prepares tables of it, independently of Streamlit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ccstream import kpi
from ccstream.dashboard.csv_texts import stacked
from ccstream.dashboard.dimensions import shown
from ccstream.dashboard.memory import lacks
from ccstream.dashboard.metrics import change_text
from ccstream.dashboard.response_codes import meaning
from ccstream.declared import DECLINED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from ccstream import KpiAnswer, KpiEngine
    from ccstream.dashboard.view import View

CODES = 10
"""The maximum number of response codes in the table."""
PLACES = 5
"""The maximum number of networks, and of countries."""
TRIES = 3
"""How often two queries are asked until both are of one snapshot."""


@dataclass(frozen=True)
class Declines:
    """Holds why transactions of the page's range and filters were declined.

    Attributes:
        at: the moment for which the figures by response code are true; None if there is none.
        decided: the number of transactions with a status that means approved or declined.
        declined: the number of declined transactions.
        value: the sum of the declined amounts, in units of the currency; None if none has an amount in it.
        currency: the currency.
        coded: the number of declined transactions with a response code.
        codes: ``response_code``, ``reason`` (with the code), ``declined``, ``share`` (of all declines), ``change``
            (from the preceding period, as text) and ``value`` (NaN without amounts), the most declines first.
        other_codes: the number of response codes that are not in the table.
        networks: ``payment_method``, ``declined`` and ``rate`` (of those decided), those with the most declines first;
            empty if no transaction has a payment method.
        countries: the same of ``country``.
    """

    at: int | None
    decided: int
    declined: int
    value: float | None
    currency: str | None
    coded: int
    codes: pd.DataFrame
    other_codes: int
    networks: pd.DataFrame
    countries: pd.DataFrame

    def by_value(self) -> pd.DataFrame:
        """Returns the three tables below each other, with ``dimension`` and ``name`` for each value."""
        tables = (("response_code", self.codes), ("payment_method", self.networks), ("country", self.countries))
        return stacked({by: table.rename(columns={by: "name"}) for by, table in tables}, "dimension")


def load(engine: KpiEngine, view: View, zone: tzinfo) -> Declines:
    """Queries why transactions were declined.

    Three queries are asked. Their ranges begin at fixed times or move with the page's, so that each visits only rows
    that have come or gone since the last refresh.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
    """
    places: dict[str, list[str]] = {"payment_method": ["approved"], "country": ["approved"]}
    everything = engine.query(**view.question(), by=places, tz=zone)
    rows = narrowed(view.rows(), engine.values("status"))
    codes = None if rows is None else _codes(engine, view, rows, zone)
    totals = everything.totals
    table, value, at = (_table(None, None), None, None) if codes is None else codes
    return Declines(
        at=at,
        decided=totals["decided"],
        declined=totals["declined"],
        value=value,
        currency=everything.currency,
        coded=int(table.loc[table["known"], "declined"].sum()),
        codes=table.iloc[:CODES].drop(columns="known"),
        other_codes=max(0, len(table) - CODES),
        networks=_places(everything, "payment_method"),
        countries=_places(everything, "country"),
    )


def narrowed(rows: Mapping[str, Any], statuses: list[str | None]) -> dict[str, Any] | None:
    """Narrows filters to declined transactions; None if they select none.

    Args:
        rows: the filters, as ``View.rows`` returns them.
        statuses: every status of the transactions in memory.
    """
    chosen = rows["filters"].get("status") or statuses
    declined = [one for one in statuses if one is not None and one.lower() in DECLINED and one in chosen]
    return {**rows, "filters": {**rows["filters"], "status": declined}} if declined else None


def _codes(engine: KpiEngine, view: View, rows: dict[str, Any], zone: tzinfo) -> tuple[pd.DataFrame, float | None, int]:
    """Returns the table of codes, the value of all of them, and the moment for which both are true."""
    question = view.question(rows)
    question.pop("before", None)
    now = engine.query(**question, by={"response_code": []})
    both = None
    if now.start is not None and now.end is not None:
        since = 2 * now.start - now.end
        # A range that ends where the page's ends, and is twice as long, moves as it does. The engine keeps the counts
        # of both, whereas a range that ends in the past would be counted completely at each refresh.
        if "last" in question:
            twice = {**question, "last": 2 * question["last"]}
        else:
            twice = {**question, "start": since, "end": now.end}
        both = engine.query(**twice, by={"response_code": []})
        for _ in range(TRIES):
            if both.at == now.at:
                break
            # The engine has taken a snapshot between the two queries.
            now, both = (engine.query(**one, by={"response_code": []}) for one in (question, twice))
        if both.at != now.at or lacks(engine.status, since, zone):
            both = None
    counts = None if both is None else _counts(both)
    value = float(kpi.units(now.totals["sum"])) if now.totals["amounts"] else None
    return _table(now, counts), value, now.at


def _counts(answer: KpiAnswer) -> dict[str | None, int]:
    table = answer["response_code"]
    return dict(zip(table["key"], table["count"].tolist(), strict=True))


def _table(now: KpiAnswer | None, both: Mapping[str | None, int] | None) -> pd.DataFrame:
    """Returns the declined transactions by response code.

    Args:
        now: the counts of the range; None if nothing was declined.
        both: the counts of the range and the preceding period together; None if that is unknown.
    """
    columns = ["response_code", "reason", "declined", "share", "change", "value", "known"]
    if now is None or not now.totals["count"]:
        return pd.DataFrame({name: pd.Series(dtype=bool if name == "known" else object) for name in columns})
    table = now["response_code"]
    counts = table["count"].tolist()
    return pd.DataFrame(
        {
            "response_code": [shown(code) for code in table["key"]],
            "reason": [reason(code) for code in table["key"]],
            "declined": counts,
            "share": table["count"] / now.totals["count"],
            "change": [
                None if both is None else _change(count, both.get(code, 0) - count)
                for code, count in zip(table["key"], counts, strict=True)
            ],
            "value": np.where(table["amounts"] > 0, kpi.units(table["sum"]), np.nan),
            "known": [code is not None for code in table["key"]],
        }
    )[columns]


def _change(count: int, before: int) -> str | None:
    return change_text("declined", count, before) if before else "new"


def reason(code: str | None) -> str:
    """Returns the name of a response code on the page: what it means, and the code."""
    words = meaning(code)
    if code is None:
        return "No response code"
    return f"{words[0].upper()}{words[1:]} ({code})" if words else f"Code {code}"


def _places(answer: KpiAnswer, name: str) -> pd.DataFrame:
    """Returns the groups with the most declined transactions; empty if the only group is of no value."""
    table = answer[name]
    declined = table["declined"]
    first = np.argsort(-declined, kind="stable")[:PLACES]
    first = first[declined[first] > 0] if table["key"] != [None] else first[:0]
    rates = declined[first] / np.maximum(table["decided"][first], 1)
    return pd.DataFrame({name: [shown(table["key"][at]) for at in first], "declined": declined[first], "rate": rates})
