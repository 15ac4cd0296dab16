"""Tests which messages name the simulated world in a header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from topics import read_whole
from waiting import wait_until

if TYPE_CHECKING:
    from pipeline import Pipeline

HEADERS = [("ccstream-world", b"habits/2")]
START = ("--seed", "5", "--start-time", "2026-03-02T08:00:00Z")
FIRST_AND_SOME = [*range(256), 256, 512, 768]
"""The messages of a topic that have the header if a run is as fast as possible."""


def named(pipeline: Pipeline, topic: str) -> list[bool]:
    """Returns for each message of a topic whether it names the world, and checks what it says."""
    headers = [message.headers() for message in read_whole(pipeline.broker, topic)]
    assert all(found in (None, HEADERS) for found in headers)
    return [found is not None for found in headers]


def places(marks: list[bool]) -> list[int]:
    """Returns the places of the messages that have the header."""
    return [place for place, is_named in enumerate(marks) if is_named]


@pytest.mark.parametrize(
    ("rate", "flags"),
    [("max", ()), ("20", (*START, "--speed", "max")), ("20", (*START, "--speed", "1000000")), ("20000", START)],
)
def test_a_fast_run_has_it_on_the_first_messages_of_each_topic(
    embedded_pipeline: Pipeline, rate: str, flags: tuple[str, ...]
) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", rate, "--count", "1000", "--fraud", "0", "--quiet", *flags)
    assert places(named(pipeline, pipeline.topic)) == FIRST_AND_SOME


def test_each_topic_is_counted_alone(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    flags = (*START, "--speed", "max", "--fraud", "0.1", "--label-delay", "fixed:1m")
    pipeline.run("produce", "--rate", "20", "--count", "8000", "--quiet", *flags)
    for topic in (pipeline.topic, pipeline.labels_topic, pipeline.truth_topic):
        marks = named(pipeline, topic)
        expected = [place for place in range(len(marks)) if place < 256 or place % 256 == 0]
        assert len(marks) > 300
        assert places(marks) == expected


@pytest.mark.parametrize("flags", [(*START, "--speed", "100"), ()])
def test_a_run_of_a_bounded_rate_has_it_on_each_message(embedded_pipeline: Pipeline, flags: tuple[str, ...]) -> None:
    pipeline = embedded_pipeline
    rate = "5" if flags else "500"
    pipeline.run("produce", "--rate", rate, "--count", "700", "--fraud", "0.1", "--quiet", *flags)
    for topic in (pipeline.topic, pipeline.truth_topic):
        assert all(named(pipeline, topic))


def test_each_event_of_now_has_it_after_a_history(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    producer = pipeline.produce(4, 1_000_000, "--backfill", "1h", "--seed", "2", "--fraud", "0")
    history = producer.wait_for_event("sending")["number"]
    assert history > 1_000
    wait_until("events of now are sent", lambda: len(producer.events("sent")) >= 5)
    assert producer.stop() == 0
    marks = named(pipeline, pipeline.topic)
    assert len(marks) > history
    assert all(marks[history:])
    assert places(marks[:history]) == [place for place in range(history) if place < 256 or place % 256 == 0]


def test_a_command_changes_which_messages_have_it(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    script = f"{pipeline.folder.name}/script"
    with open(script, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write("after 600 events: rate 20000\nafter 800 events: rate 2000\n")
    pipeline.run("produce", "--rate", "2000", "--count", "1000", "--fraud", "0", "--script", script, "--quiet", *START)
    assert places(named(pipeline, pipeline.topic)) == [*range(600), 768, *range(800, 1000)]


def test_the_preset_is_another_world(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    flags = ("--preset", "handbook,customers=200", "--start-time", "2018-04-01", "--speed", "max", "--count", "300")
    pipeline.run("produce", "--quiet", *flags)
    assert not any(named(pipeline, pipeline.topic))
