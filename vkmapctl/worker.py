"""The child's side: answers the parent's requests with the driver."""

import os
import resource
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vkmapctl import native
from vkmapctl.driver import layers
from vkmapctl.driver.child import Channel, requests
from vkmapctl.driver.elevated import refuse_switches
from vkmapctl.driver.leaks import Leaks, process_usage
from vkmapctl.driver.objects import LOWEST_ADDRESS, allocated, filled, reserve_for, reserved, scripted_cycle
from vkmapctl.driver.protocol import (
    Calibrate,
    Calibrated,
    Describe,
    Described,
    Finish,
    Finished,
    Measure,
    Measured,
    Prove,
    Proved,
    Round,
    Tried,
    Try,
)
from vkmapctl.errors import Unsupported, VkmapError
from vkmapctl.machine import cpus
from vkmapctl.machine.addresses import areas
from vkmapctl.model import MALLOC, Device, Effort, Job, Note, TestLayer
from vkmapctl.native import Fault, Pass
from vkmapctl.plans.program import cycles_of, page_ceil
from vkmapctl.plans.script import ranges_of

ROUNDS = 10
MAPPINGS_SLACK = 64  # a driver's own pools and caches
FLOOR_NS = 60_000_000


def serve(channel: Channel, results: Sequence[native.Results] = (), layer: TestLayer | None = None) -> None:
    """The whole life of a child, for child.Child."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # some drivers hold a file for each allocation
    Session(channel, results, layer).serve()


def serve_ahead(channel: Channel) -> None:
    """The life of a probe's child, which describes the devices before it is asked to."""
    session = Session(channel, (), None)
    with suppress(VkmapError):  # met again when the parent asks
        session.describe()
    session.serve()


