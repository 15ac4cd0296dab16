"""Copies the docstrings of the compiled extension into its stub, `python/ccstream/_ccstream.pyi`.

The documentation is written once, in the Rust sources, where ``help()`` finds it. The types in the stub are written by
hand. With ``--check``, the program writes nothing and fails if the stub is out of date. With ``--check-sources`` it
needs no compiled extension, and fails if a docstring of the stub is no longer a comment in the sources.
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
    """Formats a docstring for an indentation. Its first line is not indented."""
    if '"""' in text:
        raise ValueError(f"a docstring cannot hold three quotes: {text[:60]}")
    prefix = "r" if "\\" in text else ""
    first, *rest = text.splitlines()
    if not rest:
        return f'{prefix}"""{first}"""'
    lines = [f'{prefix}"""{first}', *[indent + line if line else "" for line in rest], f'{indent}"""']
    return "\n".join(lines)


def documented(stub: str, module: object) -> str:
    """Replaces the docstrings of the stub by those of the module.

    Args:
        stub: the stub's text.
        module: the module that the stub describes.

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
    """Returns the documentation comments of the extension's Rust sources, each in the form that ``help()`` shows."""
    found = set()
    for path in sorted((STUB.parents[2] / "src").glob("*.rs")):
        # The marks of tools/generate_lists.py within a comment do not belong to it.
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if not line.startswith("// generated")]
        for is_comment, block in itertools.groupby(lines, lambda line: line.startswith("///")):
            if is_comment:
                found.add(inspect.cleandoc("\n".join(line[3:] for line in block)))
        found.add(inspect.cleandoc("\n".join(line[3:] for line in lines if line.startswith("//!"))))
    return found


def unfounded(stub: str) -> list[str]:
    """Returns the first lines of those docstrings of the stub that the sources do not have."""
    documented_nodes = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(stub)) if isinstance(node, documented_nodes)]
    # Only the stub documents methods that Python itself calls.
    texts = [ast.get_docstring(node) for node in nodes if not getattr(node, "name", "").startswith("_")]
    known = comments()
    return [text.splitlines()[0] for text in texts if text and text not in known]


def main() -> int:
    """Writes the stub, or checks it; returns 1 if a check finds it out of date."""
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
