"""Draws the approval rate over time with its usual band, anomalies and alerts, and the volume below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import approval_charts, approval_figures, charts
from ccstream.dashboard.approval_charts import BAD, OTHER, RATE
from ccstream.dashboard.approval_figures import BAND, BUCKETS, LEVEL, MARKS, NAMED, ODD, PARTS, SPANS
from ccstream.dashboard.charts import TRANSACTIONS, USUAL
from ccstream.dashboard.dimensions import plain

if TYPE_CHECKING:
    from datetime import tzinfo

    from streamlit.navigation.page import Page

    from ccstream.dashboard.band_tables import Band, Mark
    from ccstream.dashboard.figures import Figures

BAND_NAME = "usual, by windows of five minutes"
LINE, DASHES, AREA, BAR, DIAMOND, TRIANGLE = "line", "dashes", "area", "bar", "diamond", "triangle"
"""The forms of the keys of a legend, which are classes of :data:`STYLE`."""
STYLE = """<style>
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; font-size: .875rem; margin: 0; padding: 0 }
.legend span { display: inline-flex; align-items: center; gap: .4rem }
.legend i { display: inline-block; flex: none; width: 1.1rem; height: .7rem; background: currentColor }
.legend i.line { height: 0; background: none; border-top: 2.5px solid currentColor }
.legend i.dashes { height: 0; background: none; border-top: 2px dashed currentColor }
.legend i.area { opacity: .45 }
.legend i.bar { opacity: .8 }
.legend i.diamond { width: .7rem; clip-path: polygon(50% 0, 100% 50%, 50% 100%, 0 50%) }
.legend i.triangle { width: .75rem; clip-path: polygon(50% 0, 100% 100%, 0 100%) }
.st-key-approval { gap: .6rem }
.st-key-approval-alerts { row-gap: 0 }
:is(.st-key-approval, .st-key-alert-kpi) g[role="graphics-symbol"]:empty { display: none }
</style>"""
"""The style of legends. It also hides empty groups of marks from screen readers, as that of other charts does."""


def panel(figures: Figures, band: Band, zone: tzinfo, alerts: Page) -> None:
    """Draws both charts.

    Args:
        figures: the figures of the page.
        band: the usual band, and the alerts of the range.
        zone: the viewer's time zone.
        alerts: the page of alerts.
    """
    with st.container(border=True, key="approval"):
        if figures.width is None or figures.series.empty:
            st.caption("None of these transactions has a timestamp.")
            return
        width = charts.describe(figures.width)
        form = charts.time_form(figures.width, len(figures.series))
        cells, marked = approval_figures.within(band, figures.series)
        found = approval_figures.anomalies(cells, band.step)
        frames = {
            BUCKETS: approval_figures.buckets(figures.series, cells, band.width),
            BAND: approval_figures.lines(cells, band.width),
            ODD: approval_figures.odd(cells),
            SPANS: approval_figures.spans(found),
            MARKS: approval_figures.marks(marked),
        }
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"##### Approval rate per {width}", help=_help(), width="content")
            if said := approval_figures.words(cells, found, zone):
                st.markdown(said, width="content")
        keys = [(LINE, RATE, "approval rate")]
        keys += [(AREA, USUAL, BAND_NAME), (DASHES, USUAL, "expected")] if cells else []
        keys += [(DIAMOND, BAD, "anomaly")] if found else []
        keys += [(TRIANGLE, BAD, "alert")] if marked else []
        legend(keys)
        spec = approval_charts.approval(form, has_band=bool(cells))
        st.vega_lite_chart(
            spec={**spec, "datasets": frames}, key=f"approval-{bool(cells)}", alt=f"Approval rate per {width}"
        )
        if marked:
            _links(marked, zone, alerts)
        st.markdown(
            f"##### Transactions per {width}",
            help="A pale bar is not over yet, or lies only partly within the range.",
        )
        parts = approval_figures.stacked(figures.series)
        keys = [(BAR, TRANSACTIONS, "approved"), (BAR, BAD, "declined")]
        keys += [(BAR, OTHER, "neither")] if (parts["status"] == "other").any() else []
        legend([*keys, (LINE, USUAL, "moving average")])
        whole = frames[BUCKETS].assign(usual=figures.series["usual"])
        frames = {
            BUCKETS: frames[BUCKETS],
            PARTS: parts,
            LEVEL: whole.loc[whole["whole"], ["middle", "usual"]],
        }
        st.vega_lite_chart(
            spec={**approval_charts.volume(form), "datasets": frames}, key="volume", alt=f"Transactions per {width}"
        )
        if figures.untimed:
            st.caption(f"{figures.untimed:,} transactions have no timestamp; all other figures include them.")


def legend(keys: list[tuple[str, str, str]]) -> None:
    """Draws a legend. Each key has a form, a colour and a text without markup."""
    shown = "".join(f'<span><i class="{form}" style="color:{colour}"></i>{text}</span>' for form, colour, text in keys)
    st.html(f'<div class="legend">{shown}</div>')


def _help() -> str:
    return (
        "The share of approved transactions among those with a status that means approved or declined. A pale point is "
        "not over yet, or lies only partly within the range. `ccstream analyze` knows the usual band of all "
        "transactions and of each network, which is the filter by one payment method, while `alerts.toml` has a rule "
        "of the kind `anomaly`. Over several windows, their mean is shown."
    )


def _links(marked: list[Mark], zone: tzinfo, alerts: Page) -> None:
    """Names the most urgent alert of each rule, because a mark of the chart cannot be reached by keyboard."""
    of_rules: dict[str, Mark] = {}
    for one in marked:
        of_rules.setdefault(one.rule, one)
    named = list(of_rules.values())[:NAMED]
    with st.container(horizontal=True, vertical_alignment="center", key="approval-alerts"):
        for one in named:
            st.page_link(
                alerts,
                label=f"{approval_figures.moment(one.opened_at, zone)} {plain(approval_figures.name(one))}",
                icon=":material/notifications:",
                query_params={"alert": str(one.id)},
            )
        if len(marked) > len(named):
            st.page_link(alerts, label="All alerts")
