"""What the generator plants among the transactions: its labels, and the truth about it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient

from topics import read_whole
from waiting import wait_until

if TYPE_CHECKING:
    from pipeline import Pipeline

FLAGS = ("--seed", "9", "--start-time", "2026-03-02T00:00:00Z", "--speed", "max", "--fraud", "0.02")


def read(pipeline: Pipeline, topic: str) -> list[dict[str, Any]]:
    """The messages of a topic, in the order in which they were sent."""
    return [json.loads(message.value() or b"") for message in read_whole(pipeline.broker, topic)]


def test_labels_and_truth_are_of_transactions_that_were_sent(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    producer = pipeline.produce(2, 40_000, *FLAGS, "--label-delay", "fixed:2h")
    assert producer.wait() == 0, producer.output()
    times = {one["transaction_id"]: one["timestamp"] for one in read(pipeline, pipeline.topic)}
    labels, truths = read(pipeline, pipeline.labels_topic), read(pipeline, pipeline.truth_topic)
    summary = producer.summary()
    assert (summary["acknowledged"], summary["labels"], summary["truths"]) == (len(times), len(labels), len(truths))
    assert (len(times), summary["lost"]) == (40_000, 0)
    for label in labels:
        assert (label["fraud"], label["source"] in {"chargeback", "issuer", "analyst"}) == (True, True)
        labelled, happened = (
            datetime.fromisoformat(text.replace("Z", "+00:00"))
            for text in (label["labelled_at"], times[label["transaction_id"]])
        )
        assert (labelled - happened).total_seconds() == 2 * 3600
    of_kind: dict[str, set[str]] = {}
    for truth in truths:
        assert truth["timestamp"] == times[truth["transaction_id"]]
        of_kind.setdefault(truth["kind"], set()).add(truth["transaction_id"])
        assert ("scenario" in truth) == ("campaign" in truth) == (truth["kind"] in {"fraud", "twin"})
        # What a refund or a retry belongs to was sent before it.
        assert truth["kind"] in {"fraud", "twin"} or times[truth["subject"]] < truth["timestamp"]
    assert set(of_kind) == {"fraud", "twin", "refund", "retry"}
    found = {label["transaction_id"] for label in labels} & of_kind["fraud"]
    assert 0.75 < len(found) / len(of_kind["fraud"]) < 0.95, "85 of 100 frauds are labelled"


def test_a_planned_campaign_begins_at_its_time(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    flags = ("--seed", "3", "--start-time", "2026-03-02", "--speed", "max", "--fraud", "0.0001")
    pipeline.run(
        "produce", "--rate", "2", "--count", "30000", "--quiet", *flags, "--campaign", "S5@2026-03-02T01:00:00Z"
    )
    frauds = [
        one for one in read(pipeline, pipeline.truth_topic) if (one["kind"], one.get("scenario")) == ("fraud", "S5")
    ]
    campaigns = {one["campaign"] for one in frauds if one["timestamp"] < "2026-03-02T02:30:00Z"}
    assert len(campaigns) == 1, frauds
    assert min(one["timestamp"] for one in frauds if one["campaign"] in campaigns) >= "2026-03-02T01:00:00Z"
    assert "campaign: " in pipeline.run("produce", "--fraud", "0", "--campaign", "S5@1h", status=2)


def test_all_topics_have_the_same_bytes_again(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    names = {"--topic": pipeline.topic, "--labels-topic": pipeline.labels_topic, "--truth-topic": pipeline.truth_topic}
    for suffix in ("", "_again"):
        topics = [text for flag, name in names.items() for text in (flag, name + suffix)]
        pipeline.run("produce", "--rate", "2", "--count", "5000", "--quiet", *FLAGS, *topics)
    for name in names.values():
        one, other = (
            [(message.key(), message.value()) for message in read_whole(pipeline.broker, name + suffix)]
            for suffix in ("", "_again")
        )
        assert one
        assert one == other


def test_a_stopped_run_reports_the_labels_that_it_did_not_send(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    producer = pipeline.produce(5, 10_000_000, "--backfill", "6h", "--fraud", "0.02", "--label-delay", "fixed:7d")
    wait_until("events of now are sent", lambda: len(producer.events("sent")) >= 3)
    assert producer.stop() == 0
    assert producer.summary()["labels"] == 0
    [warning] = producer.events("warning", kind="labels_not_sent")
    assert int(warning["text"].split()[0]) > 50, warning


def test_without_fraud_nothing_but_transactions_is_sent(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    for flags in (("--rate", "max"), ("--rate", "100", "--fraud", "0", "--start-time", "2026-03-02", "--speed", "max")):
        pipeline.run("produce", "--count", "2000", "--quiet", *flags)
    assert len(read(pipeline, pipeline.topic)) == 4000
    topics = AdminClient({"bootstrap.servers": pipeline.broker}).list_topics(timeout=20).topics
    assert pipeline.topic in topics
    assert not {pipeline.labels_topic, pipeline.truth_topic} & set(topics)
