"""Rows of one case that several processes measured, as one row that keeps what each of them found. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean, median, stdev

from msgspec.structs import replace

from vkmapctl.figures import outcomes, stats, versus
from vkmapctl.model.measured import (
    FirstTouch,
    GpuWork,
    Histogram,
    Latency,
    Repetition,
    Replayed,
    Row,
    TouchRate,
    Versus,
)


def repeats_of(row: Row) -> tuple[Repetition, ...]:
    """What each process found: of a row that one process measured, that one."""
    return row.repeats or (repeat_of(row),)


def repeat_of(row: Row) -> Repetition:
    """What the one process found that measured the row."""
    latencies = row.latencies()
    return Repetition(
        ns_per_pair=per_pair(row),
        p50_ns={call: one.p50_ns for call, one in latencies.items() if one.p50_ns is not None},
        p99_ns={call: one.p99_ns for call, one in latencies.items() if one.p99_ns is not None},
        p999_ns={call: one.p999_ns for call, one in latencies.items() if one.p999_ns is not None},
        touch_bytes_per_second=row.touch_bytes_per_second,
        ratio_to_idle=row.ratio_to_idle and row.ratio_to_idle[0],
    )


def per_pair(row: Row) -> float | None:
    """ns of the median round, which a round that something disturbed does not move."""
    return median(row.rounds_ns_per_pair) if len(row.rounds_ns_per_pair) >= stats.LEAST_ROUNDS else row.ns_per_pair


def as_one(row: Row) -> Row:
    """The row with its processes' figures as one: their geometric means."""
    found = repeats_of(row)

    def by_call(name: str) -> dict[str, float]:
        tables = [getattr(one, name) for one in found]
        middles = {call: _middle(one.get(call) for one in tables) for call in tables[0]}
        return {call: value for call, value in middles.items() if value is not None}

    one = Repetition(
        ns_per_pair=_middle(one.ns_per_pair for one in found),
        p50_ns=by_call("p50_ns"),
        p99_ns=by_call("p99_ns"),
        p999_ns=by_call("p999_ns"),
        touch_bytes_per_second=TouchRate(
            _middle(one.touch_bytes_per_second.write for one in found),
            _middle(one.touch_bytes_per_second.read for one in found),
        ),
        ratio_to_idle=_middle(one.ratio_to_idle for one in found),
    )
    return replace(row, repeats=(one,))


def scatter(row: Row) -> float | None:
    """How far processes differ, as a share: the standard deviation of the logarithms of their ns per pair."""
    values = [one.ns_per_pair for one in row.repeats if one.ns_per_pair]
    return stdev(map(math.log, values)) if len(values) > 1 else None


def pooled(rows: Sequence[Row]) -> Row:
    """One row of all of them: counts added, histograms merged, percentiles taken of what is merged.

    The asked-for facts and the label are the first row's; the status is the worst, with its reason.
    """
    if len(rows) == 1:
        return rows[0]
    first = rows[0]
    worst = outcomes.worst(row.status for row in rows)
    told = next((row for row in rows if row.status == worst), first)
    pairs, seconds = sum(row.pairs for row in rows), sum(row.seconds for row in rows)
    repeats = tuple(one for row in rows for one in row.repeats or repeats_of(row)[: row.status == "ok"])
    touched = _first_touch([row.first_touch for row in rows if row.first_touch])
    timed = [row for row in rows if row.ns_per_pair is not None]
    return replace(
        first,
        pairs=pairs,
        seconds=seconds,
        pairs_per_second=pairs / seconds if seconds and not first.trace else None,
        ns_per_pair=_weighted([(row.ns_per_pair or 0.0, row.pairs) for row in timed]),
        rounds_ns_per_pair=tuple(value for row in rows for value in row.rounds_ns_per_pair),
        map=_latency(row.map for row in rows),
        unmap=_latency(row.unmap for row in rows),
        calls={call: one for call in first.calls if (one := _latency(row.calls.get(call) for row in rows))},
        response=_latency(row.response for row in rows),
        touch_bytes_per_second=TouchRate(
            _mean(one.touch_bytes_per_second.write for one in repeats),
            _mean(one.touch_bytes_per_second.read for one in repeats),
        ),
        first_touch_ns_per_page=touched.ns / touched.pages if touched and touched.pages else None,
        first_touch=touched,
        page_faults=_added(row.page_faults for row in rows),
        errors=_added(row.errors for row in rows),
        verified_bytes=sum(row.verified_bytes for row in rows),
        mismatches=sum(row.mismatches for row in rows),
        missed_cycles=sum(row.missed_cycles for row in rows),
        status=told.status,
        reason=told.reason,
        cause=told.cause,
        repeats=repeats,
        gpu=_gpu([row.gpu for row in rows if row.gpu]),
        versus=_versus([row.versus for row in rows if row.versus]),
        replay=_replay([row.replay for row in rows if row.replay]),
    )


