"""mq-bridge 1.2.0: the topic into the table ``orders`` by a route from its Kafka to its sqlx endpoint.

``mq_bridge_rows.py columns`` writes by ``columns: auto`` with ``key: order_id``, which is INSERT ... ON CONFLICT DO
UPDATE. A ``transform`` renames the fields and gives those that may be missing as null: rows with the same columns
share a statement, others do not. 1500 rows a batch, as a statement has at most 30,000 values.

``mq_bridge_rows.py copy`` writes by ``bulk_copy``, which needs no transform, as its ``insert_query`` names the fields.
COPY cannot update, so ``deduplication`` drops the events whose id was there before, in a store in memory, the fastest
(at most 5,000,000 ids for a day, none after a restart). An id that is in the table nevertheless fails its batch, whose
events are then dropped with an error in the log. 8192 rows a batch, from where on its tuning guide sees COPY pay off.

What the sink refuses for good goes to a dead-letter file (``dlq``) in both.

Four batches at a time in both: the default of its ``copy`` command for bulk, and one a partition.
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
    """The route's configuration."""
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
        # Within the other, which is the last.
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
