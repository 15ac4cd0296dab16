"""The check of the documentation's links, on a small site that is wrong in every way that it knows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from services import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import check_links

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '<h1 id="top">A</h1><a href="b.html#part">b</a><a href="#top">here</a><a href="https://example.org/">out</a>'
OTHER = '<h2 id="part">B</h2><img src="picture.svg"><link rel="canonical" href="https://example.org/b.html">'


def site(folder: Path, more: str = "") -> list[str]:
    """What is wrong with a site of two pages and a picture."""
    (folder / "index.html").write_text(GOOD + more, encoding="utf-8")
    (folder / "b.html").write_text(OTHER, encoding="utf-8")
    (folder / "picture.svg").write_text("<svg/>", encoding="utf-8")
    wrong, external = check_links.broken_in_site(folder)
    assert external == {"https://example.org/"}
    return wrong


def test_a_sound_site_has_nothing_wrong(tmp_path: Path) -> None:
    assert site(tmp_path) == []


def test_each_kind_of_fault_is_named(tmp_path: Path) -> None:
    faults = (
        '<a href="c.html">no page</a><a href="b.html#gone">no anchor</a><a href="#gone">no anchor here</a>'
        '<img src="gone.png"><script src="https://cdn.example.org/x.js"></script>'
        '<link rel="stylesheet" href="//fonts.example.org/x.css">'
    )
    wrong = site(tmp_path, faults)
    assert len(wrong) == 6
    for part in (
        "c.html",
        "b.html#gone",
        "#gone",
        "gone.png",
        "https://cdn.example.org/x.js",
        "//fonts.example.org/x.css",
    ):
        assert any(part in one for one in wrong), part


def test_links_from_the_readme_lead_somewhere() -> None:
    wrong, external = check_links.broken_in_markdown(ROOT)
    assert wrong == []
    assert external


def test_anchors_are_those_that_hosts_give() -> None:
    text = "# The *first*\n\n```sh\n# a comment\n```\n\n## `a_b` and PostgreSQL's\n\nx `# y`\n"
    assert check_links.markdown_anchors(text) == {"the-first", "a_b-and-postgresqls"}
