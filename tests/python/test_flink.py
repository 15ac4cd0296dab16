"""Runs the SQL of the folder ``flink`` on Apache Flink, and compares its tables with ccstream's and with recounts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

import flink_messages
from apache_kafka import SHORT_LIVED
from conftest import at_length
from flink_messages import PARTITIONS, SPAN, START
from keeper import KeptFolder
from services import ROOT, free_port
from test_analyze import analyze
from topics import read_whole
from waiting import LIMIT, wait_until

sys.path.insert(0, str(ROOT / "flink"))

import flink as script

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pipeline import Pipeline

END = START + SPAN + timedelta(hours=1)
"""A moment after all windows but those of the last events."""
RECOUNTED = ("rolling", "card_session", "window_rolling", "window_card_session")
"""The comparisons that hold where nothing was late: two with recounts, and two with ccstream's own windows."""
LAST_WINDOW = "SELECT max(window_start) > %s - interval '70 minutes' FROM flink_rolling"
TRUSTED = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote")
"""Java's flags that skip the check of Flink's classes, which costs a fifth of the processor time of this test."""
WITHIN = timedelta(minutes=10)
"""The time within which an alert's pattern must occur."""


class Flink:
    """Runs the commands of ``flink/flink.py`` on a pipeline, on free ports and in a temporary folder."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.alert_topic = f"{pipeline.topic}_alerts"
        self._kept = KeptFolder("ccstream-flink-")
        self._environment = {
            **pipeline.environment,
            "FLINK_FOLDER": str(self._kept.path),
            "FLINK_ALERT_TOPIC": self.alert_topic,
            "FLINK_JAVA_FLAGS": " ".join((*SHORT_LIVED, *TRUSTED)),
            **{name: str(free_port()) for name in ("FLINK_PORT", "FLINK_GATEWAY_PORT", "FLINK_RPC_PORT")},
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        """Runs a command and returns its output."""
        command = [sys.executable, str(ROOT / "flink" / "flink.py"), *arguments]
        done = subprocess.run(
            command, capture_output=True, check=False, env=self._environment, text=True, timeout=2 * LIMIT
        )
        assert done.returncode == status, done.stdout + done.stderr + self._logs()
        return done.stdout

    def _logs(self) -> str:
        """Returns the end of each log, for the report of a failure."""
        return "".join(f"\n{log.name}: {log.read_text()[-1500:]}" for log in self._kept.path.glob("*.log"))

    def checkpoints(self) -> int:
        """Returns the number of finished checkpoints of the only job."""
        [job] = self._ask("jobs/overview")["jobs"]
        return int(self._ask(f"jobs/{job['jid']}/checkpoints")["counts"]["completed"])

    def _ask(self, path: str) -> Any:  # noqa: ANN401
        with urllib.request.urlopen(f"http://127.0.0.1:{self._environment['FLINK_PORT']}/{path}") as answer:
            return json.load(answer)

    def sent_alerts(self, broker: str) -> set[str]:
        """Returns the ids of the alerts in the topic."""
        return {json.loads(message.value() or b"")["alert_id"] for message in read_whole(broker, self.alert_topic)}

    def kill_task_manager(self) -> None:
        """Kills the process that holds all state and runs all jobs."""
        os.kill(int((self._kept.path / "taskmanager.pid").read_text()), signal.SIGKILL)

    def remove(self) -> None:
        """Ends all processes and removes the folder."""
        self._kept.remove()


@pytest.fixture
def flink(apache_pipeline: Pipeline) -> Iterator[Flink]:
    """Yields Flink on the pipeline of Apache Kafka."""
    made = Flink(apache_pipeline)
    yield made
    made.remove()


def send(pipeline: Pipeline, part: list[tuple[int, bytes, bytes]]) -> None:
    """Sends messages to their partitions, in order."""
    producer = Producer({"bootstrap.servers": pipeline.broker, "linger.ms": 20, "enable.idempotence": True})
    for number, (partition, key, payload) in enumerate(part):
        producer.produce(pipeline.topic, payload, key, partition)
        if number % 10_000 == 0:
            producer.flush()
    assert producer.flush(LIMIT) == 0


def test_the_words_for_an_outcome_are_those_of_the_documents() -> None:
    lines = (ROOT / "docs" / "data.md").read_text().splitlines()
    for outcome, words in (("approved", script.APPROVED), ("declined", script.DECLINED)):
        [line] = [line for line in lines if line.startswith(f"| {outcome} | `")]
        assert tuple(re.findall("`(.*?)`", line)) == words


def flink_count(pipeline: Pipeline) -> int:
    """Returns the number of transactions that Flink has counted."""
    return int(pipeline.query("SELECT coalesce(sum(count), 0) FROM flink_minute")[0][0])


def raised(pipeline: Pipeline) -> set[str]:
    """Returns the ids of the alerts in the table."""
    return {alert for (alert,) in pipeline.query("SELECT alert_id FROM flink_alert")}


def are_closed(pipeline: Pipeline, last: list[tuple[int, bytes, bytes]]) -> bool:
    """Sends the last events again, and returns whether all windows before them have closed.

    Without new messages, all partitions may become idle at once. Then no watermark follows.
    """
    send(pipeline, last)
    time.sleep(2)
    return pipeline.query(LAST_WINDOW, END) == [(True,)]


def expected_alerts(pipeline: Pipeline) -> set[str]:
    """Returns the ids of the alerts that the rows of ``orders`` must raise, without those of late rows."""
    cards: dict[str, list[tuple[datetime, str, str]]] = defaultdict(list)
    for card, *row in pipeline.query(
        "SELECT card_token, date_trunc('milliseconds', timestamp), lower(status), order_id FROM orders"
        " WHERE card_token NOT LIKE 'late-%%' ORDER BY 2, kafka_offset"
    ):
        cards[card].append(tuple(row))
    found = set()
    for rows in cards.values():
        place = 0
        while place + 5 <= len(rows):
            quick = rows[place + 4][0] - rows[place][0] < WITHIN
            if quick:
                found.add(f"velocity:{rows[place + 4][2]}")
            place += 5 if quick else 1
        place = 0
        while place + 3 <= len(rows):
            three = rows[place : place + 3]
            fits = [row[1] for row in three] == ["declined", "declined", "approved"]
            fits = fits and three[2][0] - three[0][0] < WITHIN
            if fits:
                found.add(f"declined-approved:{three[2][2]}")
            place += 3 if fits else 1
    return found


@pytest.mark.timeout(1200)
def test_flink_equals_ccstream_and_survives_sigkill(
    apache_pipeline: Pipeline, flink: Flink, chance: random.Random
) -> None:
    """``flink_minute`` equals ``kpi_minute``, and the windows equal recounts and ccstream's where nothing was late."""
    first, second = flink_messages.messages(at_length(50_000, 200_000), chance)
    apache_pipeline.create_topic(PARTITIONS + 1)
    send(apache_pipeline, first)
    apache_pipeline.catch_up()
    flink.run("up")
    flink.run("submit", "minute", "rolling", "card_session", "alert")
    flink.run("compare", "--wait", str(LIMIT))
    wait_until("a checkpoint", lambda: flink.checkpoints() > 0)
    # All partitions may be idle, and an idle one holds back no watermark. Each gets some messages before the rest,
    # or those of one would be late because those of another came first.
    counted = flink_count(apache_pipeline)
    send(apache_pipeline, second[:100])
    wait_until("some messages", lambda: flink_count(apache_pipeline) > counted + 50)
    rounds = at_length(1, 5)
    for number in range(rounds):
        counted = flink_count(apache_pipeline)
        size = len(second) // rounds + 1
        send(apache_pipeline, second[max(size * number, 100) : size * (number + 1)])
        wait_until("progress", lambda counted=counted: flink_count(apache_pipeline) > counted)  # type: ignore[misc]
        flink.kill_task_manager()
        flink.run("up")
    apache_pipeline.catch_up()
    apache_pipeline.verify()
    equal = flink.run("compare", "--wait", str(LIMIT))
    assert equal.startswith("minute: 0 of "), equal
    analyze(apache_pipeline, "--windows", str(ROOT / "flink" / "windows.toml"))

    # The recounts leave out the hour of the late rows, and the events that close the windows.
    wait_until("the last windows", lambda: are_closed(apache_pipeline, second[-PARTITIONS:]))
    since, until = (moment.replace(tzinfo=None).isoformat() for moment in (START + timedelta(hours=1), END))
    flink.run("compare", *RECOUNTED, "--since", since, "--until", until, "--wait", "30")

    wanted = expected_alerts(apache_pipeline)
    assert len(wanted) > 20
    wait_until("the alerts", lambda: raised(apache_pipeline) >= wanted)
    table = raised(apache_pipeline)
    # After a restart, MATCH_RECOGNIZE has no watermark for a while, and takes late rows.
    assert {alert for alert in table if ":late-" not in alert} == wanted
    wait_until("the alerts in the topic", lambda: flink.sent_alerts(apache_pipeline.broker) == table)
