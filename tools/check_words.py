#!/usr/bin/env python3
"""Finds words that the project avoids in the prose of its tracked files, and names the word to use instead.

Markdown is prose; so are comments, docstrings and strings in the other files. Names are not: code, placeholders in
braces, and any string or span in backticks without a space. ``tools/words_baseline.txt`` counts the findings that are
left to be reworded. The check fails if a word has more findings than its baseline. It also fails if a word has fewer,
until ``--update`` has lowered the baseline. The baseline therefore only shrinks. It counts by word, not by file, so
moving a file does not change it.

Spelling is checked by typos, configured in pyproject.toml. Both typos and codespell have wheels on PyPI; typos is
released more often and also checks the words inside names.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ROOT / "tools" / "words_baseline.txt"
FILES = ["*.rs", "*.py", "*.pyi", "*.md", "*.sql", "*.sh", "*.yml", "*.toml", "*Makefile", ".ci/run"]
OWN = [":!*check_words.py", ":!*test_words.py"]
LONGEST_SUBJECT = 72


class Term(NamedTuple):
    """A word to avoid, and the patterns that find it. A space in a pattern also matches a line break."""

    word: str
    better: str
    wrong: str
    right: str | None = None
    """This pattern matches phrases in which the word is right."""


class Finding(NamedTuple):
    """One place where a file uses a word to avoid."""

    word: str
    path: str
    line: int
    text: str


GLOSSARY = [
    Term("away", "unavailable", "away", r"(?:go|goes|going|gone|went|thrown?|takes?|half|far|right) away|away from"),
    Term("to be had", "available", "to be had"),
    Term("told", "logged, reported, warned", "told|to tell", r"told to|told apart|to tell (?:\w+ )?apart"),
    Term("said", "logged, reported", "said"),
    Term("anew", "again, from the beginning, recreated", "anew"),
    Term("mend", "fix", "mend(?:s|ed|ing)?"),
    Term("stands still", "is suspended, is stopped (SIGSTOP)", "(?:stands?|stood) still"),
    Term("stands there twice", "duplicate", "stands? there twice"),
    Term("stands", "is", "stands?|stood", r"(?:stands?|stood) for|stand-\w+"),
    Term("repeats", "duplicate", "repeats?", "(?:to|that|not|README) repeats?"),
    Term("given up", "revoked", r"given up|giving up of|gives? (?:them|it) up|gives? up (?:\w+ )?partitions?"),
    Term("taken away", "revoked", "taken away"),
    Term("placed", "assigned", r"placed|placing|places? (?:\w+ )?partitions?"),
    Term(
        "so many",
        "a number of, a duration, after N s",
        "so (?:many|much|few|long)",
        r"so (?:many|much|few|long)(?: \w+)? (?:as|that)",
    ),
    Term("looked at", "inspected, queried", "look(?:s|ed|ing)? at"),
    Term("looked up", "queried", "look(?:s|ed|ing)? up"),
    Term("of its own", "separate, its own", "of (?:its|their) own", "of its own (?:partitions|round)"),
    Term("conversion rate", "approval rate", "conversion rates?"),
    Term("sent again", "re-sent, replayed", r"(?:sends?|sent|sending)(?: \w+)? again"),
    Term("kept", "dead letters", r"kept (?:messages?|payloads?)|(?:messages?|bad|rejected)(?: \w+){0,3} kept"),
]
BETTER = {term.word: term.better for term in GLOSSARY}


def _pattern() -> re.Pattern[str]:
    """Joins all patterns. The phrases that are right come first and have no group; each word has a numbered group."""
    right = [term.right for term in GLOSSARY if term.right]
    wrong = [f"(?P<w{number}>{term.wrong})" for number, term in enumerate(GLOSSARY)]
    return re.compile(rf"\b(?:{'|'.join([*right, *wrong])})\b".replace(" ", r"\s+"), re.IGNORECASE)


WORDS = _pattern()
STRINGS = r"""(?P<quote>\"{3}|'{3})(?:\\.|.)*?(?P=quote)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
RUST_STRINGS = r"""\bb?r(?P<hashes>\#*)".*?"(?P=hashes)|"(?:\\.|[^"\\])*"|'(?:\\[^'\n]*'|\\''|[^'\\\n]')"""
GENERATED = r"<!-- generated: .*?<!-- generated, to here -->"
"""Parts of a document that are made from other files, which are searched instead."""
HASH = r"(?<!\S)\#[^\n]*"
LANGUAGES = {".rs": (r"//[^\n]*|/\*.*?\*/", RUST_STRINGS), ".sql": (r"--[^\n]*", STRINGS)}


def _erase(part: str | re.Match[str], by: str = "\0") -> str:
    """Overwrites text but leaves its spaces and line breaks. No phrase matches across a NUL."""
    return re.sub(r"\S", by, part if isinstance(part, str) else part.group())


def prose(text: str, suffix: str) -> str:
    """Overwrites all of a file's text that is not prose. Every word keeps its position."""
    if suffix != ".md":
        comment, string = LANGUAGES.get(suffix, (HASH, STRINGS))
        parts, end = [], 0
        for token in re.finditer(f"(?P<comment>{comment})|{string}", text, re.DOTALL):
            part = token.group()
            if token["comment"]:
                part = re.sub(r"^[/#!*-]+", lambda marker: _erase(marker, " "), part)
            elif re.search(r"\s", part):
                part = re.sub(r"""^["'#]+|["'#]+$|\\.""", lambda mark: _erase(mark, " "), part, flags=re.DOTALL)
                part = re.sub(r"\{[^{}\n]*\}", _erase, part)
            else:
                part = _erase(part)
            parts += [_erase(text[end : token.start()]), part]
            end = token.end()
        text = "".join([*parts, _erase(text[end:])])
    else:
        text = re.sub(GENERATED, _erase, text, flags=re.DOTALL)
    return re.sub(r"`[^`\s]+`", _erase, text)


def _git(*arguments: str) -> list[str]:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def findings() -> list[Finding]:
    """Searches all tracked files."""
    found = []
    for path in map(Path, _git("ls-files", "--", *FILES, *OWN)):
        if (ROOT / path).exists():
            text = prose((ROOT / path).read_text("utf-8"), path.suffix)
            for use in WORDS.finditer(text):
                if use.lastgroup:
                    term, line = GLOSSARY[int(use.lastgroup[1:])], text.count("\n", 0, use.start()) + 1
                    found.append(Finding(term.word, str(path), line, " ".join(use.group().split())))
    return found


def _show(found: list[Finding]) -> None:
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.text!r}, better: {BETTER[finding.word]}")


