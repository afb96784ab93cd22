"""What waits for the device: rows while it was busy beside the same rows while it was idle, and round trips. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vkmapctl import units
from vkmapctl.model.case import memory_label
from vkmapctl.model.measured import Latency, Row

# Of a submission: who waits for one that is under way waits half of it on average, and for all in flight longer.
A_WAIT = 0.25
TRIPS = {"to-host": "to the host", "to-device": "to the device"}


class Beside(NamedTuple):
    """One row while the device was busy, and the same while it was idle."""

    idle: Row
    busy: Row

    @property
    def waiting(self) -> list[str]:
        """The calls whose median is longer by what a wait for the device's work would take."""
        work = self.busy.gpu
        if work is None or not work.submissions:
            return []
        return [call for call, before, after in self.medians() if after - before >= A_WAIT * work.submission_ns]

    def medians(self) -> list[tuple[str, float, float]]:
        """Each call that both rows made, with its p50 idle and busy, in ns."""
        found = []
        for call, before in self.idle.latencies().items():
            after = self.busy.latency(call)
            if call not in TRIPS and before.p50_ns is not None and after and after.p50_ns is not None:
                found.append((call, before.p50_ns, after.p50_ns))
        return found

    def bandwidths(self) -> list[tuple[str, float, float]]:
        """Write and read through the mapping, idle and busy, in bytes per second."""
        found = []
        for kind in ("write", "read"):
            before, after = (getattr(row.touch_bytes_per_second, kind) for row in self)
            if before and after:
                found.append((kind, before, after))
        return found

    @property
    def what(self) -> str:
        """`copies to it`, from the point of view of the mapped object."""
        row = self.busy
        if row.gpu_on == "others":
            return {"fill": "fills memory of its own"}.get(row.gpu_load, "copies memory of its own")
        return {"fill": "fills it", "copy-from": "copies from it"}.get(row.gpu_load, "copies to it")

    def text(self) -> str:
        """One line, without the row's name."""
        work, ratio = self.busy.gpu, self.busy.ratio_to_idle
        waiting = self.waiting
        verdict = f"{' and '.join(waiting)} wait{'s' * (len(waiting) == 1)}" if waiting else "nothing waits"
        parts = [f"{verdict} for the GPU, which {self.what}"]
        if work and work.bytes_per_second:
            each = units.duration(work.submission_ns)
            parts[0] += f" at {units.bandwidth(work.bytes_per_second)} ({each} a submission)"
        if ratio:
            parts.append(f"time per pair {ratio[0]:.2f} times that of idle ({ratio[1]:.2f} to {ratio[2]:.2f})")
        parts += [f"{call} {units.duration(a)}, idle {units.duration(b)}" for call, b, a in self.medians()]
        parts += [f"{kind} {units.bandwidth(a)}, idle {units.bandwidth(b)}" for kind, b, a in self.bandwidths()]
        return "; ".join(parts)


def beside_idle(rows: Sequence[Row]) -> list[Beside]:
    """Each row with a load that ended well, with the same row without one."""
    but = ("gpu_load", "gpu_on")
    idle: dict[tuple[object, ...], Row] = {}
    for row in rows:
        if row.gpu_load == "none" and row.status == "ok":
            idle.setdefault(row.identity(but=but), row)
    pairs = [(idle.get(row.identity(but=but)), row) for row in rows if row.gpu_load != "none" and row.status == "ok"]
    return [Beside(one, row) for one, row in pairs if one]


def waits(rows: Sequence[Row]) -> list[str]:
    """A line for each row with a load."""
    return [f"{one.busy.job}: {one.text()}" for one in beside_idle(rows)]


def trip(row: Row, call: str) -> Latency | None:
    """The distribution of one direction, where it has a median."""
    latency = row.latency(call)
    return latency if latency and latency.p50_ns is not None else None


def round_trips(rows: Iterable[Row]) -> list[str]:
    """A line for each row that makes them: how long each direction takes."""
    lines = []
    for row in rows:
        told = [
            f"{words} {units.duration(latency.p50_ns or 0.0)}" + _tail(latency)
            for call, words in TRIPS.items()
            if row.status == "ok" and (latency := trip(row, call))
        ]
        if told:
            where = row.job if memory_label(row) in row.job else f"{row.job} ({memory_label(row)})"
            lines.append(f"{where}: a round trip {', '.join(told)}")
    return lines


def _tail(latency: Latency) -> str:
    return "" if latency.p99_ns is None else f" (p99 {units.duration(latency.p99_ns)})"
