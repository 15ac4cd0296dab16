"""Makes charts show times in UTC. Vega shows times in the browser's time zone unless a specification says otherwise."""

from __future__ import annotations

from typing import Any

_SCALE = {"type": "utc"}


def in_utc(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns a Vega-Lite specification whose axes and tooltips show times in UTC.

    Args:
        spec: a specification of times as the browser shows them. It is not changed.
    """
    found: dict[str, Any] = _converted(spec)
    return found


def _converted(part: Any) -> Any:  # noqa: ANN401
    if isinstance(part, list):
        return [_converted(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {name: _converted(one) for name, one in part.items()}
    if found.get("type") == "temporal" and "field" in found:
        # Vega-Lite formats a field by its scale. It does so in a tooltip, too, which has no scale otherwise.
        found["scale"] = {**found.get("scale", {}), **_SCALE}
        if found.get("title") == "time":
            found["title"] = "time (UTC)"
    return found
