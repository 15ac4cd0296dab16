"""Writes the Python reference, `docs/python-reference.md`, from the docstrings: ``make generate``.

The compiled extension's docstrings are taken from its stub, and those of `ccstream.kpi`, `ccstream.events` and
`ccstream.errors` from the modules, so nothing has to be built or imported. Only the text between
``<!-- generated: reference -->`` and ``<!-- generated, to here -->`` is replaced. ``--check`` writes nothing and fails
where the page is out of date.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

from generated_page import write_or_check

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "ccstream"
PAGE = ROOT / "docs" / "python-reference.md"
PLACE = re.compile(r"(<!-- generated: reference -->\n).*?(<!-- generated, to here -->)", re.DOTALL)
SECTIONS = {
    "Producer and consumer": ("Producer", "ProduceSummary", "Consumer", "ConsumeSummary", "ConsumeStatus"),
    "Fraud detection": (
        "Analyzer",
        "AnalyzeSummary",
        "feature_history",
        "FeatureHistory",
        "backtest",
        "Backtest",
        "Detector",
        "Detection",
        "list_models",
        "ModelInfo",
        "add_model",
        "activate_model",
        "shadow_model",
    ),
    "Verification and diagnosis": ("verify", "VerifyReport", "PartitionReport", "diagnose", "Check", "topic_ends"),
    "Dead letters": ("count_rejected", "ReasonCount", "select_rejected", "KeptMessage", "replay_rejected", "Resent"),
    "KPI engine": ("KpiEngine", "KpiAnswer", "KpiStatus", "PartitionState"),
}
"""The names of the extension in the order of the page."""
ELSEWHERE = {
    "__version__",
    "CcstreamError",
    "ConfigError",
    "KafkaError",
    "PostgresError",
    "SchemaError",
    "ServiceError",
}
"""Public names that are not classes or functions of the extension."""
FIELDS = ("Args", "Returns", "Raises", "Attributes")

Documented = ast.ClassDef | ast.FunctionDef


def parsed(name: str) -> ast.Module:
    """Reads a source file of the package."""
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def assigned(module: ast.Module, name: str) -> ast.expr | None:
    """Returns the value that a module assigns to a name."""
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return getattr(node, "value", None)
    return None


def prose(text: str) -> str:
    """Converts a docstring's roles and double backticks to Markdown."""
    text = re.sub(r":(?:\w+):`~?([^`]+)`", r"`\1`", text)
    text = text.replace("``", "`")
    return re.sub(r"(?<!`)<(?=\w)", "&lt;", text)


def items(block: str) -> list[str]:
    """Converts the entries of ``Args:`` and the like to a list, one item for each."""
    entries = re.split(r"\n(?=\S)", textwrap.dedent(block).strip("\n"))
    lines = []
    for entry in entries:
        name, colon, rest = entry.partition(": ")
        text = " ".join(prose(rest if colon else entry).split())
        lines.append(f"- `{name}`: {text}" if colon and re.fullmatch(r"[\w.]+", name) else f"- {text}")
    return lines


def docstring(node: Documented | ast.Module) -> str:
    """Converts a docstring in Google's style to Markdown."""
    parts = []
    section = re.compile(r"^(Args|Returns|Raises|Attributes|Example):\n", re.MULTILINE)
    first, *rest = section.split(ast.get_docstring(node) or "")
    parts.append(prose(first.strip()))
    for title, block in zip(rest[::2], rest[1::2], strict=True):
        body = textwrap.dedent(block).strip("\n")
        if title == "Example":
            code = re.sub(r"\s*# doctest: \+SKIP", "", body)
            parts.append(f"```pycon\n{code}\n```")
        elif title == "Returns":
            parts.append(f"**Returns:** {' '.join(prose(body).split())}")
        else:
            parts.append(f"**{title}:**\n\n" + "\n".join(items(block)))
    return "\n\n".join(part for part in parts if part)


def is_property(node: ast.FunctionDef) -> bool:
    """Whether a member is read without a call."""
    return any(isinstance(found, ast.Name) and found.id == "property" for found in node.decorator_list)


def signature(node: ast.FunctionDef, name: str) -> str:
    """Writes a call as a type checker sees it, on several lines if it is long."""
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^(self|cls)(, |$)", "", arguments)
    # ast.unparse leaves out the spaces around the default of an annotated argument.
    arguments = re.sub(r"(?<=[\w\]])=(?=[\w'])", " = ", arguments)
    result = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__new__" else ""
    line = f"{name}({arguments}){result}"
    if len(line) > 100:  # noqa: PLR2004
        split = re.split(r", (?=\*$|\*\w+|\w+:|\*,|/)", arguments)
        line = f"{name}(\n" + "".join(f"    {one},\n" for one in split) + f"){result}"
    return f"```python\n{line}\n```"


