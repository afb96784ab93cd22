"""Rows beside the measured ones, and what a reader should know before trusting one. Pure."""

from vkmapctl import stats
from vkmapctl.errors import Unsupported
from vkmapctl.model import Device, Note, Row, Workload

DRIFT_LIMIT = 0.25
FEW_BEYOND = 10  # samples beyond p99 for it to be more than an anecdote


def refused_row(part: Workload, device: Device, error: Unsupported) -> Row:
    """What stands for a part that this device cannot run."""
    size = next((one for one in part.sizes if isinstance(one, int)), 0)
    return Row(
        job=part.name,
        device=device.index,
        api=device.apis()[0],
        memory_type=0,
        memory_flags=(),
        allocation_size=size,
        offset=part.offsets[0],
        map_size=part.map_size,
        placed=part.placed,
        reserve=part.reserve,
        touch=part.touch,
        threads=part.threads,
        live=part.live,
        status="unsupported",
        reason=error.message,
        part=part.name,
    )


def row_notes(row: Row) -> list[Note]:
    """What a reader should know before trusting a row."""
    notes = []
    where = f"{row.job}, {row.api}"
    moved = stats.drift(row.rounds_ns_per_pair)
    if row.status == "ok" and moved > DRIFT_LIMIT and not row.rate:
        notes.append(
            Note(
                "drift",
                f"{where}: ns per pair moved by {moved:.0%} between the first and the last rounds; "
                "try --warmup 1s or a longer --duration",
            )
        )
    calls = [call for call in (row.map, row.unmap) if call is not None]
    fewest = min((call.count for call in calls), default=0)
    if row.status == "ok" and 0 < fewest < FEW_BEYOND / 0.01:
        notes.append(Note("few-samples", f"{where}: p99 rests on {fewest} samples; try a longer --duration"))
    if row.missed_cycles:
        text = f"{where}: the rate was not reached: {row.missed_cycles} cycles were due and never started"
        notes.append(Note("rate-missed", text))
    overflow = sum(call.histogram.overflow for call in calls)
    if overflow:
        text = f"{where}: {overflow} calls took 18 minutes or more, or the clock went back"
        notes.append(Note("overflow", text))
    return notes
