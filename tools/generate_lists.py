"""Writes code and documentation from the lists of settings, dimensions and fields: ``make generate``.

The lists are declared in Rust (`settings` and `fields.rs` of `crates/ccstream-core/src`, and
`crates/ccstream-kpi/src/rows/attribute.rs`); an example of ``ccstream-kpi`` prints them as JSON, which comes in at
standard input. Between
``generated: WHAT of LISTS`` and ``generated, to here`` a file has what is made of them. ``--check`` writes nothing, and
names the files that are stale.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
DECLARED = ROOT / "python" / "ccstream" / "declared.py"
FILES = (
    "src/consumer.rs",
    "src/producer.rs",
    "src/kpi.rs",
    "python/ccstream/_ccstream.pyi",
    "docs/data.md",
    "docs/settings.md",
)
BLOCK = re.compile(r"([ ]*)(\S+ generated: (\w+) of ([\w, ]+?)(?: -->)?\n)(.*?)([ ]*\S+ generated, to here)", re.DOTALL)
WIDTH = 120
TYPES = {
    "text": "str | None",
    "moment": "str | None",
    "file": "str | PathLike[str] | None",
    "whole": "int | None",
    "limit": 'int | Literal["all"] | None',
    "rate": "float | None",
    "span": "timedelta | None",
    "switch": "bool",
    "pairs": "_Pairs | None",
}
"""The Python type of each kind of setting."""

HEAD = '''"""Settings and dimensions, as the Rust crates declare them. ``make generate`` writes this file."""

from __future__ import annotations

from dataclasses import dataclass


'''


@dataclass(frozen=True)
class Setting:
    """A setting of a constructor, a command and an environment variable.

    Attributes:
        name: Python's keyword.
        kind: what is taken for it: text, choice, moment, file, whole, limit, rate, span, switch or pairs.
        choices: the texts of a choice.
        doc: what it means.
        range: its least and greatest value; None for an end that is open.
        unit: what its numbers count: s or ms, or nothing.
        variable: the environment variable.
        shown: the placeholder of its value in the flag's help.
        flag: the flag.
        unset: what becomes of it without a value, in words.
        default: the default.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    doc: str
    range: tuple[int, int | None] | None
    unit: str
    variable: str | None
    shown: str
    flag: str
    unset: str
    default: str | bool | None

    def number(self, value: str | int) -> str:
        """A number of it with its unit."""
        text = f"{int(value):,}" if str(value).isdigit() else str(value)
        return f"{text} {self.unit}".strip()

    def fallback(self, quote: str) -> str:
        """What holds where it is not given, its variable set aside."""
        if self.unset:
            return self.unset.replace("`", quote)
        if isinstance(self.default, bool):
            return str(self.default)
        if self.kind in {"whole", "span"}:
            return self.number(str(self.default))
        return f"{quote}{self.default}{quote}"


class Listed(Setting):
    """A setting, and how it is written elsewhere."""

    @staticmethod
    def read(listed: dict[str, Any]) -> Listed:
        """From the JSON of one."""
        flag = listed["flag"] or "--" + ("no-" if listed["default"] is True else "") + listed["name"].replace("_", "-")
        limits = listed["range"]
        if limits is not None:
            least, most = limits
            limits = (least, most if most < 1 << 63 else None)
        return Listed(**{**listed, "flag": flag, "choices": tuple(listed["choices"]), "range": limits})

    def limits(self) -> str:
        """Its range as a sentence, or nothing."""
        if self.range is None:
            return ""
        least, most = self.range
        return f"At least {self.number(least)}." if most is None else f"From {least:,} to {self.number(most)}."

    def paragraph(self) -> str:
        """What it means, as a Python docstring has it."""
        default = self.fallback("``")
        if self.variable:
            default = f"Default: ``{self.variable}``, else {default}."
        else:
            default = f"Default{':' if self.unset else ''} {default}."
        doc = self.doc.replace("`", "``")
        pairs = "A mapping, or pairs." if self.kind == "pairs" else ""
        return " ".join(part for part in (doc, pairs, self.limits(), default) if part)

    def annotation(self) -> str:
        """Its type and default as a stub has them."""
        kind = (
            f"Literal[{', '.join(json.dumps(one) for one in self.choices)}] | None"
            if self.choices
            else TYPES[self.kind]
        )
        return f"{kind} = {self.python_default()}"

    def python_default(self) -> str:
        """The default of Python's keyword: None where an environment variable or the declaration has it."""
        return str(self.default) if isinstance(self.default, bool) else "None"


