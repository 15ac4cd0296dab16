"""Runs Apache Flink SQL 2.2, whose Kafka source and JDBC sink write the topic to the table ``orders``.

``flink_sql.py`` starts Flink by ``flink/flink.py``. The sink's table has a PRIMARY KEY, so it writes by INSERT ... ON
CONFLICT DO UPDATE. At each checkpoint, once a second, the sink flushes its rows and the topic's offsets are committed.
Delivery is therefore at least once, and the key prevents duplicate rows.

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
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "flink"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from services import free_port

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
    "execution.checkpointing.interval": "1s",
}


def main() -> None:
    """Runs until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ports = {name: str(free_port()) for name in ("FLINK_PORT", "FLINK_GATEWAY_PORT", "FLINK_RPC_PORT")}
    with tempfile.TemporaryDirectory(prefix="ccstream-flink-") as folder:
        os.environ.update(ports, FLINK_FOLDER=folder)
        import flink  # noqa: PLC0415  # It reads the variables.

        try:
            flink.up()
            session = flink.open_session(SETTINGS)
            for statement in (source(flink.values()), sink(flink.values()), insert()):
                flink.execute(session, statement)
            signal.pause()
        finally:
            flink.down()


def source(known: dict[str, str]) -> str:
    """Returns the definition of the topic."""
    columns = ", ".join(f"`{name}` {kind}" for name, kind in TYPES.items())
    return f"""
CREATE TABLE events ({columns}) WITH (
    'connector' = 'kafka',
    'properties.bootstrap.servers' = '{known["kafka"]}',
    'topic' = '{known["topic"]}',
    'properties.group.id' = '{os.environ["KAFKA_GROUP_ID"]}',
    'properties.auto.offset.reset' = 'earliest',
    'scan.startup.mode' = 'group-offsets',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601'
)"""


def sink(known: dict[str, str]) -> str:
    """Returns the definition of the database's table."""
    types = TYPES | {"timestamp": "TIMESTAMP(6)"}
    columns = ", ".join(f"`{COLUMNS.get(name, name)}` {kind}" for name, kind in types.items())
    options = f"{known['sink']}, 'table-name' = 'orders'"
    return f"CREATE TABLE orders ({columns}, PRIMARY KEY (order_id) NOT ENFORCED) WITH ({options})"


def insert() -> str:
    """Returns the statement that starts the job."""
    fields = ", ".join("CAST(`timestamp` AS TIMESTAMP(6))" if name == "timestamp" else f"`{name}`" for name in TYPES)
    return f"INSERT INTO orders SELECT {fields} FROM events"


if __name__ == "__main__":
    main()
