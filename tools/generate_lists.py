"""Generates code and documentation from the lists of settings, dimensions, fields and features: ``make generate``.

The lists are declared in Rust (`settings` and `fields.rs` of `crates/ccstream-core/src`,
`crates/ccstream-kpi/src/rows/attribute.rs` and `crates/ccstream-analysis/src/features.rs`). An example of
``ccstream-analysis`` prints them as JSON, which this program reads from standard input. The generated part of a file is
between the lines ``generated: WHAT of LISTS`` and ``generated, to here``. With ``--check``, the program writes nothing
and lists the stale files.
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
    "src/analyzer.rs",
    "src/consumer.rs",
    "src/producer.rs",
    "src/kpi.rs",
    "python/ccstream/_ccstream.pyi",
    "docs/data.md",
    "docs/detection.md",
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
    "share": "float | None",
    "span": "timedelta | None",
    "switch": "bool",
    "texts": "str | Sequence[str] | None",
    "pairs": "_Pairs | None",
}
"""The Python type of each kind of setting."""

HEAD = '''"""Lists the settings and dimensions that the Rust crates declare. ``make generate`` writes this file."""

from __future__ import annotations

from dataclasses import dataclass


'''


@dataclass(frozen=True)
class Setting:
    """Describes a setting, which is a constructor's argument and may have a flag and an environment variable.

    Attributes:
        name: the keyword in Python.
        kind: the kind of value: text, choice, moment, file, whole, limit, rate, share, span, switch, texts or pairs.
        choices: the possible values of a choice.
        doc: the meaning.
        range: the smallest and the largest value; None for an open end.
        unit: the unit of the value: s, ms or nothing.
        variable: the environment variable.
        shown: the placeholder of the value in the flag's help.
        flag: the flag.
        unset: what happens without a value, in words; empty if there is a default.
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
        """Formats a number with the setting's unit."""
        text = f"{int(value):,}" if str(value).isdigit() else str(value)
        return f"{text} {self.unit}".strip()

    def fallback(self, quote: str) -> str:
        """Describes the value if neither argument, flag nor variable is given."""
        if self.unset:
            return self.unset.replace("`", quote)
        if isinstance(self.default, bool):
            return str(self.default)
        if self.kind in {"whole", "span"}:
            return self.number(str(self.default))
        return f"{quote}{self.default}{quote}"


class Listed(Setting):
    """Holds a setting, and writes its forms in code and documents."""

    @staticmethod
    def read(listed: dict[str, Any]) -> Listed:
        """Reads a setting from its JSON."""
        flag = listed["flag"] or "--" + ("no-" if listed["default"] is True else "") + listed["name"].replace("_", "-")
        limits = listed["range"]
        if limits is not None:
            least, most = limits
            limits = (least, most if most < 1 << 63 else None)
        return Listed(**{**listed, "flag": flag, "choices": tuple(listed["choices"]), "range": limits})

    def limits(self) -> str:
        """Returns the range as a sentence; empty if there is none."""
        if self.range is None:
            return ""
        least, most = self.range
        return f"At least {self.number(least)}." if most is None else f"From {least:,} to {self.number(most)}."

    def paragraph(self) -> str:
        """Returns the meaning, range and default for a Python docstring."""
        default = self.fallback("``")
        if self.variable:
            default = f"Default: ``{self.variable}``, else {default}."
        else:
            default = f"Default{':' if self.unset else ''} {default}."
        doc = self.doc.replace("`", "``")
        several = {"pairs": "A mapping, or pairs.", "texts": "One, or a sequence."}.get(self.kind, "")
        return " ".join(part for part in (doc, several, self.limits(), default) if part)

    def annotation(self) -> str:
        """Returns the type and the default for the stub."""
        kind = (
            f"Literal[{', '.join(json.dumps(one) for one in self.choices)}] | None"
            if self.choices
            else TYPES[self.kind]
        )
        return f"{kind} = {self.python_default()}"

    def python_default(self) -> str:
        """Returns the default of Python's keyword: None if a variable or the declaration has the default."""
        return str(self.default) if isinstance(self.default, bool) else "None"


def settings_block(settings: list[Listed], indent: str) -> str:
    """Returns the arguments of a constructor for a Rust documentation comment."""
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
    """Returns the signature of a constructor for pyo3, and the one that Python shows."""
    keywords = [f"{setting.name}={setting.python_default()}" for setting in settings]
    if settings[0].name == "database_url":
        own, shown = "database_url=None, **settings", [keywords[0], "*", *keywords[1:]]
    else:
        own, shown = "*, on_event=None, **settings", ["*", *keywords, "on_event=None"]
    lines = textwrap.wrap(", ".join(shown), WIDTH - len(indent) - 26, break_long_words=False)
    text = f" \\\n{indent}        ".join(lines)
    return f'{indent}#[pyo3(signature = ({own}))]\n{indent}#[pyo3(text_signature = "({text})")]\n'


