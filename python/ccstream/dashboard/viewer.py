"""Says what the page knows of its viewer."""

from __future__ import annotations

from datetime import timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from ccstream.dashboard.view import LOCAL, UTC


def own_zone() -> tzinfo:
    """Returns the time zone of the viewer's browser."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return timezone.utc


def zone() -> tzinfo:
    """Returns the time zone in which the page shows times: the viewer's own, or UTC if the viewer has chosen it."""
    return timezone.utc if shows_utc() else own_zone()


def shows_utc() -> bool:
    """Returns whether the viewer has chosen UTC, by the switch in the side bar or by the address."""
    state = st.session_state
    if "zone" in state:
        return bool(state["zone"] == UTC)
    # The page of alerts has no side bar. The dashboard's view is kept while the viewer is there.
    chosen = state["view"].zone if "view" in state else st.query_params.get("zone", LOCAL)
    return bool(chosen == UTC)


def in_address() -> dict[str, str]:
    """Returns the part of an address that chooses the time zone; nothing for the viewer's own."""
    return {"zone": UTC} if shows_utc() else {}
