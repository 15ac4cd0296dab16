"""Tests that each transaction is scored exactly once, in an order that the topics alone determine, despite faults."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from pipeline import Pipeline
    from running import Running

WORLD = ("--rate", "2", "--start-time", "2026-01-05", "--speed", "max", "--seed", "5", "--fraud", "0.02")
"""Events of a simulated world, whose labels come within days."""
SENT = ("--count", "30000", "--partitions", "4", "--label-delay", "lognormal:2h", "--quiet")
"""How many of them are sent, and to how many partitions."""
SLOW_INSERTS = """
CREATE FUNCTION wait_a_while() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
CREATE TRIGGER wait_a_while AFTER INSERT ON scores FOR EACH STATEMENT EXECUTE FUNCTION wait_a_while()
"""
"""Makes each statement that inserts into ``scores`` take a tenth of a second."""
REFUSED_STATE = """
CREATE SEQUENCE parts;
CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF nextval('parts') = 100 THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse_one BEFORE UPDATE ON analysis_state FOR EACH ROW WHEN (OLD.data <> NEW.data)
EXECUTE FUNCTION refuse_one()
"""
"""Refuses the hundredth part of the state that replaces an older one, and none after it."""
TABLES = (
    "scores, labels, analysis_offsets, analysis_state, score_minute, score_day, feature_day, top_cards, fraud_cards"
)

Score = tuple[str, float, float | None]


def scores(pipeline: Pipeline) -> list[Score]:
    """Returns the id, score and ratio of each transaction, in the order of their places."""
    if pipeline.query("SELECT to_regclass('scores')") == [(None,)]:
        return []
    return [
        (identity, score, ratio)
        for identity, score, ratio in pipeline.query("SELECT order_id, score, ratio FROM scores ORDER BY seq")
    ]


def places(pipeline: Pipeline) -> list[tuple[str, str]]:
    """Returns the transactions and labels in their order, and checks that no place is free."""
    rows = pipeline.query(
        "SELECT seq, 'score', order_id FROM scores UNION ALL"
        " SELECT seq, source, transaction_id FROM labels WHERE seq IS NOT NULL ORDER BY seq"
    )
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    return [(kind, identity) for _, kind, identity in rows]


def forget(pipeline: Pipeline) -> None:
    """Empties the tables of the analysis."""
    pipeline.execute(
        f"TRUNCATE {TABLES}; UPDATE analysis SET batch = 0, seq = 0, late = 0, event_time = NULL, writer = NULL"
    )


def analyze(pipeline: Pipeline, *arguments: str) -> Running:
    """Runs ``ccstream analyze --until-caught-up`` and checks that it ends with status 0."""
    analyzer = pipeline.analyze("--until-caught-up", *arguments)
    assert analyzer.wait() == 0, analyzer.output()
    return analyzer


def kill_one(pipeline: Pipeline, chance: random.Random, sizes: Sequence[int], most: Callable[[int], int]) -> None:
    """Starts an analyzer with one of the sizes of a batch, and kills it after a random number of further places.

    The number is below ``most`` of the number of places so far.
    """
    analyzer = pipeline.analyze("--batch-rows", str(chance.choice(sizes)))
    analyzer.wait_for_event("leased")
    [(before,)] = pipeline.query("SELECT seq FROM analysis")
    goal = before + chance.randrange(most(before))
    wait_until("more is scored", lambda: pipeline.query("SELECT seq >= %s FROM analysis", goal) == [(True,)])
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()


def verified(pipeline: Pipeline, status: int = 0) -> dict[str, Any]:
    """Runs ``ccstream verify``, checks its exit status, and returns its report."""
    report: dict[str, Any] = json.loads(pipeline.run("verify", "--counters-only", "--json", status=status))
    return report


@pytest.fixture
def world(embedded_pipeline: Pipeline) -> Pipeline:
    """Sends 30,000 transactions with their labels to four partitions."""
    embedded_pipeline.run("produce", *WORLD, *SENT)
    return embedded_pipeline


def test_the_order_does_not_depend_on_partitions_and_batches(world: Pipeline) -> None:
    analyze(world)
    expected, order = scores(world), places(world)
    assert len(expected) == 30_000
    labelled = sum(kind != "score" for kind, _ in order)
    assert labelled > 200
    forget(world)
    analyze(world, "--batch-rows", "500")
    assert (scores(world), places(world)) == (expected, order)
    # The same events in one partition, in another topic.
    world.topic += "_one"
    world.run("produce", *WORLD, "--count", "30000", "--label-delay", "lognormal:2h", "--quiet")
    forget(world)
    analyze(world)
    assert scores(world) == expected


def test_labels_count_from_their_time_on(world: Pipeline) -> None:
    analyze(world)
    early = world.query(
        "SELECT count(*) FROM labels l WHERE seq < (SELECT min(seq) FROM scores WHERE event_time >= l.labelled_at)"
        " AND seq < (SELECT max(seq) FROM scores s WHERE s.event_time < l.labelled_at)"
    )
    assert early == [(0,)]
    [(due, later)] = world.query(
        "SELECT count(seq), count(*) FILTER (WHERE seq IS NULL AND labelled_at <= (SELECT max(event_time) FROM scores))"
        " FROM labels"
    )
    assert due > 200
    assert later == 0
    with_labels = scores(world)
    forget(world)
    # Without labels, some scores differ: the comparisons above would not notice labels that have no effect.
    world.labels = f"{world.topic}_none"
    analyze(world)
    without = scores(world)
    assert [score[0] for score in without] == [score[0] for score in with_labels]
    assert without != with_labels


@pytest.mark.timeout(1200)
def test_kills_change_no_score(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    world = embedded_pipeline
    # A quarter of the messages is sent twice for a fifth of the time.
    duplicates = ("--incident", "duplicates@1h+50m")
    world.run("produce", *WORLD, *SENT, *duplicates)
    world.catch_up()
    analyze(world)
    expected, order = scores(world), places(world)
    forget(world)
    # Each transaction takes a while, so that a kill comes before all of them are committed.
    world.execute(SLOW_INSERTS)
    on_the_way = 0
    for _ in range(20):
        analyzer = world.analyze("--batch-rows", "400")
        before = len(scores(world))
        wait_until("more is scored, or all", lambda: len(scores(world)) > before or before == len(expected))  # noqa: B023
        time.sleep(chance.uniform(0, 0.3))
        analyzer.signal(signal.SIGKILL)
        analyzer.wait()
        on_the_way += len(scores(world)) < len(expected)
    assert on_the_way >= 2, f"only {on_the_way} kills came before the end"
    analyze(world)
    assert scores(world) == expected
    assert places(world) == order
    [(duplicate,)] = world.query("SELECT sum(duplicate) FROM analysis_offsets WHERE topic = %s", world.topic)
    assert duplicate > 1_000
    # The state that was written is that of a computation from the beginning, too.
    compared = verified(world)
    assert (compared["ok"], compared["scores"]) == (True, len(expected))


def test_the_state_is_restored_from_what_the_consumer_stored(world: Pipeline) -> None:
    killed = world.analyze("--batch-rows", "200")
    wait_until("some are scored", lambda: bool(scores(world)))
    killed.signal(signal.SIGKILL)
    killed.wait()
    # With the stored state, fewer transactions, or none, would have to be taken in again.
    world.execute("DELETE FROM analysis_state")
    # Kafka does not have these messages at their offsets any more.
    world.execute("UPDATE scores SET kafka_offset = kafka_offset + 1000000")
    analyzer = world.analyze("--until-caught-up")
    analyzer.wait_for_event("warning", kind="orders_behind")
    world.catch_up()
    assert analyzer.wait() == 0
    [restored] = analyzer.events("restored")
    assert restored["folded"] > 0
    assert len(scores(world)) == 30_000
    assert verified(world)["scores"] == 30_000


def test_the_state_is_restored_from_kafka_without_a_consumer(world: Pipeline) -> None:
    killed = world.analyze("--batch-rows", "200")
    wait_until("some are scored", lambda: bool(scores(world)))
    killed.signal(signal.SIGKILL)
    killed.wait()
    world.execute("DELETE FROM analysis_state")
    restarted = analyze(world)
    [restored] = restarted.events("restored")
    assert restored["folded"] > 0
    assert not restarted.events("warning")
    world.catch_up()
    assert verified(world)["scores"] == 30_000


def test_a_state_that_cannot_be_stored_ends_the_run_and_changes_no_score(world: Pipeline) -> None:
    # So many that parts are replaced while events come, and not only at the end.
    further = ("--rate", "2", "--start-time", "2026-01-06", "--speed", "max", "--seed", "6", "--fraud", "0.02")
    world.run("produce", *further, "--count", "60000", "--label-delay", "lognormal:2h", "--quiet")
    world.catch_up()
    analyze(world)
    expected = scores(world)
    forget(world)
    world.execute(REFUSED_STATE)
    refused = world.analyze("--until-caught-up", "--batch-rows", "200")
    assert refused.wait() == 4
    assert "refused" in refused.failure()["error"]
    assert len(scores(world)) < len(expected)
    # Nothing may be stored after it: parts that were refused would count as stored.
    assert world.query("SELECT last_value FROM parts") == [(100,)]
    analyze(world)
    assert scores(world) == expected
    assert verified(world)["ok"]


def test_the_state_is_stored_while_nothing_comes(world: Pipeline) -> None:
    world.catch_up()
    analyzer = world.analyze()
    wait_until("all is scored", lambda: len(scores(world)) == 30_000)
    # Fewer transactions than after which a part is written again: only the clock makes it write all of them.
    behind = "SELECT (SELECT seq FROM analysis) - (SELECT min(seq) FROM analysis_state)"
    assert world.query(behind) > [(0,)]
    wait_until("all parts are stored", lambda: world.query(behind) == [(0,)])
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()
    [restored] = analyze(world).events("restored")
    assert restored["folded"] == 0
    assert verified(world)["ok"]


def test_a_run_to_the_end_of_no_topic_is_an_error(pipeline: Pipeline) -> None:
    analyzer = pipeline.analyze("--until-caught-up")
    assert analyzer.wait() == 3
    assert "does not exist; start the producer" in analyzer.failure()["error"]


IN_A_COPY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'COPY scores%%' AND state = 'active' AND wait_event = 'ClientRead'
"""


