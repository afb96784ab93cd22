"""What is asked for: a workload as written, the jobs that it becomes on a device, and how long they are measured."""

from typing import Literal

import msgspec

from vkmapctl.model.base import Data, Note
from vkmapctl.model.script import AnyStep
from vkmapctl.rules import Api

Touch = Literal["none", "first", "write", "read", "verify"]

UnmapOrder = Literal["same", "reverse", "random"]


class Workload(Data, frozen=True):
    """A stress workload as asked for, before the device is known. Sizes in bytes.

    sizes may hold `LOW..fit*FACTOR`, which only a device can resolve. rate: cycles per second and thread. draws: the
    steps are drawn at random so many times for each cycle. objects: of a script, their number or their sizes. fill:
    the addresses that `placed` names are used up before the job starts. period_seconds: a line and a look for leaks
    so often. jobs: a workload of several parts has them here, and its own flags mean nothing.
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
    period_seconds: float | None = None
    question: str = ""
    jobs: tuple["Workload", ...] = ()
    gap_seconds: float = 0.0

    def parts(self) -> tuple["Workload", ...]:
        """The sets of flags to measure, one after the other."""
        return self.jobs or (msgspec.structs.replace(self, name=""),)


class Job(Data, frozen=True):
    """One row to measure: a workload resolved for one device, one memory type, one range and one api.

    offset: bytes, or `random`. map_size: bytes, or None for VK_WHOLE_SIZE. placed: `any`, `low4g`, `low2g`, an
    address in hexadecimal, or None.
    """

    name: str
    device: int
    api: Api
    memory_type: int
    allocation_size: int
    offset: int | str
    map_size: int | None
    placed: str | None
    reserve: bool
    touch: Touch
    threads: int
    live: int
    seed: int
    part: str = ""
    unmap_order: UnmapOrder = "same"
    rate: float | None = None
    object_sizes: tuple[int, ...] = ()
    steps: tuple[AnyStep, ...] = ()
    draws: int | None = None
    fill: bool = False
    gap_seconds: float = 0.0

    @property
    def object_count(self) -> int:
        """Objects of each thread."""
        return len(self.object_sizes) if self.steps else self.live

    @property
    def waits(self) -> bool:
        """Whether a thread waits between cycles: time per pair then says nothing about the driver."""
        return bool(self.rate or self.gap_seconds)

    @property
    def memory_bytes(self) -> int:
        """What all objects of all threads take."""
        each = sum(self.object_sizes) if self.steps else self.allocation_size * self.live
        return each * self.threads


class Effort(Data, frozen=True):
    """How long each job is measured: by time, or by cycles of the program where `iterations` is given.

    period_seconds: length of a round, where each one is reported and looked at for leaks.
    """

    seconds: float
    iterations: int | None
    warmup_seconds: float
    period_seconds: float | None = None


class Plan(Data, frozen=True):
    """Groups of jobs; the jobs of a group differ in their api alone and are measured in turns."""

    groups: tuple[tuple[Job, ...], ...]
    effort: Effort
    notes: tuple[Note, ...] = ()
