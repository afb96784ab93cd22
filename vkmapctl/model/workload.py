"""What is asked for: a workload as written, and the jobs that it becomes on a device. How to resolve it is plans/'s."""

from typing import Any

import msgspec

from vkmapctl.model.base import Data, Note
from vkmapctl.model.case import Access, Case, GpuLoad, GpuOn, Imported, Pace, Touch, UnmapOrder
from vkmapctl.model.script import AnyStep, Import, walk
from vkmapctl.model.trace import Allocate, Trace, TraceFit
from vkmapctl.rules import Allocation

MOST_KEPT_STEPS = 10_000  # of a trace in a saved run: about a megabyte


class Workload(Data, frozen=True):
    """A stress workload as asked for, before the device is known. Sizes in bytes.

    sizes may hold `LOW..fit*FACTOR`, which only a device can resolve. rate: cycles per second and thread. draws: the
    steps are drawn at random so many times for each cycle. objects: of a script, their number or their sizes. fill:
    the addresses that `placed` names are used up before the job starts. period_seconds: a line and a look for leaks
    so often. optional: left out where the device lacks what it needs. gpu_load: what keeps the device busy while half
    of the rows are measured. gpu_on: its own memory, or the mapped object's. jobs: a workload of several parts has
    them here, and its own flags mean nothing. trace: what is replayed instead, `iterations` times. pace: at full speed,
    or in the recorded time.
    """

    name: str = "flags"
    sizes: tuple[int | str, ...] = (64 << 20,)
    offsets: tuple[int | str, ...] = (0,)
    map_size: int | None = None
    api: str = "auto"
    memory_type: str = "auto"
    placed: str | None = None
    reserve: bool = False
    touch: Touch = "none"
    threads: int = 1
    live: int = 1
    seconds: float = 2.0
    iterations: int | None = None
    warmup_seconds: float = 0.1
    seed: int = 1
    unmap_order: UnmapOrder = "same"
    rate: float | None = None
    fail_if: tuple[str, ...] = ()
    objects: int | tuple[int, ...] = 0
    steps: tuple[AnyStep, ...] = ()
    draws: int | None = None
    fill: bool = False
    optional: bool = False
    period_seconds: float | None = None
    question: str = ""
    jobs: tuple["Workload", ...] = ()
    gap_seconds: float = 0.0
    imported: Imported = msgspec.field(default="none", name="import")
    allocation: Allocation = "plain"
    pressure: int = 0
    width: str = "auto"
    access: Access = "sequential"
    gpu_load: GpuLoad = "none"
    gpu_on: GpuOn = "others"
    trace: Trace | None = None
    pace: Pace = "full"

    def asked(self) -> dict[str, Any]:
        """What is asked of each of its rows, by the names that Case has for it; where and how much is not in it."""
        alike = {name: getattr(self, name) for name in Case.__struct_fields__ if hasattr(self, name)}
        del alike["api"], alike["memory_type"]  # words here, and what they mean on a device there
        alike["trace"] = self.trace.digest if self.trace else ""
        alike["threads"] = self.thread_count
        return alike | {"part": self.name, "duration_seconds": self.seconds, "steps": len(self.steps)}

    @property
    def thread_count(self) -> int:
        """As asked for, or those of the trace."""
        return len(self.trace.threads) if self.trace else self.threads

    @property
    def imports(self) -> bool:
        """Whether objects are imported from host memory, as asked for or by steps."""
        by_trace = self.trace is not None and any(
            isinstance(s, Allocate) and s.kind == "host" for s in self.trace.walk()
        )
        return by_trace or self.imported == "host" or any(isinstance(step, Import) for _, step in walk(self.steps))

    def kept(self) -> "Workload":
        """As a saved run keeps it: without the steps of a trace that has more of them than the rest of any document."""
        if self.jobs:
            return msgspec.structs.replace(self, jobs=tuple(part.kept() for part in self.jobs))
        if self.trace is None or sum(1 for _ in self.trace.walk()) <= MOST_KEPT_STEPS:
            return self
        return msgspec.structs.replace(self, trace=msgspec.structs.replace(self.trace, threads=()))

    def parts(self) -> tuple["Workload", ...]:
        """The sets of flags to measure, one after the other."""
        return self.jobs or (msgspec.structs.replace(self, name=""),)


class Job(Case, frozen=True, kw_only=True):
    """One row to measure: a workload resolved for one device, one memory type, one range and one api.

    job: its label, unlike any other's in the run. scripted, draws, object_sizes: of a script, else empty. fitted: its
    size is one that was to fit, so that a driver which finds no memory for it has not failed. pressure_bytes: what
    other allocations are to take of its heap. traced: the trace that it replays,
    fit: how the device does that.
    """

    job: str = ""
    seed: int = 1
    duration_seconds: float = 2.0
    warmup_seconds: float = 0.1
    scripted: tuple[AnyStep, ...] = ()
    draws: int | None = None
    object_sizes: tuple[int, ...] = ()
    fitted: bool = False
    pressure_bytes: int = 0
    traced: Trace | None = None
    fit: TraceFit | None = None

    @property
    def imports(self) -> bool:
        """Whether objects of it are imported from host memory, as asked for or by steps."""
        return self.imported == "host" or any(isinstance(step, Import) for _, step in walk(self.scripted))

    @property
    def object_count(self) -> int:
        """Objects of each thread."""
        return len(self.object_sizes) if self.scripted else self.live

    @property
    def planned_seconds(self) -> float | None:
        """How long it measures and warms up; None where cycles are counted and not time."""
        if self.traced:
            return self.traced.seconds * (self.iterations or 1) if self.pace == "recorded" else None
        return None if self.iterations is not None else self.duration_seconds + self.warmup_seconds

    @property
    def memory_bytes(self) -> int:
        """What all objects of all threads take."""
        if self.fit:
            return self.fit.most_bytes
        each = sum(self.object_sizes) if self.scripted else self.allocation_size * self.live
        return each * self.threads


class Plan(Data, frozen=True):
    """One part of a workload on one device: groups of jobs, which are measured in turns.

    The jobs of a group differ in their api alone, and in whether the device is kept busy meanwhile: idle first.

    fail_if: conditions on these jobs' rows alone.
    """

    groups: tuple[tuple[Job, ...], ...]
    fail_if: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job, in order."""
        return tuple(job for group in self.groups for job in group)
