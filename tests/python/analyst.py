"""Provides alerts of scored transactions, on which an analyst may decide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline import Pipeline


@dataclass(frozen=True)
class Case:
    """Holds a transaction with a high score, and the newest time of the stream."""

    transaction: str
    card: str
    merchant: str
    score: float
    time: datetime
    newest: datetime


def riskiest(pipeline: Pipeline) -> Case:
    """Returns the transaction with the highest score."""
    [row] = pipeline.query(
        "SELECT order_id, card_token, merchant, score, s.event_time, a.event_time FROM scores s JOIN orders USING"
        " (order_id), analysis a WHERE card_token IS NOT NULL AND merchant IS NOT NULL ORDER BY score DESC, s.seq DESC"
        " LIMIT 1"
    )
    return Case(*row)


def open_alert(pipeline: Pipeline, rule: str, seq: int, **columns: object) -> int:
    """Opens an alert of a rule, and returns its id."""
    pipeline.execute(
        f"INSERT INTO alert_rules (name, version, kind, severity, definition, is_active, number) VALUES ('{rule}', 1,"
        " 'transaction', 'warning', '', true, 1) ON CONFLICT DO NOTHING"
    )
    values = {
        "rule": rule,
        "version": 1,
        "severity": "warning",
        "opened_at": datetime(2026, 1, 7, 10),  # noqa: DTZ001
        "last_at": datetime(2026, 1, 7, 10),  # noqa: DTZ001
        "why_text": f"the rule {rule} has fired",
        "seq": seq,
        "key_hash": 0,
        **columns,
        "why": json.dumps(columns.get("why", {"kind": "transaction"})),
    }
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    with pipeline.connect() as connection:
        row = connection.execute(f"INSERT INTO alerts ({names}) VALUES ({marks}) RETURNING id", [*values.values()])
        [(number,)] = row.fetchall()
    return int(number)


def open_some(pipeline: Pipeline, case: Case) -> dict[str, int]:
    """Opens alerts of several kinds and states, and returns their ids by rule."""
    amount = {"transaction": case.transaction, "amount": 812.4, "currency": "USD", "merchant": case.merchant}
    before = case.time - timedelta(minutes=20)
    return {
        "card_score": open_alert(
            pipeline,
            "card_score",
            1,
            key=case.card,
            severity="critical",
            opened_at=case.time,
            last_at=case.time,
            runbook="https://wiki.example.com/card-score",
            why={"kind": "score", "by": ["card_token"], "key": case.card, "score": case.score, **amount},
            why_text=f"812.40 USD at {case.merchant} (card_token {case.card}) has a score of {case.score:.3f}, which is"
            " at least 0.900",
        ),
        "merchant_declines": open_alert(
            pipeline,
            "merchant_declines",
            2,
            key=case.merchant,
            count=37,
            opened_at=before,
            last_at=case.time,
            runbook="see the binder",
            why={"kind": "rate", "by": ["merchant"], "key": case.merchant, "count": 12, "all": 20, **amount},
            why_text=f"12 transactions with status = declined of merchant {case.merchant} within 5m, of 20",
        ),
        "silent_terminal": open_alert(
            pipeline,
            "silent_terminal",
            3,
            key="T0000017",
            severity="info",
            why={"kind": "absence", "by": ["terminal_id"], "key": "T0000017", "after": "15m"},
            why_text="no transaction of terminal_id T0000017 for 15m",
        ),
        "noisy": open_alert(pipeline, "noisy", 4, key="a.b*c", silenced=True),
        "old": open_alert(pipeline, "old", 5, key="x", state="closed", outcome="noise", note="a test of ours"),
    }
