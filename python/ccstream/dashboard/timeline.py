"""Draws a measure over time with its usual band, anomalies and alerts, and the volume below it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from ccstream.dashboard import charts, timeline_charts, timeline_figures
from ccstream.dashboard.board import add, box, choice, link, text
from ccstream.dashboard.charts import SHOWN, USUAL
from ccstream.dashboard.component import plot
from ccstream.dashboard.dimensions import named
from ccstream.dashboard.head import head
from ccstream.dashboard.presence import stacks
from ccstream.dashboard.timeline_charts import BAD
from ccstream.dashboard.timeline_figures import BAND, BUCKETS, LEVEL, MARKS, NAMED, ODD, PARTS, SPANS
from ccstream.dashboard.view import CHARTED, COMPARED, STACKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    import pandas as pd
    from streamlit.navigation.page import Page

    from ccstream.dashboard.band_tables import Band, Cell, Mark
    from ccstream.dashboard.compared import Compared
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.view import View

ZOOM = "Drag to zoom, or click a time; double click to go back."
ABOUT = {
    "value": "Of approved purchases; refunds are not subtracted. ",
    "average": "Of approved purchases. ",
    "refunds": "Approved amounts below zero, as a positive number. ",
    "declined": "Transactions with a status that means declined. ",
}
"""What measures mean, if their names do not say it."""
BAND_NAME = "usual, by windows of five minutes"
LINE, DASHES, AREA, BAR, DIAMOND, TRIANGLE = "line", "dashes", "area", "bar", "diamond", "triangle"
"""The forms of the keys of a legend, for which the component has a style."""


class _Drawn(NamedTuple):
    """Holds what both charts show.

    Attributes:
        figures: the figures of the page.
        compared: the earlier period that the large chart compares with; None without one.
        buckets: the buckets of time.
        width: a bucket's width in words.
        form: the format of times.
    """

    figures: Figures
    compared: Compared | None
    buckets: pd.DataFrame
    width: str
    form: str


class Actions(NamedTuple):
    """Holds what happens when a viewer does something with the charts.

    Attributes:
        alerts: the page of alerts, to which marks and links lead.
        changed: a function that is called after a switch was changed.
        zoom: a function that is called with a range of time that was dragged over.
        back: a function that is called after a double click.
    """

    alerts: Page
    changed: Callable[[], None]
    zoom: Callable[[datetime, datetime], None]
    back: Callable[[], None]


def panel(
    figures: Figures,
    view: View,
    band: Band,
    zone: tzinfo,
    actions: Actions,
    *,
    earlier: Compared | None = None,
    has_volume: bool = True,
) -> None:
    """Adds both charts to the current board.

    Args:
        figures: the figures of the page.
        view: the settings of the page.
        band: the usual band of the approval rate, and the alerts of the range.
        zone: the viewer's time zone.
        actions: what happens when a viewer does something.
        earlier: the earlier period that the large chart compares with; None without one.
        has_volume: whether the chart of the volume is drawn, too.
    """
    with box("panel", "timeline"):
        if figures.width is None or figures.series.empty:
            text("no-time", ["None of these transactions has a timestamp."], small=True)
            return
        cells, marked = timeline_figures.within(band, figures.series)
        # The band is that of the approval rate alone.
        cells = cells if view.metric == "approved_share" else []
        drawn = _Drawn(
            figures,
            earlier,
            timeline_figures.buckets(figures.series, cells, band.width),
            charts.describe(figures.width),
            charts.time_form(figures.width, len(figures.series)),
        )
        _over_time(drawn, view.metric, (band, cells, marked), zone, actions)
        if marked:
            _links(marked, zone, actions.alerts)
        if has_volume:
            _volume(drawn, actions)
        if figures.untimed:
            untimed = f"{figures.untimed:,} transactions have no timestamp; all other figures include them."
            text("untimed", [untimed], small=True)


def switch(measures: list[str], changed: Callable[[], None]) -> None:
    """Adds the switch of the measure that all charts show.

    Args:
        measures: the measures to choose from, keys of :data:`ccstream.dashboard.view.CHARTED`.
        changed: a function that is called after a choice.
    """
    choice("radio", "metric", "Charts show", {one: CHARTED[one] for one in measures}, changed)


def _over_time(
    drawn: _Drawn, metric: str, known: tuple[Band, list[Cell], list[Mark]], zone: tzinfo, actions: Actions
) -> None:
    """Draws the large chart. ``known`` has the band with its cells, and the alerts of the range."""
    band, cells, marked = known
    found = timeline_figures.anomalies(cells, band.step)
    shown = SHOWN[metric]
    title = f"{shown.title} per {drawn.width}"
    if shown.column in charts.MONEY:
        title += f", {drawn.figures.currency or 'no currency'}"
    with box("line", "over-time-head"):
        head(
            title,
            "over-time",
            lambda: drawn.figures.series,
            help=_help(metric),
            currency=drawn.figures.currency,
            beside=timeline_figures.words(cells, found, zone),
        )
        compared = {"": "Compare with nothing", **COMPARED}
        choice("select", "compare", "Compare with", compared, actions.changed)
    keys = [(LINE, shown.colour, shown.title.lower())]
    buckets, earlier = drawn.buckets, drawn.compared
    if earlier is not None and earlier.missing is None:
        buckets = timeline_figures.with_earlier(buckets, earlier.frame, shown.column)
        keys.append((DASHES, timeline_charts.EARLIER, earlier.name))
    keys += [(AREA, USUAL, BAND_NAME), (DASHES, USUAL, "expected")] if cells else []
    keys += [(DIAMOND, BAD, "anomaly")] if found else []
    keys += [(TRIANGLE, BAD, "alert")] if marked else []
    legend("over-time-legend", keys)
    frames = {
        BUCKETS: buckets,
        MARKS: timeline_figures.marks(marked),
    }
    if cells:
        frames[BAND] = timeline_figures.lines(cells, band.width)
        frames[ODD] = timeline_figures.odd(cells)
        frames[SPANS] = timeline_figures.spans(found)
    name = earlier.name if earlier is not None and earlier.missing is None else None
    spec = timeline_charts.over_time(metric, drawn.form, has_band=bool(cells), compared=name)
    _plot(frames, spec, "over-time", title, actions)
    if earlier is not None and earlier.missing is not None:
        text("not-compared", [f"There is no line of {earlier.name}: {earlier.missing}."], small=True)


def _plot(frames: dict[str, pd.DataFrame], spec: charts.Spec, key: str, title: str, actions: Actions) -> None:
    def zoomed(start: float, end: float) -> None:
        actions.zoom(*(datetime.fromtimestamp(time / 1000, timezone.utc) for time in (start, end)))

    plot(frames, spec, key=key, alt=title, zoomed=zoomed, back=actions.back)


def _volume(drawn: _Drawn, actions: Actions) -> None:
    stack = drawn.figures.stack
    stacked = timeline_figures.stacked(drawn.figures.series, stack)
    with box("line", "volume-head"):
        head(
            f"Transactions per {drawn.width}",
            "parts-over-time",
            lambda: stacked.drop(columns=["bottom", "top"]),
            help="A pale bar is not over yet, or lies only partly within the range. Beside the largest six, all others "
            "are one part.",
        )
        names = {name: f"By {STACKS[name].lower()}" for name in stacks(drawn.figures.known)}
        choice("select", "stack", "Divided by", names, actions.changed)
    colours = timeline_charts.part_colours(tuple(stack))
    legend("volume-legend", [(BAR, colours[part], named(part)) for part in stack] + [(LINE, USUAL, "moving average")])
    whole = drawn.buckets.assign(usual=drawn.figures.series["usual"])
    frames = {
        BUCKETS: drawn.buckets.assign(**{f"part{at}": counts for at, counts in enumerate(stack.values())}),
        PARTS: stacked,
        LEVEL: whole.loc[whole["whole"], ["middle", "usual"]],
    }
    spec = timeline_charts.volume(drawn.form, tuple(stack))
    _plot(frames, spec, "volume", f"Transactions per {drawn.width}", actions)


def legend(key: str, keys: list[tuple[str, str, str]]) -> None:
    """Adds a legend. Each of its keys has a form, a colour and a text."""
    add(key, {"kind": "legend", "keys": keys})


def _help(metric: str) -> str:
    pale = "A pale point is not over yet, or lies only partly within the range. "
    if metric == "approved_share":
        return (
            "The share of approved transactions among those with a status that means approved or declined. "
            f"{pale}`ccstream analyze` knows the usual band of all transactions and of each network, which is the "
            "filter by one payment method, while `alerts.toml` has a rule of the kind `anomaly`. Over several windows, "
            f"their mean is shown. {ZOOM}"
        )
    return f"{ABOUT.get(metric, '')}{pale}{ZOOM}"


def _links(marked: list[Mark], zone: tzinfo, alerts: Page) -> None:
    """Names the most urgent alert of each rule, because a mark of the chart cannot be reached by keyboard."""
    of_rules: dict[str, Mark] = {}
    for one in marked:
        of_rules.setdefault(one.rule, one)
    named = list(of_rules.values())[:NAMED]
    with box("line", "timeline-alerts"):
        for one in named:
            name = f"{timeline_figures.moment(one.opened_at, zone)} {timeline_figures.name(one)}"
            link(f"timeline-alert-{one.id}", name, alerts, alert=str(one.id))
        if len(marked) > len(named):
            link("timeline-all-alerts", "All alerts", alerts)