class Session:
    """One child's life: the instance, its devices, and the shared results of the running jobs."""

    def __init__(self, channel: Channel, results: Sequence[native.Results], layer: TestLayer | None) -> None:
        from vkmapctl.driver import vkapi  # here, so that only this process loads the driver

        self.channel, self.results, self.layer, self.vk = channel, results, layer, vkapi
        self._open = ExitStack()
        self._physical: list[Any] = []
        self._devices: dict[int, Device] = {}
        self._opened: dict[int, Any] = {}
        self._clock: native.Clock | None = None
        self._described: Described | None = None
        self._layers: list[layers.Layer] = []
        self._layers_told: set[tuple[int, str]] = set()
        self._messages: Any = None

    def serve(self) -> None:
        """Until the parent closes its pipe."""
        with self._open:
            for request in requests(self.channel):
                match request:
                    case Describe():
                        self._reply(self.describe())
                    case Prove(device):
                        self._reply(self.prove(device))
                    case Calibrate():
                        self.channel.send(self.calibrate())
                    case Measure(jobs, effort):
                        self._reply(self.measure(jobs, effort))
                    case Try(check, device, memory_type):
                        self._reply(self.try_check(check, device, memory_type))
                    case Finish():
                        self._open.close()
                        self._reply(Finished())

    def _reply(self, reply: Described | Proved | Measured | Tried | Finished) -> None:
        """Sends it, with what the validation layer has said since the last one."""
        said = self._messages.take() if self._messages else ()
        self.channel.send(replace(reply, validation=said))

    def describe(self) -> Described:
        if self._described is None:
            self._described = self._describe()
        return self._described

    def _describe(self) -> Described:
        refuse_switches(self.layer)
        emulates = self.layer is not None and self.layer.emulate != "none"
        own = self.vk.placed_natively() if emulates else []
        wanted = self.vk.use_test_layer(self.layer) if self.layer and self.layer.own else ()
        if self.layer and self.layer.validate:
            from vkmapctl.driver import validation

            wanted = (validation.require(self.vk.layer_versions()), *wanted)  # the first is next to us
            self._messages = validation.Messages()
        handle = self._open.enter_context(self.vk.instance(wanted, self._messages))
        self._layers = layers.active(layers.known(os.environ), areas(), os.environ)
        self._physical = self.vk.physical_devices(handle)
        notes = []
        for index, physical in enumerate(self._physical):
            device, filled = self.vk.describe(index, physical, emulated=emulates and not own[index])
            self._devices[index] = device
            if not filled:
                notes.append(
                    Note(
                        "features-unfilled",
                        f"{device.name} advertises {self.vk.MAP_PLACED} but leaves its features unfilled",
                    )
                )
        if not self._devices:
            raise Unsupported(
                "the Vulkan drivers on this machine offer no device", "vulkaninfo --summary shows the same"
            )
        names = tuple(layer.name for layer in self._layers)
        return Described(self.vk.loader_version(), names, tuple(self._devices.values()), tuple(notes))

    def device(self, index: int) -> Any:
        if index not in self._opened:
            opened = self.vk.OpenDevice(self._physical[index], self._devices[index])
            self._opened[index] = self._open.enter_context(opened)
        return self._opened[index]

    def prove(self, index: int) -> Proved:
        from vkmapctl.driver.proof import prove

        return Proved(prove(self.device(index)))

    def try_check(self, check: str, device: int, memory_type: int) -> Tried:
        from vkmapctl.checks import registry

        opened = self.device(device)
        return Tried(registry.run(registry.load()[check], opened, opened.facts.memory_types[memory_type]))

    @property
    def clock(self) -> native.Clock:
        if self._clock is None:
            self._clock = native.Clock(counter_is_trusted())
        return self._clock

    def calibrate(self) -> Calibrated:
        """The same loop on functions that do nothing, into the results of slot 0."""
        reads = self.clock.floor()
        steps = [native.Step(native.Op.MAP, size=4096, whole=True), native.Step(native.Op.UNMAP)]
        program = native.Program(native.null_driver(2), [(1 << 30, 4096)], [steps])
        results = self.results[0]
        _run_threads([program], self.clock, results, Pass.RATE, {"ns": FLOOR_NS})  # warm-up
        results.clear()
        for kind in (Pass.RATE, Pass.LATENCY):
            _run_threads([program], self.clock, results, kind, {"ns": FLOOR_NS})
        return Calibrated(self.clock.name, reads)

    def measure(self, jobs: Sequence[Job], effort: Effort) -> Measured:
        """Allocates once for the group, then runs its jobs in turns: check, warm-up, rounds of rate and latency."""
        self.device(jobs[0].device)
        mappings = len(areas())
        with ExitStack() as held:
            turns = [
                Turn(job, programs, results)
                for job, programs, results in zip(jobs, self._programs(jobs, held), self.results, strict=False)
            ]
            for turn in turns:
                turn.results.clear()
                turn.run(self.clock, Pass.CHECK, {"iterations": 1})
                if effort.warmup_seconds:
                    turn.run(self.clock, Pass.RATE, {"ns": int(effort.warmup_seconds * 1e9)}, discard=True)
            self._rounds(turns, effort)
            names = tuple(
                self.vk.result_name(turn.results.fault()[1]) if turn.results.fault()[1] else "" for turn in turns
            )
        notes = self._layer_notes(jobs)
        left = len(areas()) - mappings
        if left > MAPPINGS_SLACK:
            text = f"{jobs[0].name}: {left} mappings more in the process than before the job"
            notes.append(Note("mappings-left", text))
        return Measured(names, tuple(notes))

    def _layer_notes(self, jobs: Sequence[Job]) -> list[Note]:
        """A warning for each layer that answers the measured calls before the driver does."""
        found: list[Note] = []
        for job in jobs:
            which = (job.device, job.api)
            if which not in self._layers_told:
                addresses = self.device(job.device).map_functions(job.api)
                self._layers_told.add(which)
                found += [layers.note(layer) for layer in layers.in_path(self._layers, areas(), addresses)]
        return found

    def _rounds(self, turns: "list[Turn]", effort: Effort) -> None:
        """Each round gives every job a rate slice and a latency slice; the order rotates so that drift is shared."""
        rounds = rounds_of(effort, paced=bool(turns[0].job.rate))
        kinds = (Pass.LATENCY,) if turns[0].job.rate else (Pass.RATE, Pass.LATENCY)
        budget_ns = int(effort.seconds * 1e9 * len(turns))
        begin = self.clock.ns()
        leaks = Leaks()
        for number in range(rounds):
            order = turns[number % len(turns) :] + turns[: number % len(turns)]
            for kind in kinds:
                for turn in order:
                    turn.run(self.clock, kind, _limits(effort, effort.seconds / len(kinds), rounds, number))
            usage = process_usage() if effort.period_seconds else {}
            leaked = leaks.after_round(usage)
            nanoseconds = tuple(turn.latest_ns_per_pair() for turn in turns)
            self.channel.send(Round(nanoseconds, number + 1, rounds, usage, leaked))
            if leaked:
                return
            stopped = any(turn.results.control.stop for turn in turns)
            out_of_time = effort.iterations is None and self.clock.ns() - begin > budget_ns
            if stopped or out_of_time or all(turn.fault for turn in turns):
                return

    def _programs(self, jobs: Sequence[Job], held: ExitStack) -> list[list[native.Program]]:
        """programs[job][thread], over the same allocations and addresses for every job of the group."""
        first = jobs[0]
        device = self.device(first.device)
        facts = self._devices[first.device]
        threads = []
        with ExitStack() as chosen:
            for thread in range(first.threads):
                objects = held.enter_context(allocated(device, first))
                if first.steps:
                    addresses = {
                        name: chosen.enter_context(reserved(one.wanted, one.size))
                        for name, one in ranges_of(first.steps).items()
                    }
                    threads.append((objects, [scripted_cycle(first, facts, addresses, thread)]))
                    continue
                places = held.enter_context(_placed_at(first)) if first.placed else []
                threads.append((objects, cycles_of(first, facts, places, thread)))
            if first.fill:
                held.enter_context(filled(first.placed or "low4g"))
        programs = []
        for job in jobs:
            functions = self._functions(device, job)
            programs.append(
                [
                    held.enter_context(
                        _unwound(
                            native.Program(
                                functions,
                                objects,
                                cycles,
                                map_alignment=facts.limits.min_memory_map_alignment,
                                seed=job.seed * 1_000_003 + thread,
                                interval_ns=1e9 / job.rate if job.rate else 0.0,
                            ),
                            job,
                        )
                    )
                    for thread, (objects, cycles) in enumerate(threads)
                ]
            )
        return programs

    def _functions(self, device: Any, job: Job) -> native.Functions:
        if job.memory_type == MALLOC:
            return native.null_driver(1 if job.api == "v1" else 2)
        map_function, unmap_function = device.map_functions(job.api)
        return native.Functions(
            device.address,
            map_function,
            unmap_function,
            device.function("vkFlushMappedMemoryRanges"),
            device.function("vkInvalidateMappedMemoryRanges"),
            1 if job.api == "v1" else 2,
            device.function("vkAllocateMemory"),
            device.function("vkFreeMemory"),
            job.memory_type,
        )


