"""Runs Quix Streams 3.28.1, whose PostgreSQL sink writes the topic to the table ``orders``.

These settings are used: ``on_conflict_do_nothing``, which skips an existing ``order_id``; a checkpoint, at which the
sink writes, every 10,000 events or every second; no metadata columns, and no changes to the existing table. The fields
are renamed by ``StreamingDataFrame.apply``. The sink writes one transaction for each partition, by INSERTs of 100 rows
each, for which it has no setting.

The sink takes a batch's columns from its first row and leaves out fields that are None. A first row without a discount
would therefore remove the discount of the whole batch. ``AsIs("NULL")`` keeps the column in every row.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from psycopg2.extensions import AsIs
from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

NULL = AsIs("NULL")
SAME = (
    *("status", "category", "timestamp", "payment_method", "discount", "merchant", "mcc", "country", "currency"),
    *("card_token", "card_last4", "entry_mode", "response_code", "latitude", "longitude", "risk_flag"),
)


def row(event: dict[str, Any]) -> dict[str, Any]:
    """Converts an event to the table's columns."""
    columns = {name: event.get(name, NULL) for name in SAME}
    columns["order_id"] = event["transaction_id"]
    columns["value"] = event["amount"]
    columns["city"] = event["location"]
    return columns


def main(state: str) -> None:
    """Runs until SIGTERM, which ``Application.run`` handles. The folder ``state`` stays empty, but Quix creates it."""
    app = Application(
        broker_address=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        consumer_group=os.environ["KAFKA_GROUP_ID"],
        auto_offset_reset="earliest",
        commit_every=10_000,
        commit_interval=1.0,
        state_dir=state,
        loglevel="WARNING",
    )
    database = urlsplit(os.environ["DATABASE_URL"])
    sink = PostgreSQLSink(
        host=database.hostname or "localhost",
        port=database.port or 5432,
        dbname=database.path.removeprefix("/"),
        user=database.username or "",
        password=database.password or "",
        table_name="orders",
        schema_auto_update=False,
        primary_key_columns="order_id",
        on_conflict_do_nothing=True,
        include_metadata=False,
    )
    app.dataframe(app.topic(os.environ["KAFKA_TOPIC"], value_deserializer="json")).apply(row).sink(sink)
    app.run()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(folder)
