"""Tests the creation of tables by eight consumers at once, and by a role that may not create tables."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

if TYPE_CHECKING:
    from pipeline import Pipeline

EIGHT = """CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, status VARCHAR(50), category VARCHAR(50),
    value NUMERIC(10,2), timestamp TIMESTAMP, city VARCHAR(100), payment_method VARCHAR(50), discount NUMERIC(4,2));
    INSERT INTO orders SELECT 'old-' || n, 'completed', 'Books', n, '2024-01-01', 'Rome', 'card', 0.1
    FROM generate_series(1, 200000) n"""
WIDER = EIGHT.replace("VARCHAR(100)", "VARCHAR(300)").replace("NUMERIC(10,2)", "NUMERIC(14,4)")

STARTS = {"empty": "", "eight columns": EIGHT, "wider": WIDER}
REFUSALS = {
    "no primary key": (EIGHT.replace(" PRIMARY KEY", ""), "ALTER TABLE orders ADD PRIMARY KEY (order_id)"),
    "narrower": (EIGHT.replace("city VARCHAR(100)", "city VARCHAR(10)"), "ALTER COLUMN city TYPE VARCHAR(100)"),
}


@pytest.mark.parametrize("start", STARTS)
def test_eight_consumers_at_once(embedded_pipeline: Pipeline, start: str) -> None:
    pipeline = embedded_pipeline
    if STARTS[start]:
        pipeline.execute(STARTS[start])
    consumers = [pipeline.consume() for _ in range(8)]
    for consumer in consumers:
        consumer.wait_for_event("connected_to_postgres")
    added = sum(bool(consumer.events("connected_to_postgres")[0]["added_columns"]) for consumer in consumers)
    assert added == (1 if STARTS[start] else 0)
    for consumer in consumers:
        consumer.signal(signal.SIGTERM)
    assert {consumer.wait() for consumer in consumers} == {0}
    pipeline.run("produce", "--rate", "max", "--count", "1000", "--quiet")
    pipeline.run("consume", "--until-caught-up")
    old = 200_000 if STARTS[start] else 0
    assert pipeline.count() == old + 1000
    assert pipeline.query("SELECT count(*) FROM orders WHERE city = 'Rome' AND merchant IS NULL") == [(old,)]
    pipeline.run("verify")


@pytest.mark.parametrize("start", REFUSALS)
def test_eight_consumers_are_refused_alike(embedded_pipeline: Pipeline, start: str) -> None:
    pipeline = embedded_pipeline
    statements, cure = REFUSALS[start]
    pipeline.execute(statements)
    consumers = [pipeline.consume() for _ in range(8)]
    assert {consumer.wait() for consumer in consumers} == {5}
    for consumer in consumers:
        assert cure in consumer.output()
    # The refused consumers changed nothing, and the statement that they print fixes the table.
    assert pipeline.query("SELECT to_regclass('kafka_offsets')::text") == [(None,)]
    pipeline.execute(cure if cure.startswith("ALTER TABLE") else f"ALTER TABLE orders {cure}")
    pipeline.run("produce", "--rate", "max", "--count", "100", "--quiet")
    pipeline.run("consume", "--until-caught-up")
    assert pipeline.count() == 200_100


def test_another_encoding_is_refused(services: dict[str, str], embedded_pipeline: Pipeline) -> None:
    name = f"ascii_{embedded_pipeline.topic}"
    url = urlsplit(services["DATABASE_URL"])
    with psycopg.connect(services["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER libc"
        )
        try:
            ascii_url = urlunsplit(url._replace(path=f"/{name}"))
            consumers = [embedded_pipeline.consume(environment={"DATABASE_URL": ascii_url}) for _ in range(8)]
            assert {consumer.wait() for consumer in consumers} == {5}
            assert all("SQL_ASCII" in consumer.failure()["error"] for consumer in consumers)
        finally:
            connection.execute(f"DROP DATABASE {name}")


@pytest.mark.parametrize("start", ["empty", "eight columns"])
def test_a_role_that_may_not_create_says_what_an_administrator_runs(embedded_pipeline: Pipeline, start: str) -> None:
    pipeline = embedded_pipeline
    if STARTS[start]:
        pipeline.execute(STARTS[start])
    role, database = f"app_{pipeline.topic}", urlsplit(pipeline.database_url).path.lstrip("/")
    pipeline.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'app'; GRANT {role} TO CURRENT_USER;"
        f"REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
        f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC'
    )
    url = urlsplit(pipeline.database_url)
    theirs = {"DATABASE_URL": url._replace(netloc=f"{role}:app@{url.hostname}:{url.port}").geturl()}
    try:
        pipeline.run("produce", "--rate", "max", "--count", "1000", "--quiet")
        refused = pipeline.consume("--until-caught-up", environment=theirs)
        assert refused.wait() == 5
        head, _, statements = refused.failure()["error"].partition("\n")
        assert role in head
        assert head.endswith(f" {database}:")
        # The command prints the statements unchanged.
        assert statements in refused.output()
        pipeline.execute(statements)
        allowed = pipeline.consume("--until-caught-up", environment=theirs)
        assert allowed.wait() == 0, allowed.output()
        # The role may also write duplicates, which go through a staging table.
        pipeline.execute("UPDATE kafka_offsets SET next_offset = 0")
        again = pipeline.consume("--until-caught-up", environment=theirs)
        assert again.wait() == 0, again.output()
        assert again.summary()["duplicate"] == 1000
        assert pipeline.count() == 1000 + (200_000 if STARTS[start] else 0)
        pipeline.run("verify")
    finally:
        pipeline.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
