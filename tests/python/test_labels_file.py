"""Tests sending a file's labels with its transactions: the order changes no score, and bad files are refused."""

from __future__ import annotations

import csv
import gzip
import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from running import read_events
from test_analyze import analyze, places, scores
from topics import read_whole

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

BEGIN = datetime.fromisoformat("2026-01-05T00:00:00")
ROWS = 20_000
EVENTS = ("transaction_id", "timestamp", "card_token", "merchant", "amount")
DROP = (
    "DROP TABLE scores, labels, analysis, analysis_offsets, analysis_state, models, "
    "score_minute, score_day, feature_day, top_cards, fraud_cards"
)
LABELS = ("transaction_id", "transaction_time", "labelled_at", "fraud")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Writes 20,000 transactions in 28 days; at every tenth merchant, a third of them are frauds, known a day later."""
    events, labels = tmp_path / "events.csv.gz", tmp_path / "label_events.csv.gz"
    with gzip.open(events, "wt", newline="") as one, gzip.open(labels, "wt", newline="") as other:
        rows, known = csv.writer(one), csv.writer(other)
        rows.writerow(EVENTS)
        known.writerow(LABELS)
        for number in range(ROWS):
            time = BEGIN + timedelta(minutes=2 * number)
            card, merchant = number * 7 % 331, number * 13 % 97
            amount = 10 + number * 17 % 90
            rows.writerow([f"t{number:05}", time.isoformat() + "Z", f"c{card}", f"m{merchant}", f"{amount}.50"])
            if merchant % 10 == 0 and number % 3 == 0:
                later = time + timedelta(days=1)
                known.writerow([f"t{number:05}", time.isoformat() + "Z", later.isoformat() + "Z", 1])
    return events, labels


def replay(pipeline: Pipeline, files: tuple[Path, Path], sent: Path, *arguments: str) -> dict[str, int]:
    """Sends both files, and returns the summary of the run."""
    events, labels = map(str, files)
    command = ("produce", "--replay", events, "--labels", labels, "--rate", "max", "--partitions", "2", "--quiet")
    pipeline.run(*command, "--events", str(sent), *arguments)
    summary: dict[str, int] = read_events(sent, "progress")[-1]["summary"]
    return summary


def test_the_order_of_sending_changes_no_score(
    embedded_pipeline: Pipeline, files: tuple[Path, Path], tmp_path: Path
) -> None:
    pipeline = embedded_pipeline
    first = replay(pipeline, files, tmp_path / "first")
    assert (first["sent"], first["acknowledged"], first["lost"]) == (ROWS, ROWS, 0)
    with gzip.open(files[1], "rt") as file:
        known = list(csv.reader(file))[1:]
    assert first["labels"] == len(known) > 500
    messages = list(read_whole(pipeline.broker, pipeline.labels_topic))
    assert len({message.partition() for message in messages}) == 2
    of_first = next(message for message in messages if message.key() == known[0][0].encode())
    label = json.loads(of_first.value() or b"")
    expected = {"transaction_id": known[0][0], "labelled_at": known[0][2], "fraud": True, "source": "replay"}
    assert label == expected
    # All labels were acknowledged before the first transaction was sent.
    began = min(message.timestamp()[1] for message in read_whole(pipeline.broker, pipeline.topic))
    assert max(message.timestamp()[1] for message in messages) <= began
    analyze(pipeline)
    labels_first = (scores(pipeline), places(pipeline))
    assert len(labels_first[0]) == ROWS
    pipeline.execute(DROP)
    pipeline.topic += "_in_order"
    in_order = replay(pipeline, files, tmp_path / "in_order", "--labels-in-order")
    assert in_order["labels"] == len(known)
    analyze(pipeline)
    assert (scores(pipeline), places(pipeline)) == labels_first
    # Without the labels, scores differ: the comparison would notice labels that have no effect.
    pipeline.execute(DROP)
    pipeline.labels = f"{pipeline.topic}_none"
    analyze(pipeline)
    assert len(scores(pipeline)) == ROWS
    assert scores(pipeline) != labels_first[0]


def test_labels_that_nobody_would_use_are_refused(
    embedded_pipeline: Pipeline, files: tuple[Path, Path], tmp_path: Path
) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    bad = tmp_path / "labels.csv"
    command = ("produce", "--replay", str(files[0]), "--labels", str(bad), "--rate", "max")
    for text, arguments, why in [
        ("transaction_id,labelled_at\na,2026-01-02\n", (), 'labels: .*"fraud"'),
        ("transaction_id,labelled_at,fraud\na,2026-01-02,1\nb,soon,1\n", (), "labels.csv: row 2: labelled_at"),
        (
            "transaction_id,labelled_at,fraud\na,2026-01-02,1\nb,2026-01-01,1\n",
            ("--labels-in-order",),
            "labels.csv: row 2: .*sort the rows by labelled_at",
        ),
    ]:
        bad.write_text(text, encoding="utf-8")
        refused = pipeline.run(*command, *arguments, status=2)
        assert re.search(why, refused), refused
    assert pipeline.catch_up().counted() == (0, 0, 0, 0)
    assert "--replay" in pipeline.run("produce", "--labels", str(bad), status=2)
    assert "--labels" in pipeline.run("produce", "--replay", str(files[0]), "--labels-in-order", status=2)
