#!/usr/bin/env python3
"""Measures every row of the budget table on this machine, each against its reference in the same minutes.

Needs vkmapctl installed for the Python that runs this, and a C compiler; rows whose reference is missing say so.
The references are hand-written C compiled on the spot, plain Python loops, the C library's memset, memcpy and memcmp,
and vulkaninfo. Exit code 0 however the figures turn out: nothing here is a test.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import bindings
import busy
import commands
import growth
import lives
import loops
import recording
import ways
from machine import FULL, QUICK, Effort, Figures, Machine, Missing, opened
from vkmapctl.errors import VkmapError
from vkmapctl.machine import host

InProcess = Callable[[Machine, Effort], Iterator[Figures]]
WholeCommand = Callable[[Effort], Iterator[Figures]]
IN_PROCESS: tuple[InProcess, ...] = (
    loops.rate,
    loops.latency,
    bindings.python_loops,
    loops.touch,
    loops.widths,
    loops.threads,
    ways.ways,
    lives.lives,
    busy.pairs,
    busy.trips,
)
WHOLE_COMMANDS: tuple[WholeCommand, ...] = (
    commands.stress_command,
    commands.start_up,
    commands.memory,
    recording.record_calls,
    recording.record_programs,
)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def guarded(name: str, rows: Callable[[], Iterator[Figures]]) -> Iterator[Figures]:
    """The rows, or one that says why there are none."""
    try:
        yield from rows()
    except (Missing, VkmapError, OSError, RuntimeError) as problem:
        yield Figures(name, "", "", note=str(problem) or type(problem).__name__)


def measured(
    effort: Effort, machine: Machine, in_process: Sequence[InProcess], whole_commands: Sequence[WholeCommand]
) -> Iterator[Figures]:
    """Every row, as it comes."""
    for measure in in_process:
        yield from guarded(measure.__name__, lambda m=measure: m(machine, effort))
    for whole in whole_commands:
        yield from guarded(whole.__name__, lambda w=whole: w(effort))


def number(value: float | None) -> str:
    """Three digits, or more where they count."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def verdict(figures: Figures) -> str:
    if figures.met is None:
        return "no reference" if figures.limit else ""
    return ("met" if figures.met else "missed") if figures.limit else ""


def table(rows: list[Figures]) -> list[str]:
    """The rows as Markdown."""
    lines = [
        "| row | what | unit | vkmapctl | reference | judged | quartiles | limit | |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for one in rows:
        judged = f"{one.how} {number(one.judged)}" if one.judged is not None else "-"
        spread = f"{number(one.low)} to {number(one.high)}" if one.low is not None else "-"
        what = f"{one.what}; {one.note}" if one.note and one.what else one.what or one.note
        cells = (one.row, what, one.unit, number(one.value), number(one.reference), judged, spread, one.limit)
        lines.append(f"| {' | '.join(cells)} | {verdict(one)} |")
    return lines


def growth_table(series: list[growth.Series]) -> list[str]:
    lines = ["| what grows | from it | cost |", "| --- | --- | --- |"]
    for one in series:
        points = ", ".join(f"{number(amount)}: {number(cost)}" for amount, cost in one.points)
        lines.append(f"| {one.name} ({one.amount}) | {one.cost} | {points or '-'} |")
    return lines


def describe(machine: Machine) -> dict[str, Any]:
    facts = machine.facts
    return {
        "host": host.describe(),
        "device": facts.name,
        "driver": f"{facts.driver_name} {facts.driver_info}",
        "clock": machine.clock.name,
        "loads": list(os.getloadavg()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="every row, roughly: to see that it runs")
    parser.add_argument("--no-growth", action="store_true", help="leave out how cost grows")
    parser.add_argument(
        "--emulate",
        action="store_true",
        help="only the rows of each way to map, placed ones by the test layer: to see that they run",
    )
    options = parser.parse_args()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    effort, begin = QUICK if options.quick else FULL, time.monotonic()
    what: tuple[Sequence[InProcess], Sequence[WholeCommand]] = (IN_PROCESS, WHOLE_COMMANDS)
    if options.emulate:
        what, options.no_growth = ((ways.ways,), ()), True
    rows: list[Figures] = []
    series: list[growth.Series] = []
    about: dict[str, Any] = {}

    def save() -> None:
        """What there is so far: a device that hangs in a later row takes no figure with it."""
        if options.json:
            document = {
                "started": started,
                "seconds": round(time.monotonic() - begin, 1),
                "quick": options.quick,
                **about,
                "rows": [asdict(one) for one in rows],
                "growth": [one._asdict() for one in series],
            }
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(document, indent=1) + "\n")

    with tempfile.TemporaryDirectory() as name:
        try:
            with opened(Path(name), emulate=options.emulate) as machine:
                about = describe(machine)
                for figures in measured(effort, machine, *what):
                    rows.append(figures)
                    tell(f"{figures.row}: {number(figures.value)} {figures.unit}, {verdict(figures) or figures.note}")
                    save()
        except (Missing, VkmapError) as problem:
            tell(f"Error: {problem}")
            return 3
        for one in () if options.no_growth else growth.all_series(Path(name), options.quick):
            series.append(one)
            tell(f"{one.name}: {len(one.points)} points")
            save()
    print("\n".join([f"{about['device']}, {about['driver']}; {about['host']['cpu_model']}", "", *table(rows)]))
    if series:
        print("\n".join(["", *growth_table(series)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
