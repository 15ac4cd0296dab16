"""Plain tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], narrow: Sequence[str] = ()) -> None:
    """Prints a table: numbers to the right, with separators for thousands.

    Args:
        header: one name a column.
        rows: as many values each.
        narrow: lines that are printed instead on a terminal that is narrower than the table.
    """
    # Heavy to import, and not needed by producer and consumer.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for at, name in enumerate(header):
        numeric = bool(rows) and all(isinstance(row[at], int) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*[f"{value:,}" if isinstance(value, int) else str(value) for value in row])
    # A narrow terminal wraps the lines, and a file has no width: nothing is cut off.
    console = Console(highlight=False, markup=False)
    wanted = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    if narrow and console.is_terminal and wanted > console.width:
        print("\n".join(narrow))
        return
    console.width = max(wanted, console.width) if console.is_terminal else wanted
    console.print(table)
