"""Recordings of one program side by side, before and after it was mended: calls, figures, findings. Pure."""

from collections.abc import Callable, Iterator
from typing import Literal

from vkmapctl.figures.recorded_findings import NOTHING
from vkmapctl.model.base import Data
from vkmapctl.model.recorded import RecordedCall, RecordFinding, RecordReport

Turn = Literal["new", "gone", "stays"]
TURNS: dict[Turn, str] = {"new": "Newly found", "gone": "Gone", "stays": "Found in both"}
HARMLESS = ("freed-mapped",)  # that newly appear without being worse
Unit = Literal["count", "bytes", "seconds", "share"]


class CallChange(Data, frozen=True):
    """One call in both; a side that did not make it has a count of 0. Percentiles: None for too few calls."""

    call: str
    base_count: int
    new_count: int
    base_seconds: float
    new_seconds: float
    base_p50_ns: float | None
    new_p50_ns: float | None
    base_p99_ns: float | None
    new_p99_ns: float | None
    base_failed: int = 0
    new_failed: int = 0


class FigureChange(Data, frozen=True):
    """A figure of the whole in both; None where a recording does not tell."""

    name: str
    unit: Unit
    base: float | None
    new: float | None


class FindingChange(Data, frozen=True):
    """A finding, and what became of it; the texts are empty on the side that has it not."""

    code: str
    turn: Turn
    base: str = ""
    new: str = ""


class RecordingSide(Data, frozen=True):
    """One file: its name, its program, its devices with their drivers."""

    file: str
    program: str
    devices: tuple[str, ...]
    dropped: int


class RecordingsCompared(Data, frozen=True):
    """BASE against one other recording."""

    base: RecordingSide
    new: RecordingSide
    figures: tuple[FigureChange, ...]
    calls: tuple[CallChange, ...]
    findings: tuple[FindingChange, ...]

    @property
    def worse(self) -> tuple[str, ...]:
        """What a gate is about: findings that were not there before."""
        return tuple(one.code for one in self.findings if one.turn == "new" and one.code not in HARMLESS)


class RecordingsReport(Data, frozen=True, tag_field="kind", tag="compare-recordings"):
    """The document of `report compare --json` for recordings."""

    schema: str
    gate: Literal["warn", "fail"]
    comparisons: tuple[RecordingsCompared, ...]
    exit_code: int


def compare_recordings(base: tuple[str, RecordReport], new: tuple[str, RecordReport]) -> RecordingsCompared:
    """Names stand for the files."""
    reports = base[1], new[1]
    return RecordingsCompared(
        _side(*base), _side(*new), tuple(_figures(*reports)), tuple(_calls(*reports)), tuple(_findings(*reports))
    )


def _side(file: str, report: RecordReport) -> RecordingSide:
    devices = tuple(f"{one.name}, driver {one.driver_version}" for one in report.devices)
    return RecordingSide(file, report.program.name, devices, report.dropped)


def _calls(base: RecordReport, new: RecordReport) -> Iterator[CallChange]:
    before, after = ({one.call: one for one in report.calls} for report in (base, new))
    for call in dict.fromkeys((*before, *after)):
        sides = before.get(call), after.get(call)
        yield CallChange(
            call,
            *(one.count if one else 0 for one in sides),
            *(one.seconds if one else 0.0 for one in sides),
            *(_percentile(one, "p50_ns") for one in sides),
            *(_percentile(one, "p99_ns") for one in sides),
            *(one.failed if one else 0 for one in sides),
        )


def _percentile(call: RecordedCall | None, key: str) -> float | None:
    return getattr(call.latency, key) if call else None


def _figures(base: RecordReport, new: RecordReport) -> Iterator[FigureChange]:
    figures: tuple[tuple[str, Unit, Callable[[RecordReport], float | None]], ...] = (
        ("program's time", "seconds", lambda one: one.seconds),
        ("in these calls", "seconds", lambda one: one.mapping_seconds),
        ("of the program's time", "share", lambda one: one.mapping_seconds / one.seconds if one.seconds else None),
        ("calls a frame", "count", lambda one: one.frames.calls_mean if one.frames else None),
        ("in these calls, a frame", "seconds", _seconds_a_frame),
        ("page faults in mappings", "count", lambda one: one.page_faults.in_mappings if one.page_faults else None),
        ("page faults a mapping", "count", lambda one: one.page_faults.per_mapping if one.page_faults else None),
        ("most live objects", "count", lambda one: one.most_objects),
        ("most allocated", "bytes", lambda one: one.most_allocated_bytes),
        ("most mapped", "bytes", lambda one: one.most_mapped_bytes),
        ("most below 4 GiB", "bytes", lambda one: one.most_low_bytes),
    )
    for name, unit, value in figures:
        before, after = value(base), value(new)
        if before or after:
            yield FigureChange(name, unit, before, after)


def _seconds_a_frame(report: RecordReport) -> float | None:
    mean = report.frames.mapping.mean_ns if report.frames else None
    return None if mean is None else mean / 1e9


def _findings(base: RecordReport, new: RecordReport) -> Iterator[FindingChange]:
    before, after = ({one.code: one for one in reversed(report.findings)} for report in (base, new))
    codes = [one.code for report in (new, base) for one in report.findings if one.code != NOTHING]
    changes = [_turned(code, before.get(code), after.get(code)) for code in dict.fromkeys(codes)]
    yield from sorted(changes, key=lambda one: [*TURNS].index(one.turn))


def _turned(code: str, before: RecordFinding | None, after: RecordFinding | None) -> FindingChange:
    turn: Turn = "stays" if before and after else "new" if after else "gone"
    return FindingChange(code, turn, before.text if before else "", after.text if after else "")
