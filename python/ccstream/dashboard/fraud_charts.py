"""Builds the charts of the panel "Fraud" as Vega-Lite specifications without data, as the page's other charts are."""

from __future__ import annotations

from functools import cache

import altair as alt

from ccstream.dashboard.charts import ORDER, TRANSACTIONS, Spec, as_spec, empty, in_order
from ccstream.dashboard.quality import LARGE, MODERATE

HEIGHT = 190
"""The height of each chart, with its legend and axes."""
FRAUD = "#E69F00"
SHADOW = "#56B4E9"
PLANTED = "#009E73"
LABELS, BY_TRUTH, IN_SHADOW = "by labels", "as planted", "shadow"
"""The names of points of view: the labels that have come, what was planted, and the shadow model by labels."""
SCORE, FEATURE = "score", "most drifted feature"
"""The names of what drifts."""


@cache
def share_over_time(form: str) -> Spec:
    """Returns a chart of the share of high scores over time.

    Its data has the columns ``time``, ``end``, ``whole``, ``share``, ``scored`` and ``high``.

    Args:
        form: the format of the axis's labels, as :func:`ccstream.dashboard.charts.time_form` returns it.
    """
    chart = (
        alt.Chart(empty("time", "end", "whole", "share", "scored", "high"))
        .mark_rect(color=FRAUD)
        .encode(
            x=alt.X("time:T", title=None, axis=alt.Axis(format=form, labelOverlap=True, tickCount=6, grid=False)),
            x2="end:T",
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format=".2~%", tickCount=3)),
            y2=alt.datum(0),
            opacity=alt.condition("datum.whole", alt.value(0.9), alt.value(0.4)),
            tooltip=[
                alt.Tooltip("time:T", title="from", format="%Y-%m-%d %H:%M"),
                alt.Tooltip("high:Q", title="scored high", format=","),
                alt.Tooltip("scored:Q", title="transactions", format=","),
                alt.Tooltip("share:Q", format=".2%"),
            ],
        )
        .properties(height=HEIGHT)
    )
    return as_spec(chart)


@cache
def distribution() -> Spec:
    """Returns a chart of transactions by score, with the known frauds in front. Both axes are logarithmic.

    Its data has the columns ``label``, ``score``, ``kind``, ``count`` and :data:`ORDER`, without empty bars.
    """
    kinds = ["transactions", "known frauds"]
    base = alt.Chart(empty("label", "score", "kind", "count", ORDER)).encode(
        x=alt.X(
            "label:O",
            title=None,
            sort=in_order(),
            axis=alt.Axis(labelAngle=-45, labelOverlap=False, grid=False),
        ),
        y=alt.Y(
            "count:Q", title=None, scale=alt.Scale(type="log", domainMin=0.6), axis=alt.Axis(format="~s", tickCount=4)
        ),
        y2=alt.datum(0.6),
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=kinds, range=[TRANSACTIONS, FRAUD]),
            legend=alt.Legend(title=None, orient="top", padding=0, offset=4),
        ),
        tooltip=[
            alt.Tooltip("score:N", title="score"),
            alt.Tooltip("count:Q", format=","),
            alt.Tooltip("kind:N", title="of"),
        ],
    )
    wide = base.transform_filter(f"datum.kind === '{kinds[0]}'").mark_bar(opacity=0.75)
    narrow = base.transform_filter(f"datum.kind === '{kinds[1]}'").mark_bar(width=alt.RelativeBandSize(0.4))
    return as_spec(alt.layer(wide, narrow).properties(height=HEIGHT))


@cache
def quality() -> Spec:
    """Returns a chart of the average precision by day. Days whose labels are still coming have hollow points.

    Its data has the columns ``day``, ``who``, ``value``, ``complete`` and :data:`ORDER`.
    """
    return as_spec(
        _by_day(
            empty("day", "who", "value", "complete", ORDER),
            {LABELS: TRANSACTIONS, BY_TRUTH: PLANTED, IN_SHADOW: SHADOW},
            alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=3)),
            [alt.Tooltip("value:Q", title="average precision", format=".3f")],
        ).properties(height=HEIGHT)
    )


@cache
def drift() -> Spec:
    """Returns a chart of the population stability index by day, with lines where a drift is moderate and large.

    Its data has the columns ``day``, ``who``, ``value``, ``name``, ``complete`` and :data:`ORDER`.
    """
    frame = empty("day", "who", "value", "name", "complete", ORDER)
    lines = _by_day(
        frame,
        {SCORE: TRANSACTIONS, FEATURE: FRAUD},
        alt.Y("value:Q", title=None, scale=alt.Scale(type="sqrt"), axis=alt.Axis(tickCount=4)),
        [alt.Tooltip("name:N", title="of"), alt.Tooltip("value:Q", title="stability index", format=".3f")],
    )
    limits = alt.layer(
        *(
            alt.Chart(frame).mark_rule(strokeDash=[4, 4], color="#888", aria=False).encode(y=alt.datum(limit))
            for limit in (MODERATE, LARGE)
        )
    )
    return as_spec(alt.layer(limits, lines).properties(height=HEIGHT))


def _by_day(
    frame: object, colours: dict[str, str], y: alt.Y, tooltip: list[alt.Tooltip]
) -> alt.LayerChart | alt.FacetChart:
    """Returns lines with points by day, one for each name of ``who``."""
    base = alt.Chart(frame).encode(
        x=alt.X("day:O", title=None, sort=in_order(), axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=False)),
        y=y,
        color=alt.Color(
            "who:N",
            scale=alt.Scale(domain=[*colours], range=[*colours.values()]),
            legend=alt.Legend(title=None, orient="top", padding=0, offset=4),
        ),
    )
    tip = ["day:O", alt.Tooltip("who:N", title="of"), *tooltip]
    points = [
        base.transform_filter(which).mark_point(size=36, strokeWidth=1.5, filled=filled, opacity=1).encode(tooltip=tip)
        for which, filled in (("datum.complete", True), ("!datum.complete", False))
    ]
    return alt.layer(base.mark_line(strokeWidth=1.5), *points)
