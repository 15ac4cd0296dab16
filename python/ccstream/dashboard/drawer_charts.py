"""Builds the chart of the drawer as a Vega-Lite specification without data."""

from __future__ import annotations

from functools import cache

import altair as alt

from ccstream.dashboard.charts import Spec, as_spec, empty
from ccstream.dashboard.timeline_charts import COLOURS

HEIGHT = 230
"""The height of the chart, with its axes and its legend."""


@cache
def history(width: str, form: str, statuses: tuple[str, ...]) -> Spec:
    """Returns a chart of transactions over time by what became of them.

    Its data has the columns ``time``, ``end``, ``status`` and ``transactions``.

    Args:
        width: the width of a bar in words.
        form: the format of times.
        statuses: those of ``STATUSES`` that the data has. Others have no key.
    """
    chart = (
        alt.Chart(empty("time", "end", "status", "transactions"))
        .mark_rect()
        .encode(
            x=alt.X("time:T", title=None, axis=alt.Axis(format=form, labelOverlap=True, tickCount=6, grid=False)),
            x2="end:T",
            y=alt.Y(
                "transactions:Q",
                title="transactions",
                stack="zero",
                axis=alt.Axis(format="~s", tickCount=3, tickMinStep=1),
            ),
            color=alt.Color(
                "status:N",
                scale=alt.Scale(domain=[*statuses], range=[COLOURS[one] for one in statuses]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            order=alt.Order("status:O"),
            tooltip=[
                alt.Tooltip("time:T", title=f"{width} from", format="%Y-%m-%d %H:%M"),
                alt.Tooltip("status:N"),
                alt.Tooltip("transactions:Q", format=","),
            ],
        )
        .properties(height=HEIGHT)
    )
    return as_spec(chart)
