"""Writes the card of a model: where it comes from, and how good it is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ccstream.training.libraries import versions
from ccstream.training.rows import DAY

if TYPE_CHECKING:
    from ccstream.training.rows import Rows

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
QUALITY_NOTE = (
    "measured on the tested period, with a model that was trained by the same settings before the calibrated period of "
    "that time; the model in this file was trained later, up to its own calibrated period; cards that are known to be "
    "defrauded are not left out"
)


def instant(micros: int) -> str:
    """Returns a time in UTC as ISO 8601."""
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def period(rows: Rows, begin: int, end: int) -> dict[str, Any]:
    """Describes the rows of a period."""
    return {"from": instant(begin), "to": instant(end), "rows": len(rows), "frauds": rows.frauds}


def card(
    *,
    as_of: int,
    maturity: int,
    trained: dict[str, Any],
    calibrated: dict[str, Any],
    settings: dict[str, Any],
    quality: dict[str, Any],
    command: str | None,
) -> dict[str, Any]:
    """Returns the card.

    Args:
        as_of: The time up to which labels were known, in microseconds since 1970 UTC.
        maturity: The age at which an unlabelled transaction counts as genuine, in microseconds.
        trained: The period of training, and the number of rows that were sampled from it.
        calibrated: The period of calibration.
        settings: The settings of the library that trained the model.
        quality: The figures of the tested period.
        command: The command that made the model.
    """
    return {
        "as_of": instant(as_of),
        "maturity_days": maturity / DAY,
        "fraud_share": calibrated["frauds"] / calibrated["rows"],
        "trained": trained,
        "calibrated": calibrated,
        "quality": {**quality, "note": QUALITY_NOTE},
        "settings": settings,
        "libraries": versions(),
        "command": command,
    }
