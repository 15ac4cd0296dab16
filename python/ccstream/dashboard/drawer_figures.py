"""Prepares the frames and sentences of the drawer, independently of Streamlit."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from ccstream.dashboard.clock import clock, micros
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.drawer_queries import COUNTED
from ccstream.declared import APPROVED, DECLINED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from ccstream.dashboard.drawer_tables import Label, Quarter, Score, Several
    from ccstream.dashboard.orders_tables import Reach

STATUSES = ("approved", "declined", "neither")
"""What a status means, as the charts of the page name it."""
HOURS = timedelta(days=3)
"""The longest history that is shown by hour."""
DAYS = timedelta(days=90)
"""The longest history that is shown by day. A longer one is shown by week."""
NAMED = 5
"""The number of high scores whose reasons are written out."""
COLUMN_NAMES = {
    "card_token": "card",
    "card_last4": "last four digits",
    "terminal_id": "terminal",
    "merchant": "merchant",
}
"""The columns by which rows are searched, in words."""


def history(quarters: Sequence[Quarter], zone: tzinfo) -> tuple[pd.DataFrame, str]:
    """Returns the transactions over time for ``drawer_charts.history``, and the width of a bar in words.

    Args:
        quarters: the numbers by quarter of an hour.
        zone: the viewer's time zone, in which days begin.
    """
    starts = pd.to_datetime([one.start for one in quarters], unit="s", utc=True).tz_convert(zone)
    length = starts.max() - starts.min()
    width = "hour" if length <= HOURS else "day" if length <= DAYS else "week"
    # A clock that is set back has an hour twice.
    local = starts.tz_localize(None)
    floors = {"hour": local.floor("h"), "day": local.normalize(), "week": local.to_period("W-SUN").start_time}
    step = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[width]
    frame = pd.DataFrame(
        {
            "time": floors[width],
            "status": [_outcome(one.status) for one in quarters],
            "transactions": [one.transactions for one in quarters],
        }
    )
    frame = frame.groupby(["time", "status"], as_index=False).sum()
    frame["end"] = frame["time"] + step
    for name in ("time", "end"):
        # An hour that a clock skips begins with the next one.
        frame[name] = frame[name].dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward")
    return frame, width


def _outcome(status: str | None) -> str:
    if status in APPROVED:
        return STATUSES[0]
    return STATUSES[1] if status in DECLINED else STATUSES[2]


def summary(found: Several, zone: tzinfo) -> str:
    """Says in Markdown how many transactions there are, since when, and how many of them were approved."""
    first = min(one.first for one in found.history)
    counts = dict.fromkeys(STATUSES, 0)
    for one in found.history:
        counts[_outcome(one.status)] += one.transactions
    decided = counts["approved"] + counts["declined"]
    rate = f", **{counts['approved'] / decided:.1%}** approved" if decided else ""
    number = f"**{found.count:,}** transaction{'s' * (found.count != 1)}"
    if found.count >= COUNTED:
        number = f"The newest **{COUNTED:,}** transactions"
    return f"{number} since {last(first, zone)}{rate}"


def reach(found: Reach) -> str:
    """Says in Markdown how far a search has looked; empty if it has found all there is."""
    if found.searched is None:
        return ""
    by = [COLUMN_NAMES[column] for column in found.unindexed]
    named = f"{', '.join(by[:-1])} or {by[-1]}" if len(by) > 1 else by[0]
    statements = " ".join(f"CREATE INDEX CONCURRENTLY ON orders ({column}, timestamp);" for column in found.unindexed)
    return (
        f"`orders` has no index by {named}, so only the {found.searched:,} rows at the end of the table were searched, "
        f"which are usually the newest. `{statements}` makes it find all."
    )


def listed(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Returns the list of transactions. Columns without values are left out."""
    frame = pd.DataFrame(rows)
    frame["amount"] = pd.to_numeric(frame["amount"])
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    frame["last4"] = frame["last4"].map(lambda digits: None if digits is None else f"••{digits}", na_action="ignore")
    return frame.drop(columns="reasons").dropna(axis="columns", how="all")


def high_scores(rows: Sequence[dict[str, Any]], zone: tzinfo) -> str:
    """Returns the highest scores with their reasons, as a list in Markdown; empty if none of the rows has reasons."""
    high = sorted((row for row in rows if row["reasons"]), key=lambda row: -row["score"])
    return "\n".join(
        f"- **{row['score']:.3f}** {plain(_amount(row['amount'], row['currency'], row['merchant']))}  \n"
        f"  :small[{plain('; '.join([clock(micros(row['time']), zone), *row['reasons']]))}]"
        for row in high[:NAMED]
    )


def _amount(amount: Decimal | None, currency: str | None, merchant: str | None) -> str:
    parts = [] if amount is None else [f"{'refund of ' * (amount < 0)}{abs(amount):,.2f}"]
    parts += [currency] if currency else []
    parts += [f"at {merchant}"] if merchant else []
    return " ".join(parts) or "no amount"


def headline(columns: dict[str, str | None], zone: tzinfo) -> str:
    """Says in Markdown what a transaction is: its amount, its merchant, its status and its time."""
    amount, time = columns.get("value"), columns.get("timestamp")
    what = _amount(None if amount is None else Decimal(amount), columns.get("currency"), columns.get("merchant"))
    parts = [f"**{plain(what[0].upper() + what[1:])}**"]
    parts += [plain(status)] if (status := columns.get("status")) else []
    parts += [last(pd.Timestamp(time).to_pydatetime(), zone)] if time else []
    return " · ".join(parts)


def segments(found: dict[str, str]) -> str:
    """Names in Markdown the segments of a transaction's merchant and card; empty if they have none."""
    named = " · of the ".join(f"{kind} **{plain(name)}**" for kind, name in found.items())
    return f"Segment of the {named}" if named else ""


def score(found: Score) -> str:
    """Describes the score of a transaction in Markdown."""
    if found.score is None:
        return "It came too late to be scored."
    parts = [f"Score **{found.score:.3f}** by {plain(found.model or 'an unknown model')}"]
    if found.ratio is not None and not found.reasons:
        parts.append(f"{found.ratio:,.1f} times the card's usual amount")
    reasons = "".join(f"\n- {plain(reason)}" for reason in found.reasons or ())
    return ", ".join(parts) + (f". Its reasons:\n{reasons}" if reasons else ".")


def labels(found: Sequence[Label], zone: tzinfo) -> str:
    """Says in Markdown what is known of a transaction."""

    def written(one: Label) -> str:
        what = ":red[fraud]" if one.fraud else "not fraud"
        return f"- {what}, says {plain(one.source or 'an unknown source')} since {clock(micros(one.labelled_at), zone)}"

    return "\n".join(map(written, found))


def columns(found: dict[str, str | None]) -> pd.DataFrame:
    """Returns a row with all of its columns, one below the other."""
    return pd.DataFrame({"column": [*found], "value": [*found.values()]})


def last(moment: datetime | None, zone: tzinfo) -> str:
    """Says when the newest transaction was."""
    return "" if moment is None else clock(micros(moment), zone)
