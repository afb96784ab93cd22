"""Documents of vkmapctl 0.1 as this version knows them: the same facts under today's keys."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from vkmapctl.model.case import labels
from vkmapctl.model.documents import Run
from vkmapctl.model.measured import Row
from vkmapctl.model.workload import Workload

_PAGE = 4096  # what 0.1 strode by on every machine that it was run on


class _Older(msgspec.Struct):
    """What a row of 0.1 says beside what Row knows. touches_pages: of a script."""

    touches_pages: Any = False


def renamed(row: Row, data: msgspec.Raw) -> Row:
    """A row whose text is `data`: one byte of each page that was written is no bandwidth."""
    rates = row.touch_bytes_per_second
    if row.seed is not None or rates.write is None:
        return row
    if row.touch != "first" and not msgspec.json.decode(data, type=_Older).touches_pages:
        return row
    cost = _PAGE / rates.write * 1e9 if rates.write else None
    return replace(row, first_touch_ns_per_page=cost, touch_bytes_per_second=replace(rates, write=None))


def completed(run: Run) -> Run:
    """Rows of one name get labels that tell them apart, and how long they were measured for, from their part.

    A command tells its fault.
    """
    parts: dict[str, list[Workload]] = {}
    for part in run.workload.parts():
        parts.setdefault(part.name, []).append(part)
    rows = [row if row.seed is not None else _with_effort(row, parts.get(row.part, [])) for row in run.results]
    if len({row.job for row in rows}) < len(rows):
        rows = [replace(row, job=label) for row, label in zip(rows, labels(rows), strict=True)]
    command = run.tool.command
    injected = next((following for word, following in pairwise(command) if word == "--inject"), run.injected)
    return replace(run, injected=injected, results=tuple(rows))


def _with_effort(row: Row, parts: Sequence[Workload]) -> Row:
    """Nothing is told where several parts of that name may be meant."""
    if len(parts) != 1:
        return row
    (part,) = parts
    return replace(
        row,
        seed=part.seed,
        duration_seconds=part.seconds,
        iterations=part.iterations,
        warmup_seconds=part.warmup_seconds,
        period_seconds=part.period_seconds,
    )
