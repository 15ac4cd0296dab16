"""Prints plain tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], narrow: Sequence[str] = ()) -> None:
    """Prints a table. Numbers are aligned to the right and have thousands separators.

    Args:
        header: the name of each column.
        rows: the rows, each with one value for each column.
        narrow: lines that are printed instead if the terminal is narrower than the table.
    """
    # These imports are slow, and the producer and the consumer do not need them.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for at, name in enumerate(header):
        numeric = bool(rows) and all(isinstance(row[at], int) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*[f"{value:,}" if isinstance(value, int) else str(value) for value in row])
    # The console is as wide as the table, so that rich cuts nothing off: a narrow terminal wraps, a file has no width.
    console = Console(highlight=False, markup=False)
    wanted = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    if narrow and console.is_terminal and wanted > console.width:
        print("\n".join(narrow))
        return
    console.width = max(wanted, console.width) if console.is_terminal else wanted
    console.print(table)
