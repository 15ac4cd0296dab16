"""Runs Apache Kafka from Maven, in KRaft mode, with the ``KAFKA_*`` variables of docker-compose.yml.

``python tests/apache_kafka.py`` runs it on the compose file's port until Ctrl-C (``make kafka``).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, TypeVar

import yaml
from confluent_kafka.admin import AdminClient

from keeper import KeptFolder
from maven import LOGGING, fetch_jars
from services import ROOT, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

VERSION = "4.3.1"
"""The newest 4.x release whose command-line tools are also published."""
START_LIMIT = 300.0
SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)
"""Java's flags for a broker that runs for minutes. In that time, Java's second compiler costs more than it saves."""

LOG4J = """\
<Configuration status="WARN" shutdownHook="disable"><Appenders>
<Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>
"""


def missing_tools() -> str:
    """Returns the missing programs that Apache Kafka needs; empty if there are none."""
    return ", ".join(tool for tool in ("java", "mvn") if shutil.which(tool) is None)


def compose_environment() -> dict[str, str]:
    """Returns the variables of the service ``kafka`` in docker-compose.yml."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return {name: str(value) for name, value in compose["services"]["kafka"]["environment"].items()}


def properties(environment: dict[str, str]) -> dict[str, str]:
    """Returns the broker's properties as the image derives them from variables.

    ``_`` becomes a dot, ``__`` an underscore, and ``___`` a hyphen.
    """
    found = {}
    for name, value in environment.items():
        if name.startswith("KAFKA_") and not name.endswith("_OPTS"):
            key = name.removeprefix("KAFKA_").lower()
            key = key.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")
            found[key] = value
    return found


def fetch(artifact: str = "kafka_2.13") -> Path:
    """Returns the folder with the jars of one of Kafka's artifacts."""
    return fetch_jars(f"{artifact}-{VERSION}", f"org.apache.kafka:{artifact}:{VERSION}", LOGGING)


class ApacheKafka:
    """Runs a separate broker, whose data is removed at the end.

    Args:
        port: the port, if not the compose file's 9094. The controller then gets a free port.
        advertised: the port that the broker names to clients, if they are to connect through a proxy.
        flags: additional flags for Java.
    """

    def __init__(self, port: int | None = None, advertised: int | None = None, flags: Sequence[str] = ()) -> None:
        self.port = port or 9094
        self._controller_port = free_port() if port else 9093
        self._advertised = advertised or self.port
        self._environment = compose_environment()
        self._cluster_id = self._environment["CLUSTER_ID"]
        self._flags = [*self._environment["KAFKA_HEAP_OPTS"].split(), *flags]
        self._jars = fetch()
        self._kept = KeptFolder("ccstream-kafka-")
        self._folder = self._kept.path
        self.log = self._folder / "kafka.log"
        (self._folder / "log4j2.xml").write_text(LOG4J)
        self._configure({})
        self._process: subprocess.Popen[bytes] | None = None

    def _configure(self, settings: Mapping[str, str]) -> None:
        """Writes the broker's properties. ``settings`` override those of the compose file."""
        lines = {**properties(self._environment), "log.dirs": str(self._folder / "data"), **settings}
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        for number, own in ((9094, self.port), (9093, self._controller_port)):
            text = re.sub(rf"\b{number}\b", str(own), text)
        # The container's ports are published on the loopback interface only, so this broker listens there only.
        text = text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        text = re.sub(rf"(?m)^(advertised\.listeners=.*:){self.port}\b", rf"\g<1>{self._advertised}", text)
        (self._folder / "server.properties").write_text(text)

    @property
    def address(self) -> str:
        """The address ``host:port`` that the broker advertises."""
        return f"localhost:{self._advertised}"

    @property
    def is_running(self) -> bool:
        """Whether the broker's process runs."""
        return self._process is not None and self._process.poll() is None

    def _java(self, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.xml'}"
        return ["java", *self._flags, "-XX:+UseSerialGC", logging, "-cp", f"{self._jars}/*", *arguments]

    def format(self) -> None:
        """Formats the data folder, as the image does before its first start."""
        self._format()

    def _format(self, *arguments: str) -> None:
        properties_file = str(self._folder / "server.properties")
        command = self._java("kafka.tools.StorageTool", "format", "-t", self._cluster_id)
        subprocess.run([*command, "-c", properties_file, *arguments], check=True, capture_output=True)

    def start(self) -> None:
        """Starts the broker and waits until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._folder / "server.properties")),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"Apache Kafka did not start; the end of its log:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=5).brokers)
        except Exception:  # noqa: BLE001
            return False

    def signal(self, number: signal.Signals) -> None:
        """Sends the broker a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kills the broker with SIGKILL."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def restart(self, settings: Mapping[str, str]) -> None:
        """Kills the broker and starts it again with properties that override the compose file's."""
        self.kill()
        self._configure(settings)
        self.start()

    def stop(self) -> None:
        """Stops the broker."""
        if self._process is not None and self.is_running:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def remove(self) -> None:
        """Stops the broker and removes its data."""
        self.stop()
        self._kept.remove()


Kafka = TypeVar("Kafka", bound=ApacheKafka)


@contextlib.contextmanager
def serving(kafka: Kafka) -> Iterator[Kafka]:
    """Starts a broker, yields it, and removes it at the end."""
    try:
        kafka.format()
        kafka.start()
        yield kafka
    finally:
        kafka.remove()


@contextlib.contextmanager
def running_kafka(
    port: int | None = None, advertised: int | None = None, flags: Sequence[str] = ()
) -> Iterator[ApacheKafka]:
    """Starts a broker with the arguments of :class:`ApacheKafka`, yields it, and removes it at the end."""
    with serving(ApacheKafka(port, advertised, flags)) as kafka:
        yield kafka


def main() -> int:
    """Runs the broker until Ctrl-C."""
    if missing := missing_tools():
        print(f"Apache Kafka needs {missing}; install it", file=sys.stderr)
        return 1
    print(f"Downloading Apache Kafka {VERSION} if it is not in the cache", flush=True)
    try:
        with running_kafka() as kafka:
            print(f"✓ Apache Kafka {VERSION} answers at {kafka.address}; Ctrl-C stops it", flush=True)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    # SIGTERM stops the broker as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
