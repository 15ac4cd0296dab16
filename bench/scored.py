"""Streams of the generator that the product's own commands have stored and scored, with the truth about them.

``produce``, ``consume --truth`` and ``analyze`` run one after the other on separate embedded services, so each stream
begins with an empty database, and the analyzer sees it as it would see a feed.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psycopg

import ccstream
from ccstream.training import Rows

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from services import embedded_services  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

FRAUD = 0.005
"""The share of frauds: the generator's default."""
NEVER = "2099-01-01"
"""A time after all labels."""
ROWS = """
SELECT s.order_id, coalesce(t.kind, '') AS kind, coalesce(t.scenario, '') AS scenario,
       (extract(epoch FROM s.event_time) * 1000000)::bigint AS micros, o.card_token, o.merchant, o.terminal_id,
       o.category, o.city AS location, o.latitude, o.longitude, o.value AS amount, o.currency, o.entry_mode,
       o.response_code
FROM scores s JOIN orders o USING (order_id)
LEFT JOIN truth t ON t.transaction_id = s.order_id AND t.kind IN ('fraud', 'twin')
ORDER BY s.seq
"""


def world(seed: int, days: int, rate: float, start: str) -> list[str]:
    """Returns the flags of ``ccstream produce`` for a number of days of the default world."""
    count = round(days * 86_400 * rate)
    flags = {"seed": seed, "rate": rate, "count": count, "fraud": FRAUD, "start-time": start, "speed": "max"}
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]


def run(*arguments: str) -> None:
    """Runs a command of ccstream."""
    subprocess.run([sys.executable, "-m", "ccstream", *arguments], cwd=ROOT, check=True)


@contextlib.contextmanager
def scored(flags: list[str]) -> Iterator[str]:
    """Produces, stores and scores a stream, and yields the URL of its database. The services run until the end."""
    with embedded_services() as variables:
        run("produce", *flags, "--quiet")
        run("consume", "--truth", "--until-caught-up", "--quiet")
        run("analyze", "--until-caught-up", "--quiet")
        yield variables["DATABASE_URL"]


@dataclass(frozen=True)
class Stream:
    """Holds the transactions of a scored stream, in the order in which they were scored.

    Attributes:
        table: A row each, with the columns that ``simulated.Table`` reads.
        rows: The features, with the truth instead of labels.
    """

    table: pd.DataFrame
    rows: Rows

    @property
    def scenario(self) -> Array:
        """The scenario of each fraud; empty for other transactions."""
        scenarios: Array = np.where(self.rows.labels, self.table["scenario"].to_numpy(dtype=str), "")
        return scenarios


def read(url: str) -> Stream:
    """Reads the scored stream of a database."""
    history = ccstream.feature_history(NEVER, database_url=url)
    text = io.BytesIO()
    with (
        psycopg.connect(url) as connection,
        connection.cursor().copy(f"COPY ({ROWS}) TO STDOUT CSV HEADER") as copy,
    ):
        for part in copy:
            text.write(part)
    text.seek(0)
    table = pd.read_csv(text, dtype={"response_code": str}, keep_default_na=False)
    if not np.array_equal(table["micros"].to_numpy(), history.times):
        raise RuntimeError("the rows of the table and of the history differ")
    is_fraud = (table["kind"] == "fraud").to_numpy()
    rows = Rows(history.features, is_fraud, history.times, history.names, history.version, cards=history.cards)
    return Stream(table, rows)
