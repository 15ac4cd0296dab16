"""Copies the docstrings of the compiled extension into its stub, `python/ccstream/_ccstream.pyi`.

The documentation is written once, in the Rust sources, where ``help()`` finds it; the stub has the types, by hand.
``--check`` writes nothing, and fails where the stub is out of date. ``--check-sources`` needs no extension: it fails
where a docstring of the stub is no documentation comment of the sources any more.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import sys
from pathlib import Path

STUB = Path(__file__).resolve().parent.parent / "python" / "ccstream" / "_ccstream.pyi"

Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def literal(text: str, indent: str) -> str:
    """A docstring as it is written at an indentation, without that of its first line."""
    if '"""' in text:
        raise ValueError(f"a docstring cannot hold three quotes: {text[:60]}")
    prefix = "r" if "\\" in text else ""
    first, *rest = text.splitlines()
    if not rest:
        return f'{prefix}"""{first}"""'
    lines = [f'{prefix}"""{first}', *[indent + line if line else "" for line in rest], f'{indent}"""']
    return "\n".join(lines)


def documented(stub: str, module: object) -> str:
    """The stub with the docstrings of the module in place of its own.

    Args:
        stub: the stub's text.
        module: what it describes.

    Raises:
        ValueError: the module has a name without a docstring.
    """
    places: list[tuple[ast.stmt, str]] = []

    def visit(node: Documented, described: object) -> None:
        text = inspect.getdoc(described)
        if not text:
            raise ValueError(f"{getattr(node, 'name', 'the module')} has no docstring")
        places.append((node.body[0], text))
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
                visit(child, getattr(described, child.name))

    visit(ast.parse(stub), module)
    lines = stub.splitlines()
    for old, text in reversed(places):
        is_docstring = isinstance(old, ast.Expr) and isinstance(old.value, ast.Constant) and old.value.value is not ...
        if not is_docstring:
            raise ValueError(f"line {old.lineno} of the stub has to be a docstring, if only an empty one")
        indent = " " * old.col_offset
        lines[old.lineno - 1 : old.end_lineno] = [indent + literal(text, indent)]
    return "\n".join(lines) + "\n"


def comments() -> set[str]:
    """The documentation comments of the extension's Rust sources, each as ``help()`` shows it."""
    found = set()
    for path in sorted((STUB.parents[2] / "src").glob("*.rs")):
        # What tools/generate_lists.py marks within a comment is not of it.
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if not line.startswith("// generated")]
        for is_comment, block in itertools.groupby(lines, lambda line: line.startswith("///")):
            if is_comment:
                found.add(inspect.cleandoc("\n".join(line[3:] for line in block)))
        found.add(inspect.cleandoc("\n".join(line[3:] for line in lines if line.startswith("//!"))))
    return found


def unfounded(stub: str) -> list[str]:
    """The first lines of the stub's docstrings that the sources do not have."""
    documented_nodes = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(stub)) if isinstance(node, documented_nodes)]
    # What Python itself calls is documented in the stub alone.
    texts = [ast.get_docstring(node) for node in nodes if not getattr(node, "name", "").startswith("_")]
    known = comments()
    return [text.splitlines()[0] for text in texts if text and text not in known]


def main() -> int:
    """Writes the stub, or checks it; the exit status is 1 where it was out of date and is not written."""
    before = STUB.read_text(encoding="utf-8")
    if "--check-sources" in sys.argv[1:]:
        stale = unfounded(before)
        for line in stale:
            print(f"{STUB.name} is out of date, run make generate: {line}", file=sys.stderr)
        return int(bool(stale))
    after = documented(before, importlib.import_module("ccstream._ccstream"))
    if "--check" in sys.argv[1:]:
        if before != after:
            print(f"{STUB.name} is out of date; make generate", file=sys.stderr)
        return int(before != after)
    STUB.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
