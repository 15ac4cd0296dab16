"""The attack: faults at random, together and long, under load; then everything is counted again.

``CCSTREAM_ATTACK_FILE`` names a file to which each run appends, as a line of JSON, what it tried and measured:
``python bench/attack.py`` makes the README's table of several.
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
"""Events a second, and a tenth of that from the mixer."""


@pytest.fixture
def scene(database: str, postgres: embedded.Postgres, chance: random.Random) -> Iterator[Scene]:
    """A broker of the test's own behind a line that can fail, and another line before PostgreSQL."""
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
        # A database that forgets its last commits as it is killed must not be told apart in the end.
        flags += chance.choice([[], ["--no-synchronous-commit"]])
        print(f"every consumer has {' '.join(flags)}")
        yield Scene(pipeline, kafka, to_kafka, to_postgres, postgres, tuple(flags))


class Attack:
    """Rounds of faults, and what came of them.

    Args:
        scene: what is attacked.
        chance: what decides.

    Attributes:
        tried: how often each fault happened.
        missed: how often one met nothing, as no COMMIT in its five seconds.
        recovery: of each, the seconds until all was caught up, where it came alone.
    """

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene, self._chance = scene, chance
        self.progress = Progress(scene)
        self.tried: dict[str, int] = {name: 0 for faults in FAULTS.values() for name in faults}
        self.missed = dict.fromkeys(self.tried, 0)
        self.recovery: dict[str, list[float]] = {name: [] for name in self.tried}
        self._failed: list[BaseException] = []

    def round(self) -> None:
        """One fault alone and how long it takes to catch up, or several together, at times without a rest."""
        many = 1 if self._chance.random() < 0.5 else self._chance.randint(2, len(FAULTS))
        if many == 1:
            # What the round before left to be caught up is not this one's.
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
        """Waits until all that was sent so far is committed: the seconds that takes."""
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
            error.add_note(f"in: {name}")
            self._failed.append(error)


@pytest.mark.timeout(7200)
def test_faults_at_random_lose_and_double_nothing(scene: Scene, chance: random.Random) -> None:
    # As many as the median run had in a minute, or in half an hour beside four others.
    faults = at_length(16, 270)
    pipeline = scene.pipeline
    for _ in range(2):
        scene.join(chance)
    for consumer in scene.consumers:
        consumer.wait_for_event("listening")
    mixer = Mixer(pipeline, random.Random(chance.getrandbits(32)), RATE / 10)  # noqa: S311
    scene.producer = producer = pipeline.produce(RATE, RATE * 100_000)
    # A broker that is away when it starts is an error to it; from then on it is waited for.
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
    # What our producer says is acknowledged is in the topic, once but for what it says it sent again.
    assert status == 0, producer.output()
    own = Counter({key: len(places) for key, places in counted.places.items() if not key.startswith("mixed")})
    again = producer.sent_again()
    print(f"{again} sent again by our producer, {own.total() - len(own)} of them in the topic once more")
    assert len(own) == producer.acknowledged()
    assert own.total() - len(own) <= again, own.most_common(3)
    # Consumers wrote with more than one connection at once.
    assert attack.progress.helpers or not at_length(0, 1)


def record(pipeline: Pipeline, attack: Attack, seconds: int, counted: Recount) -> None:
    """Prints what was tried and what it took, and appends it to the file that is asked for, whatever came of it."""
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
        said = f"{took[len(took) // 2]:5.1f} s, at most {took[-1]:5.1f} s" if took else ""
        print(f"{name:<68} {times:>4} {said}")
    if path := os.environ.get("CCSTREAM_ATTACK_FILE"):
        with Path(path).open("a") as file:
            file.write(json.dumps(found) + "\n")
