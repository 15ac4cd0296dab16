"""Describes what can be segmented: merchants by their cards, and cards by their merchants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Describes one kind of member.

    Attributes:
        name: The kind's name, as ``--of`` has it: ``merchants`` or ``cards``.
        key: The column of ``orders`` that identifies a member. It is also the key of the kind's table.
        other: The column of ``orders`` that identifies whom a member trades with.
        once: The word for a member whose partners seldom come twice.
        again: The word for a member whose partners often come again.
    """

    name: str
    key: str
    other: str
    once: str
    again: str

    @property
    def table(self) -> str:
        """The name of the table of members."""
        return f"{self.name.removesuffix('s')}_segment"


KINDS = {
    "merchants": Kind("merchants", "merchant", "card_token", "passing", "returning"),
    "cards": Kind("cards", "card_token", "merchant", "roaming", "loyal"),
}
"""The kinds by their names."""
