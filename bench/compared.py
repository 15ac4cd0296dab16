"""Compares ccstream with other programs: by their own documentation, and by their rates in ``bench/ingest.py``.

README.md has the table. A claim about another program links to that program's documentation.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Program(NamedTuple):
    """Holds one line of the table."""

    bench: str
    """Its name in ``bench/results.json``."""
    name: str
    delivery: str
    """Its guarantee for rows in PostgreSQL."""
    invalid: str
    """What becomes of an invalid message."""
    reach: str
    """What it reads and writes besides one topic and one database."""


PROGRAMS = (
    Program(
        "ccstream",
        "**ccstream**",
        "exactly once: rows and position in one transaction",
        "a dead letter with its reason; all others are stored",
        "nothing; it has a dashboard, and recounts itself",
    ),
    Program(
        "faucet-stream, append",
        "faucet-stream",
        "[exactly once without dead letters, or at least once with them]"
        "(https://docs.rs/crate/faucet-sink-postgres/1.4.1)",
        "ends the run, or is a dead letter",
        "many sources and sinks",
    ),
    Program(
        "Flink SQL",
        "Apache Flink",
        "[at least once; exactly once by XA]"
        "(https://nightlies.apache.org/flink/flink-docs-stable/docs/connectors/datastream/jdbc/)",
        "fails the job, or is "
        "[skipped](https://nightlies.apache.org/flink/flink-docs-stable/docs/connectors/table/formats/json/)",
        "many sources and sinks, windows, joins",
    ),
    Program(
        "Debezium's sink",
        "Debezium's JDBC sink",
        "[at least once; idempotent with upsert](https://debezium.io/documentation/reference/stable/connectors/jdbc.html)",
        "fails the task, or is [a dead letter](https://kafka.apache.org/documentation/#connect_errorreporting)",
        "many databases; a part of Kafka Connect",
    ),
    Program(
        "Quix Streams",
        "Quix Streams",
        "[at least once](https://quix.io/docs/quix-streams/connectors/sinks/postgresql-sink.html)",
        "stopped it in [our test](docs/speed.md#invalid-messages)",
        "many sources and sinks, windows",
    ),
    Program(
        "Pathway",
        "Pathway",
        "[at least once; exactly once in the enterprise version](https://github.com/pathwaycom/pathway)",
        "stopped it in [our test](docs/speed.md#invalid-messages)",
        "many sources and sinks, windows, joins",
    ),
)


def comparison(ingested: dict[str, Any]) -> str:
    """Returns the table, with the rates that ``bench/ingest.py`` measured."""
    found = {line["name"]: line for line in ingested["table"]}
    lines = ["| program | rows in PostgreSQL | an invalid message | besides | rows / s |", "|---|---|---|---|--:|"]
    lines += [
        f"| {one.name} | {one.delivery} | {one.invalid} | {one.reach} | {found[one.bench]['rate']:,.0f} |"
        for one in PROGRAMS
        if one.bench in found
    ]
    return "\n".join(lines)
