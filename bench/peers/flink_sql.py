"""Runs Apache Flink SQL 1.20, whose Kafka source and JDBC sink write the topic to the table ``orders``.

``flink_sql.py JARS`` runs in PyFlink, with the connectors' jars from that folder. The sink's table has a PRIMARY KEY,
so it writes by INSERT ... ON CONFLICT DO UPDATE. At each checkpoint, once a second, the sink flushes its rows and the
topic's offsets are committed. Delivery is therefore at least once, and the key prevents duplicate rows.

These settings are used: 5,000 rows for each flush instead of 100, with at most a second between two flushes;
``reWriteBatchedInserts``, with which PostgreSQL's driver sends a batch as statements of many rows; object reuse; and
one subtask for each partition.

Its JSON format reads a time with "Z" as a TIMESTAMP_LTZ. The session's zone is UTC, in which a cast converts it to a
TIMESTAMP.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pyflink.common import Configuration  # type: ignore[import-not-found]
from pyflink.table import EnvironmentSettings, TableEnvironment  # type: ignore[import-not-found]

TYPES = {
    "transaction_id": "STRING",
    "status": "STRING",
    "category": "STRING",
    "amount": "DECIMAL(10, 2)",
    "timestamp": "TIMESTAMP_LTZ(6)",
    "location": "STRING",
    "payment_method": "STRING",
    "discount": "DECIMAL(4, 2)",
    "merchant": "STRING",
    "mcc": "STRING",
    "country": "STRING",
    "currency": "STRING",
    "card_token": "STRING",
    "card_last4": "STRING",
    "entry_mode": "STRING",
    "response_code": "STRING",
    "latitude": "DOUBLE",
    "longitude": "DOUBLE",
    "risk_flag": "BOOLEAN",
}
COLUMNS = {"transaction_id": "order_id", "amount": "value", "location": "city"}
SETTINGS = {
    "parallelism.default": "4",
    "pipeline.object-reuse": "true",
    "execution.checkpointing.interval": "1s",
    "table.local-time-zone": "UTC",
}


def table(name: str, columns: list[str], options: dict[str, str]) -> str:
    """Returns the definition of a table."""
    given = ", ".join(f"'{key}' = '{value}'" for key, value in options.items())
    return f"CREATE TABLE {name} ({', '.join(columns)}) WITH ({given})"


def source() -> str:
    """Returns the definition of the topic."""
    return table(
        "events",
        [f"`{name}` {kind}" for name, kind in TYPES.items()],
        {
            "connector": "kafka",
            "properties.bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "topic": os.environ["KAFKA_TOPIC"],
            "properties.group.id": os.environ["KAFKA_GROUP_ID"],
            "properties.auto.offset.reset": "earliest",
            "scan.startup.mode": "group-offsets",
            "format": "json",
            "json.timestamp-format.standard": "ISO-8601",
        },
    )


def sink() -> str:
    """Returns the definition of the database's table."""
    url = urlsplit(os.environ["DATABASE_URL"])
    types = TYPES | {"timestamp": "TIMESTAMP(6)"}
    return table(
        "orders",
        [
            *(f"`{COLUMNS.get(name, name)}` {kind}" for name, kind in types.items()),
            "PRIMARY KEY (order_id) NOT ENFORCED",
        ],
        {
            "connector": "jdbc",
            "url": f"jdbc:postgresql://{url.hostname}:{url.port or 5432}{url.path}?reWriteBatchedInserts=true",
            "username": url.username or "",
            "password": url.password or "",
            "table-name": "orders",
            "sink.buffer-flush.max-rows": "5000",
            "sink.buffer-flush.interval": "1s",
        },
    )


def main() -> None:
    """Runs until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    settings = Configuration()
    jars = ";".join(jar.as_uri() for jar in sorted(Path(sys.argv[1]).glob("*.jar")))
    for key, value in {**SETTINGS, "pipeline.jars": jars}.items():
        settings.set_string(key, value)
    environment = TableEnvironment.create(
        EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(settings).build()
    )
    environment.execute_sql(source())
    environment.execute_sql(sink())
    fields = ", ".join("CAST(`timestamp` AS TIMESTAMP(6))" if name == "timestamp" else f"`{name}`" for name in TYPES)
    job = environment.execute_sql(f"INSERT INTO orders SELECT {fields} FROM events")
    try:
        job.wait()
    finally:
        job.get_job_client().cancel().result()


if __name__ == "__main__":
    main()
