#!/usr/bin/env python3
"""Prints saved figures of several machines side by side as Markdown: what docs/performance.md shows."""

import json
import sys
from pathlib import Path
from typing import Any

from vkmapctl import units

WAYS = ("ordinary", "placed", "reserve")


def judged(row: dict[str, Any] | None) -> str:
    """The figure that the limit holds for, and whether it does."""
    if not row or row["judged"] is None:
        return "-"
    verdict = {True: ", met", False: ", missed", None: ""}[row["met"] if row["limit"] else None]
    return f"{row['judged']:,.3g}{verdict}" if row["judged"] < 1000 else f"{row['judged']:,.0f}{verdict}"


def budgets(machines: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Every row that is no way to map."""
    names = list(dict.fromkeys(name for rows in machines.values() for name in rows if name.split()[0] not in WAYS))
    lines = [f"| row | judged | limit | {' | '.join(machines)} |", f"| --- | --- | --- |{' ---: |' * len(machines)}"]
    for name in names:
        found = [rows.get(name) for rows in machines.values()]
        known = next(row for row in found if row)
        if known["how"]:
            limit = "" if known["row"].startswith("latency") else known["limit"]  # each clock has its own step
            lines.append(f"| {name} | {known['how']} | {limit} | {' | '.join(judged(row) for row in found)} |")
    return lines


def ways(rows: dict[str, dict[str, Any]]) -> list[str]:
    """p50 by memory type, call and size: of one thread / of each of several."""
    table: dict[tuple[str, str], dict[str, list[str]]] = {}
    several = ""
    for name, row in rows.items():
        if name.split()[0] in WAYS:
            call, memory_type, size, *threads = name.split(", ")
            flags = row["what"].removeprefix("p50 in ").partition(" against")[0]
            table.setdefault((f"{memory_type} {flags}", call), {}).setdefault(size, []).append(
                units.duration(row["value"])
            )
            several = threads[0] if threads else several
    sizes = list(dict.fromkeys(size for cells in table.values() for size in cells))
    lines = [f"p50 of a call, of 1 thread / of {several or 'no more'}:", ""]
    lines += [f"| memory type | call | {' | '.join(sizes)} |", f"| --- | --- |{' ---: |' * len(sizes)}"]
    for (memory_type, call), cells in table.items():
        lines.append(f"| {memory_type} | {call} | {' | '.join(' / '.join(cells[size]) for size in sizes)} |")
    ratios = sorted(row["judged"] for name, row in rows.items() if name.split()[0] in WAYS)
    quartiles = [ratios[len(ratios) * part // 4] for part in (1, 2, 3)]
    lines += [
        "",
        "Ratio to the hand-written loop over these rows: median {1:.2f}, quartiles {0:.2f} and {2:.2f}, from "
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}.".format(*quartiles),
    ]
    return lines


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: show.py FIGURES.json ...")
    machines = {}
    for path in map(Path, sys.argv[1:]):
        machines[path.stem] = {row["row"]: row for row in json.loads(path.read_text())["rows"]}
    print("\n".join(budgets(machines)))
    for name, rows in machines.items():
        print("\n".join(["", f"### {name}", *ways(rows)]))


if __name__ == "__main__":
    main()
