"""Tests replaying a file: every row becomes a message, bad rows are explained, and a second replay adds nothing."""

from __future__ import annotations

import errno
import gzip
import os
import re
from typing import TYPE_CHECKING

from running import read_events
from topics import read_whole

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
2014-02-29,************7557,maple books,5,USD
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
    for reason in ("invalid_amount", "missing_field", "invalid_timestamp"):
        assert consumer.summary()["rejected_by_reason"][reason] == 1
    assert pipeline.query(
        "SELECT timestamp::text, merchant, value::text, currency, category, card_token FROM orders ORDER BY order_id"
    ) == [
        ("2014-03-06 00:00:00", "harbor fuel", "98.33", "GBP", "office", "************5353"),
        ("2014-03-06 00:00:00", "harbor fuel", "98.33", "GBP", "office", "************5353"),
        ("2014-03-27 00:00:00", "northgate, home delivery", "-10.54", "GBP", "office", "************9410"),
    ]
    # The uncompressed file has the same rows, so its events have the same ids.
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


CARDS = """\
,trans_date_trans_time,cc_num,merchant,amt
0,2026-01-05 00:00:18,4532015112830366,"fraud_Acme, Kub and Mann",4.97
1,2026-01-05 00:01:02,630423337322,fraud_Heller,107.23
2,2026-01-05 00:02:00,4532 0151 1283 0366,fraud_Heller,1
"""
"""A file in the format of a widely used training set, whose column ``cc_num`` has full card numbers."""
CARD_FLAGS = ("--map", "timestamp=trans_date_trans_time", "--map", "amount=amt", "--map", "card_token=cc_num")
NUMBERS = ("4532015112830366", "4532 0151 1283 0366", "630423337322")


def test_a_file_with_card_numbers_is_not_sent(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    file = tmp_path / "cards.csv"
    # Only a later row has a card number. The rows before it are not sent either.
    file.write_text(CARDS.replace("4532015112830366", "token", 1))
    output = pipeline.run("produce", "--replay", str(file), *CARD_FLAGS, "--rate", "max", status=2)
    assert f"{file}: row 2: " in output
    assert "--tokenize" in output
    assert not any(number in output for number in NUMBERS)
    assert pipeline.catch_up().counted() == (0, 0, 0, 0)


def test_tokens_replace_card_numbers(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = embedded_pipeline
    file, key = tmp_path / "cards.csv", tmp_path / "key"
    file.write_text(CARDS)
    key.write_bytes(b"0123456789abcdef")
    key.chmod(0o600)
    command = ("produce", "--replay", str(file), *CARD_FLAGS, "--rate", "max")
    output = pipeline.run(*command, "--tokenize", "card_token", "--token-key-file", str(key))
    assert not any(number in output for number in NUMBERS)
    assert pipeline.catch_up().counted() == (3, 3, 0, 0)
    [one, other, again] = pipeline.query("SELECT card_token FROM orders ORDER BY timestamp")
    assert one == again != other
    messages = list(read_whole(pipeline.broker, pipeline.topic))
    sent = [part for message in messages for part in (message.key() or b"", message.value() or b"")]
    assert not any(number.encode() in part for part in sent for number in NUMBERS)
    assert sent.count(one[0].encode()) == 2
    # Another key gives other tokens.
    key.write_bytes(b"another key of sixteen")
    pipeline.execute("DELETE FROM orders")
    pipeline.run(*command, "--tokenize", "card_token", "--token-key-file", str(key))
    pipeline.execute("UPDATE kafka_offsets SET consumed = 0, stored = 0")
    pipeline.catch_up()
    assert pipeline.query("SELECT count(*) FROM orders WHERE card_token = %s", one[0]) == [(0,)]
