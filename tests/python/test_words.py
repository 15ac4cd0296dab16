"""Tests of the check of the project's words. They run the command on small repositories that they create."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from services import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WRONG = [
    ("PostgreSQL is away until then", "away", "away", "unavailable"),
    ("a broker that is not to be had", "to be had", "to be had", "available"),
    ("The loss is told once", "told", "told", "logged, reported, warned"),
    ("What to tell of the group", "to tell", "told", "logged, reported, warned"),
    ("counted as missing and said aloud", "said", "said", "logged, reported"),
    ("Anew, from the first offset", "Anew", "anew", "again, from the beginning, recreated"),
    ("no waiting mends it", "mends", "mend", "fix"),
    ("Kafka stood still", "stood still", "stands still", "is suspended, is stopped (SIGSTOP)"),
    ("the key stands there twice", "stands there twice", "stands there twice", "duplicate"),
    ("where the partition stands", "stands", "stands", "is"),
    ("After a repeat was found", "repeat", "repeats", "duplicate"),
    ("Partitions are given up", "given up", "given up", "revoked"),
    ("that would give them up", "give them up", "given up", "revoked"),
    ("it was taken away by the group", "taken away", "taken away", "revoked"),
    ("since they were placed", "placed", "placed", "assigned"),
    ("it places partitions", "places partitions", "placed", "assigned"),
    ("at most so many rows", "so many", "so many", "a number of, a duration, after N s"),
    ("again after so long", "so long", "so many", "a number of, a duration, after N s"),
    ("LOOKS AT the database", "LOOKS AT", "looked at", "inspected, queried"),
    ("ids are looked up", "looked up", "looked up", "queried"),
    ("a thread of its own until it ends", "of its own", "of its own", "separate, its own"),
    ("Conversion rate by day", "Conversion rate", "conversion rate", "approval rate"),
    ("2 messages were sent again", "sent again", "sent again", "re-sent, replayed"),
    ("then it sends them again", "sends them again", "sent again", "re-sent, replayed"),
    ("every bad message is kept", "bad message is kept", "kept", "dead letters"),
    ("Counts the kept messages", "kept messages", "kept", "dead letters"),
]
"""Each entry has a sentence, the phrase found in it, the word that it is counted as, and the better word."""

RIGHT = [
    "The page goes away, half away from zero, thrown away.",
    "It runs until told to stop, in colours that can be told apart.",
    "Only the id serves to tell them apart.",
    "A retold or untold word is another: recommend, amendment, steadied, misplaced, newspaper.",
    "ISO 4217 stands for the currency, a standing query, a stand-alone server.",
    "The flag may be given to repeat a test.",
    "The server gives up after 5 s, where it looked for the row.",
    "So long as it runs; so many rows that memory is full.",
    "In the place of the last row, cells of its own partitions.",
    "It is sent, and then again; the columns are kept in a file.",
    "<!-- generated: list -->\nIt was told anew.\n<!-- generated, to here -->",
    "Names are no prose: `told`, `sent_again`, told_apart_anew, x.said_so().",
]


class Tree:
    """A repository that contains the check, its baseline and some files."""

    def __init__(self, root: Path, baseline: str, files: dict[str, str]) -> None:
        self.baseline = root / "tools" / "words_baseline.txt"
        self._script = root / "tools" / "check_words.py"
        settings = ("user.name=test", "user.email=test@localhost", "commit.gpgsign=false")
        self._git = ["git", "-C", str(root), *(part for setting in settings for part in ("-c", setting))]
        self._script.parent.mkdir()
        shutil.copy(ROOT / "tools" / "check_words.py", self._script)
        for name, text in {"tools/words_baseline.txt": baseline, **files}.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        subprocess.run([*self._git, "init", "-q"], check=True)
        self.commit("Add files")

    def commit(self, subject: str) -> None:
        """Commits all files."""
        subprocess.run([*self._git, "add", "."], check=True)
        subprocess.run([*self._git, "commit", "-q", "--allow-empty", "-m", subject], check=True)

    def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Runs the check; returns its exit status and the lines that it printed."""
        command = [sys.executable, str(self._script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not done.stderr
        return done.returncode, done.stdout.splitlines()


def test_each_word_is_found_and_the_better_one_named(tmp_path: Path) -> None:
    text = "".join(f"{sentence}.\n\n" for sentence, *_ in WRONG)
    counts = [word for _, _, word, _ in WRONG]
    baseline = "".join(f"{counts.count(word)} {word}\n" for word in dict.fromkeys(counts))
    tree = Tree(tmp_path, baseline, {"README.md": text})
    expected = {f"README.md:{2 * at + 1}: {use!r}, better: {better}" for at, (_, use, _, better) in enumerate(WRONG)}
    status, lines = tree.run("--list")
    assert status == 0
    assert set(lines) == expected


def test_what_is_right_is_not_found(tmp_path: Path) -> None:
    assert Tree(tmp_path, "", {"README.md": "\n".join(RIGHT)}).run("--list") == (0, [])


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("src/a.rs", "const QUOTE: char = '\"';\nlet anew = told.said();\n/// Waits for what is given\n/// up.\n", 3),
        ("src/b.rs", 'fn f<\'a>() {\n    bail!("partition {told} was given \\\n        up by {}", anew);\n}\n', 2),
        ("src/c.rs", 'const SQL: &str = r#"\nSELECT "x"\n-- given up\n"#;\n', 3),
        (
            "a.py",
            'said = {"told": f"{anew}"}\n\n\ndef mend() -> None:\n    """A docstring.\n\n    Given up.\n    """\n',
            7,
        ),
        ("b.pyi", 'placed: int\n"""Partitions that were given\nup."""\n', 2),
        ("c.py", 'print(\n    "it has given\\n"\n    "up by us",\n    said,\n)\n', 2),
        ("d.sql", "SELECT told; -- given up\n", 1),
        ("e.toml", 'told = "anew"  # given up\n', 1),
        ("Makefile", "mend:\n\techo 'it is given up'\n", 2),
    ],
)
def test_prose_is_searched_and_code_is_not(tmp_path: Path, name: str, text: str, line: int) -> None:
    status, lines = Tree(tmp_path, "", {name: text}).run("--list")
    assert status == 0
    assert [found.lower() for found in lines] == [f"{name}:{line}: 'given up', better: revoked".lower()]


