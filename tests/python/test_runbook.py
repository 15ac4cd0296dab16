"""Tests the runbook's commands and lines, and the messages of the commands when something is wrong."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ccstream
from ccstream.declared import SETTINGS
from running import numbers_in
from services import ROOT, free_port
from waiting import LIMIT, wait_for_line, wait_until

if TYPE_CHECKING:
    from pipeline import Pipeline


def checked(output: str) -> dict[str, str]:
    """Returns the line of each of the doctor's checks, by the check's name."""
    return {name: line for line, name in re.findall(r"^([✓✗] (\w+): .*)$", output, re.MULTILINE)}


def test_the_scripts_print_the_runbooks_lines(pipeline: Pipeline) -> None:
    pipeline.create_topic(1)
    consumer = pipeline.spawn("consumer.py")
    assert wait_for_line(consumer, "Listening") == [
        "[Consumer] ✓ Connected to Kafka",
        "[Consumer] ✓ Connected to PostgreSQL",
        "[Consumer] Listening for messages...",
    ]
    wait_for_line(consumer, "Reading partition 0 from offset 0")
    producer = pipeline.spawn("producer.py")
    lines = wait_for_line(producer, "at offset 2")
    for number in range(3):
        sending, sent = lines[2 * number : 2 * number + 2]
        assert re.fullmatch(rf"\[Producer\] Sending transaction #{number} \{{.*\}}", sending)
        assert sent == f"[Producer] ✓ Sent to partition 0 at offset {number}"
    producer.send_signal(signal.SIGINT)
    assert re.fullmatch(
        r"\[Producer\] Sent \d+, acknowledged \d+, failed 0 in .*",
        wait_for_line(producer, "acknowledged")[-1],
    )
    assert producer.wait(LIMIT) == 0
    wait_until("the events are stored", lambda: pipeline.count() >= 3)
    assert re.search(r"✓ Stored 1 in \d+ ms \(total 3, lag \d+\)", wait_for_line(consumer, "total 3")[-1])
    consumer.send_signal(signal.SIGINT)
    wait_for_line(consumer, "Consumed")
    assert consumer.wait(LIMIT) == 0


def test_a_missing_topic_is_created_with_its_partitions(pipeline: Pipeline) -> None:
    output = pipeline.run("produce", "--count", "1", "--rate", "5", "--partitions", "3")
    assert "Created the topic" in output
    assert ccstream.topic_ends(bootstrap_servers=pipeline.broker, topic=pipeline.topic).keys() == {0, 1, 2}
    found = checked(pipeline.run("doctor"))["topic"]
    assert found.startswith(f"✓ topic: {pipeline.topic} ")
    assert 3 in numbers_in(found.partition(pipeline.topic)[2])


def test_a_flag_beats_the_environment(embedded_pipeline: Pipeline) -> None:
    other = embedded_pipeline.topic + "_other"
    embedded_pipeline.run("produce", "--count", "3", "--rate", "max", "--topic", other)
    assert embedded_pipeline.catch_up("--topic", other, "--group", "g2").counted()[:2] == (3, 3)
    assert embedded_pipeline.query("SELECT consumer_group, topic FROM kafka_offsets") == [("g2", other)]


def test_the_same_seed_and_start_time_send_the_same_bytes(embedded_pipeline: Pipeline) -> None:
    producers = [embedded_pipeline.produce(10, 2, "--seed", "3", "--start-time", "2026-01-01") for _ in range(2)]
    assert [producer.wait() for producer in producers] == [0, 0]
    payloads = [[one["payload"] for one in producer.events("sending")] for producer in producers]
    assert len(payloads[0]) == 2
    assert payloads[0] == payloads[1]
    assert '"timestamp":"2026-01-01T00:00:00.000000Z"' in payloads[0][0]


def test_a_missing_broker_or_database_is_named(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    nobody = f"localhost:{free_port()}"
    output = pipeline.run("produce", "--count", "1", "--bootstrap-servers", nobody, status=3)
    assert nobody in output
    assert os.strerror(errno.ECONNREFUSED) in output
    assert "ccstream up" in output
    assert "--bootstrap-servers" in output
    with pytest.raises(ccstream.KafkaError, match="`bootstrap_servers`"):
        ccstream.Producer(count=1, bootstrap_servers=nobody).run()
    output = pipeline.run("consume", "--until-caught-up", "--bootstrap-servers", nobody, status=3)
    assert "Consumed 0 = 0 stored + 0 duplicate + 0 rejected" in output
    output = pipeline.run("verify", "--database-url", f"postgresql://a:secret@{nobody}/b", status=4)
    assert os.strerror(errno.ECONNREFUSED) in output
    assert "secret" not in output
    output = pipeline.run("verify", status=5)
    assert "kafka_offsets" in output
    wrong = pipeline.database_url.replace("kafka_password", "wrong")
    output = pipeline.run("consume", "--database-url", wrong, status=4)
    assert "SQLSTATE 28P01" in output
    assert "Consumed 0 = 0 stored + 0 duplicate + 0 rejected" in output


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("produce", "--rate", "0"), "argument --rate: '0' "),
        (("produce", "--count", "many"), "argument --count: 'many' "),
        (("produce", "--start-time", "soon"), "start_time: "),
        (("produce", "--topic", "a b"), "topic: "),
        (("produce", "--replay", "x.csv", "--seed", "1"), "replay: "),
        (("produce", "--set", "currency=EUR"), "map: "),
        (("produce", "--speed", "10"), "speed: "),
        (("produce", "--backfill", "a week"), "backfill: "),
        (("produce", "--backfill", "2099-01-01"), "backfill: "),
        (("produce", "--backfill", "7d", "--rate", "max"), "backfill: "),
        (("produce", "--cards", "2000000"), "cards: "),
        (("produce", "--kafka-option", "acks=0"), "librdkafka_options: acks "),
        (("produce", "--kafka-option", "request.required.acks=0"), "librdkafka_options: request.required.acks "),
        (("produce", "--kafka-option", "sasl.pasword=hunter2"), "librdkafka_options: sasl.pasword: "),
        (("consume", "--linger", "90000"), "linger: 90000 "),
        (("consume", "--batch-rows", "2000000"), "batch_rows: 2000000 "),
    ],
)
def test_bad_settings_are_named(lone_pipeline: Pipeline, arguments: tuple[str, ...], part: str) -> None:
    output = lone_pipeline.run(*arguments, status=2)
    assert part in output
    assert "hunter2" not in output
    assert "Traceback" not in output


def test_another_kind_of_database_is_named(embedded_pipeline: Pipeline) -> None:
    output = embedded_pipeline.run("consume", "--database-url", "mysql://h/d", status=2)
    assert "database_url: mysql://h/d " in output
    assert "Traceback" not in output


def test_doctor_says_what_to_fix(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    # On a fresh install, missing objects that the producer and the consumer will create are no problem.
    output = pipeline.run("doctor")
    assert {line[0] for line in checked(output).values()} == {"✓"}
    assert pipeline.topic in checked(output)["topic"]
    assert "orders" in checked(output)["tables"]
    pipeline.run("produce", "--count", "1", "--rate", "max")
    pipeline.run("consume", "--until-caught-up")
    output = pipeline.run("doctor")
    assert "rejected_events, rejected_counts, kpi_minute and latency_minute" in output
    pipeline.query("SELECT 1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"localhost:{taken.getsockname()[1]}"
        assert checked(pipeline.run("doctor", "--bootstrap-servers", address, status=1))["broker"][0] == "✗"


def test_doctor_names_missing_privileges(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--count", "1", "--rate", "max")
    pipeline.run("consume", "--until-caught-up")
    role = pipeline.topic
    pipeline.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT {role} TO CURRENT_USER; "
        f"GRANT SELECT, INSERT ON orders, kafka_offsets, rejected_events TO {role}"
    )
    try:
        url = pipeline.database_url.replace("kafka_user:kafka_password", f"{role}:p")
        output = pipeline.run("doctor", "--database-url", url, status=1)
        assert checked(output)["privileges"][0] == "✗"
        assert f"GRANT UPDATE ON kafka_offsets TO {role};" in output
        assert f"GRANT SELECT, INSERT, UPDATE ON kpi_minute TO {role};" in output
    finally:
        pipeline.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_verify_finds_changed_rows_and_counters(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--count", "500", "--rate", "max")
    pipeline.send([b"[]"])
    pipeline.run("consume", "--until-caught-up")
    pipeline.verify()
    for tamper, mend, parts in (
        (
            "CREATE TABLE saved AS SELECT * FROM orders LIMIT 1; DELETE FROM orders USING saved USING_ID",
            "INSERT INTO orders SELECT * FROM saved; DROP TABLE saved",
            {"500", "499", "orders"},
        ),
        (
            "UPDATE orders SET value = value + 0.01 WHERE order_id = (SELECT min(order_id) FROM orders)",
            "UPDATE orders SET value = value - 0.01 WHERE order_id = (SELECT min(order_id) FROM orders)",
            {"kpi_minute", "1"},
        ),
        (
            "UPDATE kpi_minute SET count = count + 1",
            "UPDATE kpi_minute SET count = count - 1",
            {"kpi_minute"},
        ),
        (
            "UPDATE kafka_offsets SET rejected = 2, stored = 499",
            "UPDATE kafka_offsets SET rejected = 1, stored = 500",
            {"2", "1", "rejected_events"},
        ),
    ):
        pipeline.execute(tamper.replace("USING_ID", "WHERE orders.order_id = saved.order_id"))
        problems = [line for line in pipeline.run("verify", status=1).splitlines() if line.startswith("✗")]
        assert any(parts <= set(re.findall(r"\w+", problem)) for problem in problems), problems
        pipeline.execute(mend)
        pipeline.verify()


def test_progress_without_a_terminal(embedded_pipeline: Pipeline) -> None:
    producer = embedded_pipeline.spawn("producer.py", "--rate", "100")
    line = wait_for_line(producer, "events/s")[-1]
    assert re.fullmatch(r"\[Producer\] [\d,]+ sent, [\d,]+ acknowledged, 0 failed, \d+ events/s", line)
    producer.send_signal(signal.SIGTERM)
    wait_for_line(producer, "acknowledged")
    assert producer.wait(LIMIT) == 0


def test_help_names_every_flag_and_no_password() -> None:
    environment = {**os.environ, "DATABASE_URL": "postgresql://u:secret@h/d"}
    for script, part, flags in (
        (
            "producer.py",
            "producer",
            "--rate --count --seed --start-time --replay --map --set --partitions --quiet --events --verbose",
        ),
        (
            "consumer.py",
            "consumer",
            (
                "--group --connections --batch-rows --linger --until-caught-up --drain-limit --assignment "
                "--always-stage --no-synchronous-commit --quiet --events --verbose --database-url"
            ),
        ),
    ):
        done = subprocess.run(
            [sys.executable, script, "--help"],
            capture_output=True,
            check=True,
            cwd=ROOT,
            env=environment,
            text=True,
        )
        wanted = [*flags.split(), "--bootstrap-servers", "--topic", "--kafka-option"]
        wanted += [setting.flag for setting in SETTINGS[part]]
        assert [flag for flag in wanted if flag not in done.stdout] == []
        assert "secret" not in done.stdout
