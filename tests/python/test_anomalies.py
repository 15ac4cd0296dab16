"""Tests that anomalies of KPIs are found, and are the same after kills."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from conftest import at_length
from test_alerts import TABLES
from test_analyze import analyze, kill_one

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

RULES = """
[[alert]]
name = "kpi"
kind = "anomaly"

[[alert]]
name = "networks"
kind = "anomaly"
kpis = ["approval_rate"]
series = ["network"]
severity = "critical"
"""
START = datetime(2026, 10, 5)  # noqa: DTZ001
OUTAGE = START + timedelta(days=2, hours=12)
RATE = 1.5
COUNT = round((OUTAGE - START + timedelta(minutes=90)).total_seconds() * RATE)
BAND = """SELECT dimension, series, kpi, window_end, expected, low, high, observed, deviation, basis, is_anomalous
          FROM kpi_band ORDER BY 1, 2, 3, 4"""
ALERTS = (
    "SELECT rule, key, opened_at, last_at, closed_at, count, state, why_text, seq FROM alerts ORDER BY seq, rule, key"
)


def send(pipeline: Pipeline) -> None:
    """Sends two and a half days of the world, and in the end an outage of half an hour and an hour after it."""
    flags = ("--rate", str(RATE), "--count", str(COUNT), "--start-time", START.isoformat(), "--speed", "max")
    incident = f"network_out@{OUTAGE.isoformat()}+30m:visa"
    pipeline.run("produce", "--quiet", "--seed", "3", *flags, "--incident", incident)


def found(pipeline: Pipeline) -> list[list[tuple[Any, ...]]]:
    return [pipeline.query(BAND), pipeline.query(ALERTS)]


def test_an_outage_is_found_and_kills_change_nothing(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.write("alerts.toml", RULES)
    send(pipeline)
    analyze(pipeline)
    whole = found(pipeline)
    [(opened, closed, text)] = pipeline.query(
        "SELECT opened_at, closed_at, why_text FROM alerts"
        " WHERE rule = 'networks' AND key = 'approval_rate of network visa'"
    )
    assert timedelta() < opened - OUTAGE <= timedelta(minutes=10)
    assert timedelta(minutes=30) < closed - OUTAGE <= timedelta(minutes=45)
    assert text.startswith("approval_rate of network visa: ")
    assert "% within 5m; usual is " in text
    # Both rules know it; only the other one knows more.
    assert {row[1] for row in whole[1] if row[0] == "networks"} <= {row[1] for row in whole[1] if row[0] == "kpi"}
    # Nothing else is anomalous, and nearly all of what is shown is in its band.
    outside = (
        "SELECT count(*) FILTER (WHERE observed NOT BETWEEN low AND high), count(*) FROM kpi_band WHERE window_end < %s"
    )
    [(out, shown)] = pipeline.query(outside, OUTAGE)
    assert shown > 1_000
    assert out < shown / 1_000
    assert all(row[2] >= OUTAGE for row in whole[1]), whole[1]
    pipeline.execute(f"DROP TABLE {TABLES}, kpi_band, anomaly_state, anomaly_journal")
    for _ in range(at_length(6, 40)):
        kill_one(pipeline, chance, (500, 5_000, 50_000), lambda before: min(60_000, COUNT - before) + 1)
    analyze(pipeline)
    assert found(pipeline) == whole