def with_ratios(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows of one group, each with the ratios of its rounds to those of the same through v1, and of an idle device."""
    return tuple(
        replace(row, ratio_to_v1=_ratio(row, rows, "api", "v1"), ratio_to_idle=_ratio(row, rows, "gpu_load", "none"))
        for row in rows
    )


def _ratio(row: Row, rows: Sequence[Row], aspect: str, usual: str) -> tuple[float, float, float] | None:
    """To the row that is as usual in one aspect and in all else the same; None for that one itself."""
    if getattr(row, aspect) == usual:
        return None
    alike = row.identity(but=(aspect,))
    bases = (one for one in rows if getattr(one, aspect) == usual and one.identity(but=(aspect,)) == alike)
    base = next(bases, None)
    return stats.ratio_interval(row.rounds_ns_per_pair, base.rounds_ns_per_pair) if base else None


def _latency(parts: Iterable[Latency | None]) -> Latency | None:
    found = [one for one in parts if one is not None]
    if len(found) < 2:
        return found[0] if found else None
    bins: Counter[int] = Counter()
    for one in found:
        bins.update(dict(one.histogram.bins))
    some = [one for one in found if one.count]
    merged = Histogram(
        count=sum(one.count for one in found),
        sum_ns=round(sum((one.mean_ns or 0.0) * one.count for one in some)),
        min_ns=min((one.min_ns or 0 for one in some), default=0),
        max_ns=max((one.max_ns or 0 for one in some), default=0),
        overflow=sum(one.histogram.overflow for one in found),
        bins=tuple(sorted(bins.items())),
    )
    return replace(stats.latency(merged, 0.0), at_floor=all(one.at_floor for one in found))


def _first_touch(parts: Sequence[FirstTouch]) -> FirstTouch | None:
    if not parts:
        return None
    return FirstTouch(**{name: sum(getattr(one, name) for one in parts) for name in FirstTouch.__struct_fields__})


def _gpu(parts: Sequence[GpuWork]) -> GpuWork | None:
    if not parts:
        return None
    each = _weighted([(one.submission_ns, one.submissions) for one in parts]) or 0.0
    submissions, moved, gaps = (sum(getattr(one, name) for one in parts) for name in ("submissions", "bytes", "gaps"))
    return GpuWork(submissions, each, moved, gaps)


def _replay(parts: Sequence[Replayed]) -> Replayed | None:
    if not parts:
        return None
    return Replayed(
        calls=_added(one.calls for one in parts),
        recorded=parts[0].recorded,
        recorded_seconds=parts[0].recorded_seconds,
        replaced=tuple(dict.fromkeys(text for one in parts for text in one.replaced)),
        skipped=sum(one.skipped for one in parts),
        differs=sum(one.differs for one in parts),
        waits_ns=sum(one.waits_ns for one in parts),
    )


def _versus(parts: Sequence[Versus]) -> Versus | None:
    return versus.pooled(parts) if parts else None


def _added(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in parts:
        total.update(one)
    return dict(total)


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value]
    return stats.middle(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _weighted(values: Sequence[tuple[float, int]]) -> float | None:
    total = sum(weight for _, weight in values)
    return sum(value * weight for value, weight in values) / total if total else None
