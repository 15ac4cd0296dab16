"""Tests that the checks of an analysis find what is wrong: a backtest, ``verify`` and ``doctor``."""

from __future__ import annotations

import csv
import json
import math
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from test_analyze import SENT, WORLD, analyze, scores, verified
from waiting import wait_until

if TYPE_CHECKING:
    from pipeline import Pipeline


def test_a_backtest_equals_what_was_written_live(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    # Fewer cards and merchants are remembered than there are.
    analyzer = pipeline.analyze("--batch-rows", "500", "--cards", "300", "--merchants", "100")
    analyzer.wait_for_event("leased")
    # Labels arrive while events are scored.
    pipeline.run("produce", *WORLD, *SENT)
    wait_until("all is scored", lambda: len(scores(pipeline)) == 30_000)
    assert analyzer.stop() == 0
    [ended] = analyzer.events("ended")
    assert ended["summary"]["cards_forgotten"] > 1_000
    [(applied,)] = pipeline.query("SELECT count(seq) FROM labels")
    assert applied > 100
    [(cards, terminals)] = pipeline.query("SELECT count(DISTINCT card), count(DISTINCT terminal) FROM scores")
    assert (cards > 1_000, terminals > 200) == (True, True)
    pipeline.catch_up()
    out = Path(pipeline.folder.name) / "scores.csv"
    # A stream of the simulated world is scored by the model for it.
    assert pipeline.query("SELECT DISTINCT model FROM scores") == [("habits-2",)]
    pipeline.run("backtest", "--model", "habits-2", "--out", str(out))
    with out.open(encoding="utf-8", newline="") as file:
        computed = {row["transaction_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert computed == {identity: score for identity, score, _ in scores(pipeline)}
    compared = verified(pipeline)
    assert (compared["scores"], compared["labels"], compared["scores_not_compared"]) == (30_000, applied, 0)


def test_verify_finds_what_differs(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", *WORLD, "--count", "3000", "--label-delay", "lognormal:10m", "--quiet")
    analyze(pipeline)
    # The consumer has stored nothing yet.
    assert verified(pipeline)["scores_not_compared"] == 3_000
    pipeline.catch_up()
    assert verified(pipeline)["scores"] == 3_000
    [(identity, score)] = pipeline.query("SELECT order_id, score FROM scores WHERE seq = 2000")
    wrong = math.nextafter(score, 2)
    for change, back, what in (
        (f"UPDATE scores SET score = {wrong!r} WHERE seq = 2000", f"score = {score!r}", identity),
        ("UPDATE scores SET tested = 9 WHERE seq = 2000", "tested = 0", "tested"),
        ("UPDATE scores SET seq = 900000 WHERE seq = 2000", None, "2001 comes after 1999"),
    ):
        pipeline.execute(change)
        report = verified(pipeline, status=1)
        assert what in "".join(report["problems"]), report["problems"]
        pipeline.run("verify", "--counters-only", "--no-analysis")
        pipeline.execute(f"UPDATE scores SET {back or 'seq = 2000'} WHERE order_id = '{identity}'")
    for table, column in (
        ("score_minute", "high"),
        ("score_day", "frauds"),
        ("top_cards", "seq"),
        ("fraud_cards", "frauds"),
    ):
        pipeline.execute(f"UPDATE {table} SET {column} = {column} + 1")
        assert table in "".join(verified(pipeline, status=1)["problems"])
        pipeline.execute(f"UPDATE {table} SET {column} = {column} - 1")
    assert verified(pipeline)["scores"] == 3_000
    pipeline.execute(f"UPDATE analysis_offsets SET accepted = accepted + 1 WHERE topic = '{pipeline.topic}'")
    assert "accepted messages of partition 0" in "".join(verified(pipeline, status=1)["problems"])


def test_a_role_needs_only_the_privileges_that_are_listed(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", *WORLD, "--count", "2000", "--quiet")
    # The owner creates the tables, those of the truth too.
    pipeline.catch_up("--truth")
    analyze(pipeline)
    role = f"analyzer_{uuid.uuid4().hex[:8]}"
    tallies = ("score_minute", "score_day", "feature_day", "fraud_cards", "top_cards")
    written = ("analysis", "analysis_offsets", "analysis_state", "scores", "labels", "models", *tallies)
    with pipeline.connect() as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT {role} TO CURRENT_USER")
        try:
            read = [
                name
                for (name,) in owner.execute(
                    "SELECT c.relname FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
                    " AND relname NOT LIKE 'truth%%'"
                ).fetchall()
            ]
            owner.execute(f"GRANT SELECT ON {', '.join(read)} TO {role}")
            owner.execute(f"GRANT INSERT, UPDATE ON {', '.join(written)} TO {role}")
            owner.execute(f"GRANT DELETE ON analysis_state, top_cards TO {role}")
            pipeline.run("produce", *WORLD, "--count", "4000", "--quiet")
            whose = pipeline.database_url
            at, _, place = whose.partition("//")
            pipeline.database_url = f"{at}//{role}:p@{place.rpartition('@')[2]}"
            try:
                analyze(pipeline)
                with pytest.raises(psycopg.errors.InsufficientPrivilege), pipeline.connect() as limited:
                    limited.execute("SELECT FROM truth")
            finally:
                pipeline.database_url = whose
            assert len(scores(pipeline)) == 4_000
        finally:
            owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}; DROP ROLE {role}")


def test_doctor_tells_who_has_the_lease(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", *WORLD, "--count", "500", "--quiet")

    def lease() -> tuple[bool, str]:
        checks = json.loads(pipeline.run("doctor", "--json", status=None))["checks"]
        [found] = [check for check in checks if check["name"] == "analysis"]
        return found["ok"], found["found"]

    pipeline.catch_up()
    analyzer = pipeline.analyze()
    wait_until("all is scored", lambda: len(scores(pipeline)) == 500)
    ok, found = lease()
    [(pid,)] = pipeline.query("SELECT owner_pid FROM analysis")
    assert ok
    assert str(pid) in found
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()
    pipeline.execute("UPDATE analysis SET renewed_at = now() - interval '1 minute'")
    ok, found = lease()
    assert not ok
    assert str(pid) in found
    analyze(pipeline)
    assert lease()[0]
