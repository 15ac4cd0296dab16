"""Writes a page whose text is derived from the code, or checks that it is up to date."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_or_check(path: Path, page: Callable[[str], str]) -> int:
    """Writes what ``page`` makes of the page's text; with ``--check``, returns 1 instead if that would change it."""
    before = path.read_text(encoding="utf-8")
    after = page(before)
    if "--check" in sys.argv[1:]:
        if before != after:
            print(f"docs/{path.name} is out of date, run make generate", file=sys.stderr)
        return int(before != after)
    path.write_text(after, encoding="utf-8")
    return 0
