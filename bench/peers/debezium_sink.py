"""Runs Debezium's JDBC sink 3.5.0 in Kafka Connect 4.3.1, which writes the topic to the table ``orders``.

``debezium_sink.py JARS`` runs Connect's standalone worker with the jars from that folder. ``insert.mode=upsert`` with
the key ``order_id`` from the record's value writes by INSERT ... ON CONFLICT DO UPDATE. Connect commits the offsets
after a batch is written. Delivery is therefore at least once, and the key prevents duplicate rows.

These settings are used: ``unnest``, which makes a batch one statement and is five to ten times as fast according to the
documentation; the reduction buffer, which keeps only the last event of each key, because a statement cannot update a
row twice; 10,000 events for each batch instead of 500, and for each poll, as the documentation recommends; and one task
for each partition.

Messages that cannot be converted go to a topic for dead letters (``errors.tolerance=all``). Connect offers no more.

The sink needs records with a schema. The messages have none, so JsonConverter gets one by ``schema.content``. A text
field with the schema name of Debezium's ZonedTimestamp is read as a time. ReplaceField renames the fields.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

TEXTS = (
    *("transaction_id", "status", "category", "location", "payment_method", "merchant", "mcc", "country", "currency"),
    *("card_token", "card_last4", "entry_mode", "response_code"),
)
FIELDS = [
    *({"field": name, "type": "string", "optional": False} for name in TEXTS),
    {"field": "amount", "type": "double", "optional": False},
    {"field": "timestamp", "type": "string", "name": "io.debezium.time.ZonedTimestamp", "optional": False},
    *({"field": name, "type": "double", "optional": True} for name in ("discount", "latitude", "longitude")),
    {"field": "risk_flag", "type": "boolean", "optional": False},
]
BATCH = "10000"


def worker(folder: str) -> dict[str, str]:
    """Returns the worker's properties."""
    return {
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "listeners": "http://127.0.0.1:0",
        "offset.storage.file.filename": f"{folder}/offsets",
        "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schema.content": json.dumps({"type": "struct", "fields": FIELDS}),
    }


def sink() -> dict[str, str]:
    """Returns the connector's properties."""
    url = urlsplit(os.environ["DATABASE_URL"])
    return {
        "name": "orders",
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "4",
        "topics": os.environ["KAFKA_TOPIC"],
        "consumer.override.group.id": os.environ["KAFKA_GROUP_ID"],
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.max.poll.records": BATCH,
        "batch.size": BATCH,
        "connection.url": f"jdbc:postgresql://{url.hostname}:{url.port or 5432}{url.path}",
        "connection.username": url.username or "",
        "connection.password": url.password or "",
        "collection.name.format": "orders",
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "order_id",
        "schema.evolution": "none",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": Path(os.environ["DEAD_LETTERS"]).name,
        "errors.deadletterqueue.topic.replication.factor": "1",
        "use.reduction.buffer": "true",
        "dialect.postgres.unnest.insert.enabled": "true",
        "transforms": "rename",
        "transforms.rename.type": "org.apache.kafka.connect.transforms.ReplaceField$Value",
        "transforms.rename.renames": "transaction_id:order_id,amount:value,location:city",
    }


def main(folder: str) -> int:
    """Runs the worker until SIGTERM, which it passes on."""
    files = []
    for name, properties in (("worker", worker(folder)), ("sink", sink())):
        files.append(f"{folder}/{name}.properties")
        Path(files[-1]).write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    command = ["java", "-Xmx2g", "-Duser.timezone=UTC", "-cp", f"{sys.argv[1]}/*"]
    child = subprocess.Popen([*command, "org.apache.kafka.connect.cli.ConnectStandalone", *files])
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    return child.wait()


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        sys.exit(main(temporary))
