"""faucet-stream 1.15.1: the topic into the table ``orders`` by its Kafka source and its PostgreSQL sink.

``faucet_rows.py FAUCET exactly_once`` appends with ``delivery: exactly_once``: each page's rows and the place in the
topic that they came from are committed together. It does not look at the key: an event that was sent twice fails.

``faucet_rows.py FAUCET upsert`` writes with ``write_mode: upsert`` and ``key: order_id``, which is INSERT ... ON
CONFLICT DO UPDATE; the place in the topic is kept in a file after a page is written.

1,000 rows a statement, which its documentation calls PostgreSQL's sweet spot, and 5,000 events a page. Both modes write
by INSERT: its faster COPY is for appends without either guarantee. Transforms take the event out of the message's
envelope and rename its fields.

A run ends when no message came for some seconds, and only then writes a page that is not full: it cannot be told
otherwise. So this starts one run after the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

IDLE = 5


def pipeline(mode: str, folder: str) -> dict[str, Any]:
    """The configuration; JSON is YAML."""
    source = {
        "brokers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "topics": [os.environ["KAFKA_TOPIC"]],
        "group_id": os.environ["KAFKA_GROUP_ID"],
        "value_format": {"type": "json"},
        "auto_offset_reset": "earliest",
        "idle_timeout": IDLE,
        "batch_size": 5000,
    }
    table: dict[str, Any] = {
        "connection_url": os.environ["DATABASE_URL"],
        "table_name": "orders",
        "column_mapping": "auto_map",
        "batch_size": 1000,
        "create_table": False,
    }
    if mode == "upsert":
        table |= {"write_mode": "upsert", "key": ["order_id"]}
    names = {"transaction_id": "order_id", "amount": "value", "location": "city"}
    transforms = [
        {"type": "select", "config": {"fields": ["value"]}},
        {"type": "flatten", "config": {"separator": "__"}},
        {"type": "rename_keys", "config": {"pattern": "^value__", "replacement": ""}},
        {"type": "rename_field", "config": {"fields": names}},
    ]
    return {
        "version": 1,
        "name": "orders",
        **({"delivery": "exactly_once"} if mode == "exactly_once" else {}),
        "pipeline": {
            "source": {"type": "kafka", "config": source},
            "transforms": transforms,
            "sink": {"type": "postgres", "config": table},
            "state": {"type": "file", "config": {"path": f"{folder}/state"}},
        },
    }


def main(folder: str) -> int:
    """Runs until SIGTERM or until a run fails."""
    faucet, mode = sys.argv[1:]
    file = Path(folder, "pipeline.yaml")
    file.write_text(json.dumps(pipeline(mode, folder)))
    ended = 0
    child: subprocess.Popen[bytes] | None = None
    running = True

    def stop(_number: int, _frame: object) -> None:
        nonlocal running
        running = False
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    while running and ended == 0:
        child = subprocess.Popen([faucet, "run", str(file)])
        ended = child.wait()
    return ended if running else 0


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        sys.exit(main(temporary))
