"""Reads the topic as a typical first script does.

It uses confluent-kafka, ``json``, psycopg and ``ON CONFLICT DO NOTHING``, and commits its offsets to Kafka.
``python usual_script.py 1`` inserts and commits each message. ``python usual_script.py 1000`` writes batches of 1,000
with ``executemany`` (psycopg's pipeline). Neither checks more than Python and PostgreSQL do by themselves.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import datetime, timezone

import psycopg
from confluent_kafka import Consumer

COLUMNS = {
    "order_id": "transaction_id",
    "value": "amount",
    "city": "location",
    **{
        name: name
        for name in (
            *("status", "category", "timestamp", "payment_method", "discount", "merchant", "mcc", "country"),
            *("currency", "card_token", "card_last4", "entry_mode", "response_code", "latitude", "longitude"),
            "risk_flag",
        )
    },
}
INSERT = (
    f"INSERT INTO orders ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) "
    "ON CONFLICT (order_id) DO NOTHING"
)


def row(payload: bytes) -> list[object]:
    """Returns the values of a message, in the order of the columns."""
    event = json.loads(payload)
    moment = datetime.fromisoformat(event["timestamp"]).astimezone(timezone.utc).replace(tzinfo=None)
    return [moment if name == "timestamp" else event.get(name) for name in COLUMNS.values()]


def main() -> None:
    """Reads until SIGTERM."""
    at_once = int(sys.argv[1])
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["KAFKA_GROUP_ID"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([os.environ["KAFKA_TOPIC"]])
    running = True

    def stop(_number: int, _frame: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        while running:
            messages = [message for message in consumer.consume(at_once, timeout=0.5) if message.error() is None]
            if not messages:
                continue
            rows = [row(message.value() or b"") for message in messages]
            with connection.cursor() as cursor:
                if at_once == 1:
                    cursor.execute(INSERT, rows[0])
                else:
                    cursor.executemany(INSERT, rows)
            connection.commit()
            consumer.commit(asynchronous=True)
    consumer.close()


if __name__ == "__main__":
    main()