@pytest.mark.parametrize("where", ["anywhere", "in a copy"])
def test_a_standby_takes_over(world: Pipeline, where: str, chance: random.Random) -> None:
    world.catch_up()
    first = world.analyze("--batch-rows", "200")
    wait_until("some are scored", lambda: bool(scores(world)))
    second = world.analyze()
    second.wait_for_event("standby")

    def is_suspended() -> bool:
        first.signal(signal.SIGCONT)
        time.sleep(chance.uniform(0, 0.01))
        first.signal(signal.SIGSTOP)
        # The server takes in what was sent before.
        time.sleep(0.05)
        return where == "anywhere" or world.query(IN_A_COPY) == [(1,)]

    try:
        wait_until("the first one is suspended", is_suspended)
        # The suspended one still has its session, so its lease must expire.
        second.wait_for_event("leased")
        wait_until("all is scored", lambda: len(scores(world)) == 30_000)
    finally:
        first.signal(signal.SIGCONT)
    first.wait_for_event("lost_lease")
    first.wait_for_event("standby")
    assert (first.stop(), second.stop()) == (0, 0)
    places(world)
    assert world.query("SELECT count(DISTINCT order_id) FROM scores") == [(30_000,)]


def test_duplicates_and_invalid_messages_are_counted(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    event = {"order_id": "a", "value": "1.00", "timestamp": "2026-01-05T00:00:00Z", "card_token": "c"}
    later = {**event, "order_id": "b", "timestamp": "2026-01-05T00:01:00Z"}
    late = {**event, "order_id": "c", "timestamp": "2026-01-05T00:00:30Z"}
    pipeline.send([json.dumps(one).encode() for one in (event, event, later, late, event)] + [b"[]", None])
    analyzer = analyze(pipeline)
    ended = analyzer.events("ended")[0]["summary"]
    assert (ended["scored"], ended["duplicate"], ended["rejected"], ended["late"]) == (3, 2, 2, 1)
    again = analyze(pipeline).events("ended")[0]["summary"]
    assert (again["scored"], again["duplicate"]) == (0, 0)
    # A transaction that was scored before is not scored again, whatever its id.
    pipeline.send([json.dumps(one).encode() for one in (later, event)])
    again = analyze(pipeline).events("ended")[0]["summary"]
    assert (again["scored"], again["duplicate"]) == (0, 2)


def test_odd_labels_are_counted_and_kept(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    event = {"order_id": "a", "value": "1.00", "timestamp": "2026-01-05T00:00:00Z", "merchant": "m"}
    later = {**event, "order_id": "b", "timestamp": "2026-01-09T00:00:00Z"}
    label = {"transaction_id": "a", "fraud": True, "labelled_at": "2026-01-06T00:00:00Z", "source": "claim"}
    producer = Producer({"bootstrap.servers": pipeline.broker})
    labels = [
        label,
        label,
        {**label, "transaction_id": "unknown"},
        {**label, "fraud": False, "labelled_at": "2026-01-07T00:00:00Z"},
        {**label, "labelled_at": "2027-01-01T00:00:00Z"},
        {**label, "source": "analyst"},
        {**label, "fraud": "perhaps"},
    ]
    for one in labels:
        producer.produce(pipeline.labels_topic, json.dumps(one).encode())
    assert producer.flush(LIMIT) == 0
    pipeline.send([json.dumps(one).encode() for one in (event, later)])
    ended = analyze(pipeline).events("ended")[0]["summary"]
    counted = (ended["labels"], ended["labels_duplicate"], ended["labels_rejected"], ended["labelled"])
    assert counted == (5, 1, 1, 3)
    order = pipeline.query(
        "SELECT seq, order_id FROM scores UNION SELECT seq, source || labelled_at FROM labels"
        " WHERE seq IS NOT NULL ORDER BY 1"
    )
    assert [what for _, what in order] == [
        "a",
        "analyst2026-01-06 00:00:00",
        "claim2026-01-06 00:00:00",
        "claim2026-01-07 00:00:00",
        "b",
    ]


def label(identity: str, *, fraud: bool, day: int) -> bytes:
    """Returns a message that labels a transaction on a day of January 2026."""
    moment = f"2026-01-{day:02}T00:00:00Z"
    return json.dumps({"transaction_id": identity, "fraud": fraud, "labelled_at": moment}).encode()


def send_labels(pipeline: Pipeline, *labels: bytes) -> None:
    """Sends messages to the topic of labels."""
    producer = Producer({"bootstrap.servers": pipeline.broker})
    for one in labels:
        producer.produce(pipeline.labels_topic, one)
    assert producer.flush(LIMIT) == 0


def test_a_correction_delays_no_score_and_hides_no_duplicate(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    first = {"order_id": "a", "value": "1.00", "timestamp": "2026-01-05T00:00:00Z", "merchant": "m"}
    events = [
        json.dumps({**first, "order_id": name, "timestamp": f"2026-01-{day:02}T00:00:00Z"}).encode()
        for name, day in (("a", 5), ("b", 9), ("c", 12))
    ]
    # A correction is applied after a commit: the labels before it are read from the table.
    send_labels(
        pipeline,
        *(label("a", fraud=fraud, day=day) for fraud, day in ((True, 6), (False, 7), (True, 10))),
    )
    # After the commit, the first event comes again. It was read together with the others.
    pipeline.send([*events, events[0]])
    analyzer = pipeline.analyze()
    wait_until("all are scored", lambda: len(scores(pipeline)) == 3)
    duplicates = "SELECT sum(duplicate) FROM analysis_offsets"
    wait_until("the duplicate is counted", lambda: pipeline.query(duplicates) == [(1,)])
    assert analyzer.stop() == 0
    assert [what for _, what in places(pipeline)] == ["a", "a", "a", "b", "a", "c"]
    # An event after a correction is committed although nothing comes after it.
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("reading")
    send_labels(pipeline, label("a", fraud=False, day=13))
    wait_until("the label is stored", lambda: pipeline.query("SELECT count(*) FROM labels") == [(4,)])
    pipeline.send([json.dumps({**first, "order_id": "d", "timestamp": "2026-01-14T00:00:00Z"}).encode()])
    wait_until("the event is scored", lambda: len(scores(pipeline)) == 4)
    assert analyzer.stop() == 0
    pipeline.catch_up()
    assert verified(pipeline)["labels"] == 4
