"""Tests that PostgreSQL's crashes, its outages and a topic that is recreated change no score of the analysis."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from conftest import at_length
from test_analyze import SLOW_INSERTS, WORLD, analyze, places, scores, verified
from truth_topic import Topic
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from ccstream import embedded
    from pipeline import Pipeline

PARTITIONS = ("--partitions", "4", "--label-delay", "lognormal:2h", "--quiet")


def crash(server: embedded.Postgres, chance: random.Random) -> None:
    """Kills a session, after which PostgreSQL ends all sessions and recovers."""
    process = server.process()
    assert process is not None
    sessions = [
        one
        for one in psutil.process_iter(["ppid", "cmdline"])
        if one.info["ppid"] == process.pid and "kafka_user" in " ".join(one.info["cmdline"] or ())
    ]
    chance.choice(sessions).kill()
    wait_until("PostgreSQL recovers", server.answers)


def scored(pipeline: Pipeline) -> int:
    """Returns the number of scores; -1 while PostgreSQL does not answer."""
    try:
        return len(scores(pipeline))
    except psycopg.OperationalError:
        return -1


@pytest.mark.timeout(1200)
def test_crashes_of_postgres_and_a_new_topic_change_no_score(
    apache_pipeline: Pipeline, postgres: embedded.Postgres, chance: random.Random
) -> None:
    pipeline = apache_pipeline
    count = at_length(20_000, 200_000)
    pipeline.run("produce", *WORLD, "--count", str(count), *PARTITIONS)
    pipeline.catch_up()
    analyze(pipeline)
    expected, order = scores(pipeline), places(pipeline)
    pipeline.execute(
        "TRUNCATE scores, labels, analysis_offsets, analysis_state, "
        "score_minute, score_day, feature_day, top_cards, fraud_cards"
    )
    pipeline.execute("UPDATE analysis SET batch = 0, seq = 0, late = 0, event_time = NULL, writer = NULL")
    pipeline.execute(SLOW_INSERTS)
    analyzer = pipeline.analyze("--batch-rows", "400")
    for _ in range(2):
        before = scored(pipeline)
        wait_until("more is scored", lambda: scored(pipeline) > before)  # noqa: B023
        assert 0 < scored(pipeline) < count
        crash(postgres, chance)
    wait_until("all is scored", lambda: scored(pipeline) == count, limit=300)
    assert analyzer.stop() == 0
    assert (scores(pipeline), places(pipeline)) == (expected, order)
    # The new topic has the same events, and more.
    topic = Topic(pipeline, pipeline.topic, 4)
    topic.delete()
    topic.create_again()
    pipeline.run("produce", *WORLD, "--count", str(count + 2_000), *PARTITIONS)
    again = analyze(pipeline)
    assert again.warned("topic_recreated")
    pipeline.catch_up()
    assert scores(pipeline)[:count] == expected
    assert verified(pipeline)["scores"] == count + 2_000


@pytest.mark.timeout(300)
def test_an_open_batch_does_not_move_the_position_in_a_new_topic(apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    pipeline.run("produce", *WORLD, "--count", "400", "--partitions", "2", "--quiet")
    analyzer = pipeline.analyze("--linger", "20000")
    analyzer.wait_for_event("reading")
    # Until the batch is committed, nothing shows that the messages were read.
    time.sleep(3)
    topic = Topic(pipeline, pipeline.topic, 2)
    topic.delete()
    topic.create_again()
    wait_until("the new topic is read", lambda: len(analyzer.events("reading")) == 2)
    wait_until("the batch is committed", lambda: len(scores(pipeline)) == 400)
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()
    # No message of the new topic was read. With the offsets of the old one, the first messages would be lost.
    assert pipeline.query("SELECT DISTINCT next_offset FROM analysis_offsets WHERE topic = %s", pipeline.topic) == [
        (0,)
    ]


@pytest.mark.timeout(300)
def test_a_stop_during_an_outage_says_that_not_all_is_committed(
    embedded_pipeline: Pipeline, postgres: embedded.Postgres
) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", *WORLD, "--count", "400", "--quiet")
    analyzer = pipeline.analyze("--linger", "20000", "--drain-limit", "2")
    analyzer.wait_for_event("reading")
    # Until the batch is committed, nothing shows that the messages were read.
    time.sleep(3)
    assert postgres.stop()
    analyzer.wait_for_event("waiting")
    assert analyzer.stop() == 1
    assert not analyzer.events("lost_lease")
    assert not analyzer.events("ended")[0]["summary"]["drained"]
    postgres.start()
    analyze(pipeline)
    assert len(scores(pipeline)) == 400
