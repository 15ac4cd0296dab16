"""What transactions can be filtered by, and how an absent value is named: on the page and in conditions."""

from __future__ import annotations

DIMENSIONS = {
    "category": "Category",
    "city": "City",
    "country": "Country",
    "merchant": "Merchant",
    "payment_method": "Payment method",
    "status": "Status",
    "currency": "Currency",
    "entry_mode": "Entry mode",
    "risk": "Risk flag",
}
"""Each dimension, and what the page calls it."""
UNKNOWN = "(unknown)"
"""The name of an absent value."""


def shown(value: str | None) -> str:
    """A value's name on the page."""
    return UNKNOWN if value is None else value


def meant(name: str) -> str | None:
    """The value that a name stands for."""
    return None if name == UNKNOWN else name