def parameters_block(settings: list[Listed], indent: str) -> str:
    """Returns the parameters of a constructor for the stub."""
    lines = [f"{indent}{setting.name}: {setting.annotation()},\n" for setting in settings]
    if settings[0].name == "database_url":
        lines.insert(1, f"{indent}*,\n")
    return "".join(lines)


def table_block(settings: list[Listed], _indent: str) -> str:
    """Returns a table of settings for a document."""
    rows = ["| keyword | flag | variable | default | meaning |", "|---|---|---|---|---|"]
    for setting in settings:
        # An unescaped bar would end the cell.
        shown = "" if setting.kind == "switch" else " " + ("|".join(setting.choices) or setting.shown)
        shown = shown.replace("|", r"\|")
        flag = f"`{setting.flag}{shown}`"
        variable = f"`{setting.variable}`" if setting.variable else ""
        meaning = " ".join(part for part in (setting.doc, setting.limits()) if part)
        rows.append(f"| `{setting.name}` | {flag} | {variable} | {setting.fallback('`')} | {meaning} |")
    return "\n".join(rows) + "\n"


def fields_block(listed: list[dict[str, Any]], _indent: str) -> str:
    """Returns a table of the fields of a message and the columns in which they are stored."""
    rows = ["| key of the message | column of `orders` | type | meaning |", "|---|---|---|---|"]
    for field in listed:
        other = f" or `{field['other_key']}`" if field["other_key"] else ""
        required = " (required)" if field["required"] else ""
        meaning = field["comment"].replace("|", r"\|")
        rows.append(f"| `{field['key']}`{other}{required} | `{field['column']}` | `{field['sql_type']}` | {meaning} |")
    return "\n".join(rows) + "\n"


def definitions_block(listed: list[dict[str, Any]], _indent: str) -> str:
    """Returns a table of the features of a transaction."""
    names = re.compile(rf"\b(?:{'|'.join(feature['name'] for feature in listed if '_' in feature['name'])})\b")
    rows = ["| feature | from | unit | value |", "|---|---|---|---|"]
    for feature in listed:
        formula = names.sub(r"`\g<0>`", feature["formula"].replace("|", r"\|"))
        rows.append(f"| `{feature['name']}` | {feature['source']} | {feature['unit']} | {formula} |")
    return "\n".join(rows) + "\n"


BLOCKS: dict[str, Callable[[list[Any], str], str]] = {
    "definitions": definitions_block,
    "fields": fields_block,
    "settings": settings_block,
    "signature": signature_block,
    "parameters": parameters_block,
    "table": table_block,
}
"""For each kind of block, the function that generates it."""


def declared(lists: dict[str, list[Listed]], dimensions: dict[str, str], statuses: dict[str, list[str]]) -> str:
    """Returns the source of the Python module that holds the lists."""
    text = HEAD + inspect.getsource(Setting) + "\n\nSETTINGS: dict[str, tuple[Setting, ...]] = {\n"
    for name, settings in lists.items():
        text += f"    {name!r}: (\n"
        for setting in settings:
            values = ", ".join(f"{one.name}={getattr(setting, one.name)!r}" for one in fields(Setting))
            text += f"        Setting({values}),\n"
        text += "    ),\n"
    text += '}\n"""The settings of each part."""\n\n'
    text += f'DIMENSIONS = {dimensions!r}\n"""Each dimension that can be filtered by, and its name on the page."""\n\n'
    for name, words in statuses.items():
        text += f'{name} = {tuple(words)!r}\n"""The statuses of {name.lower()} transactions, in small letters."""\n\n'
    return formatted(text, str(Path(sys.executable).parent / "ruff"), "format", "--stdin-filename", str(DECLARED), "-")


def formatted(text: str, *formatter: str) -> str:
    """Returns a source text after formatting it."""
    return subprocess.run(formatter, input=text, capture_output=True, check=True, text=True, cwd=ROOT).stdout


def filled(text: str, lists: Mapping[str, Sequence[Any]]) -> str:
    """Returns a file's text with regenerated blocks."""

    def fill(block: re.Match[str]) -> str:
        indent, begin, what, names, _, end = block.groups()
        made = BLOCKS[what]([one for name in names.split(", ") for one in lists[name]], indent)
        return f"{indent}{begin}{made}{end}"

    return BLOCK.sub(fill, text)


def main() -> int:
    """Writes the stale files; with ``--check`` it only lists them and returns 1 if there are any."""
    given = json.load(sys.stdin)
    lists = {name: [Listed.read(one) for one in listed] for name, listed in sorted(given["settings"].items())}
    made = {DECLARED: declared(lists, dict(given["dimensions"]), given["statuses"])}
    for name in FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        made[ROOT / name] = filled(text, {**lists, "orders": given["fields"], "features": given["features"]})
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
