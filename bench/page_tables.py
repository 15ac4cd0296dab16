"""Makes the documents' table of what the page costs, from what ``bench/budgets.py`` measured."""

from __future__ import annotations

from typing import Any


def budgets(measured: dict[str, Any]) -> str:
    """Makes the table of budgets: each with its limit, what the empty page took, and the page beyond it."""
    opening, refresh, memory = (measured[name] for name in ("opening", "refresh", "memory"))
    empty = opening["empty"]
    spans = [name for name in opening if name != "empty"]
    lines = [
        f"| of a page over {measured['rows']:,} rows | budget | empty page | {' | '.join(map(_named, spans))} |",
        f"|---|--:|--:|{'--:|' * len(spans)}",
    ]

    def row(name: str, budget: str, bare: str, *values: str) -> None:
        lines.append(f"| {name} | {budget} | {bare} | {' | '.join(values)} |")

    for name, column, limit in (("the first figure", "figures, s", 1), ("the last chart", "drawn, s", 3)):
        beyond = (f"+{opening[span][column] - empty[column]:.2f} s" for span in spans)
        row(f"opening, to {name}", f"+{limit} s", f"{empty[column]:.2f} s", *beyond)
    row("cumulative layout shift", "0.1", f"{empty['shift']:.3f}", *(f"{opening[span]['shift']:.3f}" for span in spans))
    bare = refresh["empty, 2 s"]
    for name, limit in (("server", 60), ("renderer", 120)):
        beyond = (f"+{refresh[f'{span}, 2 s'][f'{name}, ms'] - bare[f'{name}, ms']:.0f} ms" for span in spans)
        row(f"a refresh, processor time of the {name}", f"+{limit} ms", f"{bare[f'{name}, ms']:.0f} ms", *beyond)
    share = "server, share of a core"
    shares = (f"{refresh[f'{span}, 5 s'][share]:.1%}" for span in spans)
    row("refreshed every 5 s, share of a core on the server", "3 %", f"{refresh['empty, 5 s'][share]:.1%}", *shares)
    for name in ("server", "renderer"):
        early, late = memory[f"{name}, early"], memory[f"{name}, late"]
        text = f"{late / early - 1:+.1%} of {early:,.0f} MB"
        row(
            f"memory of the {name}, after {memory['minutes']:g} min against 5", "+5 %", "", text, *[""] * len(spans[1:])
        )
    costs = {int(one["pages"]): one for one in measured["database"]}
    for name, unit in (("transactions / s", "transactions"), ("processor, share of a core", "processor time")):
        one, twenty = (costs[count][name] - costs[0][name] for count in (1, 20))
        text = f"{twenty / one - 1:+.0%}" if one > 0 else "none"
        row(f"twenty pages against one, {unit} of the database", "±10 %", "", "", *[""] * len(spans[1:-1]), text)
    return "\n".join(lines)


def _named(span: str) -> str:
    return "all of time" if span == "all" else f"the last {span}"