class Turn:
    """One job's programs, a thread each, and where their results go."""

    def __init__(self, job: Job, programs: list[native.Program], results: native.Results) -> None:
        self.job, self.programs, self.results = job, programs, results
        self.fault = Fault.OK

    def run(self, clock: native.Clock, kind: Pass, limits: dict[str, int], *, discard: bool = False) -> None:
        """One pass, unless an earlier one met a fault. discard: forgets what the pass counted."""
        if self.fault:
            return
        for program in self.programs:
            program.forget_writes()
        _run_threads(self.programs, clock, self.results, kind, limits)
        self.fault = self.results.fault()[0]
        if discard and not self.fault:
            self.results.clear()

    def latest_ns_per_pair(self) -> float | None:
        pairs = self.results.total("slice_pairs")
        return self.results.total("slice_ns") / pairs if pairs and not self.fault else None


def _run_threads(
    programs: Sequence[native.Program],
    clock: native.Clock,
    results: native.Results,
    kind: Pass,
    limits: dict[str, int],
) -> None:
    """Runs each program in a thread and on a core of its own, with a common start; a single one right here."""
    results.control.threads, results.control.arrived = len(programs), 0
    if len(programs) == 1:
        programs[0].run(clock, results, 0, kind, **limits)
        return
    places = cpus.spread(len(programs), os.sched_getaffinity(0))

    def run(i: int) -> None:
        if places:
            cpus.pin(places[i])
        programs[i].run(clock, results, i, kind, **limits)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(programs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rounds_of(effort: Effort, *, paced: bool) -> int:
    """Rounds of a group. Paced cycles have one, since what is still due when a round ends would not be counted."""
    if effort.period_seconds and effort.iterations is None:
        return max(1, round(effort.seconds / effort.period_seconds))
    if paced:
        return 1
    return ROUNDS if effort.iterations is None else min(ROUNDS, effort.iterations)


def _limits(effort: Effort, seconds: float, rounds: int, number: int) -> dict[str, int]:
    """A slice's share of the effort: time, or iterations spread over the rounds."""
    if effort.iterations is None:
        return {"ns": max(int(seconds * 1e9 / rounds), 1)}
    share = effort.iterations * (number + 1) // rounds - effort.iterations * number // rounds
    return {"iterations": share}


@contextmanager
def _placed_at(job: Job) -> Iterator[list[int]]:
    """Reserved address ranges, one for each live object."""
    length = page_ceil(job.allocation_size if job.map_size is None else job.map_size)
    reserved: list[int] = []
    try:
        lowest = LOWEST_ADDRESS
        for _ in range(job.live):
            address = reserve_for(job.placed or "any", length, lowest)
            lowest = address + length
            reserved.append(address)
        yield reserved
    finally:
        for address in reserved:
            native.release_range(address, length)


@contextmanager
def _unwound(program: native.Program, job: Job) -> Iterator[native.Program]:
    """Leaves nothing mapped, and no range reserved but the placed ones, which _placed_at releases."""
    try:
        yield program
    finally:
        program.unwind()
        if not job.placed and not job.steps:
            program.release_kept()


def counter_is_trusted() -> bool:
    """Whether the kernel itself still offers the CPU's counter as a clock source (it drops a bad one)."""
    try:
        sources = Path("/sys/devices/system/clocksource/clocksource0/available_clocksource").read_text().split()
    except OSError:
        return False
    return bool({"tsc", "arch_sys_counter"} & set(sources))
