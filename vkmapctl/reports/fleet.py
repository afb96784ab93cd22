"""A fleet's run for other programs: OpenMetrics for a textfile collector, CSV, JSON lines, JUnit."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import msgspec

from vkmapctl.model.fleet import Ledger, LedgerEntry, State
from vkmapctl.model.outliers import Odd, Outliers
from vkmapctl.reports.junit import Case, Suite, written
from vkmapctl.reports.outliers import AGAINST, gpu_text, shift_text, summary
from vkmapctl.reports.sheets import sheet
from vkmapctl.reports.trackers import Metric, Sample, openmetrics

STATES: tuple[State, ...] = ("ok", "swapped", "failed", "interrupted", "missing", "foreign")
MOST_SERIES = 200  # of GPUs by name, in OpenMetrics: the counts tell of all
_CASES: dict[State, str] = {"failed": "failure", "interrupted": "error", "missing": "error"}
Histories = Mapping[tuple[str, str], Sequence[tuple[str, float]]]  # see figures/outliers.histories


class Sweep(NamedTuple):
    """Everything about one run. histories: of GPUs, empty where there are none."""

    ledger: Ledger
    outliers: Outliers
    histories: Histories

    def odd(self) -> dict[tuple[str, str], Odd]:
        """What is odd by (host, GPU), of several the first; a host has an empty GPU. Cleared ones are left out."""
        found: dict[tuple[str, str], Odd] = {}
        for one in self.outliers.found:
            if one.verdict != "cleared":
                found.setdefault((one.host, one.gpu), one)
        return found


def export(sweep: Sweep, wanted: str) -> bytes:
    """One of reports.FLEET_FORMATS."""
    if wanted == "html":
        from vkmapctl.reports.fleet_page import to_html

        return to_html(sweep)
    return {"openmetrics": to_openmetrics, "csv": to_csv, "jsonl": to_jsonl, "junit": to_junit}[wanted](sweep)


class Line(msgspec.Struct):
    """A GPU in CSV and JSON lines. verdict: of outliers, empty for none. shifts are relative: 0.1 is slower by a tenth.

    host_verdict, host_shift: of its host among hosts.
    """

    run: str
    host: str
    slot: int
    state: str
    why: str
    gpu: str
    model: str
    driver: str
    pci: str
    verdict: str
    against: str
    row: str
    shift: float | None
    shift_before: float | None
    host_verdict: str
    host_shift: float | None
    document: str


def lines(sweep: Sweep) -> Iterator[Line]:
    """One for each GPU of the ledger."""
    odd = sweep.odd()
    for entry in sweep.ledger.entries:
        one = odd.get((entry.host, entry.gpu)) if entry.gpu else None
        host = odd.get((entry.host, ""))
        yield Line(
            run=sweep.ledger.run.id,
            host=entry.host,
            slot=entry.slot,
            state=entry.state,
            why=entry.why,
            gpu=entry.gpu,
            model=entry.model,
            driver=entry.driver,
            pci=entry.pci,
            verdict=one.verdict if one else "",
            against=one.against if one else "",
            row=one.row if one else "",
            shift=one.shift if one else None,
            shift_before=one.before if one else None,
            host_verdict=host.verdict if host else "",
            host_shift=host.shift if host else None,
            document=entry.document,
        )


def to_csv(sweep: Sweep) -> bytes:
    """A line for each GPU."""
    return sheet(Line.__struct_fields__, (msgspec.structs.astuple(one) for one in lines(sweep)))


def to_jsonl(sweep: Sweep) -> bytes:
    """An object for each GPU, one a line."""
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(one) + b"\n" for one in lines(sweep))


# --- OpenMetrics ----------------------------------------------------------------------------------


def to_openmetrics(sweep: Sweep) -> bytes:
    """Some 30 series, and one for each of at most MOST_SERIES GPUs that are not well. No timestamps.

    Times are values, so that a collector which reads a file twice does not take it for news:
    https://github.com/prometheus/node_exporter/issues/769
    """
    return openmetrics(_metrics(sweep))


def _metrics(sweep: Sweep) -> Iterator[Metric]:
    run, ended = sweep.ledger.run, sweep.ledger.ended
    for name, meaning, told in (
        ("fleet_start_timestamp_seconds", "When the run began, since the epoch.", run.started),
        ("fleet_end_timestamp_seconds", "When its engine ended, since the epoch.", ended.ended if ended else ""),
    ):
        yield name, "gauge", "seconds", meaning, _moment(told)
    yield "fleet_exit_code", "gauge", "", "What fleet status exits with: 0 is well.", [("", {}, sweep.ledger.exit_code)]
    counts: list[Sample] = [("", {"state": state}, sweep.ledger.count(state)) for state in STATES]
    yield "fleet_gpus", "gauge", "", "GPUs by how they ended.", counts
    odd: list[Sample] = [
        ("", {"verdict": verdict, "against": against}, _count(sweep.outliers, verdict, against))
        for verdict in ("suspect", "run-again")
        for against in AGAINST
    ]
    yield "fleet_outliers", "gauge", "", "What is slower than it should be, by what it was held against.", odd
    seen = [group.by_gpu for group in sweep.outliers.groups if group.by_gpu]
    largest: list[Sample] = [("", {}, max(one.smallest for one in seen))] if seen else []
    yield "fleet_smallest_slowdown_ratio", "gauge", "ratio", "What is found 9 times of 10, of the worst group.", largest
    named: list[Sample] = [
        ("", {"host": entry.host, "slot": str(entry.slot), "is": is_now}, 1) for entry, is_now in _not_well(sweep)
    ]
    yield "fleet_not_well", "gauge", "", f"At most {MOST_SERIES} GPUs that are not well.", named[:MOST_SERIES]


def _moment(told: str) -> list[Sample]:
    with suppress(ValueError, OverflowError):
        return [("", {}, datetime.fromisoformat(told).timestamp())]
    return []


def _count(found: Outliers, verdict: str, against: str) -> int:
    return sum(one.verdict == verdict and one.against == against and one.slower for one in found.found)


def _not_well(sweep: Sweep) -> Iterator[tuple[LedgerEntry, str]]:
    odd = sweep.odd()
    for entry in sweep.ledger.entries:
        one = odd.get((entry.host, entry.gpu)) if entry.gpu else None
        if entry.state in _CASES:
            yield entry, entry.state
        elif one and one.verdict == "suspect" and one.slower and one.against != "siblings":
            yield entry, "suspect"


# --- JUnit ----------------------------------------------------------------------------------------


def to_junit(sweep: Sweep) -> bytes:
    """One case for each expected GPU: a suspect fails, and so does one that failed; one that is missing is an error."""
    run = sweep.ledger.run
    suite = Suite(f"vkmapctl fleet: {' '.join(run.command)}", [*_cases(sweep)])
    told = [("run", run.id), ("engine", run.engine), ("outliers", summary(sweep.outliers))]
    told += [(f"note {note.code}", note.message) for note in sweep.ledger.notes]
    return written("vkmapctl fleet", [(suite, [one for one in told if one[1]])], run.started)


def _cases(sweep: Sweep) -> Iterator[Case]:
    odd = sweep.odd()
    for entry in sweep.ledger.entries:
        if entry.state == "foreign":
            continue
        name = f"{entry.host} slot {entry.slot}"
        one = odd.get((entry.host, entry.gpu)) if entry.gpu else None
        told = f"{odd_text(one)}" if one else ""
        output = "\n".join(
            part for part in (f"{entry.model} {gpu_text(entry.gpu)}".strip(), told, entry.document) if part
        )
        if entry.state in _CASES:
            yield Case(name, _CASES[entry.state], f"{entry.state}: {entry.why}", output)
        elif one and one.verdict == "suspect" and one.slower and one.against != "siblings":
            yield Case(name, "failure", told, output)
        else:
            yield Case(name, "passed", "", f"{entry.why}\n{output}".strip())


def odd_text(one: Odd) -> str:
    """`suspect: 12.3 % slower than its peers`."""
    then = f", in the run before {shift_text(one.before)}" if one.before is not None else ""
    row = f" ({one.row})" if one.row else ""
    return f"{one.verdict}: {shift_text(one.shift)} than {AGAINST[one.against]}{row}{then}"
