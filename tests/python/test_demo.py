"""Tests what ``ccstream demo`` plans and says, without services. ``test_embedded`` runs it."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from ccstream import ServiceError, cli
from ccstream.demo import plan as plans
from ccstream.demo import texts
from ccstream.demo.show import RULES
from ccstream.demo.stored import Alert, Ring, Stored

if TYPE_CHECKING:
    from pipeline import Pipeline

NOW = datetime(2026, 12, 1, 15, 16, 20, tzinfo=timezone.utc)
WEEK = timedelta(days=7)
ADDRESS = "http://localhost:8501"


def planned(stored: Stored = Stored(), history: timedelta = WEEK, rate: float = 1.2) -> plans.Plan:  # noqa: B008
    return plans.make(NOW, rate, history, stored)


def test_the_history_is_a_week_or_as_many_events() -> None:
    assert plans.length_of_history(1.2, None) == WEEK
    assert plans.length_of_history(73, None) == timedelta(seconds=10_000)
    assert plans.length_of_history(1000, timedelta(hours=1)) == timedelta(hours=1)
    assert not plans.length_of_history(math.inf, None)
    with pytest.raises(ServiceError, match="--rate"):
        plans.length_of_history(math.inf, WEEK)
    assert planned().expected == 725_760


def test_an_outage_and_a_ring_come_soon() -> None:
    plan = planned()
    assert plan.outage is not None
    assert plan.ring is not None
    assert plan.ring == datetime(2026, 12, 1, 15, 18, tzinfo=timezone.utc)
    assert (plan.outage.begins, plan.outage.ends) == (
        plan.ring + timedelta(minutes=2),
        plan.ring + timedelta(minutes=12),
    )
    assert plan.flags()[-6:] == [
        "--incident",
        "issuer_out@2026-11-29T15:00:00+00:00+180m:Brightwater Bank",
        "--incident",
        "network_out@2026-12-01T15:20:00+00:00+10m:visa",
        "--campaign",
        "S5@2026-12-01T15:18:00+00:00",
    ]
    assert planned(history=timedelta(days=1)).earlier is None
    assert "--backfill" not in planned(history=timedelta()).flags()
    assert plans.make(NOW, math.inf, timedelta(), Stored()).flags() == ["--rate", "max"]


@pytest.mark.parametrize("history", [WEEK, timedelta()])
def test_the_producer_takes_the_plan(history: timedelta, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["produce", "--describe", "--json", "--count", "10", *planned(history=history).flags()])
    assert ended.value.code == 0
    assert '"events"' in capsys.readouterr().out


def test_rows_of_an_earlier_start_are_continued() -> None:
    newest = datetime(2026, 12, 1, 12, 0, tzinfo=timezone.utc)
    # Three days are there, and the four before are not; or a week was stopped in its middle.
    for stored, continues in (
        (Stored(), False),
        (Stored(newest, 1, 164), False),
        (Stored(newest, 72, 93), False),
        (Stored(newest, 83, 82), True),
        (Stored(newest - timedelta(days=3), 93, 0), True),
    ):
        plan = planned(stored)
        assert plan.continues == continues
        assert plan.newer == (None if continues else stored.newest)
        since = stored.newest + timedelta(minutes=1) if continues and stored.newest else NOW - WEEK
        assert plan.since == since
        assert (plan.earlier is not None) == (since < datetime(2026, 11, 29, 15, tzinfo=timezone.utc))
    assert [planned(Stored(newest, hours, 0)).span for hours in (168, 25, 24, 2, 1)] == ["7d", "7d", "24h", "24h", "1h"]
    assert [planned(history=timedelta(hours=hours)).span for hours in (168, 24, 1, 0)] == ["7d", "24h", "1h", "1h"]
    # A history never begins now or later.
    assert planned(Stored(NOW, 168, 0)).since == NOW - timedelta(seconds=1)


def test_what_is_said_is_true_at_every_moment() -> None:
    plan = planned()
    said = {
        minutes: " ".join(" ".join(texts.planted(plan, ADDRESS, NOW + timedelta(minutes=minutes))).split())
        for minutes in (0, 5, 15)
    }
    assert "15:20 to 15:30: the network visa, with nearly half of all payments, goes out" in said[0]
    assert "From 15:18: a ring begins to test" in said[0]
    assert "the network visa, with nearly half of all payments, is out" in said[5]
    assert "From 15:18: a ring has begun to test" in said[5]
    assert "the network visa, with nearly half of all payments, was out" in said[15]
    assert "29 Nov 15:00 to 18:00: Brightwater Bank was out" in said[0]
    assert texts.history(planned()) == ["  A history of 7 days comes first: about 725,760 events."]
    [line] = texts.history(planned(history=timedelta(minutes=30), rate=100))
    assert line == "  A history of 30 minutes comes first: 180,000 events at the mean rate."
    late = " ".join(" ".join(texts.history(planned(Stored(NOW - timedelta(hours=3), 1, 164)))).split())
    assert (
        "- Rows up to 1 Dec 12:16 UTC exist already. For the analyzer, all of the history before them is late" in late
    )
    ring = Ring("Copper & Co.", 12, 5)
    at = [texts.next_event(plan, ring, NOW + timedelta(minutes=minutes)) for minutes in (0, 5, 15)]
    assert at == ["outage in 3 min 40 s", "outage for 8 min 40 s more", "the ring: 12 payments, 5 cards"]
    assert texts.next_event(plan, None, NOW + timedelta(minutes=15)) == ""
    assert texts.ring_found(ring, ADDRESS)[1].endswith("&merchant=Copper%20%26%20Co.&max=3")
    assert texts.planted(planned(rate=math.inf), ADDRESS, NOW) == []


def test_lines_fit_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/psql")
    long = Stored(NOW - timedelta(days=3), 93, 0)
    lines = [line for plan in (planned(), planned(long)) for line in texts.planted(plan, ADDRESS, NOW)]
    lines += [*texts.history(planned()), *texts.history(planned(long)), *texts.sql()]
    lines += texts.alert(Alert(1, "card_testing", "2 different values of card_token in 4 transactions " * 3), ADDRESS)
    assert len(lines) > 20
    assert [line for line in lines if len(line) > texts.WIDTH] == []


def test_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db.example:5432/d")
    assert "hunter2" not in "".join(texts.sql())
    assert texts.sql()[0].endswith("postgresql://me@db.example:5432/d")


def test_the_queries_run(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    world = ("--start-time", "2026-03-02", "--speed", "max", "--campaign", "S5@1h", "--campaign", "S5@2h")
    pipeline.run("produce", "--rate", "2", "--count", "30000", "--quiet", "--seed", "1", *world)
    pipeline.run("consume", "--until-caught-up", "--truth", "--truth-topic", pipeline.truth_topic)
    rate, ring = (query for query in texts.QUERIES.split(";") if query.strip())
    approved = [row[1] for row in pipeline.query(rate)]
    assert len(approved) == 15
    assert all(0.7 < share <= 1 for share in approved)
    assert len(pipeline.query(ring)) == 10


def store(pipeline: Pipeline, history: timedelta) -> tuple[plans.Outage, datetime]:
    """Stores and analyzes what a demo sends until an hour after its start. Returns its outage and when its ring begins.

    The outage is over then, and the ring is at work.
    """
    pipeline.create_topic(1)
    plan = plans.make(NOW, 1.2, history, Stored())
    end = plan.now + timedelta(hours=1)
    assert plan.since is not None
    count = round((end - plan.since).total_seconds() * plan.rate)
    flags = plan.flags()
    del flags[flags.index("--backfill") : flags.index("--backfill") + 2]
    world = ("--start-time", plan.since.isoformat(), "--speed", "max", "--count", str(count))
    pipeline.run("produce", "--quiet", *world, *flags)
    pipeline.run("consume", "--until-caught-up", "--truth")
    pipeline.run("analyze", "--until-caught-up", "--alerts", str(RULES))
    assert plan.outage is not None
    assert plan.ring is not None
    return plan.outage, plan.ring


def rings(pipeline: Pipeline) -> dict[str, datetime]:
    """Returns the merchants at which rings test cards, each with the time of the first payment."""
    return dict(
        pipeline.query(
            "SELECT merchant, min(o.timestamp) FROM orders o JOIN truth ON order_id = transaction_id "
            "WHERE kind = 'fraud' AND scenario = 'S5' AND value < 3 GROUP BY campaign, merchant"
        )
    )


def test_the_rules_find_the_outage_and_the_ring_of_a_demo(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    outage, ring = store(pipeline, timedelta(hours=8))
    opened = "SELECT min(opened_at) FROM alerts WHERE rule = 'network_out' AND key = 'visa'"
    [(found,)] = pipeline.query(opened)
    assert timedelta() < found - outage.begins.replace(tzinfo=None) < timedelta(minutes=1)
    # Each merchant that an alert names has a ring. That of the plan is among them, soon after its second card.
    found_rings = rings(pipeline)
    tested = dict(pipeline.query("SELECT key, max(opened_at) FROM alerts WHERE rule = 'card_testing' GROUP BY 1"))
    assert tested.keys() <= found_rings.keys()
    [planted] = [merchant for merchant, begins in found_rings.items() if begins >= ring.replace(tzinfo=None)]
    assert tested[planted] - found_rings[planted] < timedelta(minutes=10)
