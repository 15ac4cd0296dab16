"""Tests what the page leaves out because it has no values, and times in UTC, without the page."""

from __future__ import annotations

from ccstream.dashboard.metrics import HELP
from ccstream.dashboard.presence import charted, fitting, headed, stacks, with_values
from ccstream.dashboard.timeline_charts import over_time, volume
from ccstream.dashboard.utc_charts import in_utc
from ccstream.dashboard.view import CHARTED, STACKS, View
from ccstream.declared import DIMENSIONS


def test_what_has_values() -> None:
    values: dict[str, list[str | None]] = {"city": ["Oslo", None], "category": [None], "status": ["approved"]}
    assert with_values(values) == {"city", "status"}
    # Before a row was read, nothing is left out.
    assert with_values({name: [None] for name in DIMENSIONS}) == set(DIMENSIONS)


def test_a_table_with_everything() -> None:
    assert charted(DIMENSIONS) == list(CHARTED)
    assert stacks(DIMENSIONS) == list(STACKS)
    assert headed(HELP, DIMENSIONS, cards=3) == list(HELP)
    view = View(stack="country", metric="value")
    assert fitting(view, DIMENSIONS) == view


def test_a_table_without_status_and_cards() -> None:
    known = {"merchant", "payment_method"}
    assert charted(known) == ["count"]
    assert stacks(known) == ["outcome", "payment_method"]
    assert headed(HELP, known, cards=0) == ["count"]
    assert fitting(View(), known) == View(metric="count")
    assert fitting(View(stack="country"), known).stack == "outcome"


def test_charts_in_utc_say_so() -> None:
    for spec in (over_time("count", "%H:%M", has_band=True), volume("%H:%M", ("approved",))):
        before = str(spec)
        converted = in_utc(spec)
        assert str(spec) == before
        fields = list(temporal(converted))
        assert len(fields) >= 5
        assert all(one["scale"]["type"] == "utc" for one in fields)
        assert "time (UTC)" in str(converted)
        assert "utc" not in before


def temporal(part: object) -> list[dict[str, dict[str, str]]]:
    """Returns all fields of times in a specification."""
    if isinstance(part, list):
        return [found for one in part for found in temporal(one)]
    if not isinstance(part, dict):
        return []
    own = [part] if part.get("type") == "temporal" else []
    return own + [found for one in part.values() for found in temporal(one)]
