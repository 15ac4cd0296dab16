#!/usr/bin/env python3
"""Checks the links of the built documentation and of the Markdown files outside it; ``make docs`` runs it.

Zensical's strict mode checks links from one Markdown page to another. This check adds the rest: links and pictures as
they are in the built HTML, their anchors, and links from README.md and other files outside ``docs/``, which also have
to work where no site is built. It also checks that no page loads anything from another host. ``--external`` lists the
links that lead to other hosts; they are not requested.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "target" / "site"
LOADED = {"img": "src", "script": "src", "source": "src", "iframe": "src", "link": "href"}
"""The elements by which a page loads something, and the attribute that says what."""
NOT_LOADED = {"canonical", "prev", "next", "alternate", "author", "license"}
"""Kinds of ``<link>`` that name something without loading it."""
CODE = re.compile(r"^(`{3,}).*?^\1`*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Page(HTMLParser):
    """Collects the links of a page, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what an element links to or loads."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADED and LOADED[tag] in given and not NOT_LOADED & set(given.get("rel", "").split()):
            self.loaded.append(given[LOADED[tag]])


def slug(heading: str) -> str:
    """Returns the anchor that code hosts and Zensical both give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


def markdown_anchors(text: str) -> set[str]:
    """Returns the anchors of a Markdown file's headings."""
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", CODE.sub(_keep_inline, text), re.MULTILINE)}


def _keep_inline(code: re.Match[str]) -> str:
    return "" if code[1] else code[0]


def is_external(link: str) -> bool:
    """Returns whether a link leads to another host."""
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def broken_in_site(site: Path) -> tuple[list[str], set[str]]:
    """Returns what is wrong with the built pages, and their links to other hosts."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    wrong, external = [], set()
    for path, page in pages.items():
        # 404.html is served at any address, so its relative links have no fixed target.
        if path.name == "404.html":
            continue
        name = path.relative_to(site)
        wrong += [f"{name} loads {one} from another host" for one in page.loaded if is_external(one)]
        external |= {link for link in page.links if is_external(link)}
        for link in filter(lambda one: not is_external(one), [*page.links, *page.loaded]):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                wrong.append(f"{name}: {link} does not exist")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                wrong.append(f"{name}: {link} names no anchor of that page")
    return wrong, external


def broken_in_markdown(root: Path) -> tuple[list[str], set[str]]:
    """Returns what is wrong with the Markdown files outside ``docs/``, and their links to other hosts."""
    command = ["git", "ls-files", "*.md"]
    listed = subprocess.run(command, capture_output=True, check=True, cwd=root, text=True).stdout
    wrong, external = [], set()
    for name in [one for one in listed.splitlines() if not one.startswith("docs/")]:
        text = (root / name).read_text(encoding="utf-8")
        for link in MARKDOWN_LINK.findall(CODE.sub("", text)):
            if is_external(link):
                external.add(link)
                continue
            path, _, anchor = link.partition("#")
            target = (root / name).parent / path if path else root / name
            if not target.exists():
                wrong.append(f"{name}: {link} does not exist")
            elif (
                anchor and target.suffix == ".md" and anchor not in markdown_anchors(target.read_text(encoding="utf-8"))
            ):
                wrong.append(f"{name}: {link} names no heading of that file")
    return wrong, external


def main() -> int:
    """Prints what is broken. Returns 1 if anything is, else 0."""
    parser = argparse.ArgumentParser(description="Checks the links of the built documentation.")
    parser.add_argument("site", nargs="?", type=Path, default=SITE, help="the built site (default: target/site)")
    parser.add_argument("--external", action="store_true", help="list the links that lead to other hosts")
    options = parser.parse_args()
    if not (options.site / "index.html").is_file():
        print(f"There is no site in {options.site}. Build it with: make docs", file=sys.stderr)
        return 1
    wrong, external = broken_in_site(options.site)
    more, others = broken_in_markdown(ROOT)
    if options.external:
        print("\n".join(sorted(external | others)))
    print("\n".join(wrong + more), end="\n" if wrong + more else "", file=sys.stderr)
    return int(bool(wrong + more))


if __name__ == "__main__":
    sys.exit(main())
