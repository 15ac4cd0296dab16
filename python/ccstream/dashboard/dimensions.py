"""Converts values of dimensions to and from their names on the page and in conditions."""

from __future__ import annotations

import re

UNKNOWN = "(unknown)"
"""The name of an absent value on the page."""
CODE = re.compile("[a-z][a-z0-9_]*")
NAMES = {
    "amex": "American Express",
    "food_dining": "Food and dining",
    "gas_transport": "Fuel and transport",
    "grocery_net": "Groceries online",
    "grocery_pos": "Groceries in shops",
    "health_fitness": "Health and fitness",
    "jcb": "JCB",
    "kids_pets": "Kids and pets",
    "misc_net": "Other, online",
    "misc_pos": "Other, in shops",
    "shopping_net": "Shopping online",
    "shopping_pos": "Shopping in shops",
    "unionpay": "UnionPay",
}
"""The names of codes of categories and networks for which large first letters are not enough."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def shown(value: str | None) -> str:
    """Returns a value's name on the page."""
    return UNKNOWN if value is None else value


def meant(name: str) -> str | None:
    """Returns the value that a name on the page stands for."""
    return None if name == UNKNOWN else name


def named(value: str) -> str:
    """Returns a code as a person writes it, such as ``Food and dining`` for ``food_dining``.

    A code has only small letters, digits and underscores. Other texts, such as names of merchants, stay as they are.
    """
    return NAMES.get(value) or (value.replace("_", " ").capitalize() if CODE.fullmatch(value) else value)


def plain(text: str) -> str:
    """Escapes a text for Markdown. A text from the page's address must not become a link or load a remote picture."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])", r"\\\1", text).replace("\n", " ")
