"""What the rows share: the compiled reference, an open device, and vkmapctl's own loop over the same memory."""

import ctypes
import math
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vkmapctl import native
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.machine import cpus
from vkmapctl.model.device import Device
from vkmapctl.native import Pass
from vkmapctl.worker.measuring import run_threads

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Effort:
    """How much to measure: rounds of most rows, slices of 2 ms for rates, runs of a command; sizes in bytes."""

    rounds: int
    slices: int
    commands: int
    sizes: tuple[int, ...]
    threads: tuple[int, ...]


CPUS = len(os.sched_getaffinity(0))
FULL = Effort(
    rounds=15,
    slices=200,
    commands=21,
    sizes=(64 << 10, 1 << 20, 16 << 20, 256 << 20),
    threads=(1, min(CPUS, 4)) if CPUS > 1 else (1,),
)
QUICK = Effort(rounds=3, slices=10, commands=2, sizes=(64 << 10,), threads=(1, 2))


class Missing(Exception):
    """A row's reference or subject does not exist on this machine; the message says what."""


@dataclass
class Figures:
    """One row of the table: medians over the rounds, and the spread of what is judged.

    value and reference in `unit`; judged is what the limit holds for (`how` says what it is), low and high its
    quartiles over the rounds. met is None for a row without a limit or without a reference.
    """

    row: str
    what: str
    unit: str
    value: float | None = None
    reference: float | None = None
    how: str = ""
    judged: float | None = None
    low: float | None = None
    high: float | None = None
    limit: str = ""
    met: bool | None = None
    rounds: int = 0
    note: str = ""


def compiler() -> str:
    """A C compiler's name. Raises Missing."""
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return name
    raise Missing("no C compiler")


def compile_reference(folder: Path, sources: Sequence[str], output: str, *flags: str) -> Path:
    """Compiles hand-written C with -O3 into folder."""
    target = folder / output
    command = [compiler(), "-std=c11", "-O3", "-Wall", "-Wextra", *flags, "-o", str(target)]
    subprocess.run([*command, *(str(HERE / source) for source in sources), "-ldl"], check=True)
    return target


class Reference:
    """The hand-written C functions, compiled now."""

    def __init__(self, folder: Path) -> None:
        self.library = ctypes.CDLL(str(compile_reference(folder, ["reference.c"], "reference.so", "-shared", "-fPIC")))

    def has(self, name: str) -> bool:
        """Whether there is a reference_<name> for this architecture."""
        return hasattr(self.library, f"reference_{name}")

    def call(self, name: str, *arguments: int) -> int:
        """reference_<name> with 64-bit arguments."""
        function = getattr(self.library, f"reference_{name}")
        function.restype = ctypes.c_uint64
        return int(function(*(ctypes.c_uint64(value) for value in arguments)))


