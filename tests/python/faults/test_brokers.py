"""Brokers that come and go in their own cluster."""

from __future__ import annotations

from confluent_kafka import KafkaException

from apache_kafka import missing_tools, running_kafka
from conftest import leave_out, make_pipeline, wait_until
from services import free_port

FENCED = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "1500"}
"""Each heartbeat comes after the session has ended: the controller takes the broker out, and in again."""


def test_a_cluster_that_names_no_broker_now_and_then(database: str) -> None:
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    with running_kafka(free_port(), settings=FENCED) as kafka, make_pipeline(kafka.address, database) as pipeline:

        def topic_is_made() -> bool:
            try:
                pipeline.create_topic(4)
            except KafkaException:
                return False
            return True

        wait_until("there is a broker for the topic", topic_is_made)
        consumer = pipeline.consume("--verbose")
        consumer.wait_for("Listening")
        rate, seconds = 200, 40
        producers = [pipeline.produce(rate, rate * seconds, "--verbose") for _ in range(2)]
        for producer in producers:
            assert producer.process.wait(seconds * 3) == 0, producer.output()[-2000:]
        wait_until("all is stored", lambda: pipeline.count() == 2 * rate * seconds, limit=60)
        said = [running.output() for running in (consumer, *producers)]
        assert any("asking the bootstrap servers again" in text for text in said), "the cluster was never without"
        assert consumer.stop() == 0
        pipeline.verify()
