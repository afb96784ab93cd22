"""Which row is this: all that was asked of it, in one type beneath jobs and rows, with one identity and one label.

Every table, export, comparison, threshold and warning tells rows apart by what is here.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from vkmapctl import units
from vkmapctl.model.base import Data
from vkmapctl.rules import Allocation, Api

Touch = Literal["none", "first", "write", "read", "verify"]
UnmapOrder = Literal["same", "reverse", "random"]
Imported = Literal["none", "host"]
Access = Literal["sequential", "strided", "random"]
GpuLoad = Literal["none", "copy", "copy-from", "fill"]
GpuOn = Literal["others", "mapped"]
Pace = Literal["full", "recorded"]
EFFORT = ("seed", "duration_seconds", "iterations", "warmup_seconds", "period_seconds", "script")


class Case(Data, frozen=True):
    """All that is asked of a row; sizes in bytes.

    part: the job's name in its workload file. offset: bytes, or `random`. map_size: None for VK_WHOLE_SIZE. placed:
    `any`, `low4g`, `low2g`, an address in hexadecimal, or None. rate: cycles per second and thread. period_seconds:
    length of a round. steps, script: of a scripted job the number of its steps, and a digest of them and their objects.
    fill: the addresses that `placed` names are used up first. together: devices that work at the same time.
    gap_seconds: slept before each cycle. allocation: the kind that objects are of. imported: objects are imported from
    a host range instead of mapped, and freed instead of unmapped. pressure: per cent of the heap's budget that other
    allocations fill. width: bytes of each load or store, `memcpy`, `stream`, or `auto`. access: in which order.
    gpu_load: what the device does meanwhile. gpu_on: with which memory, some of its own or the mapped object's.
    trace: digest of the trace that is replayed, or empty. pace: of its threads, as fast as they go or as recorded.
    None in seed to warmup_seconds: a file of vkmapctl 0.1 does not tell.
    """

    device: int
    api: Api
    memory_type: int
    memory_flags: tuple[str, ...]
    allocation_size: int
    offset: int | str
    map_size: int | None
    placed: str | None
    reserve: bool
    touch: Touch
    threads: int
    live: int
    part: str = ""
    unmap_order: UnmapOrder = "same"
    rate: float | None = None
    seed: int | None = None
    duration_seconds: float | None = None
    iterations: int | None = None
    warmup_seconds: float | None = None
    period_seconds: float | None = None
    steps: int = 0
    script: str = ""
    fill: bool = False
    together: int = 1
    gap_seconds: float = 0.0
    imported: Imported = msgspec.field(default="none", name="import")
    allocation: Allocation = "plain"
    pressure: int = 0
    width: str = "auto"
    access: Access = "sequential"
    gpu_load: GpuLoad = "none"
    gpu_on: GpuOn = "others"
    trace: str = ""
    pace: Pace = "full"

    @property
    def waits(self) -> bool:
        """Whether a thread waits between cycles: time per pair then says nothing about the driver."""
        return bool(self.rate or self.gap_seconds)

    def identity(self, *, but: Collection[str] = ()) -> tuple[object, ...]:
        """What no two different cases share. but: names of fields to leave out."""
        return tuple(getattr(self, name) for name in Case.__struct_fields__ if name not in but)

    def label(self, among: "Sequence[Case]") -> str:
        """What tells this case from the others of its run, of which it is one."""
        return next(label for case, label in zip(among, labels(among), strict=True) if case is self)


class Aspect(NamedTuple):
    """One thing that is asked of a row. show: never the same for two values. word: how a label says what is shown.

    usual: what is shown where nobody asked for anything; a label leaves it out. detail: left out where the others tell
    all rows apart without it.
    """

    title: str
    show: Callable[[Case], str]
    word: str = "{}"
    usual: str | None = None
    numeric: bool = True
    folds: bool = False
    detail: bool = False


def memory_label(case: Case) -> str:
    """`#3 Vi Co Ca`, or `malloc`."""
    return "malloc" if case.memory_type < 0 else " ".join((f"#{case.memory_type}", *case.memory_flags))


def _seconds(value: float | None) -> str:
    return units.NONE if value is None else f"{units.exact(value)} s"


def _count(value: int | None) -> str:
    return units.NONE if value is None else str(value)


ASPECTS = (
    Aspect("device", lambda c: str(c.device), "device {}", "0"),
    Aspect("job", lambda c: c.part, usual="", numeric=False),
    Aspect("size", lambda c: units.exact_size(c.allocation_size)),
    Aspect("offset", lambda c: str(c.offset), "at {}", "0"),
    Aspect("mapped", lambda c: "whole" if c.map_size is None else units.exact_size(c.map_size), "mapped {}", "whole"),
    Aspect("memory type", memory_label, numeric=False, folds=True),
    Aspect("placed", lambda c: c.placed or units.NONE, "placed {}", units.NONE, numeric=False),
    Aspect("reserve", lambda c: "yes" if c.reserve else "no", "reserve", "no", numeric=False),
    Aspect("touch", lambda c: c.touch, "touch {}", "none", numeric=False),
    Aspect("width", lambda c: c.width, "width {}", "auto"),
    Aspect("access", lambda c: c.access, usual="sequential", numeric=False),
    Aspect("threads", lambda c: str(c.threads), "{} threads", "1"),
    Aspect("live", lambda c: str(c.live), "{} live", "1"),
    Aspect("unmapped", lambda c: c.unmap_order, "unmapped in {} order", "same", numeric=False),
    Aspect("rate", lambda c: units.NONE if c.rate is None else f"{units.exact(c.rate)}/s", usual=units.NONE),
    Aspect("gap", lambda c: _seconds(c.gap_seconds), usual="0 s"),
    Aspect("script", lambda c: c.script and f"{c.steps} steps {c.script}", usual="", numeric=False, detail=True),
    Aspect("trace", lambda c: c.trace, "trace {}", "", numeric=False, detail=True),
    Aspect("pace", lambda c: c.pace, "pace {}", "full", numeric=False),
    Aspect("allocation", lambda c: c.allocation, usual="plain", numeric=False),
    Aspect("pressure", lambda c: f"{c.pressure}%", "under {} pressure", "0%"),
    Aspect("import", lambda c: c.imported, "import {}", "none", numeric=False),
    Aspect("filled", lambda c: "yes" if c.fill else "no", "addresses filled", "no", numeric=False),
    Aspect("seed", lambda c: _count(c.seed), "seed {}", "1", detail=True),
    Aspect("duration", lambda c: _seconds(c.duration_seconds), "for {}", "2 s", detail=True),
    Aspect("iterations", lambda c: _count(c.iterations), "{} iterations", units.NONE, detail=True),
    Aspect("warm-up", lambda c: _seconds(c.warmup_seconds), "warm-up {}", "0.1 s", detail=True),
    Aspect("period", lambda c: _seconds(c.period_seconds), "period {}", units.NONE, detail=True),
    Aspect("GPU", lambda c: c.gpu_load, "GPU {}", "none", numeric=False),
    Aspect("GPU on", lambda c: c.gpu_on, "on the {}", "others", numeric=False),
    Aspect("at once", lambda c: str(c.together), "{} devices at once", "1"),
    Aspect("api", lambda c: c.api, numeric=False),
)  # fmt: skip


def varying(cases: Sequence[Case]) -> list[Aspect]:
    """The aspects in which some of the cases differ; a detail only where it tells apart what the others do not."""
    found = [aspect for aspect in ASPECTS if _distinct(cases, [aspect]) > 1]
    for detail in [aspect for aspect in found if aspect.detail]:
        others = [aspect for aspect in found if aspect is not detail]
        if _distinct(cases, others) == _distinct(cases, found):
            found = others
    return found


def _distinct(cases: Sequence[Case], aspects: Sequence[Aspect]) -> int:
    """How many of the cases these aspects tell apart."""
    return len({tuple(aspect.show(case) for aspect in aspects) for case in cases})


def labels(cases: Sequence[Case], always: Collection[str] = ("size",)) -> list[str]:
    """A label for each case, made of what tells it from the others; no two are alike.

    always: titles of the aspects that are told whether or not they differ. A script's or a trace's size says little.
    """
    differing = varying(cases)
    told: dict[str, None] = {}  # a set that keeps its order
    for case in cases:
        label, number = _label(case, differing, always), 2
        unique = label
        while unique in told:
            unique, number = f"{label} ({number})", number + 1
        told[unique] = None
    return list(told)


def _label(case: Case, differing: Sequence[Aspect], always: Collection[str]) -> str:
    told = [] if case.steps or case.trace else always
    shown = [(aspect, aspect.show(case)) for aspect in ASPECTS if aspect in differing or aspect.title in told]
    words = [aspect.word.format(text) for aspect, text in shown if text != aspect.usual]
    return ", ".join(words) or case.part or units.exact_size(case.allocation_size)
