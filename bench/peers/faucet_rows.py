"""Runs faucet-stream 1.15.1, whose Kafka source and PostgreSQL sink write the topic to the table ``orders``.

``faucet_rows.py FAUCET append``, where FAUCET is its command, inserts with ``delivery: exactly_once``: the rows of each
page and the position are one transaction. This mode does not support COPY or a dead-letter file, and a row that the
database refuses ends the run.

``faucet_rows.py FAUCET upsert`` writes by INSERT ... ON CONFLICT DO UPDATE, at least once. A page with a row that the
database refuses goes to a dead-letter file.

Records come in an envelope. The transforms extract the message and rename three fields. A page has 1,000 messages,
which is the default and the recommended number. A page that is not full waits. Messages that are not JSON are skipped,
because the first one would end the run.
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
    """Returns the pipeline's configuration. Its state is in the folder."""
    source = {
        "brokers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "topics": [os.environ["KAFKA_TOPIC"]],
        "group_id": os.environ["KAFKA_GROUP_ID"],
        "auto_offset_reset": "earliest",
        "on_decode_error": "skip",
        # It ends by itself after this number of seconds without a message. The bench ends it earlier.
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
    """Replaces this process by faucet-stream, which runs until SIGTERM."""
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
