"""Tests that a running producer can be changed by commands, and that the changed run can be repeated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from topics import read_whole

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

START = "2026-03-02T08:00:00.000000Z"
WORLD = ("--seed", "9", "--start-time", START, "--fraud", "0.05", "--label-delay", "fixed:10m", "--resume", "unsent")
COUNT = 25_000


def test_a_controlled_run_is_repeated_by_its_script(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "commands"
    file.write_text("rate 1000\n")
    producer = pipeline.produce(10, COUNT, *WORLD, "--speed", "100", "--control", str(file))
    producer.wait_for_event("progress")
    commands = ("rate 20", "incident issuer_out+10m:Alderbank", "incident slow_processor+20m", "rate 15")
    for command in commands:
        with file.open("a") as out:
            out.write(f"# next\n{command}\n")
        producer.wait_for_event("applied", command=command)
    with file.open("a") as out:
        out.write("rate fast\n")
    skipped = producer.wait_for_event("warning", kind="command_skipped")
    assert f'line 10 of {file} is skipped: "fast" is not a number' in skipped["text"]
    assert producer.wait() == 0, producer.output()
    applied = producer.events("applied")
    assert tuple(one["command"] for one in applied) == commands, "what the file had before the run is not applied"
    assert 0 < applied[0]["after"] < applied[-1]["after"] < COUNT
    record = file.with_suffix(".applied")
    lines = [line for line in record.read_text().splitlines() if not line.startswith("#")]
    assert lines == [f"after {one['after']} events: {one['command']}" for one in applied]
    assert f"--seed 9 and --start-time {START}" in record.read_text()

    topics = {"--topic": pipeline.topic, "--labels-topic": pipeline.labels_topic, "--truth-topic": pipeline.truth_topic}
    flags = [text for flag, name in topics.items() for text in (flag, f"{name}_again")]
    repeated = pipeline.produce(10, COUNT, *WORLD[:-1], "again", "--speed", "max", "--script", str(record), *flags)
    assert repeated.wait() == 0, repeated.output()
    assert [(one["after"], one["command"]) for one in repeated.events("applied")] == [
        (one["after"], one["command"]) for one in applied
    ]
    for name in topics.values():
        one, other = (
            [(message.key(), message.value()) for message in read_whole(pipeline.broker, name + suffix)]
            for suffix in ("", "_again")
        )
        assert one
        assert one == other
    sent = (json.loads(message.value() or b"") for message in read_whole(pipeline.broker, pipeline.topic))
    assert sum((one["issuer"], one["response_code"]) == ("Alderbank", "91") for one in sent) > 100
    # What was not sent is equal as well.
    folder = producer.log.parent
    assert (folder / "unsent").read_text() == (folder / "again").read_text()


def test_a_wrong_script_is_refused_and_what_it_does_not_reach_is_reported(
    embedded_pipeline: Pipeline, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("# comment\nafter 5 events: rate fast\n")
    flags = ("--rate", "100", "--count", "50", "--start-time", "2026-03-02", "--speed", "max", "--script", str(script))
    output = embedded_pipeline.run("produce", *flags, status=2)
    assert f'{script}: line 2: "fast" is not a number of events a second' in output
    script.write_text("after 5 events: rate 20\nafter 60 events: rate 30\n")
    output = embedded_pipeline.run("produce", *flags)
    assert "After 5 events: rate 20" in output
    assert "! 1 commands of the script were not reached" in output
