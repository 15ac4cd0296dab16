"""Replaying a file: every row becomes a message, what is wrong is explained, a second time adds nothing."""

from __future__ import annotations

import errno
import gzip
import os
import re
from typing import TYPE_CHECKING

from running import read_events

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

ROWS = """\
trans_date,card_masked,merchant_name,amount,currency
2014-03-06,************5353,harbor fuel,98.33,GBP
2014-03-06,************5353,harbor fuel,98.33,GBP
2014-03-27,************9410,"northgate, home delivery",-10.54,
2014-03-28,************9410,maple books,12.345,GBP
,************9410,maple books,5,GBP
2014-03-29,************7557,4111 1111 1111 1111,5,USD
"""
FLAGS: tuple[str, ...] = (
    "--map",
    "timestamp=trans_date",
    "--map",
    "merchant=merchant_name",
    "--map",
    "card_token=card_masked",
)
FLAGS += ("--set", "currency=GBP", "--set", "category=office", "--rate", "max")


def test_a_file_is_replayed_whole(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = embedded_pipeline
    file = tmp_path / "cards.csv.gz"
    file.write_bytes(gzip.compress(ROWS.encode()))
    sent = tmp_path / "sent"
    pipeline.run("produce", "--replay", str(file), *FLAGS, "--events", str(sent))
    summary = read_events(sent, "progress")[-1]["summary"]
    assert (summary["sent"], summary["acknowledged"], summary["failed"]) == (6, 6, 0)
    consumer = pipeline.catch_up()
    assert consumer.counted() == (6, 3, 0, 3)
    for reason in ("invalid_amount", "missing_field", "card_number"):
        assert consumer.summary()["rejected_by_reason"][reason] == 1
    assert pipeline.query(
        "SELECT timestamp::text, merchant, value::text, currency, category, card_token FROM orders ORDER BY order_id"
    ) == [
        ("2014-03-06 00:00:00", "harbor fuel", "98.33", "GBP", "office", "************5353"),
        ("2014-03-06 00:00:00", "harbor fuel", "98.33", "GBP", "office", "************5353"),
        ("2014-03-27 00:00:00", "northgate, home delivery", "-10.54", "GBP", "office", "************9410"),
    ]
    # The plain file has the same rows, and so the same ids.
    plain = tmp_path / "cards.csv"
    plain.write_text(ROWS)
    pipeline.run("produce", "--replay", str(plain), *FLAGS)
    assert pipeline.catch_up().counted()[1:] == (0, 3, 3)
    pipeline.verify()


def test_what_the_file_lacks_is_named(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = embedded_pipeline
    file = tmp_path / "cards.csv"
    file.write_text(ROWS)
    wrong = pipeline.run("produce", "--replay", str(file), status=2)
    assert re.search(r'map: .*"timestamp".*trans_date, card_masked', wrong)
    wrong = pipeline.run("produce", "--replay", str(file), "--map", "timestamp=date", status=2)
    assert re.search(r'map: .*"date".* trans_date, card_masked', wrong)
    wrong = pipeline.run("produce", "--replay", str(tmp_path / "none.csv"), status=2)
    assert f"{tmp_path / 'none.csv'}: {os.strerror(errno.ENOENT)}" in wrong
    wrong = pipeline.run("produce", "--replay", str(file), "--map", "timestamp", status=2)
    assert re.search(r"argument --map: 'timestamp' .*FIELD=COLUMN", wrong)