def table(rows: list[tuple[str, str, str]], kind: str) -> list[str]:
    """Writes names with their types and meanings as a table."""
    cells = [
        f"| `{name}` | `{of}` | {text} |" for name, of, text in ((n, t.replace("|", r"\|"), m) for n, t, m in rows)
    ]
    return [f"| {kind} | type | meaning |", "|---|---|---|", *cells, ""]


def one_line(text: str) -> str:
    """Joins a text for a table's cell."""
    return " ".join(prose(text).split()).replace("|", r"\|")


def described(node: Documented) -> list[str]:
    """Describes a function, or a class with its members."""
    lines = [f"### `{node.name}`", ""]
    if isinstance(node, ast.FunctionDef):
        return [*lines, signature(node, node.name), "", docstring(node), ""]
    members = [child for child in node.body if isinstance(child, ast.FunctionDef)]
    lines += [signature(child, node.name) + "\n" for child in members if child.name == "__new__"]
    lines += [docstring(node), ""]
    shown = [child for child in members if not child.name.startswith("_")]
    properties = [
        (child.name, ast.unparse(child.returns) if child.returns else "", one_line(ast.get_docstring(child) or ""))
        for child in shown
        if is_property(child)
    ]
    lines += table(properties, "attribute") if properties else []
    for child in (child for child in shown if not is_property(child)):
        lines += [f"#### `{node.name}.{child.name}`", "", signature(child, child.name), "", docstring(child), ""]
    return lines


def extension() -> list[str]:
    """Describes the names of the compiled extension."""
    names = assigned(parsed("__init__.py"), "__all__")
    public = set(ast.literal_eval(names)) if names else set()
    listed = {name for section in SECTIONS.values() for name in section}
    if public - ELSEWHERE != listed:
        raise ValueError(f"SECTIONS and ccstream.__all__ differ in {sorted((public - ELSEWHERE) ^ listed)}")
    nodes = {node.name: node for node in parsed("_ccstream.pyi").body if isinstance(node, Documented)}
    lines = []
    for title, section in SECTIONS.items():
        lines += [f"## {title}", "", *(line for name in section for line in described(nodes[name]))]
    return lines


def kpi() -> list[str]:
    """Describes the functions of `ccstream.kpi`; of an overloaded one, its implementation."""
    module = parsed("kpi.py")
    lines = ["## `ccstream.kpi`", "", docstring(module), ""]
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list and not node.name.startswith("_"):
            lines += described(node)
    return lines


def documented_values(node: ast.ClassDef) -> list[tuple[str, str, str]]:
    """Lists the fields of a typed dictionary: name, type, and the string below it."""
    rows = []
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            is_doc = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            text = str(after.value.value) if is_doc else ""  # type: ignore[union-attr]
            rows.append((field.target.id, ast.unparse(field.annotation), one_line(text)))
    return rows


def events() -> list[str]:
    """Describes the events, and the kinds of warnings and waits."""
    module = parsed("events.py")
    lines = ["## Events", "", docstring(module), ""]
    for before, node in zip(module.body, module.body[1:], strict=False):
        if not isinstance(before, ast.AnnAssign) or ast.unparse(before.target) not in {"WarningKind", "WaitingKind"}:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines += [f"### `{ast.unparse(before.target)}`", "", prose(str(node.value.value)).strip(), ""]
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            lines += [f"### `{node.name}`", "", docstring(node), ""]
            rows = documented_values(node)
            lines += table(rows, "field") if rows else []
    return lines


def errors() -> list[str]:
    """Describes the exceptions."""
    lines = ["## Exceptions", "", docstring(parsed("errors.py")), ""]
    for node in parsed("errors.py").body:
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            lines += [f"### `{node.name}({bases})`", "", docstring(node), ""]
    return lines


def page(text: str) -> str:
    """Returns the page with the reference as the docstrings have it now."""
    made = "\n".join([*extension(), *kpi(), *events(), *errors()])
    if not PLACE.search(text):
        raise ValueError(f"{PAGE.name} has no place for the reference")
    return PLACE.sub(lambda place: f"{place[1]}\n{made}{place[2]}", text)


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page))
