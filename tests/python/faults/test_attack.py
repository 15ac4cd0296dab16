"""Tests random faults under load, one at a time and several at once, and then recounts everything.

``CCSTREAM_ATTACK_FILE`` names a file to which each run appends its results as a line of JSON. ``python
bench/attack.py`` makes the table of faults in the documentation from several runs.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apache_kafka import SHORT_LIVED, missing_tools, running_kafka
from conftest import at_length, leave_out
from faults.attack import FAULTS, PARTITIONS, MetNothingError, Progress, Scene
from faults.mixer import Mixer
from faults.proxy import Link
from pipeline import make_pipeline
from recount import Recount
from services import free_port
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccstream import embedded
    from pipeline import Pipeline

RATE = 1000
"""The producer's events a second. The mixer sends a tenth of that in addition."""


@pytest.fixture
def scene(database: str, postgres: embedded.Postgres, chance: random.Random) -> Iterator[Scene]:
    """Yields a scene with a separate broker and PostgreSQL, each behind a proxy."""
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    port = free_port()
    with (
        Link(f"kafka://localhost:{port}") as to_kafka,
        Link(database) as to_postgres,
        running_kafka(port, to_kafka.port, SHORT_LIVED) as kafka,
        make_pipeline(kafka.address, database) as pipeline,
    ):
        pipeline.create_topic(PARTITIONS)
        flags = ["--assignment", chance.choice(["eager", "cooperative"])]
        # The result must be the same for a database that loses its last commits when it is killed.
        flags += chance.choice([[], ["--no-synchronous-commit"]])
        print(f"flags of every consumer: {' '.join(flags)}")
        yield Scene(pipeline, kafka, to_kafka, to_postgres, postgres, tuple(flags))


class Attack:
    """Runs rounds of faults and records their results.

    Args:
        scene: the scene to attack.
        chance: the random generator.

    Attributes:
        tried: for each fault, how often it happened.
        missed: for each fault, how often its situation did not occur, such as a COMMIT within five seconds.
        recovery: for each fault, the seconds until everything was caught up after it happened alone.
    """

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene, self._chance = scene, chance
        self.progress = Progress(scene)
        self.tried: dict[str, int] = {name: 0 for faults in FAULTS.values() for name in faults}
        self.missed = dict.fromkeys(self.tried, 0)
        self.recovery: dict[str, list[float]] = {name: [] for name in self.tried}
        self._failed: list[BaseException] = []

    def round(self) -> None:
        """Causes one fault and measures the recovery, or causes several faults at once, sometimes without a pause."""
        many = 1 if self._chance.random() < 0.5 else self._chance.randint(2, len(FAULTS))
        if many == 1:
            # The backlog of the previous round must not count for this one.
            self.catch_up()
        targets = self._chance.sample(list(FAULTS), many)
        names = [self._chance.choice(list(FAULTS[target])) for target in targets]
        before = self.tried[names[0]]
        work = [
            threading.Thread(target=self._do, args=(target, name, self._chance.getrandbits(32)))
            for target, name in zip(targets, names, strict=True)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        if self._failed:
            raise self._failed[0]
        if many == 1:
            took = self.catch_up()
            if self.tried[names[0]] > before:
                self.recovery[names[0]].append(took)
        elif self._chance.random() < 0.5:
            self.catch_up()

    def catch_up(self) -> float:
        """Waits until everything that was sent so far is committed, and returns the seconds that it took."""
        return self.progress.catch_up()

    def _do(self, target: str, name: str, seed: int) -> None:
        own = random.Random(seed)  # noqa: S311
        time.sleep(own.uniform(0, 0.5))
        try:
            FAULTS[target][name](self._scene, own)
            self.tried[name] += 1
        except MetNothingError:
            self.missed[name] += 1
        except BaseException as error:  # noqa: BLE001
            error.add_note(f"in the fault: {name}")
            self._failed.append(error)


@pytest.mark.timeout(7200)
def test_faults_at_random_lose_and_double_nothing(scene: Scene, chance: random.Random) -> None:
    # The median run reached this number in a minute, or in half an hour while four others ran.
    faults = at_length(16, 270)
    pipeline = scene.pipeline
    for _ in range(2):
        scene.join(chance)
    for consumer in scene.consumers:
        consumer.wait_for_event("listening")
    mixer = Mixer(pipeline, random.Random(chance.getrandbits(32)), RATE / 10)  # noqa: S311
    scene.producer = producer = pipeline.produce(RATE, RATE * 100_000)
    # The producer fails if the broker is unavailable at its start, and only waits for it later.
    wait_until("it sends", lambda: pipeline.count() > RATE)
    mixer.start()
    attack = Attack(scene, chance)
    try:
        attack.catch_up()
        began = time.monotonic()
        while sum(attack.tried.values()) < faults:
            attack.round()
        attack.catch_up()
        seconds = round(time.monotonic() - began)
    finally:
        mixer.stop()
    status = producer.stop()
    while scene.consumers:
        scene.leave(chance)
    pipeline.run("consume", "--until-caught-up", *scene.flags)
    counted = Recount(pipeline, mixer.bad)
    record(pipeline, attack, seconds, counted)
    pipeline.verify()
    counted.check()
    # Every event that our producer reports as acknowledged is in the topic, once unless it was re-sent.
    assert status == 0, producer.output()
    own = Counter({key: len(places) for key, places in counted.places.items() if not key.startswith("mixed")})
    again = producer.sent_again()
    print(f"{again} events were re-sent by our producer, {own.total() - len(own)} of them are in the topic twice")
    assert len(own) == producer.acknowledged()
    assert own.total() - len(own) <= again, own.most_common(3)
    # At least once, a consumer had more than one connection.
    assert attack.progress.helpers or not at_length(0, 1)


def record(pipeline: Pipeline, attack: Attack, seconds: int, counted: Recount) -> None:
    """Prints the results and appends them to ``CCSTREAM_ATTACK_FILE``, even if the checks that follow fail."""
    [(duplicate, rejected)] = pipeline.query("SELECT sum(duplicate), sum(rejected) FROM kafka_offsets")
    found = {
        "seconds": seconds,
        "messages": counted.held.total(),
        "duplicate": int(duplicate),
        "rejected": int(rejected),
        "lost": len(counted.lost),
        "doubled": counted.doubled(),
        "helpers": attack.progress.helpers,
        "missed": sum(attack.missed.values()),
        "tried": attack.tried,
        "recovery": attack.recovery,
    }
    print({name: value for name, value in found.items() if isinstance(value, int)})
    for name, times in attack.tried.items():
        took = sorted(attack.recovery[name])
        recovered = f"{took[len(took) // 2]:5.1f} s, at most {took[-1]:5.1f} s" if took else ""
        print(f"{name:<68} {times:>4} {recovered}")
    if path := os.environ.get("CCSTREAM_ATTACK_FILE"):
        with Path(path).open("a") as file:
            file.write(json.dumps(found) + "\n")