def settings_block(settings: list[Listed], indent: str) -> str:
    """The arguments of a constructor in a Rust documentation comment."""
    lines = []
    for setting in settings:
        first = f"{setting.name}: {setting.paragraph()}"
        begin = f"{indent}///     "
        lines += textwrap.wrap(
            first,
            WIDTH,
            initial_indent=begin,
            subsequent_indent=begin + "    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"


def signature_block(settings: list[Listed], indent: str) -> str:
    """The signature of a constructor for pyo3: what is passed on, and what Python shows."""
    keywords = [f"{setting.name}={setting.python_default()}" for setting in settings]
    if settings[0].name == "database_url":
        own, shown = "database_url=None, **settings", [keywords[0], "*", *keywords[1:]]
    else:
        own, shown = "*, on_event=None, **settings", ["*", *keywords, "on_event=None"]
    lines = textwrap.wrap(", ".join(shown), WIDTH - len(indent) - 26, break_long_words=False)
    text = f" \\\n{indent}        ".join(lines)
    return f'{indent}#[pyo3(signature = ({own}))]\n{indent}#[pyo3(text_signature = "({text})")]\n'


def parameters_block(settings: list[Listed], indent: str) -> str:
    """The parameters of a constructor in the stub."""
    lines = [f"{indent}{setting.name}: {setting.annotation()},\n" for setting in settings]
    if settings[0].name == "database_url":
        lines.insert(1, f"{indent}*,\n")
    return "".join(lines)


def table_block(settings: list[Listed], _indent: str) -> str:
    """A table of the documents."""
    rows = ["| keyword | flag | variable | default | meaning |", "|---|---|---|---|---|"]
    for setting in settings:
        # A bar would end the cell.
        shown = "" if setting.kind == "switch" else " " + ("|".join(setting.choices) or setting.shown)
        shown = shown.replace("|", r"\|")
        flag = f"`{setting.flag}{shown}`"
        variable = f"`{setting.variable}`" if setting.variable else ""
        meaning = " ".join(part for part in (setting.doc, setting.limits()) if part)
        rows.append(f"| `{setting.name}` | {flag} | {variable} | {setting.fallback('`')} | {meaning} |")
    return "\n".join(rows) + "\n"


def fields_block(listed: list[dict[str, Any]], _indent: str) -> str:
    """A table of the fields of a message and the columns that they are stored in."""
    rows = ["| key of the message | column of `orders` | type | meaning |", "|---|---|---|---|"]
    for field in listed:
        other = f" or `{field['other_key']}`" if field["other_key"] else ""
        required = " (required)" if field["required"] else ""
        meaning = field["comment"].replace("|", r"\|")
        rows.append(f"| `{field['key']}`{other}{required} | `{field['column']}` | `{field['sql_type']}` | {meaning} |")
    return "\n".join(rows) + "\n"


BLOCKS: dict[str, Callable[[list[Any], str], str]] = {
    "fields": fields_block,
    "settings": settings_block,
    "signature": signature_block,
    "parameters": parameters_block,
    "table": table_block,
}
"""What a block is made by."""


def declared(lists: dict[str, list[Listed]], dimensions: dict[str, str]) -> str:
    """The Python module that holds the lists."""
    text = HEAD + inspect.getsource(Setting) + "\n\nSETTINGS: dict[str, tuple[Setting, ...]] = {\n"
    for name, settings in lists.items():
        text += f"    {name!r}: (\n"
        for setting in settings:
            values = ", ".join(f"{one.name}={getattr(setting, one.name)!r}" for one in fields(Setting))
            text += f"        Setting({values}),\n"
        text += "    ),\n"
    text += '}\n"""The settings of each part."""\n\n'
    text += f'DIMENSIONS = {dimensions!r}\n"""Each dimension that can be filtered by, and what the page calls it."""\n'
    return formatted(text, str(Path(sys.executable).parent / "ruff"), "format", "--stdin-filename", str(DECLARED), "-")


def formatted(text: str, *formatter: str) -> str:
    """A source as its formatter has it."""
    return subprocess.run(formatter, input=text, capture_output=True, check=True, text=True, cwd=ROOT).stdout


def filled(text: str, lists: Mapping[str, Sequence[Any]]) -> str:
    """A file's text with its blocks as they are now."""

    def fill(block: re.Match[str]) -> str:
        indent, begin, what, names, _, end = block.groups()
        made = BLOCKS[what]([one for name in names.split(", ") for one in lists[name]], indent)
        return f"{indent}{begin}{made}{end}"

    return BLOCK.sub(fill, text)


def main() -> int:
    """Writes each file that is stale, or names it and returns 1."""
    given = json.load(sys.stdin)
    lists = {name: [Listed.read(one) for one in listed] for name, listed in sorted(given["settings"].items())}
    made = {DECLARED: declared(lists, dict(given["dimensions"]))}
    for name in FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        made[ROOT / name] = filled(text, {**lists, "orders": given["fields"]})
        if name.endswith(".rs"):
            made[ROOT / name] = formatted(made[ROOT / name], "rustfmt", "--edition", "2024")
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        if stale:
            print("stale, run make generate:", *(path.relative_to(ROOT) for path in stale))
        return int(bool(stale))
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
