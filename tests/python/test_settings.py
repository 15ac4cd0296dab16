"""Tests settings as flags and variables without the extension: each has a flag that reads its kind of value."""

from __future__ import annotations

import argparse
import math
from datetime import timedelta
from typing import Any

import pytest

from ccstream import flags, settings
from ccstream.declared import DIMENSIONS, SETTINGS, Setting

EXAMPLES: dict[str, tuple[str, Any]] = {
    "text": ("there", "there"),
    "moment": ("2026-01-01", "2026-01-01"),
    "file": ("rows.csv", "rows.csv"),
    "limit": ("all", "all"),
    "rate": ("max", math.inf),
    "share": ("0.25", 0.25),
    "texts": ("one", ["one"]),
    "pairs": ("name=a=b", [("name", "a=b")]),
    "span": ("12.5", None),
}
"""For each kind of setting, an example of a text and the value that it is read as. Durations depend on the unit."""
COMMANDS = {"consumer": flags.add_consume, "producer": flags.add_produce}


def parse(part: str, *arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    COMMANDS[part](parser)
    return flags.given(parser.parse_args(arguments), "kafka", part)


def example(setting: Setting) -> tuple[list[str], Any]:
    """Returns the flag of a setting with an example, and the value that it is read as."""
    if setting.kind == "switch":
        return [setting.flag], not setting.default
    if setting.kind == "choice":
        return [setting.flag, setting.choices[-1]], setting.choices[-1]
    if setting.kind == "whole":
        most = 1000 if setting.range is None else setting.range[0]
        return [setting.flag, f"{most:,}"], most
    text, meant = EXAMPLES[setting.kind]
    if setting.kind == "span":
        meant = timedelta(seconds=12.5) if setting.unit == "s" else timedelta(milliseconds=12.5)
        text += setting.unit
    return [setting.flag, text], meant


@pytest.mark.parametrize("part", ["consumer", "producer"])
def test_every_setting_has_a_flag_of_its_kind(part: str) -> None:
    assert parse(part) == {}
    for setting in (*SETTINGS["kafka"], *SETTINGS[part]):
        arguments, meant = example(setting)
        assert parse(part, *arguments) == {setting.name: meant}, setting.name


@pytest.mark.parametrize(
    ("part", "flag", "text"),
    [
        ("consumer", "--connections", "0"),
        ("consumer", "--batch-bytes", "1.5"),
        ("consumer", "--linger", "-1"),
        ("consumer", "--linger", "5s"),
        ("consumer", "--session-timeout", "inf"),
        ("consumer", "--drain-limit", "1e300"),
        ("consumer", "--assignment", "lazy"),
        ("producer", "--rate", "0"),
        ("producer", "--fraud", "1.5"),
        ("producer", "--seed", "-1"),
        ("producer", "--kafka-option", "acks"),
        ("producer", "--map", "=x"),
    ],
)
def test_what_a_flag_cannot_read_is_an_error_that_names_it(part: str, flag: str, text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=flag):
        parse(part, f"{flag}={text}")


def test_a_variable_overrides_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {setting.variable for part in SETTINGS.values() for setting in part if setting.variable}
    assert variables == {
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_TOPIC",
        "KAFKA_GROUP_ID",
        "DATABASE_URL",
        "CCSTREAM_KPI_ROWS",
        "CCSTREAM_KPI_MEMORY",
        "CCSTREAM_KAFKA_*",
        "KAFKA_OPTIONS_FILE",
        "KAFKA_LABELS_TOPIC",
        "KAFKA_TRUTH_TOPIC",
        "CCSTREAM_WINDOWS",
        "CCSTREAM_ALERTS",
    }
    for name in ("bootstrap_servers", "topic", "group", "database_url", "max_rows"):
        setting = settings.named(name)
        monkeypatch.delenv(str(setting.variable), raising=False)
        assert settings.value(name) == setting.default
        monkeypatch.setenv(str(setting.variable), "7")
        assert settings.value(name) == "7"
    with pytest.raises(KeyError, match="colour"):
        settings.named("colour")


def test_dimensions_have_a_title_each() -> None:
    assert all(title and name == name.lower() for name, title in DIMENSIONS.items())
    assert {"category", "merchant", "risk"} <= DIMENSIONS.keys()
