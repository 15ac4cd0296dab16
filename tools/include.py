"""Copies files of the project into its documents: ``make generate``. With ``--check``, it only lists stale documents.

A document has a file as a code block between ``<!-- include PATH -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"(<!-- include (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
LANGUAGES = {".rs": "rust", ".py": "python"}


def included(text: str) -> str:
    """Returns a document's text with the current text of each included file."""

    def block(place: re.Match[str]) -> str:
        begin, name, end = place.groups()
        path = ROOT / name
        return f"{begin}```{LANGUAGES[path.suffix]}\n{path.read_text()}```\n{end}"

    return PLACE.sub(block, text)


def main() -> int:
    """Writes the stale documents; with ``--check`` it only lists them and returns 1 if there are any."""
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
