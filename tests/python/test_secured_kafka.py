"""Tests TLS and logins with Apache Kafka: accepted clients work, and refused ones report the cause."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ccstream
from apache_kafka import missing_tools, serving
from ccstream.dashboard.broker import BrokerWatch
from certificates import Authority, missing_openssl
from conftest import leave_out
from pipeline import Pipeline, make_pipeline
from secured_kafka import PASSWORD, USER, SecuredKafka
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGINS = ("apache-plain", "apache-scram", "apache-mtls")
"""The kinds of login, which begin the tests' ids."""
REFUSALS = {
    "apache-wrong-password": ("apache-plain", {"sasl.password": "wrong"}, "Authentication failed"),
    "apache-wrong-scram-password": ("apache-scram", {"sasl.password": "wrong"}, "SCRAM-SHA-512"),
    "apache-unknown-authority": ("apache-plain", {"ssl.ca.location": "wrong.crt"}, "certificate verify failed"),
    "apache-no-client-certificate": (
        "apache-mtls",
        {"ssl.certificate.location": "", "ssl.key.location": ""},
        "alert",
    ),
}
START_LIMIT = 10.0
"""The time after which a consumer ends if the broker refuses it, in seconds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the certificates."""
    if missing := ", ".join(filter(None, (missing_tools(), missing_openssl()))):
        leave_out("kafka", f"Apache Kafka with TLS needs {missing}")
    return tmp_path_factory.mktemp("kafka-tls")


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[SecuredKafka]:
    """Runs Apache Kafka with TLS and logins."""
    authority = Authority(folder)
    Authority(folder, "wrong")
    authority.sign("client", USER, usage="clientAuth")
    with serving(SecuredKafka(authority.certificate, *authority.sign("server", "localhost"))) as kafka:
        yield kafka


def options(login: str, folder: Path) -> dict[str, str]:
    """Returns librdkafka's options for a kind of login."""
    secured = {"ssl.ca.location": str(folder / "authority.crt")}
    if login == "apache-mtls":
        client = {"ssl.certificate.location": f"{folder}/client.crt", "ssl.key.location": f"{folder}/client.key"}
        return {"security.protocol": "ssl", **secured, **client}
    mechanism = {"apache-plain": "PLAIN", "apache-scram": "SCRAM-SHA-512"}[login]
    user = {"sasl.mechanism": mechanism, "sasl.username": USER, "sasl.password": PASSWORD}
    return {"security.protocol": "sasl_ssl", **secured, **user}


@contextlib.contextmanager
def pipeline_at(kafka: SecuredKafka, database: str, login: str, given: dict[str, str]) -> Iterator[Pipeline]:
    """Yields a pipeline whose environment variables have options of librdkafka."""
    variables = {f"CCSTREAM_KAFKA_{name.upper().replace('.', '_')}": value for name, value in given.items() if value}
    address = kafka.at("SSL" if login == "apache-mtls" else "SASL_SSL")
    with pytest.MonkeyPatch.context() as patch, make_pipeline(address, database) as pipeline:
        for name, value in variables.items():
            patch.setenv(name, value)
        admin = AdminClient({"bootstrap.servers": kafka.address})
        admin.create_topics([NewTopic(pipeline.topic, 1, 1)])[pipeline.topic].result()
        yield pipeline


@pytest.mark.parametrize("login", LOGINS)
def test_an_accepted_client_produces_and_consumes(
    secured: SecuredKafka, folder: Path, database: str, login: str
) -> None:
    given = options(login, folder)
    with pipeline_at(secured, database, login, given) as pipeline:
        pipeline.run("produce", "--rate", "max", "--count", "500")
        pipeline.run("consume", "--until-caught-up")
        assert pipeline.count() == 500
        pipeline.verify()
        assert "✓ broker" in pipeline.run("doctor")
        broker, topic = pipeline.broker, pipeline.topic
    # The page's broker watch reads a file of the same options.
    path = folder / f"{topic}.properties"
    path.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    path.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAFKA_OPTIONS_FILE", str(path))
        assert ccstream.topic_ends(bootstrap_servers=broker, topic=topic) == {0: 500}
        watch = BrokerWatch(broker, topic)
        wait_until("the page's watch has heard", lambda: watch.state.ends == {0: 500})


@pytest.mark.parametrize("refusal", list(REFUSALS))
def test_a_refused_consumer_reports_the_cause_and_ends(
    secured: SecuredKafka, folder: Path, database: str, refusal: str
) -> None:
    login, wrong, cause = REFUSALS[refusal]
    wrong = {name: str(folder / value) if value.endswith(".crt") else value for name, value in wrong.items()}
    with pipeline_at(secured, database, login, {**options(login, folder), **wrong}) as pipeline:
        began = time.monotonic()
        consumer = pipeline.consume()
        waiting = consumer.wait_for_event("waiting", kind="kafka_refused")
        assert cause in waiting["reason"]
        assert consumer.wait() == 3
        assert time.monotonic() - began >= START_LIMIT
        assert cause in consumer.failure()["error"]
        assert PASSWORD not in consumer.output()
        assert "docker-compose" not in consumer.output()
        assert cause in pipeline.run("doctor", status=1)
        assert cause in pipeline.run("produce", "--count", "1", status=3)


@pytest.mark.parametrize("login", ["apache-plain"])
def test_once_it_has_consumed_it_goes_on_trying(secured: SecuredKafka, folder: Path, database: str, login: str) -> None:
    with pipeline_at(secured, database, login, options(login, folder)) as pipeline:
        pipeline.run("produce", "--rate", "max", "--count", "100")
        consumer = pipeline.consume()
        wait_until("rows arrive", lambda: pipeline.count() == 100)
        secured.let_in("another password")
        waiting = consumer.wait_for_event("waiting", kind="kafka_refused")
        assert "Authentication failed" in waiting["reason"]
        # The outage is longer than the limit at the start.
        time.sleep(START_LIMIT + 2)
        assert consumer.process.poll() is None
        secured.let_in(PASSWORD)
        consumer.wait_for_event("recovered", service="kafka")
        pipeline.run("produce", "--rate", "max", "--count", "100", "--seed", "7")
        wait_until("it goes on", lambda: pipeline.count() == 200)
        assert consumer.stop() == 0
