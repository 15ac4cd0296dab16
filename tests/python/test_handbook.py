"""Tests that the preset ``handbook`` is as difficult for the Handbook's detector as the Handbook's own data.

``make bench-detect`` measures 183 days, as the Handbook does; these tests have 60. Only the last one needs a service.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from services import ROOT
from topics import read_whole

sys.path.insert(0, str(ROOT / "bench"))

import handbook

if TYPE_CHECKING:
    from handbook import Transactions
    from pipeline import Pipeline

DAYS = 60
TEST_WEEKS = 2


@pytest.fixture(scope="module")
def transactions() -> Transactions:
    return handbook.generate(1, DAYS)


def test_the_handbooks_detector_performs_as_published(transactions: Transactions) -> None:
    first_day = handbook.first_training_day(DAYS, TEST_WEEKS)
    figures = handbook.evaluate(transactions, first_day, TEST_WEEKS)
    assert handbook.unexpected(figures) == [], figures


def test_the_detector_learns_nothing_from_shuffled_frauds(transactions: Transactions) -> None:
    """A leak of the label into the features or into the protocol would give a high AUC."""
    shuffled = np.random.default_rng(0).permutation(transactions.fraud)
    first_day = handbook.first_training_day(DAYS, TEST_WEEKS)
    figures = handbook.evaluate(replace(transactions, fraud=shuffled), first_day, TEST_WEEKS)
    assert figures["AUC"] == pytest.approx(0.5, abs=0.03)


def test_a_week_of_training_ends_when_its_labels_are_known() -> None:
    day = np.repeat(np.arange(DAYS), 4)
    zeros = np.zeros(len(day), dtype=np.int64)
    # On day 24, card 0 is defrauded. From the day after its label on, its transactions are not tested.
    card, fraud = np.tile(np.arange(4), DAYS), zeros.copy()
    fraud[(day == 24) & (card == 0)] = 1
    transactions = handbook.Transactions(day * handbook.DAY, day, card, zeros, zeros, fraud, fraud)
    for delay, first_day in ((7, 18), (10, 15), (5, 20)):
        [(train, test), _] = handbook.folds(transactions, 18, 2, delay)
        assert np.unique(day[train]).tolist() == list(range(first_day, first_day + 7)), delay
        assert np.unique(day[test]).tolist() == list(range(32, 39)), delay
        assert np.unique(day[test[card[test] == 0]]).tolist() == list(range(32, 24 + delay + 1)), delay


def test_features_equal_those_computed_row_by_row() -> None:
    transactions = handbook.generate(2, DAYS, "handbook,customers=20,terminals=300,radius=10,s2_terminals=6")
    computed = handbook.features(transactions)
    assert len(computed) > 1000
    assert transactions.fraud.mean() > 0.1
    for row in range(0, len(computed), 7):
        assert computed[row] == pytest.approx(expected_features(transactions, row)), row


def expected_features(transactions: Transactions, row: int) -> list[float]:
    """Computes the 15 features of one transaction by the Handbook's definitions, chapter 3."""
    time = transactions.time / handbook.DAY
    now, before = time[row], np.arange(len(time)) <= row
    of_card = before & (transactions.customer == transactions.customer[row])
    of_terminal = before & (transactions.terminal == transactions.terminal[row])
    # The first day, 2018-04-01, is a Sunday; the night ends at 7 o'clock.
    values = [transactions.amount[row], int(now) % 7 in {0, 6}, now % 1 * 24 < 7]
    for days in (1, 7, 30):
        recent = of_card & (time > now - days)
        values += [recent.sum(), transactions.amount[recent].mean()]
    for days in (1, 7, 30):
        recent = of_terminal & (time > now - 7 - days) & (time <= now - 7)
        values += [recent.sum(), transactions.fraud[recent].mean() if recent.any() else 0]
    return [float(value) for value in values]


def test_the_page_lists_the_constants_as_declared() -> None:
    source = (ROOT / "crates/ccstream-core/src/generate/handbook/settings.rs").read_text("utf-8")
    declared = re.findall(
        r"^    /// (.+)\n((?:    /// .+\n)*)    (\w+): \w+ = (.+?), (.+)\.\.=(.+);$", source, re.MULTILINE
    )
    assert len(declared) > 15
    values = {"ALL_DAYS": "47,482", "1.0 / 3.0": "1/3", "1e6": "1,000,000", "1e8": "100,000,000"}
    rows = []
    for first, others, name, *numbers in declared:
        meaning = " ".join([first, *re.findall(r"/// (.+)", others)])
        default, least, most = (
            values[one] if one in values else f"{float(one.replace('_', '')):,.10g}" for one in numbers
        )
        rows.append(f"| `{name}` | {default} | {least} to {most} | {meaning} |")
    page = (ROOT / "docs/handbook.md").read_text("utf-8").splitlines()
    assert [line for line in page if line.startswith("| `")] == rows


def test_produce_sends_the_preset(embedded_pipeline: Pipeline) -> None:
    preset = "handbook,customers=200,days=3"
    flags = ("--seed", "3", "--start-time", "2018-04-01", "--rate", "max", "--partitions", "1")
    embedded_pipeline.run("produce", "--preset", preset, *flags)
    messages = list(read_whole(embedded_pipeline.broker, embedded_pipeline.topic))
    frauds = [
        json.loads(message.value() or b"")
        for message in read_whole(embedded_pipeline.broker, embedded_pipeline.truth_topic)
    ]
    labels = [
        json.loads(message.value() or b"")
        for message in read_whole(embedded_pipeline.broker, embedded_pipeline.labels_topic)
    ]
    sent = [json.loads(message.value() or b"") for message in messages]
    transactions = handbook.generate(3, 3, "handbook,customers=200")
    assert len(sent) > 500
    assert [round(one["amount"] * 100) for one in sent] == [round(100 * amount) for amount in transactions.amount]
    assert [one["terminal_id"] for one in sent] == [f"T{number:07}" for number in transactions.terminal]
    tokens = [f"hb_c{number:07}" for number in transactions.customer]
    assert [(message.key() or b"").decode() for message in messages] == tokens
    assert [one["card_token"] for one in sent] == tokens
    assert len({len(message.value() or b"") for message in messages}) == 1
    ids = {one["transaction_id"]: one["timestamp"] for one in sent}
    of_fraud = [key for key, is_fraud in zip(ids, transactions.fraud, strict=True) if is_fraud]
    assert [(fraud["kind"], fraud["transaction_id"]) for fraud in frauds] == [("fraud", key) for key in of_fraud]
    assert len(of_fraud) > 3
    for label in labels:
        happened = datetime.fromisoformat(ids[label["transaction_id"]].replace("Z", "+00:00"))
        assert datetime.fromisoformat(label["labelled_at"].replace("Z", "+00:00")) - happened == timedelta(days=7)
    assert [label["transaction_id"] for label in labels] == of_fraud
