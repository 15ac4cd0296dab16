"""Builds the messages of the test of Flink: with duplicates, late rows, times in many forms, and bad messages."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
SPAN = timedelta(hours=8)
"""The time from the first event to the last. Late rows are of its first hour."""
PARTITIONS = 3
"""The number of partitions with messages. The topic has one more, which is empty."""
DUPLICATES = 2_000
LATE = 2_000
ODD_TIMES = 500
STATUSES = ("approved", "approved", "approved", "Approved", "declined", "declined", "pending")
CURRENCIES = ("USD", "USD", "eur", "EUR", "JPY", None)

BAD: tuple[bytes, ...] = (
    b'{"transaction_id": "bad-1", "amount": 1',
    b'{"transaction_id": "bad-2", "amount": 1.005, "timestamp": "2026-01-05T01:00:00Z"}',
    b'{"transaction_id": "bad-3", "amount": "?", "timestamp": "2026-01-05T01:00:00Z"}',
    b'{"transaction_id": "bad-4", "amount": 1, "timestamp": "yesterday"}',
    b'{"transaction_id": "bad-5", "amount": 1, "timestamp": "2099-01-05T01:00:00Z"}',
    b'{"transaction_id": "bad-6", "amount": 1, "timestamp": 20260105}',
    b'{"transaction_id": "bad-7", "amount": 123456789, "timestamp": "2026-01-05T01:00:00Z"}',
    b'{"transaction_id": "", "amount": 1, "timestamp": "2026-01-05T01:00:00Z"}',
    b'{"amount": 1, "timestamp": "2026-01-05T01:00:00Z"}',
    b'["transaction_id"]',
    b"not JSON",
)
"""Messages that the consumer rejects and Flink's views leave out."""


def odd_times(moment: datetime) -> tuple[object, ...]:
    """Returns a time in several forms that the consumer accepts."""
    micros = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    plain = moment.replace(tzinfo=None)
    ahead = (plain + timedelta(hours=5, minutes=30)).isoformat()
    behind = (plain - timedelta(hours=3, minutes=30)).isoformat()
    return (
        micros // 1_000_000,
        micros // 1_000,
        micros,
        micros * 1_000,
        str(micros // 1_000),
        micros / 1_000_000,
        plain.isoformat(),
        plain.isoformat(" "),
        plain.isoformat() + "Z",
        plain.isoformat(timespec="microseconds") + "999Z",
        f"{ahead}+05:30",
        f"{ahead}+0530",
        f"{behind}-03:30",
        f"{(plain + timedelta(hours=2)).isoformat()}+02",
    )


def messages(
    count: int, chance: random.Random
) -> tuple[list[tuple[int, bytes, bytes]], list[tuple[int, bytes, bytes]]]:
    """Returns two parts of a stream, each message as its partition, key and payload.

    The second part, two fifths of the events, contains the late rows and a last event of each partition two hours after
    all others, which closes every window before it.

    Args:
        count: the number of messages, without the bad ones.
        chance: the source of all that is random.
    """
    ordered = count - DUPLICATES - LATE - PARTITIONS
    cut = ordered * 3 // 5
    sent = [_event(number, START + SPAN * number / ordered, chance) for number in range(ordered)]
    for number in chance.sample(range(ordered), ODD_TIMES):
        _, event = sent[number]
        event["timestamp"] = chance.choice(odd_times(datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))))
    first, second = sent[:cut], sent[cut:]
    late = [
        _event(ordered + number, START + timedelta(seconds=number % 3600), chance, "late") for number in range(LATE)
    ]
    places = sorted(chance.choices(range(len(second)), k=LATE), reverse=True)
    for place, late_event in zip(places, late, strict=True):
        second.insert(place, late_event)
    parts = []
    for part in (first, second):
        encoded = [
            (partition, key, json.dumps(event).encode()) for key, event in part for partition in [_partition(key)]
        ]
        parts.append(list(_with_copies(encoded, DUPLICATES // 2, chance)))
        for payload in BAD:
            parts[-1].insert(chance.randrange(len(parts[-1])), (0, b"bad", payload))
    end = START + SPAN + timedelta(hours=2)
    for partition in range(PARTITIONS):
        event = {"transaction_id": f"end-{partition}", "amount": 1, "timestamp": end.isoformat()}
        parts[1].append((partition, b"end", json.dumps(event).encode()))
    return parts[0], parts[1]


def _partition(key: bytes) -> int:
    return sum(key) % PARTITIONS


def _event(number: int, moment: datetime, chance: random.Random, kind: str = "card") -> tuple[bytes, dict[str, Any]]:
    """Returns the key and the content of an event."""
    # Twenty cards are used so often that they raise alerts. The others have sessions.
    card = f"{kind}-{chance.randrange(20) if chance.random() < 0.05 else chance.randrange(20, 4_000)}"
    moment += timedelta(microseconds=chance.randrange(5_000_000))
    event: dict[str, Any] = {
        "transaction_id": f"{kind}-{number}",
        "timestamp": moment.isoformat().replace("+00:00", "Z"),
        "amount": chance.choice((round(chance.lognormvariate(3, 1), 2), chance.randrange(-50, 500), "12.340")),
        "status": chance.choice(STATUSES),
        "currency": chance.choice(CURRENCIES),
        "card_token": card,
        "merchant": f"Merchant {chance.randrange(200)}",
        "country": chance.choice(("US", "DE", "JP")),
    }
    return card.encode(), {name: value for name, value in event.items() if value is not None}


def _with_copies(
    part: list[tuple[int, bytes, bytes]], copies: int, chance: random.Random
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields messages, with duplicates of some in the same partition up to a thousand messages later."""
    repeated: dict[int, list[tuple[int, bytes, bytes]]] = {}
    for number in chance.sample(range(len(part)), copies):
        place = min(number + chance.randrange(1_000), len(part) - 1)
        repeated.setdefault(place, []).append(part[number])
    for number, message in enumerate(part):
        yield message
        yield from repeated.get(number, ())