class Machine:
    """The best device, opened in this process, and a clock."""

    def __init__(self, vk: Any, physical: Any, facts: Device, device: Any, folder: Path) -> None:
        self.vk, self.physical, self.facts, self.device = vk, physical, facts, device
        self.clock = native.Clock(cpus.counter_is_trusted())
        self.reference = Reference(folder)
        usable = [one for one in facts.memory_types if one.usable]
        self.memory_type = next((one for one in usable if "Ca" in one.flags), usable[0])

    def functions(self, api: str) -> native.Functions:
        """Addresses as the stress command uses them."""
        return native.Functions(
            self.device.address,
            *self.device.map_functions(api),
            self.device.function("vkFlushMappedMemoryRanges"),
            self.device.function("vkInvalidateMappedMemoryRanges"),
            1 if api == "v1" else 2,
            self.device.function("vkAllocateMemory"),
            self.device.function("vkFreeMemory"),
            self.memory_type.index,
        )

    @contextmanager
    def allocation(self, size: int, memory_type: int | None = None) -> Iterator[int]:
        """A VkDeviceMemory as an integer, in the host's cached memory unless told. Raises vkmapctl's CallFailed."""
        memory = self.device.allocate(self.memory_type.index if memory_type is None else memory_type, size)
        try:
            yield memory
        finally:
            self.device.free(memory)

    def median_ns(self, ticks: ctypes.Array[ctypes.c_uint64]) -> float:
        """The median of what the hand-written loop clocked; leaves the ticks in order."""
        middle = self.reference.call("median", ctypes.addressof(ticks), len(ticks))
        return middle * float(self.clock.raw.mult) / (1 << 32)

    def run(self, programs: Sequence[native.Program], results: native.Results, kind: Pass, **limits: int) -> None:
        """One pass of vkmapctl's loop, a program for each thread. Raises RuntimeError where it stops at a fault."""
        run_threads(programs, self.clock, results, kind, limits)
        if results.fault()[0]:
            raise RuntimeError(f"the loop stopped: {results.fault()[0].name}")

    def program(
        self, api: str, objects: Sequence[tuple[int, int]], touch: Sequence[native.Op] = (), width: str = "auto"
    ) -> native.Program:
        """Map each object whole, touch it, then unmap each: what `stress` runs."""
        steps = []
        for i, (_, size) in enumerate(objects):
            steps.append(native.LoopStep(native.Op.MAP, i, size=size, whole=True))
            steps += [native.LoopStep(op, i, size=size) for op in touch]
        steps += [native.LoopStep(native.Op.UNMAP, i) for i in range(len(objects))]
        return self.laid_out(api, objects, steps, width)

    def laid_out(
        self,
        api: str,
        objects: Sequence[native.Object | tuple[int, int]],
        steps: Sequence[native.LoopStep],
        width: str = "auto",
        queue: native.Queue | None = None,
    ) -> native.Program:
        """Any steps over these objects. queue: for those in which the device copies."""
        alignment = self.facts.limits.min_memory_map_alignment
        return native.Program(
            self.functions(api), objects, [steps], map_alignment=alignment, seed=1, width=width, queue=queue
        )


@contextmanager
def opened(folder: Path, *, emulate: bool) -> Iterator[Machine]:
    """The device that vkmapctl would choose. emulate: with placed maps by the test layer where it has none."""
    from vkmapctl.inside import vkapi
    from vkmapctl.inside.device import OpenDevice
    from vkmapctl.inside.layer import use_test_layer
    from vkmapctl.plans.selectors import best

    layers = use_test_layer(LayerChoice("placed")) if emulate else ()
    with vkapi.Instance(layers) as instance:
        physical = vkapi.physical_devices(instance.handle)
        if not physical:
            raise Missing("no Vulkan device")
        described = [vkapi.describe(i, one)[0] for i, one in enumerate(physical)]
        facts = best([msgspec.convert(one, Device) for one in described])
        with OpenDevice(physical[facts.index], described[facts.index], facts) as device:
            yield Machine(vkapi, physical[facts.index], facts, device, folder)


T = TypeVar("T")


def interleaved(rounds: int, *measures: Callable[[], T]) -> list[list[T]]:
    """Values of each measure, a round after the other; every second round goes backwards, so that drift is shared."""
    values: list[list[T]] = [[] for _ in measures]
    for measure in measures:
        measure()  # warm-up
    for number in range(rounds):
        order = range(len(measures))
        for i in order if number % 2 == 0 else reversed(order):
            values[i].append(measures[i]())
    return values


def judge(
    figures: Figures,
    values: Sequence[float],
    reference: Sequence[float],
    combine: Callable[[float, float], float],
    holds: Callable[[float], bool],
) -> Figures:
    """Fills in medians, and judges the median of the rounds' combined figures."""
    judged = sorted(combine(a, b) for a, b in zip(values, reference, strict=True))
    figures.value, figures.reference = statistics.median(values), statistics.median(reference)
    figures.judged, figures.rounds = statistics.median(judged), len(judged)
    figures.low, figures.high = judged[len(judged) // 4], judged[len(judged) - 1 - len(judged) // 4]
    figures.met = holds(figures.judged) and math.isfinite(figures.judged)
    return figures


def in_threads(machine: Machine, count: int, run: Callable[[int], None]) -> None:
    """run(i) in as many threads as vkmapctl would, after a common start."""
    arrived = ctypes.c_uint32(0)

    def started(i: int) -> None:
        machine.reference.call("together", ctypes.addressof(arrived), count)
        run(i)

    cpus.in_threads(count, started)


def difference(value: float, reference: float) -> float:
    return value - reference


def ratio(value: float, reference: float) -> float:
    return value / reference if reference else math.inf


def command(name: str) -> str:
    """Path of a console command: beside this Python first. Raises Missing."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise Missing(f"no {name} on this machine")
    return found
