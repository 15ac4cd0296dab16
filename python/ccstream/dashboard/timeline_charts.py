"""Builds the charts of the approval rate and of other KPIs with their usual band, as Vega-Lite specifications.

Their data has several parts, each with a name. The charts of a page have the same times from left to right, and axes of
the same width, so that they are in line.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import altair as alt

from ccstream.dashboard.charts import SHOWN, TRANSACTIONS, USUAL, Spec, as_spec
from ccstream.dashboard.dimensions import named
from ccstream.dashboard.figures import OTHERS
from ccstream.dashboard.timeline_figures import BAND, BUCKETS, LEVEL, MARKS, ODD, PARTS, SPANS

if TYPE_CHECKING:
    from collections.abc import Sequence

CROSS = "cross"
"""The parameter of a chart that has the start of the bucket under the pointer, in this chart or in another one."""
HEIGHT, LOW = 340, 190
"""The heights of the chart of the approval rate, and of that of the volume, with their axes."""
DETAIL = 280
"""The height of the chart of an alert, with its axes."""
EARLIER = "#767676"
"""The colour of the line of an earlier period."""
RATE, BAD, OTHER = TRANSACTIONS, "#D55E00", "#999999"
COLOURS = {"approved": TRANSACTIONS, "declined": BAD, "neither": OTHER, OTHERS: OTHER}
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#F0E442", "#D55E00")
"""The colours of parts with other names, again of Okabe and Ito. That of the moving average is not among them."""
SEVERITIES = {"critical": BAD, "warning": "#E69F00", "info": "#56B4E9"}
"""The colours of alerts, which are those of the page of alerts."""
AXIS = 48
"""The width of the labels of a vertical axis."""


@cache
def over_time(measure: str, form: str, *, has_band: bool, compared: str | None = None) -> Spec:
    """Returns the large chart: a measure over time, with its usual band, anomalies and alerts.

    Its data has the parts :data:`BUCKETS`, :data:`BAND`, :data:`ODD`, :data:`SPANS` and :data:`MARKS`, as
    ``timeline_figures`` returns them.

    Args:
        measure: a key of :data:`ccstream.dashboard.charts.SHOWN`.
        form: the format of the axis's labels, as :func:`ccstream.dashboard.charts.time_form` returns it.
        has_band: whether the usual band of the measure is known.
        compared: the name of an earlier period, which the column ``then`` of the buckets is about; None without one.
    """
    shown = SHOWN[measure]
    y = alt.Y(
        f"{shown.column}:Q",
        title=shown.title.lower(),
        scale=alt.Scale(zero=shown.is_sum),
        axis=_axis(".0%" if shown.column == "share" else shown.rounded),
    )
    of = alt.Chart(_part(BUCKETS)).encode(x=_time("middle:T", form), y=y)
    tooltip = [
        alt.Tooltip("time:T", title="from", format="%Y-%m-%d %H:%M:%S"),
        alt.Tooltip(f"{shown.column}:Q", title=shown.title.lower(), format=shown.exact),
        *([alt.Tooltip("then:Q", title=compared, format=shown.exact)] if compared else []),
        *([alt.Tooltip("usual:N", title="usual")] if has_band else []),
        alt.Tooltip("approved:Q", format=","),
        alt.Tooltip("declined:Q", format=","),
    ]
    line = of.transform_filter("datum.whole").mark_line(color=shown.colour, strokeWidth=2)
    points = of.mark_point(color=shown.colour, filled=True, size=14).encode(
        opacity=alt.condition("datum.whole", alt.value(1), alt.value(0.35))
    )
    layers = [line, points, *_cross(form, tooltip), _marks(form)]
    if compared:
        then = of.encode(y=alt.Y("then:Q", title=shown.title.lower()))
        layers.insert(0, then.mark_line(color=EARLIER, strokeWidth=1.5, strokeDash=[2, 3]))
    if has_band:
        layers = [*_band(form), *layers, _odd(form, shown.exact)]
    return _layered(layers, HEIGHT)


@cache
def volume(form: str, parts: tuple[str, ...]) -> Spec:
    """Returns a chart of transactions over time, divided into parts, with their moving average.

    Its data has the parts :data:`BUCKETS`, :data:`PARTS` and :data:`LEVEL`. Incomplete buckets are paler.

    Args:
        form: the format of the axis's labels.
        parts: the names of the parts of a bar, from the bottom.
    """
    colours = part_colours(parts)
    bars = (
        alt.Chart(_part(PARTS))
        .mark_rect()
        .encode(
            x=_time("time:T", form),
            x2="end:T",
            y=alt.Y("bottom:Q", title="transactions", axis=_axis("~s")),
            y2="top:Q",
            color=alt.Color("part:N", scale=alt.Scale(domain=[*colours], range=[*colours.values()]), legend=None),
            opacity=alt.condition("datum.whole", alt.value(0.8), alt.value(0.3)),
        )
    )
    level = (
        alt.Chart(_part(LEVEL))
        .mark_line(color=USUAL, strokeWidth=1.5)
        .encode(x=_time("middle:T", form), y=alt.Y("usual:Q"))
    )
    tooltip = [
        alt.Tooltip("time:T", title="from", format="%Y-%m-%d %H:%M:%S"),
        alt.Tooltip("transactions:Q", format=","),
        *[alt.Tooltip(f"part{at}:Q", title=named(part), format=",") for at, part in enumerate(parts)],
    ]
    return _layered([bars, level, *_cross(form, tooltip)], LOW)


def part_colours(parts: Sequence[str]) -> dict[str, str]:
    """Returns the colour of each part of the bars over time."""
    free = iter(PALETTE)
    return {part: COLOURS[part] if part in COLOURS else next(free) for part in parts}


@cache
def windows(title: str, numbers: str, form: str) -> Spec:
    """Returns a chart of what was observed of a KPI in windows, with its usual band and the anomaly.

    Its data has the parts :data:`BUCKETS` (the windows), :data:`BAND`, :data:`ODD` and :data:`SPANS`.

    Args:
        title: the title of the vertical axis.
        numbers: the format of numbers.
        form: the format of times.
    """
    y = alt.Y("observed:Q", title=title, scale=alt.Scale(zero=False), axis=_axis(numbers))
    of = alt.Chart(_part(BUCKETS)).encode(x=_time("middle:T", form), y=y)
    tooltip = [
        alt.Tooltip("middle:T", title="five minutes around", format="%Y-%m-%d %H:%M:%S"),
        alt.Tooltip("observed:Q", format=numbers),
        alt.Tooltip("expected:Q", format=numbers),
        alt.Tooltip("usual:N"),
    ]
    line = of.mark_line(color=RATE, strokeWidth=2)
    layers = [*_band(form), line, *_cross(form, tooltip), _odd(form, numbers)]
    return _layered(layers, DETAIL)


def _layered(layers: list[Any], height: int) -> Spec:
    return as_spec(alt.layer(*layers).add_params(alt.param(name=CROSS, value=None)).properties(height=height))


def _part(name: str) -> alt.NamedData:
    return alt.NamedData(name=name)


def _axis(numbers: str) -> alt.Axis:
    return alt.Axis(format=numbers, tickCount=5, minExtent=AXIS, maxExtent=AXIS)


def _time(field: str, form: str) -> alt.X:
    return alt.X(
        field,
        title="time",
        axis=alt.Axis(format=form, labelOverlap=True, tickCount=8, grid=False, titlePadding=6),
    )


def _band(form: str) -> list[Any]:
    """Returns the layers of a usual band: anomalies, the band, and what is expected."""
    base = alt.Chart(_part(BAND)).encode(x=_time("time:T", form), detail="run:N")
    return [
        alt.Chart(_part(SPANS))
        .mark_rect(color=BAD, opacity=0.18, stroke=BAD, strokeWidth=1, strokeOpacity=0.5)
        .encode(x=_time("start:T", form), x2="end:T"),
        base.mark_area(color=USUAL, opacity=0.28, interpolate="monotone").encode(y="low:Q", y2="high:Q"),
        base.mark_line(color=USUAL, strokeWidth=1.5, strokeDash=[5, 4], interpolate="monotone").encode(y="expected:Q"),
    ]


def _odd(form: str, numbers: str) -> Any:  # noqa: ANN401
    """Returns the layer of what was observed in anomalous windows."""
    return (
        alt.Chart(_part(ODD))
        .mark_point(color=BAD, filled=True, shape="diamond", size=50, opacity=1)
        .encode(
            x=_time("time:T", form),
            y="observed:Q",
            tooltip=[
                alt.Tooltip("time:T", title="anomaly, five minutes around", format="%Y-%m-%d %H:%M:%S"),
                alt.Tooltip("observed:Q", format=numbers),
            ],
        )
    )


def _cross(form: str, tooltip: list[alt.Tooltip]) -> list[Any]:
    """Returns the layers of the cross-hair: a line through the bucket under the mouse, and what the bucket has."""
    base = alt.Chart(_part(BUCKETS))
    under = base.transform_filter(f"datum.time === {CROSS}")
    line = under.mark_rule(color="#888", strokeWidth=1, aria=False).encode(x=_time("middle:T", form))
    return [line, base.mark_rect(opacity=0).encode(x=_time("time:T", form), x2="end:T", tooltip=tooltip)]


def _marks(form: str) -> Any:  # noqa: ANN401
    """Returns the layer of alerts, on the axis of time. A click opens the alert."""
    return (
        alt.Chart(_part(MARKS))
        .mark_point(filled=True, shape="triangle-up", size=130, opacity=1, stroke="white", strokeWidth=0.8, yOffset=-7)
        .encode(
            x=_time("time:T", form),
            y=alt.value("height"),
            color=alt.Color(
                "severity:N", scale=alt.Scale(domain=[*SEVERITIES], range=[*SEVERITIES.values()]), legend=None
            ),
            href="url:N",
            tooltip=[
                alt.Tooltip("alert:N"),
                alt.Tooltip("severity:N"),
                alt.Tooltip("time:T", title="opened", format="%Y-%m-%d %H:%M:%S"),
            ],
        )
    )