def test_more_than_the_baseline_fails_and_names_the_changed_file(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "1 anew\n", {"old.md": "Read anew.\n"})
    assert tree.run() == (0, [])
    (tmp_path / "new.rs").write_text("// One.\n// Asked anew.\n")
    tree.commit("Add a file")
    status, lines = tree.run()
    assert status == 1
    assert lines[0].startswith("anew: 2 findings, 1 in words_baseline.txt")
    assert lines[1:] == ["new.rs:2: 'anew', better: again, from the beginning, recreated"]


def test_fewer_than_the_baseline_fails_until_it_is_lowered(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "2 told\n3 anew\n", {"a.md": "Read anew, and told.\n"})
    status, lines = tree.run()
    assert status == 1
    assert lines == ["told, anew: fewer findings than in words_baseline.txt; run tools/check_words.py --update"]
    assert tree.run("--update") == (0, [])
    assert tree.baseline.read_text() == "1 told\n1 anew\n"
    assert tree.run() == (0, [])


def test_an_update_never_raises_the_baseline(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "1 anew\n", {"a.md": "Anew and anew.\n"})
    assert tree.run("--update")[0] == 1
    assert tree.baseline.read_text() == "1 anew\n"


def test_a_subject_above_72_characters_is_listed(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "", {})
    tree.commit("x" * 73)
    tree.commit("y" * 72)
    status, lines = tree.run("--commits", "HEAD~2")
    assert status == 1
    assert [line.split(": ", 1)[1] for line in lines] == ["73 characters: " + "x" * 73]
    assert tree.run("--commits", "HEAD~1") == (0, [])


def test_the_projects_own_words_are_as_its_baseline_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "check_words.py")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
