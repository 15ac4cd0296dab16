"""Makes texts whose parts have styles. Unlike Markdown, they need no escapes: no value can become markup."""

from __future__ import annotations

from typing import Literal, TypeAlias

Style: TypeAlias = Literal["bold", "small", "good", "bad", "doubtful", "code"]
Run: TypeAlias = "str | tuple[Style, str]"
"""A text, or a style with a text."""


def bold(text: str) -> Run:
    """Returns a bold text."""
    return ("bold", text)


def good(text: str) -> Run:
    """Returns a text in the colour of what is well."""
    return ("good", text)


def bad(text: str) -> Run:
    """Returns a text in the colour of what is wrong."""
    return ("bad", text)


def doubtful(text: str) -> Run:
    """Returns a text in the colour of what may be wrong."""
    return ("doubtful", text)


def said(*runs: Run) -> str:
    """Returns a text without its styles."""
    return "".join(run if isinstance(run, str) else run[1] for run in runs)
