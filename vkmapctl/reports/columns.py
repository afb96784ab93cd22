"""What is shown of a row: one list of columns, for the terminal, Markdown, CSV and HTML.

What tells rows apart are the aspects of model/case; what was measured are the figures here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from vkmapctl import units
from vkmapctl.figures.pooling import repeats_of, scatter
from vkmapctl.model.case import ASPECTS as _ASPECTS
from vkmapctl.model.case import Aspect, varying
from vkmapctl.model.measured import FirstTouch, Latency, Row
from vkmapctl.units import NONE

FLOOR_MARK = "~"
FLOOR_WORDS = "less than twice a call that does nothing, or no more than a step of the clock"


class Figure(NamedTuple):
    """One figure of a row. value: None where there is none; show: of one that there is; key: its name in CSV.

    usual: what is shown where there is nothing to tell; a table in which every row shows it leaves the figure out.
    spare: given up first where there is little room.
    """

    title: str
    key: str
    value: Callable[[Row], Any]
    show: Callable[[Any], str]
    usual: str | None = None
    numeric: bool = True
    folds: bool = False
    spare: bool = False

    def text(self, row: Row) -> str:
        """As it is shown."""
        value = self.value(row)
        return NONE if value is None else self.show(value)


class Percentile(NamedTuple):
    """One figure of a distribution: its title, its key in Latency, and how it is shown."""

    title: str
    key: str
    show: Callable[[float], str] = units.duration


def _ratio(ratio: tuple[float, float, float]) -> str:
    middle, low, high = ratio
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _huge(first: FirstTouch) -> float | None:
    return first.huge_bytes / first.looked_bytes if first.huge_bytes else None


FIGURES = (
    Figure("pairs", "pairs", lambda row: None if row.trace else row.pairs, units.count, spare=True),
    Figure("pairs/s", "pairs_per_second", lambda row: row.pairs_per_second, units.count),
    Figure("per pair", "ns_per_pair", lambda row: row.ns_per_pair, units.duration),
    Figure("processes", "processes", lambda row: len(repeats_of(row)), str, "1", spare=True),
    Figure("apart", "process_scatter", scatter, "{:.1%}".format, NONE),
    Figure("to v1", "ratio_to_v1", lambda row: row.ratio_to_v1, _ratio, NONE, folds=True),
    Figure("versus", "versus", lambda row: row.versus and row.versus.ratio, _ratio, NONE, folds=True),
    Figure("to idle", "ratio_to_idle", lambda row: row.ratio_to_idle, _ratio, NONE, folds=True),
    Figure("GPU work", "gpu_bytes_per_second", lambda row: row.gpu and row.gpu.bytes_per_second, units.bandwidth, NONE),
    Figure("write", "write_bytes_per_second", lambda row: row.touch_bytes_per_second.write, units.bandwidth, NONE),
    Figure("per page", "first_touch_ns_per_page", lambda row: row.first_touch_ns_per_page, units.duration, NONE),
    Figure("read", "read_bytes_per_second", lambda row: row.touch_bytes_per_second.read, units.bandwidth, NONE),
    Figure(
        "faults a touch",
        "faults_per_first_touch",
        lambda row: row.first_touch and row.first_touch.faults_per_mapping,
        units.count,
        NONE,
    ),
    Figure("huge", "huge_share", lambda row: row.first_touch and _huge(row.first_touch), "{:.0%}".format, NONE),
    Figure("faults", "page_faults", lambda row: sum(row.page_faults.values()), units.count, "0", spare=True),
    Figure("status", "status", lambda row: row.status, str, "ok", numeric=False),
)
_TITLES = {"response": "from due"}
PERCENTILES = (
    Percentile("samples", "count", units.count),
    Percentile("min", "min_ns"),
    Percentile("p50", "p50_ns"),
    Percentile("p90", "p90_ns"),
    Percentile("p99", "p99_ns"),
    Percentile("p99.9", "p999_ns"),
    Percentile("max", "max_ns"),
)


def aspects(rows: Sequence[Row]) -> tuple[list[Aspect], str]:
    """What tells these rows apart, the api in any case, and what all of them share, in words."""
    differing = varying(rows)
    apart = [aspect for aspect in _ASPECTS if aspect in differing or aspect.title == "api"]
    shared = []
    for aspect in _ASPECTS:
        texts = {aspect.show(row) for row in rows}
        if aspect not in apart and len(texts) == 1 and texts.isdisjoint({aspect.usual, NONE}):
            shared.append(f"{aspect.title} {texts.pop()}")
    return apart, ", ".join(shared)


def figures(rows: Sequence[Row]) -> list[Figure]:
    """Those of which some row has something to tell."""
    return [one for one in FIGURES if one.usual is None or any(one.text(row) != one.usual for row in rows)]


def distributions(row: Row) -> Iterator[tuple[str, str, Latency]]:
    """Each call whose latency was measured: its key, its title, its distribution."""
    for call, latency in row.latencies().items():
        yield call, call_title(call), latency


def call_title(call: str) -> str:
    """How one of TIMED is called in tables and charts."""
    return _TITLES.get(call, call)


def percentiles(latency: Latency) -> list[str]:
    """As PERCENTILES are shown; a median that is not clear of the floor is marked."""
    values = [(one, getattr(latency, one.key)) for one in PERCENTILES]
    shown = [NONE if value is None else one.show(value) for one, value in values]
    if latency.at_floor:
        shown[2] = FLOOR_MARK + shown[2]
    return shown
