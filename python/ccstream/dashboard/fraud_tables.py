"""Reads what the analyzer stored, for the panel "Fraud", with the queries of ``fraud_queries``. Times are in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from ccstream.dashboard import fraud_queries as queries
from ccstream.dashboard import reading
from ccstream.dashboard.alert_queries import OPEN_COLUMNS
from ccstream.dashboard.alert_tables import count_open
from ccstream.dashboard.band_queries import COLUMNS as BAND_COLUMNS
from ccstream.dashboard.quality import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    import psycopg

    from ccstream.dashboard.view import View

MOST_DAYS = 28
"""The number of days for which quality and drift are shown."""
MOST_MINUTES = timedelta(days=90)
"""The longest range over which transactions are counted by minute."""
BARS = 90
"""The greatest number of bars over time."""
WIDTHS = tuple(timedelta(minutes=one) for one in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440))
"""The possible widths of a bar."""


@dataclass(frozen=True)
class Span:
    """Holds a time range: the last ``length``, or from ``start`` to ``end`` (naive, UTC), or all of time."""

    length: timedelta | None = None
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, view: View) -> Span:
        """Returns the range of a page."""
        asked = view.question()
        start, end = (
            asked[name].astimezone(timezone.utc).replace(tzinfo=None) if name in asked else None
            for name in ("start", "end")
        )
        return cls(asked.get("last"), start, end)


class Scored(NamedTuple):
    """Holds a transaction with a high score. What its row of ``orders`` lacks is None.

    Attributes:
        time: the event time.
        score: the score.
        amount: the amount; negative for a refund.
        currency: the currency.
        merchant: the merchant.
        card: the last four digits of the card, or else its token.
        reasons: the reasons for the score, in words.
        is_known: whether a label says that its card had a fraud on its day.
    """

    time: datetime
    score: float
    amount: Decimal | None
    currency: str | None
    merchant: str | None
    card: str | None
    reasons: list[str] | None
    is_known: bool = False


@dataclass(frozen=True)
class Now:
    """Holds what changes with every transaction.

    Attributes:
        event_time: the greatest event time that was analyzed.
        late: the number of transactions that came after a later one was scored.
        renewed_at: when a run last renewed its lease.
        is_held: whether a run has the lease.
        model: the model that scores, or ``rules``.
        shadow: the model that scores beside it.
        next_offsets: the next offset of each partition of the topic.
        width: the width of a bucket of the series.
        series: the beginning of a bucket in seconds since 1970, the transactions in it, and those that scored high.
        stake: for each currency, the high-scored transactions in the range, and the sum of their absolute amounts.
        riskiest: the highest scores in the range, or in the newest 24 hours if it has no high score.
        is_in_range: whether ``riskiest`` are of the range.
        alerts: the number of open alerts by severity; empty if there are none, or no table of alerts.
        others: which of the tables ``alerts`` and ``kpi_band`` exist.
    """

    event_time: datetime
    late: int
    renewed_at: datetime
    is_held: bool
    model: str
    shadow: str | None
    next_offsets: dict[int, int]
    width: timedelta
    series: list[tuple[int, int, int]]
    stake: dict[str | None, tuple[int, float]]
    riskiest: list[Scored]
    is_in_range: bool
    alerts: dict[str, int] = field(default_factory=dict)
    others: frozenset[str] = frozenset()

    @property
    def scored(self) -> int:
        """The number of transactions in the range."""
        return sum(one[1] for one in self.series)

    @property
    def high(self) -> int:
        """The number of transactions in the range that scored high."""
        return sum(one[2] for one in self.series)


@dataclass(frozen=True)
class Planted:
    """Holds the planted frauds of a day: their scores, the number of cards, and of those among the top 100."""

    scores: list[float]
    cards: int
    found: int


@dataclass(frozen=True)
class Days:
    """Holds what changes slowly.

    Attributes:
        maturity: the delay within which nine of ten labels came, from 1 to 20 days; 7 days without labels.
        main: for each day, the model that scored most of its transactions.
        cells: the counts of each day and model.
        cards: for each day, the cards with a known fraud, up to 100, and how many of the top 100 cards have one.
        planted: the planted frauds of each day; empty if the page cannot read them.
        features: for each feature, day, bin and number of rows.
        top_cards: the highest scores of the newest day, one of each card.
        merchants: merchant, high scores, their sum, cards, and the highest score, in the newest 24 hours.
    """

    maturity: timedelta
    main: dict[date, str]
    cells: dict[tuple[date, str], Cells]
    cards: dict[date, tuple[int, int]]
    planted: dict[date, Planted]
    features: dict[str, list[tuple[date, int, int]]]
    top_cards: list[Scored]
    merchants: list[tuple[Any, ...]]


@dataclass
class Tables:
    """Reads the tables over a new connection each time, which :meth:`reading` opens and closes.

    Args:
        url: the URL of the database.
        topic: the topic of transactions.
    """

    url: str
    topic: str
    _past: dict[date, Planted] = field(default_factory=dict)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Opens a connection for one reading."""
        return reading.connect(self.url)

    def read_now(self, connection: psycopg.Connection[tuple[Any, ...]], span: Span) -> Now | None:
        """Reads what changes with every transaction; returns None if there is nothing to show."""
        others = reading.begin_with(connection, queries.COLUMNS, OPEN_COLUMNS | BAND_COLUMNS)
        if others is None:
            return None
        position = connection.execute(queries.POSITION).fetchone()
        if position is None or position[0] is None or position[7] is None:
            return None
        event_time, late, renewed_at, held, model, shadow, now, first, last = position
        minute = timedelta(minutes=1)
        end = last + minute if span.end is None else min(span.end, last + minute)
        start = span.start or (first if span.length is None else now - span.length)
        start = max(start.replace(second=0, microsecond=0), end - MOST_MINUTES)
        width = next((one for one in WIDTHS if (end - max(start, first)) / one <= BARS), WIDTHS[-1])
        limits = {"start": start, "end": end}
        offsets = connection.execute(
            "SELECT partition, next_offset FROM analysis_offsets WHERE topic = %s", [self.topic]
        ).fetchall()
        stake = connection.execute(queries.STAKE, limits).fetchall()
        riskiest = connection.execute(queries.HIGHEST, limits if stake else _last_day(event_time)).fetchall()
        return Now(
            event_time=event_time,
            late=late,
            renewed_at=renewed_at,
            is_held=held,
            model=model,
            shadow=shadow,
            next_offsets=dict(offsets),
            width=width,
            series=connection.execute(queries.SERIES, limits | {"width": int(width.total_seconds())}).fetchall(),
            stake={currency: (count, float(amount or 0)) for currency, count, amount in stake},
            riskiest=[Scored(*row) for row in riskiest],
            is_in_range=bool(stake or not riskiest),
            alerts=count_open(connection) if "alerts" in others else {},
            others=frozenset(others),
        )

    def read_days(self, connection: psycopg.Connection[tuple[Any, ...]]) -> Days | None:
        """Reads what changes slowly; returns None if there is nothing to show."""
        if not reading.begin(connection, queries.COLUMNS):
            return None
        row = connection.execute("SELECT event_time, (SELECT max(day) FROM score_day) FROM analysis").fetchone()
        if row is None or row[0] is None or row[1] is None:
            return None
        event_time, newest = row
        since = newest - timedelta(days=MOST_DAYS - 1)
        delay = connection.execute(queries.MATURITY, [event_time]).fetchone()
        cells = connection.execute(queries.CELLS, [since]).fetchall()
        days = sorted({one[0] for one in cells})
        features = connection.execute(queries.FEATURES, [since]).fetchall()
        return Days(
            maturity=_within(delay[0] if delay else None),
            main=dict(connection.execute(queries.MAIN, [since]).fetchall()),
            cells={(day, model): Cells.of(*columns) for day, model, *columns in cells},
            cards={day: (cards, found) for day, cards, found in connection.execute(queries.FOUND, [days])},
            planted=dict(self._planted(connection, days)),
            features={name: list(zip(*columns, strict=True)) for name, *columns in features},
            top_cards=[Scored(*row) for row in connection.execute(queries.CARDS)],
            merchants=connection.execute(queries.MERCHANTS, _last_day(event_time)).fetchall(),
        )

    def _planted(
        self, connection: psycopg.Connection[tuple[Any, ...]], days: Sequence[date]
    ) -> Iterator[tuple[date, Planted]]:
        """Yields the planted frauds of each day. Only those of the newest two days are read again."""
        if not reading.present(connection, {"truth": {"transaction_id", "timestamp", "kind"}}):
            return
        for day in days:
            if day not in self._past or day in days[-2:]:
                limits = {"day": day, "next": day + timedelta(days=1)}
                rows = connection.execute(queries.PLANTED, limits).fetchall()
                if len(rows) > queries.MOST_PLANTED:
                    continue
                cards = {card: is_top for _, card, is_top in rows if card is not None}
                self._past[day] = Planted([row[0] for row in rows], len(cards), sum(cards.values()))
            yield day, self._past[day]
        self._past = {day: self._past[day] for day in days if day in self._past}


def _last_day(event_time: datetime) -> dict[str, datetime]:
    """Returns the limits of the newest 24 hours."""
    return {"start": event_time - timedelta(days=1), "end": event_time + timedelta(microseconds=1)}


def _within(delay: timedelta | None) -> timedelta:
    """Returns the maturity of labels whose delay is mostly this."""
    return timedelta(days=7) if delay is None else min(max(delay, timedelta(days=1)), timedelta(days=20))
