"""Puts files of the project into its documents: ``make generate``; with ``--check`` it only says what is stale.

Between ``<!-- include PATH -->`` and ``<!-- end -->`` a document has the file as a block of code.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"(<!-- include (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
LANGUAGES = {".rs": "rust", ".py": "python"}


def included(text: str) -> str:
    """A document's text with each file as it is now."""

    def block(place: re.Match[str]) -> str:
        begin, name, end = place.groups()
        path = ROOT / name
        return f"{begin}```{LANGUAGES[path.suffix]}\n{path.read_text()}```\n{end}"

    return PLACE.sub(block, text)


def main() -> int:
    """Writes each document that is stale, or names it and returns 1."""
    stale = []
    for document in sorted((ROOT / "docs").glob("*.md")):
        text = document.read_text()
        if (now := included(text)) != text:
            stale.append(document.relative_to(ROOT))
            if "--check" not in sys.argv:
                document.write_text(now)
    if stale and "--check" in sys.argv:
        print("stale, run make generate:", *stale)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
