"""Runs mq-bridge 1.2.0, whose route from a Kafka to a sqlx endpoint writes the topic to the table ``orders``.

``mq_bridge_rows.py columns`` writes by ``columns: auto`` with ``key: order_id``, which is INSERT ... ON CONFLICT DO
UPDATE. A ``transform`` renames the fields and sets missing ones to null, because only rows with the same columns share
a statement. A batch has 1500 rows, because a statement has at most 30,000 values.

``mq_bridge_rows.py copy`` writes by ``bulk_copy``, which needs no transform, because its ``insert_query`` names the
fields. COPY cannot update, so ``deduplication`` drops events whose id occurred before. Its store is in memory, which is
the fastest (at most 5,000,000 ids for a day, none after a restart). If an id is in the table nevertheless, its batch
fails, and the batch's events are dropped with an error in the log. A batch has 8192 rows, from which number on the
tuning guide recommends COPY.

Both variants write messages that the sink finally refuses to a dead-letter file (``dlq``).

Both variants write four batches at a time. This is the default of its ``copy`` command, and one for each partition.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any

from mq_bridge import Route, init_logging, request_shutdown

FIELDS = {"order_id": "transaction_id", "value": "amount", "city": "location"} | {
    name: name
    for name in (
        *("status", "category", "timestamp", "payment_method", "discount", "merchant", "mcc", "country", "currency"),
        *("card_token", "card_last4", "entry_mode", "response_code", "latitude", "longitude", "risk_flag"),
    )
}
OPTIONAL = {"type": ["number", "null"], "default": None}


def route(variant: str) -> dict[str, Any]:
    """Returns the route's configuration."""
    source: dict[str, Any] = {
        "kafka": {
            "url": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "topic": os.environ["KAFKA_TOPIC"],
            "group_id": os.environ["KAFKA_GROUP_ID"],
            "consumer_options": [["auto.offset.reset", "earliest"]],
        }
    }
    table: dict[str, Any] = {"url": os.environ["DATABASE_URL"], "table": "orders"}
    dead = {"endpoint": {"file": {"path": os.environ["DEAD_LETTERS"]}}}
    sink: dict[str, Any] = {"sqlx": table, "middlewares": [{"dlq": dead}]}
    if variant == "copy":
        tokens = ", ".join(f"${{payload:{field}}}" for field in FIELDS.values())
        table |= {"bulk_copy": True, "insert_query": f"INSERT INTO orders ({', '.join(FIELDS)}) VALUES ({tokens})"}
        store = {"store": "memory://orders?max_keys=5000000", "ttl_seconds": 86_400}
        source["middlewares"] = [{"deduplication": store | {"key": "${payload:transaction_id}"}}]
    else:
        table |= {"columns": "auto", "key": "order_id"}
        schema = {"type": "object", "properties": dict.fromkeys(("discount", "latitude", "longitude"), OPTIONAL)}
        # The last middleware is the outermost one, so the dead-letter handler contains this transform.
        sink["middlewares"].insert(0, {"transform": {"mapping": FIELDS, "schema": schema}})
    return {"input": source, "output": sink, "batch_size": 8192 if variant == "copy" else 1500, "concurrency": 4}


def main() -> None:
    """Runs until SIGTERM."""
    if sys.argv[1:] not in (["columns"], ["copy"]):
        sys.exit("usage: mq_bridge_rows.py columns|copy")
    logging.basicConfig(level=logging.WARNING)
    init_logging()
    signal.signal(signal.SIGTERM, lambda *_: request_shutdown())
    Route.from_config(route(sys.argv[1])).run()


if __name__ == "__main__":
    main()
