"""Runs Pathway 0.33.0, which writes the topic to ``orders`` by ``pw.io.kafka.read`` and ``pw.io.postgres.write``.

It writes a snapshot with the primary key ``order_id``: each minibatch is one transaction, which uses COPY into a
temporary table and INSERT ... ON CONFLICT DO UPDATE from there. There is one minibatch a second, and at most 100,000
rows are in flight, as the documentation recommends if a topic is read from its start. The schema has no primary key,
because PostgreSQL's suffices and Pathway would hold every row in memory for it. ``json_field_paths`` renames the
fields. One worker thread is used unless ``PATHWAY_THREADS`` sets more. No persistence is configured.

Pathway has no decimal numbers, and its writer refuses NUMERIC columns: its documentation maps float to DOUBLE
PRECISION. So before this starts, the table needs ``ALTER TABLE orders ALTER value TYPE DOUBLE PRECISION, ALTER
discount TYPE DOUBLE PRECISION``. The JSON reader has no type for a time with "Z", so ``strptime`` parses it.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import pathway as pw


class Event(pw.Schema):  # type: ignore[misc]
    """Describes a message, whose fields are named like the table's columns."""

    order_id: str
    status: str
    category: str
    value: float
    timestamp: str
    city: str
    payment_method: str
    discount: float | None = pw.column_definition(default_value=None)
    merchant: str
    mcc: str
    country: str
    currency: str
    card_token: str
    card_last4: str
    entry_mode: str
    response_code: str
    latitude: float | None = pw.column_definition(default_value=None)
    longitude: float | None = pw.column_definition(default_value=None)
    risk_flag: bool


def main() -> None:
    """Runs until SIGTERM."""
    events = pw.io.kafka.read(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["KAFKA_GROUP_ID"],
            "auto.offset.reset": "earliest",
        },
        topic=os.environ["KAFKA_TOPIC"],
        format="json",
        schema=Event,
        json_field_paths={"order_id": "/transaction_id", "value": "/amount", "city": "/location"},
        autocommit_duration_ms=1000,
        max_backlog_size=100_000,
    )
    rows = events.with_columns(timestamp=pw.this.timestamp.dt.strptime("%Y-%m-%dT%H:%M:%S.%fZ"))
    url = urlsplit(os.environ["DATABASE_URL"])
    server = {"host": url.hostname, "port": url.port, "dbname": url.path.removeprefix("/")}
    pw.io.postgres.write(
        rows,
        server | {"user": url.username, "password": url.password},
        "orders",
        output_table_type="snapshot",
        primary_key=[rows.order_id],
    )
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()
