"""Tests that what a stopped producer did not send is sent by the next one, once."""

from __future__ import annotations

import functools
import json
import signal
import stat
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from topics import read_whole
from waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline
    from running import Running

NEXT_DAY = "2026-03-03"
"""The start of the run that takes what the first one left."""
WORLD = (
    *("--seed", "9", "--start-time", "2026-03-02T08:00:00Z", "--fraud", "0.05", "--label-delay", "fixed:30m"),
    *("--incident", "slow_processor@1m+6h:Alderbank", "--incident", "duplicates@1m+6h"),
)
"""A world in which messages are late or sent twice all the time."""


def messages(pipeline: Pipeline, topic: str) -> list[dict[str, Any]]:
    """Returns the messages of a topic, in the order in which they were sent."""
    return [json.loads(message.value() or b"") for message in read_whole(pipeline.broker, topic)]


def counted(sent: list[dict[str, Any]], ids: set[str]) -> Counter[str]:
    """Counts the messages about transactions, by their text."""
    return Counter(json.dumps(one, sort_keys=True) for one in sent if one.get("transaction_id") in ids)


def labels_sent(run: Running) -> int:
    """Returns the number of labels that a run has sent so far."""
    return max((one["summary"]["labels"] for one in run.events("progress")), default=0)


def has_labels(run: Running) -> bool:
    """Whether a run has sent some labels."""
    return labels_sent(run) > 20


