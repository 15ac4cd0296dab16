"""Tests ``ccstream produce --describe`` against figures that are computed in another way."""

from __future__ import annotations

import csv
import doctest
import json
import math
import random
import statistics
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ccstream
from ccstream import description, text_charts

if TYPE_CHECKING:
    from pathlib import Path

    from ccstream.description import Description
    from pipeline import Pipeline

FIELDS = [
    "timestamp",
    "amount",
    "currency",
    "merchant",
    "category",
    "card_token",
    "status",
    "payment_method",
    "response_code",
]


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Returns 5,000 transactions whose merchants follow a power law."""
    chance = random.Random(20261201)  # noqa: S311
    start = datetime(2026, 11, 1, tzinfo=timezone.utc)
    ranks = range(1, 301)
    made = []
    for _ in range(5000):
        rank = chance.choices(ranks, [1 / rank for rank in ranks])[0]
        category = chance.choice(["food", "fuel", "travel"])
        amount = round(chance.lognormvariate(3 + len(category) / 10, 1), chance.choice([0, 2])) + 0.01
        code = chance.choices(["00", "51", "91"], [90, 7, 3])[0]
        made.append(
            {
                "timestamp": (start + timedelta(minutes=chance.randrange(40_000))).isoformat(),
                "amount": f"{amount if chance.random() < 0.97 else -amount:.2f}",
                "currency": chance.choices(["EUR", "JPY"], [9, 1])[0],
                "merchant": f"shop {rank}",
                "category": category,
                "card_token": f"tok_{int(chance.expovariate(0.02))}",
                "status": "approved" if code == "00" else "declined",
                "payment_method": chance.choice(["visa", "amex"]),
                "response_code": code,
            }
        )
    return made


@pytest.fixture
def shape(rows: list[dict[str, Any]], tmp_path: Path) -> Description:
    """Returns the shape of the transactions."""
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    return ccstream.Producer(replay=file).describe()


def test_the_distribution_of_names_agrees_with_numpy(rows: list[dict[str, Any]], shape: Description) -> None:
    merchants = sorted(Counter(row["merchant"] for row in rows).values(), reverse=True)
    found = shape["merchants"]
    assert (found["distinct"], found["events"], found["beyond_limit"]) == (len(merchants), 5000, 0)
    frequent = [count for count in merchants if count >= 5]
    slope, _ = np.polyfit(np.log(np.arange(1, len(frequent) + 1)), np.log(frequent), 1)
    fit = found["zipf"]
    assert fit is not None
    assert fit["exponent"] == pytest.approx(-slope)
    assert (fit["ranks"], fit["least"]) == (len(frequent), frequent[-1])
    assert found["top_tenth_share"] == pytest.approx(sum(merchants[: math.ceil(len(merchants) / 10)]) / 5000)
    assert [tuple(one) for one in found["ranks"]] == [
        (rank, merchants[rank - 1]) for rank in (1, 2, 5, 10, 20, 50, 100, 200)
    ]
    assert found["top"][0][1] == merchants[0]
    cards = list(Counter(row["card_token"] for row in rows).values())
    apart = sum(abs(one - other) for one, other in combinations(cards, 2)) / len(cards) ** 2
    assert shape["cards"]["gini"] == pytest.approx(apart / statistics.fmean(cards))
    assert shape["cards"]["distinct"] == len(cards)


def test_times_amounts_and_outcomes_agree_with_python(rows: list[dict[str, Any]], shape: Description) -> None:
    moments = [datetime.fromisoformat(row["timestamp"]) for row in rows]
    hours = Counter((moment.weekday(), moment.hour) for moment in moments)
    assert shape["hours"] == [[hours[day, hour] for hour in range(24)] for day in range(7)]
    assert (shape["first"], shape["last"]) == tuple(
        round(moment.timestamp() * 1e6) for moment in (min(moments), max(moments))
    )
    assert shape["refunds"] == pytest.approx(sum(row["amount"][0] == "-" for row in rows) / 5000)
    bought = [row for row in rows if row["amount"][0] != "-"]
    amounts = shape["amounts"]
    assert amounts is not None
    euros = [row for row in bought if row["currency"] == "EUR"]
    assert amounts["currency"] == "EUR"
    assert amounts["share"] == pytest.approx(len(euros) / len(bought))
    for one in [amounts["all"], *amounts["by_category"]]:
        logarithms = [math.log(float(row["amount"])) for row in euros if one["name"] in {"", row["category"]}]
        assert one["count"] == len(logarithms)
        assert (one["mu"], one["sigma"]) == pytest.approx((statistics.fmean(logarithms), statistics.pstdev(logarithms)))
    for ending, share in amounts["endings"]:
        assert share == pytest.approx(sum(row["amount"].endswith(f".{ending:02}") for row in euros) / len(euros))
    for network in shape["by_network"]:
        statuses = [row["status"] for row in rows if row["payment_method"] == network["name"]]
        assert network["count"] == len(statuses)
        assert network["share"] == pytest.approx(statuses.count("approved") / len(statuses))
    codes = Counter(row["response_code"] for row in rows)
    assert [(one["code"], one["count"]) for one in shape["response_codes"]] == codes.most_common()


def test_the_shape_has_the_fields_of_its_type(shape: Description) -> None:
    def check(value: Any, kind: Any) -> None:  # noqa: ANN401
        assert set(value) == set(kind.__annotations__), kind

    check(shape, description.Description)
    check(shape["merchants"], description.Names)
    check(shape["cards"], description.Names)
    check(shape["merchants"]["zipf"], description.Zipf)
    check(shape["amounts"], description.Amounts)
    assert shape["amounts"] is not None
    check(shape["amounts"]["all"], description.LogNormal)
    check(shape["approved"], description.Approved)
    check(shape["response_codes"][0], description.Code)


def test_the_text_has_every_part_within_80_columns(shape: Description) -> None:
    long = dict(shape["by_network"][0], name="n" * 200)
    printed = description.text({**shape, "by_network": [long] * 30, "malformed": {"invalid_json": 12, "empty": 3}})  # type: ignore[list-item]
    assert max(map(len, printed.splitlines())) <= 80
    for part in (
        "5,000 events in ",
        "15 malformed messages",
        "12 invalid_json",
        "Merchants: ",
        "Zipf exponent ",
        "Gini 0.",
        "\nMon ",
        "\nSun ",
        "Purchases in EUR",
        "\nfood ",
        "Endings: .00 ",
        "Approved: ",
        "n… ",
        "and 18 more networks",
        "response code",
    ):
        assert part in printed, part
    assert any(shade * 2 in printed for shade in text_charts.SHADES[1:])


def test_parts_without_data_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "bare.csv"
    file.write_text("timestamp,amount\n2026-01-05,-1.50\n2026-01-05,abc\n")
    shape = ccstream.Producer(replay=file).describe()
    assert shape["malformed"] == {"invalid_amount": 1}
    printed = description.text(shape)
    assert "1 events in 0.00 days, 100.0 % refunds" in printed
    for part in ("Merchants", "Cards", "Purchases", "Approved", "response"):
        assert part not in printed, part


def test_names_beyond_the_limit_are_mentioned(shape: Description) -> None:
    names = {**shape["merchants"], "limit": 200, "beyond_limit": 1234}
    printed = description.text({**shape, "merchants": names})  # type: ignore[typeddict-item]
    assert "Only the first 200 are counted separately; 1,234 events have other names." in printed


def test_the_command_needs_no_broker(lone_pipeline: Pipeline) -> None:
    flags = ["produce", "--describe", "--seed", "7", "--start-time", "2026-01-01T00:00:00Z", "--count", "2000"]
    printed = lone_pipeline.run(*flags)
    assert printed.startswith("2,000 events in ")
    assert lone_pipeline.run(*flags) == printed
    document = json.loads(lone_pipeline.run(*flags, "--json"))
    assert (document["events"], document["malformed"]) == (2000, {})
    assert "has no column" in lone_pipeline.run(
        "produce", "--describe", "--replay", __file__, "--map", "mcc=x", status=2
    )


@pytest.mark.parametrize(("cards", "is_warned"), [("1000", True), ("100000", False)])
def test_overused_cards_are_warned_of_on_standard_error(lone_pipeline: Pipeline, cards: str, is_warned: bool) -> None:
    command = [sys.executable, "-m", "ccstream", "produce", "--describe", "--json", "--rate", "5", "--count", "50"]
    done = subprocess.run(
        [*command, "--cards", cards], capture_output=True, check=True, env=lone_pipeline.environment, text=True
    )
    assert json.loads(done.stdout)["events"] == 50
    assert ("1000 cards make 432 payments a day each" in done.stderr) == is_warned
    assert bool(done.stderr) == is_warned


def test_the_examples_of_the_charts_are_right() -> None:
    assert doctest.testmod(text_charts) == doctest.TestResults(failed=0, attempted=4)
    assert text_charts.heat_map({"a": [0] * 24}, [0, 23])[0] == "  0" + " " * 45 + "23"
    assert text_charts.log_bars([], 10) == []
