"""Writes the list of commands and flags into `docs/commands.md` from the parsers of the commands: ``make generate``.

The list is between ``<!-- generated: commands -->`` and ``<!-- generated, to here -->``. ``--check`` writes nothing and
fails if the list is out of date. The compiled extension is not needed.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from generated_page import write_or_check

from ccstream.cli import COMMANDS, Command

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
PLACE = re.compile(r"(<!-- generated: commands -->\n).*?(<!-- generated, to here -->)", re.DOTALL)
GROUPS = {"Kafka": "consume", "PostgreSQL": "consume"}
"""Groups of flags that several commands share, each with a command that has all of its flags."""


def parser_of(name: str, command: Command) -> argparse.ArgumentParser:
    """Makes the parser that the command line has for a command."""
    parser = argparse.ArgumentParser(prog=f"ccstream {name}")
    command.add_to(parser)
    return parser


def grouped(parser: argparse.ArgumentParser) -> dict[str, list[argparse.Action]]:
    """Lists a parser's arguments by the title of their group, or under ``""``, except those that every command has."""
    found: dict[str, list[argparse.Action]] = {"": []}
    # argparse has no public list of them.
    for group in parser._action_groups:  # noqa: SLF001
        title = group.title if group.title in GROUPS else ""
        for action in group._group_actions:  # noqa: SLF001
            if action.dest not in {"help", "verbose"}:
                found.setdefault(title or "", []).append(action)
    return found


def written(action: argparse.Action) -> str:
    """Writes an argument as a user types it."""
    values = ""
    if action.nargs != 0:
        values = "|".join(map(str, action.choices)) if action.choices else str(action.metavar)
    words = [*action.option_strings[-1:], values]
    return " ".join(word for word in words if word).replace("|", r"\|")


def meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Returns an argument's text in ``--help``, which includes its default."""
    # The same expansion that --help makes.
    formatter = parser._get_formatter()  # noqa: SLF001
    return formatter._expand_help(action).replace("|", r"\|")  # noqa: SLF001


def table(parser: argparse.ArgumentParser, actions: list[argparse.Action]) -> list[str]:
    """Lists arguments in a table, with their texts in ``--help``."""
    if not actions:
        return []
    rows = [f"| `{written(action)}` | {meaning(parser, action)} |" for action in actions]
    return ["| argument | meaning |", "|---|---|", *rows, ""]


def without(title: str, actions: list[argparse.Action]) -> str:
    """Names the flags of a shared group that a command lacks, in parentheses; empty if it has all of them."""
    name = GROUPS[title]
    has = {action.dest for action in actions}
    lacks = [one for one in grouped(parser_of(name, COMMANDS[name]))[title] if one.dest not in has]
    return f" (without {', '.join(f'`{one.option_strings[-1]}`' for one in lacks)})" if lacks else ""


def section(name: str, command: Command) -> list[str]:
    """Describes one command in Markdown."""
    parser = parser_of(name, command)
    groups = grouped(parser)
    lines = [f"### `ccstream {name}`", "", command.description, "", *table(parser, groups.pop(""))]
    if groups:
        named = [f"[{title}](#flags-for-{title.lower()}){without(title, actions)}" for title, actions in groups.items()]
        lines += [f"It also takes the flags for {' and '.join(named)}.", ""]
    return lines


def shared() -> list[str]:
    """Describes the flags that several commands share."""
    lines = []
    for title, name in GROUPS.items():
        parser = parser_of(name, COMMANDS[name])
        lines += [f"### Flags for {title}", "", *table(parser, grouped(parser)[title])]
    return lines


def page(text: str) -> str:
    """Returns the page with the list as the parsers have it now."""
    commands = [line for name, command in COMMANDS.items() for line in section(name, command)]
    listed = "\n".join([*commands, *shared()])
    if not PLACE.search(text):
        raise ValueError(f"{PAGE.name} has no place for the list of commands")
    return PLACE.sub(lambda place: f"{place[1]}\n{listed}{place[2]}", text)


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page))