def without_stop(pipeline: Pipeline, topics: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    """Sends the same world without a stop, to other topics, and returns the messages of each of them."""
    names = dict(
        zip(("--topic", "--labels-topic", "--truth-topic"), (f"{topic}_whole" for topic in topics), strict=True)
    )
    flags = [text for pair in names.items() for text in pair]
    whole = pipeline.produce(20, 150_000, *WORLD, "--speed", "max", *flags)
    assert whole.wait() == 0, whole.output()
    return [messages(pipeline, name) for name in names.values()]


def test_nothing_is_lost_or_doubled_by_a_stop(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "unsent"
    resume = ("--resume", str(file))
    first = pipeline.produce(20, 10_000_000, *WORLD, "--speed", "600", *resume)
    wait_until("labels are sent", functools.partial(has_labels, first))
    first.signal(signal.SIGINT)
    assert first.wait() == 0, first.output()
    [saved] = first.events("saved")
    assert saved["labels"] > 50
    assert saved["others"] > 50, "late and second messages"
    assert not first.events("warning", kind="labels_not_sent")
    rest = ("--seed", "77", "--start-time", NEXT_DAY, "--speed", "max", "--fraud", "0", *resume)
    second = pipeline.produce(20, 60_000, *rest)
    assert second.wait() == 0, second.output()
    [resumed] = second.events("resumed")
    assert (resumed["labels"], resumed["others"]) == (saved["labels"], saved["others"])
    [left] = second.events("saved")
    assert (left["labels"], left["others"]) == (0, 0)
    topics = (pipeline.topic, pipeline.labels_topic, pipeline.truth_topic)
    found = [messages(pipeline, topic) for topic in topics]
    # The same world without a stop has the same messages about the transactions that the first run made.
    expected = without_stop(pipeline, topics)
    made = sorted({one["transaction_id"] for one in found[0] if one["timestamp"] < NEXT_DAY})
    assert made == sorted({one["transaction_id"] for one in expected[0]})[: len(made)]
    assert len(made) < 120_000, "the first run was stopped long before the whole one ended"
    for sent, of_whole in zip(found, expected, strict=True):
        assert counted(sent, set(made)) == counted(of_whole, set(made))


def test_a_kill_loses_only_what_was_made_after_the_last_save(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "unsent"
    resume = ("--resume", str(file))
    first = pipeline.produce(20, 10_000_000, *WORLD, "--speed", "300", *resume)
    # The first save has nothing, and the second one is five seconds later.
    wait_until("the file has labels", lambda: file.exists() and '"label"' in file.read_text())
    count = labels_sent(first)
    wait_until("more labels are sent", lambda: labels_sent(first) > count + 20)
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["run"] == "has not ended"
    # The first message is the one that followed the save.
    saved = lines[1]["due"]
    before = [messages(pipeline, topic) for topic in (pipeline.topic, pipeline.labels_topic, pipeline.truth_topic)]
    last = max(one["timestamp"] for one in before[0])
    between = datetime.fromisoformat(last[:-1]) - datetime.fromisoformat(saved[:-1])
    assert between < timedelta(seconds=300 * 8)
    has_resent = any("label" in line and line["due"] < last for line in lines)
    rest = ("--seed", "77", "--start-time", NEXT_DAY, "--speed", "max", "--fraud", "0", *resume)
    second = pipeline.produce(20, 60_000, *rest)
    assert second.wait() == 0, second.output()
    assert len(second.events("warning", kind="resume_incomplete")) == 1
    assert f"the run that saved {file} was killed" in second.output()
    third = pipeline.produce(20, 10, *rest)
    assert third.wait() == 0, third.output()
    assert not third.events("warning", kind="resume_incomplete"), "the second run has ended"
    topics = (pipeline.topic, pipeline.labels_topic, pipeline.truth_topic)
    found = [messages(pipeline, topic) for topic in topics]
    expected = without_stop(pipeline, topics)
    made = {one["transaction_id"] for one in expected[0] if one["timestamp"] < saved}
    assert 1_000 < len(made) < 120_000
    for sent, of_whole in zip(found, expected, strict=True):
        once, often = counted(of_whole, made), counted(sent, made)
        assert once.keys() == often.keys(), "the same bytes, and nothing is lost"
        assert all(number <= often[text] <= 2 * number for text, number in once.items())
    resent = sum(counted(found[1], made).values()) - sum(counted(expected[1], made).values())
    assert (resent > 0) == has_resent


def test_every_fraud_of_the_preset_is_labelled_once(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "unsent"
    flags = ("--preset", "handbook,customers=2000", "--speed", "100000", "--resume", str(file))
    for number, day in enumerate(("2018-04-01", "2019-04-01", "2020-04-01"), 1):
        run = pipeline._start("produce", "--seed", str(number), "--start-time", day, *flags)
        wait_until("frauds are labelled", functools.partial(has_labels, run))
        run.signal(signal.SIGINT)
        assert run.wait() == 0, run.output()
        assert (number > 1) == bool(run.events("resumed"))
    frauds = [one["transaction_id"] for one in messages(pipeline, pipeline.truth_topic)]
    labelled = [one["transaction_id"] for one in messages(pipeline, pipeline.labels_topic)]
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    labelled += [line["label"] for line in kept if "label" in line]
    # The event at which a run stopped may be in the file, with the truth about it.
    frauds += [json.loads(line["payload"])["transaction_id"] for line in kept if line.get("topic") == "truth"]
    assert len(frauds) > 60
    assert sorted(labelled) == sorted(frauds)


def test_the_event_that_a_stop_prevents_is_saved(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "unsent"
    world = ("--seed", "9", "--start-time", "2026-03-02T08:00:00Z", "--fraud", "0")
    # The second event is due more than a minute after the first one.
    first = pipeline.produce(0.01, 10, *world, "--resume", str(file))
    first.wait_for_event("sent")
    assert first.stop() == 0
    assert [(one["labels"], one["others"]) for one in first.events("saved")] == [(0, 1)]
    [sent] = messages(pipeline, pipeline.topic)
    pipeline.run(
        "produce", "--rate", "0.01", "--count", "2", *world, "--speed", "max", "--topic", f"{pipeline.topic}_2"
    )
    expected = messages(pipeline, f"{pipeline.topic}_2")
    saved = json.loads(file.read_text().splitlines()[1])
    assert [sent, json.loads(saved["payload"])] == expected
    assert saved["due"] == expected[1]["timestamp"] > "2026-03-02T08:01:00"


def test_a_broken_file_ends_the_run_and_is_not_changed(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "unsent"
    flags = ("--rate", "100", "--count", "50", "--start-time", "2026-03-02", "--speed", "max", "--resume", str(file))
    embedded_pipeline.run("produce", *flags)
    good = file.read_text()
    for broken, line in ((good.replace("{", "[", 1), 1), (good.replace("end", "and"), len(good.splitlines()))):
        file.write_text(broken)
        output = embedded_pipeline.run("produce", *flags, status=2)
        assert f"{file}: line {line} is not" in output
        assert "delete it to continue without its messages" in output
        assert file.read_text() == broken
    missing = tmp_path / "missing" / "unsent"
    output = embedded_pipeline.run("produce", *flags[:-1], str(missing), status=2)
    assert f"resume: {missing} cannot be written" in output
