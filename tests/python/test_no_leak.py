"""Tests that nothing but the values of a transaction's fields tells a planted fraud from other transactions.

A linear classifier is given everything else that a message has: the bits of its id below the millisecond, the digits
below the second of its timestamp, the order, presence and spelling of its fields, its length, the spelling of its key,
its headers and its partition. It is trained on half of the cards and scores the other half. For each scenario, the area
under its curve (AUC) must be within three standard errors of 0.5: against the scenario's twin, and against everything.

The transactions of a card have the same key and the same partition, and a campaign may consist of a single card, so
they are not independent. Cards are therefore never in both halves, and the standard error is that of a sample of cards:
Obuchowski, "Nonparametric Analysis of Clustered ROC Curve Data", Biometrics 53 (1997). Which partition a card has
follows from its token alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from pipeline import make_pipeline
from topics import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message
    from numpy.typing import NDArray

    Array = NDArray[Any]

COUNT = 215_000
FRAUDS = 20_000
RATE = 0.35
"""The stream lasts a week, since frauds follow days after a card was used at a compromised terminal."""
WORLD = (
    *("--seed", "4", "--start-time", "2026-03-02T00:00:00Z", "--speed", "max", "--cards", "80000"),
    *("--fraud", "0.1", "--partitions", "8"),
)
SCENARIOS = [f"S{number}" for number in range(1, 8)]
PARTS = [
    # Blanks before the closing brace fill each message up to the same length.
    (re.compile(rb" *}$"), b"}"),
    (re.compile(rb'":"[^"]*"'), b'":""'),
    (re.compile(rb'("(?:latitude|longitude)":)-?[\d.]+'), rb"\1"),
    (re.compile(rb'("amount":)-?\d+\.\d\d,'), rb"\1"),
    (re.compile(rb'("discount":)0.\d\d'), rb"\1"),
    (re.compile(rb'("risk_flag":)(?:true|false)'), rb"\1"),
]
"""The values, which are removed from a payload. Names, order and quotes remain."""


@dataclass(frozen=True)
class Sent:
    """All transactions that were sent.

    Attributes:
        marks: A row of 0 and 1 for each transaction: what the classifier is given.
        kind: ``fraud``, ``twin``, or another kind of truth, or nothing.
        scenario: The scenario of a fraud or a twin.
        card: The number of the card.
    """

    marks: Array
    kind: Array
    scenario: Array
    card: Array


def traits(message: Message, event: dict[str, Any]) -> Iterator[object]:
    """Yields everything about a message except the values of its fields."""
    identifier = int(event["transaction_id"].replace("-", ""), 16)
    yield from ((identifier >> bit) & 1 for bit in range(80))
    yield from event["timestamp"].partition(".")[2]
    payload, key = message.value() or b"", message.key() or b""
    structure = payload
    for pattern, rest in PARTS:
        structure = pattern.sub(rest, structure)
    yield structure
    yield len(payload)
    yield re.sub(rb"[a-p]", b"a", key)
    yield key == event["card_token"].encode()
    yield str(message.headers())
    yield message.partition()


def marks_of(rows: list[list[object]]) -> Array:
    """Makes a column of 0 and 1 for each value of each trait, except for one value that follows from the others."""
    columns = []
    for trait in zip(*rows, strict=True):
        number, values = pd.factorize(np.array(trait, dtype=object))
        columns += [number == value for value in range(1, len(values))]
    return np.column_stack(columns).astype(np.float32)


@pytest.fixture(scope="module")
def sent(services: dict[str, str]) -> Sent:
    with make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], services["DATABASE_URL"]) as pipeline:
        producer = pipeline.produce(RATE, COUNT, *WORLD)
        assert producer.wait() == 0, producer.output()
        truths = [json.loads(message.value() or b"") for message in read_whole(pipeline.broker, pipeline.truth_topic)]
        planted = {truth["transaction_id"]: truth for truth in truths if truth["kind"] in {"fraud", "twin"}}
        rows, of, cards = [], [], []
        for message in read_whole(pipeline.broker, pipeline.topic):
            event = json.loads(message.value() or b"")
            rows.append(list(traits(message, event)))
            of.append(planted.get(event["transaction_id"], {}))
            cards.append(event["card_token"])
    kind, scenario = (np.array([truth.get(name, "") for truth in of]) for name in ("kind", "scenario"))
    return Sent(marks_of(rows), kind, scenario, pd.factorize(np.array(cards, dtype=object))[0])


def auc(scores: Array, is_fraud: Array, card: Array) -> tuple[float, float]:
    """Returns the AUC and its standard error for a sample of cards."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    frauds = np.bincount(place, weights=is_fraud)
    others = counts - frauds
    # The share of the other class that is below each score; equal ones count half.
    below_of = [(np.cumsum(of) - of / 2) / of.sum() for of in (others, frauds)]
    placed = np.where(is_fraud, below_of[0][place], 1 - below_of[1][place])
    area = float(placed[is_fraud].mean())
    size = np.where(is_fraud, is_fraud.sum(), (~is_fraud).sum())
    by_card = np.bincount(card, weights=(placed - area) / size)
    return area, float(np.sqrt((by_card**2).sum()))


def separate(marks: Array, is_fraud: Array, card: Array) -> tuple[float, float]:
    """Trains a linear classifier on half of the cards; returns its AUC and the standard error on the other half."""
    is_trained = card % 2 == 0
    given = marks[is_trained] - marks[is_trained].mean(axis=0)
    wanted = is_fraud[is_trained] - is_fraud[is_trained].mean()
    # Least squares. The small addition keeps columns that are alike from making the equations singular.
    weights = np.linalg.solve(given.T @ given + np.eye(given.shape[1]), given.T @ wanted)
    return auc(marks[~is_trained] @ weights, is_fraud[~is_trained], card[~is_trained])


def comparisons(sent: Sent) -> Iterator[tuple[str, Array, Array]]:
    """Yields, for each scenario, a name, the transactions that are compared, and which of all are frauds."""
    for scenario in SCENARIOS:
        is_of = sent.scenario == scenario
        is_fraud = is_of & (sent.kind == "fraud")
        yield f"{scenario} and its twin", is_of, is_fraud
        yield f"{scenario} and all others", np.ones(len(is_of), dtype=bool), is_fraud


def test_nothing_but_values_tells_frauds_from_others(sent: Sent) -> None:
    assert (len(sent.kind), (sent.kind == "fraud").sum() >= FRAUDS) == (COUNT, True)
    found = {}
    for name, rows, is_fraud in comparisons(sent):
        area, error = separate(sent.marks[rows], is_fraud[rows], sent.card[rows])
        print(f"{name}: {is_fraud.sum()} frauds, AUC {area:.4f}, standard error {error:.4f}")
        found[name] = (area - 0.5) / error
    assert {name: excess for name, excess in found.items() if abs(excess) > 3} == {}


def test_the_classifier_finds_a_small_leak(sent: Sent) -> None:
    """Three frauds in four have a mark that half of all transactions have."""
    chance = np.random.default_rng(0)
    for name, rows, is_fraud in comparisons(sent):
        leak = chance.random(len(is_fraud)) < np.where(is_fraud, 0.75, 0.5)
        marks = np.column_stack([sent.marks[rows], leak[rows].astype(np.float32)])
        area, error = separate(marks, is_fraud[rows], sent.card[rows])
        assert area > 0.5 + 3 * error, name
