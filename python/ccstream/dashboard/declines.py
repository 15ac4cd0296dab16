"""Draws why transactions were declined: by response code, network and country. A click on a row filters by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import declines_figures
from ccstream.dashboard.choosing import clicked, clicks, only
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.timeline_charts import BAD
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    import pandas as pd
    from streamlit.elements.lib.column_types import ColumnConfig

    from ccstream import KpiEngine
    from ccstream.dashboard.declines_figures import Declines
    from ccstream.dashboard.view import View

HELP = (
    "The share is of all declined transactions, and the change is from the preceding period of equal length. The value "
    "is the sum of the declined amounts; a declined refund is negative. A retry may have recovered it. Click a row to "
    "filter by it."
)


def panel(engine: KpiEngine, view: View, zone: tzinfo) -> None:
    """Draws the panel; nothing if no status of these transactions means approved or declined.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
    """
    found = declines_figures.load(engine, view, zone)
    if not found.decided:
        return
    with st.container(border=True, key="declines"):
        st.markdown("##### Why declined", help=HELP)
        st.markdown(_summary(found))
        if not found.declined:
            return
        places = {"payment_method": found.networks, "country": found.countries}
        if found.coded:
            left, right = st.columns([3, 2])
            with left:
                _codes(found)
            with right:
                for name, frame in places.items():
                    _places(frame, name)
        elif some := {name: frame for name, frame in places.items() if not frame.empty}:
            for column, (name, frame) in zip(st.columns(len(some)), some.items(), strict=True):
                with column:
                    _places(frame, name)


def _summary(found: Declines) -> str:
    if not found.declined:
        return f"None of {found.decided:,} transactions was declined."
    if found.value is None:
        return f"None of {found.declined:,} declined transactions has an amount in the currency of this page."
    currency = plain(found.currency or "without a currency")
    return f"Declined amounts: **{found.value:,.2f}** {currency}. Retries may have recovered a part of them."


def _codes(found: Declines) -> None:
    _table(
        found.codes.drop(columns="response_code").assign(share=100 * found.codes["share"]),
        found.codes["response_code"].tolist(),
        "response_code",
        "Declined transactions by response code",
        {
            "reason": st.column_config.TextColumn("Reason", width=190),
            "declined": st.column_config.NumberColumn("Declined", width=75, format="localized"),
            "share": st.column_config.ProgressColumn(
                "Share", width=105, format="%.1f%%", min_value=0, max_value=100, color=BAD
            ),
            "change": st.column_config.TextColumn("Change", width=80),
            "value": st.column_config.NumberColumn(found.currency or "Value", width=100, format="accounting"),
        },
    )
    if found.other_codes:
        st.caption(f"Other response codes: {found.other_codes:,}.")


def _places(frame: pd.DataFrame, name: str) -> None:
    if frame.empty:
        return
    _table(
        frame.assign(rate=100 * frame["rate"]),
        frame[name].tolist(),
        name,
        f"Declined transactions by {DIMENSIONS[name].lower()}",
        {
            name: st.column_config.TextColumn(DIMENSIONS[name], width=110),
            "declined": st.column_config.NumberColumn("Declined", width=75, format="localized"),
            "rate": st.column_config.ProgressColumn(
                "Decline rate",
                width=110,
                format="%.1f%%",
                min_value=0,
                max_value=max(1.0, 100 * float(frame["rate"].max())),
                color=BAD,
            ),
        },
    )


def _table(frame: pd.DataFrame, names: list[str], dimension: str, alt: str, config: Mapping[str, ColumnConfig]) -> None:
    """Draws a table. A click on a row makes its value the filter.

    Args:
        frame: the rows.
        names: the value of each row.
        dimension: the dimension of the values.
        alt: what the table has.
        config: the columns.
    """
    key = f"declines-{dimension}-{clicks()}"

    def pick() -> None:
        cells = st.session_state[key]["selection"]["cells"]
        if cells:
            only(dimension, names[cells[0][0]])
        else:
            clicked()

    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        placeholder="-",
        key=key,
        on_select=pick,
        selection_mode="single-cell",
        alt=alt,
        column_config=config,
    )