def _changed(found: list[Finding]) -> list[Finding]:
    """Selects the findings in files that changed since the baseline did; the new ones are among them."""
    commit = _git("log", "-1", "--format=%H", "--", str(BASELINE))
    changed = set(_git("diff", "--name-only", *commit))
    return [finding for finding in found if finding.path in changed] or found


def check(*, update: bool) -> int:
    """Compares the findings with the baseline, which ``update`` lowers first; returns the exit status."""
    found = findings()
    counts = Counter(finding.word for finding in found)
    lines = [line.split(" ", 1) for line in BASELINE.read_text().splitlines()]
    baseline = Counter({word: int(count) for count, word in lines})
    if update:
        baseline &= counts
        BASELINE.write_text("".join(f"{count} {word}\n" for word, count in baseline.items()))
    for word in BETTER:
        if counts[word] > baseline[word]:
            print(
                f"{word}: {counts[word]} findings, {baseline[word]} in {BASELINE.name}; the new ones are among these:"
            )
            _show(_changed([finding for finding in found if finding.word == word]))
    fewer = [word for word in baseline if counts[word] < baseline[word]]
    if fewer:
        print(f"{', '.join(fewer)}: fewer findings than in {BASELINE.name}; run tools/check_words.py --update")
    return int(counts != baseline)


def check_subjects(base: str) -> int:
    """Lists the commits since ``base`` whose subjects are too long; returns the exit status."""
    commits = [line.split(" ", 1) for line in _git("log", "--format=%h %s", f"{base}..")]
    long = [
        f"{commit}: {len(subject)} characters: {subject}"
        for commit, subject in commits
        if len(subject) > LONGEST_SUBJECT
    ]
    print("\n".join(long), end="\n" if long else "")
    return int(bool(long))


def main() -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Finds words that the project avoids.")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--list", action="store_true", help="list all findings")
    only.add_argument("--update", action="store_true", help="lower the baseline to today's findings")
    only.add_argument("--commits", metavar="BASE", help="list commit subjects above 72 characters since BASE")
    arguments = parser.parse_args()
    if arguments.commits:
        return check_subjects(arguments.commits)
    if arguments.list:
        _show(findings())
        return 0
    return check(update=arguments.update)


if __name__ == "__main__":
    sys.exit(main())
