"""faucet-stream 1.15.1: the topic into the table ``orders`` by its Kafka source and its PostgreSQL sink.

``faucet_rows.py FAUCET append``, where FAUCET is its command, inserts with ``delivery: exactly_once``: each page's rows
and how far it came are one transaction. Neither its COPY nor a dead-letter file goes with that; a row that the database
refuses ends the run.

``faucet_rows.py FAUCET upsert`` writes INSERT ... ON CONFLICT DO UPDATE, at least once, and what the database refuses
goes to a dead-letter file, a page at a time.

Records come in an envelope: the transforms take the message out of it and rename three fields. 1,000 messages a page,
its default and what it recommends; a page that is not full waits. Messages that are no JSON are skipped, as the
first would end the run.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

PAGE = 1000


def pipeline(variant: str, folder: Path) -> dict[str, Any]:
    """The pipeline's configuration; its state is kept in the folder."""
    source = {
        "brokers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "topics": [os.environ["KAFKA_TOPIC"]],
        "group_id": os.environ["KAFKA_GROUP_ID"],
        "auto_offset_reset": "earliest",
        "on_decode_error": "skip",
        # It ends by itself after so long without a message; we end it before.
        "idle_timeout": 600,
        "batch_size": PAGE,
    }
    sink: dict[str, Any] = {
        "connection_url": os.environ["DATABASE_URL"],
        "table_name": "orders",
        "column_mapping": "auto_map",
        "batch_size": PAGE,
    }
    transforms = [
        {"type": "select", "config": {"fields": ["value"]}},
        {"type": "flatten", "config": {"separator": "."}},
        {"type": "rename_keys", "config": {"pattern": r"^value\.", "replacement": ""}},
        {
            "type": "rename_field",
            "config": {"fields": {"transaction_id": "order_id", "amount": "value", "location": "city"}},
        },
    ]
    steps: dict[str, Any] = {
        "source": {"type": "kafka", "config": source},
        "transforms": transforms,
        "sink": {"type": "postgres", "config": sink},
        "state": {"type": "file", "config": {"path": str(folder / "state")}},
    }
    if variant == "append":
        return {"version": 1, "name": "orders", "delivery": "exactly_once", "pipeline": steps}
    sink |= {"write_mode": "upsert", "key": ["order_id"]}
    dead = {"type": "jsonl", "config": {"path": os.environ["DEAD_LETTERS"]}}
    steps["dlq"] = {"sink": dead, "on_batch_error": "dlq_all"}
    return {"version": 1, "name": "orders", "pipeline": steps}


def main() -> None:
    """Becomes it; it runs until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faucet")
    parser.add_argument("variant", choices=["append", "upsert"])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faucet-"))
    file = folder / "pipeline.json"
    file.write_text(json.dumps(pipeline(options.variant, folder)))
    os.execv(options.faucet, [options.faucet, "run", str(file)])  # noqa: S606


if __name__ == "__main__":
    main()
