"""Tests the settings of a page without the page: addresses, conditions and texts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ccstream import kpi
from ccstream.dashboard.charts import describe
from ccstream.dashboard.custom import Custom, CustomError, narrow, read_file
from ccstream.dashboard.metrics import change_text, text
from ccstream.dashboard.view import View, read, write

if TYPE_CHECKING:
    from pathlib import Path


def test_addresses() -> None:
    usual, notes = read({})
    assert (usual, notes, write(usual)) == (View(), [], {})
    view = View(
        span="from-to",
        start=datetime(2026, 1, 1, tzinfo=timezone.utc),
        end=datetime(2026, 1, 3, tzinfo=timezone.utc),
        filters={"city": ("Paris", "O'Hara & Söhne"), "risk": ("true",)},
        min_amount=Decimal("-1.50"),
        money="EUR",
        latest=25,
        every=5,
        zone="utc",
        is_wall=True,
        turn=30,
        customs=(
            Custom("Abroad", "p95", "country != US|(unknown) and amount >= 5"),
            Custom("Of declines", "count", 'merchant = "~100%7E"', of="status = declined", good=-1),
            Custom("Of all", "value", "entry_mode = chip", of=""),
            Custom("Cards", "cards", good=0),
        ),
    )
    assert read(write(view)) == (view, [])
    for address in (
        {"range": ["yesterday"]},
        {"range": ["from-to"], "from": ["2026-01-02"], "to": ["2026-01-01"]},
        {"from": ["never"]},
        {"min": ["much"]},
        {"max": ["1e9"]},
        {"every": ["0"]},
        {"zone": ["Europe/Berlin"]},
        {"kiosk": ["yes"]},
        {"turn": ["7"]},
        {"colour": ["red"]},
        {"kpi": ["nonsense"]},
        {"kpi": ["a~mode~"]},
        {"kpi": ["a~count~~status = declined~down"]},
        {"kpi": ["a~count~~/status = declined~sideways"]},
        {"kpi": ["a~p95~~/status = declined~"]},
        {"kpi": ["a~count~amount > 1e30"]},
        {"range": ["from-to"], "from": ["0001-01-01"], "to": ["9999-12-31"]},
        {"risk": ["maybe"]},
    ):
        read_back, notes = read(address)
        assert notes, address
        assert not read_back.narrows
        assert not read_back.customs
    many, notes = read({"kpi": [f"{n}~count~" for n in range(40)], **{f"odd{n}": ["1"] for n in range(40)}})
    assert (len(many.customs), len(notes)) == (12, 6)


@pytest.mark.parametrize(
    ("name", "measure", "where", "problem"),
    [
        ("", "count", "", "needs a name"),
        ("a", "mode", "", "no measure"),
        ("a", "count", "status", "not a condition"),
        ("a", "count", "colour = red", "no field 'colour'"),
        ("a", "count", "status > declined", "= or !="),
        ("a", "count", "status =", "has no value"),
        ("a", "count", "amount > much", "not an amount"),
        ("a", "count", "amount != 5", "not possible"),
        ("a", "count", "amount > 0.001", "not possible"),
        ("a", "count", "amount < 1e30", "not possible"),
        ("a~b", "count", "", "cannot contain ~"),
        ("a", "count", 'merchant = "x', "a: a double quote"),
    ],
)
def test_a_kpi_that_is_not_valid_is_refused(name: str, measure: str, where: str, problem: str) -> None:
    with pytest.raises(CustomError, match=problem):
        Custom(name, measure, where)


def test_a_rate_that_is_not_valid_is_refused() -> None:
    with pytest.raises(CustomError, match="p95 cannot be divided"):
        Custom("a", "p95", of="")
    with pytest.raises(CustomError, match="a: there is no field"):
        Custom("a", "count", of="colour = red")


@pytest.mark.parametrize(
    ("where", "page", "filters"),
    [
        ("status != declined and status = declined|approved", {}, {"status": ["approved"]}),
        ("status = declined and status = approved", {}, {"status": []}),
        ("status = new", {}, {"status": ["new"]}),
        ("status != declined", {}, {"status": ["approved", None]}),
        ("status != declined", {"status": ["declined"]}, {"status": []}),
        ("status = declined", {"status": ["declined", "approved"]}, {"status": ["declined"]}),
        (
            'merchant = "Salt and Pepper"|"(unknown)"|(unknown)',
            {},
            {"merchant": ["Salt and Pepper", "(unknown)", None]},
        ),
    ],
)
def test_conditions_narrow_the_page(where: str, page: dict[str, list[str]], filters: dict[str, list[str]]) -> None:
    rows = {"filters": page, "min_amount": None, "max_amount": None}
    assert narrow(where, rows, lambda _: ["approved", "declined", None])["filters"] == filters


def test_kpis_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "kpis.toml"
    assert read_file(file) == ([], [])
    file.write_text(
        '[[kpi]]\nname = "Big"\nmeasure = "count"\nwhere = "amount > 500"\n'
        '[[kpi]]\nname = "Odd"\nmeasure = "count"\nfilter = "x"\n'
        '[[kpi]]\nname = "Rate"\nmeasure = "count"\nwhere = "response_code = 51"\nof = ""\ngood = "down"\n'
        '[[kpi]]\nname = "Wrong"\nmeasure = "count"\ngood = "left"\n',
        encoding="utf-8",
    )
    found, wrong = read_file(file)
    assert found == [Custom("Big", "count", "amount > 500"), Custom("Rate", "count", "response_code = 51", "", -1)]
    assert "there is no key 'filter'" in wrong[0]
    assert "Wrong: good cannot be 'left'; use one of up, down, neither" in wrong[1]
    for text_, problem in (("[[kpi", "kpis.toml"), ("kpi = [1]", "write each KPI"), ("kpi = 1", "write each KPI")):
        file.write_text(text_, encoding="utf-8")
        assert problem in read_file(file)[1][0]


def test_texts_and_series() -> None:
    assert [describe(timedelta(seconds=s)) for s in (1, 300, 86_400)] == ["second", "5 minutes", "day"]
    assert text("sum", 123_456.0) == "1,234.56"
    assert text("sum", 1.5e9) == "15.00 M"
    assert (text("mean", None), text("approved_share", 0.5), text("count", 1234.0)) == ("-", "50.0%", "1,234")
    assert kpi.change(3, 2) == 0.5
    assert kpi.change(3, 0) is None
    assert change_text("count", 150, 100) == "+50.0%"
    assert [change_text("count", now, 100) for now in (999, 1000, 2797)] == ["+899.0%", "10x", "28x"]
    assert change_text("approved_share", 0.91, 0.9) == "+1.0 pp"
    assert [change_text("sum", 10_000, before) for before in (10_001, 9_999, 0, None)] == ["0.0%", "0.0%", None, None]
    np.testing.assert_allclose(kpi.rolling_mean(np.array([1.0, 2, 6, 4]), 3), [1, 1.5, 3, 4])
    np.testing.assert_allclose(kpi.ewma(np.array([1.0, 3, 3]), 1), [1, 2, 2.5])
