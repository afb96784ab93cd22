"""Measuring jobs: allocations and programs for each, then passes in turns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cached_property

from vkmapctl import native
from vkmapctl.driver import layers
from vkmapctl.driver.messages import Calibrated, Measured, Round, pack
from vkmapctl.errors import Unsupported
from vkmapctl.figures import causes
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.fork import Channel
from vkmapctl.inside.process import files_mapped
from vkmapctl.inside.vkapi import result_name
from vkmapctl.machine import cpus
from vkmapctl.machine.addresses import areas
from vkmapctl.machine.ranges import LOWEST_ADDRESS, Range, filled, reserve_for, trampled
from vkmapctl.model.base import Note
from vkmapctl.model.device import MALLOC
from vkmapctl.model.loop import Fault, LoopStep, Op
from vkmapctl.model.measured import Cause, GpuWork
from vkmapctl.model.workload import Job
from vkmapctl.native import Pass
from vkmapctl.plans.program import cycles_of, page_ceil, thread_seed
from vkmapctl.plans.script import ranges_of
from vkmapctl.worker.gpu_work import load_of
from vkmapctl.worker.leaks import Leaks, process_usage
from vkmapctl.worker.load import Load
from vkmapctl.worker.objects import allocated, host_memory_of, scripted_cycle
from vkmapctl.worker.pressure import pressed
from vkmapctl.worker.replaying import cause as replay_cause
from vkmapctl.worker.replaying import prepared as prepared_replay
from vkmapctl.worker.round_trips import prepared

ROUNDS = 10
ROUNDS_IN_TURNS = 400  # of two processes: of a duration of 2 s each is shorter than what a scheduler lets run at once
MAPPINGS_SLACK = 64  # a driver's own pools and caches
FLOOR_NS = 60_000_000
MOST_GAPS = 0.1  # of a load's submissions, before its device counts as idle at times


class Measuring:
    """What measures jobs. device: gives the open device of an index."""

    def __init__(
        self,
        channel: Channel,
        results: Sequence[native.Results],
        device: Callable[[int], OpenDevice],
    ) -> None:
        self.channel, self.results, self._device = channel, results, device
        self._clock: native.Clock | None = None
        self._ranges: list[Range] = []
        self._layers_told: set[tuple[int, str]] = set()

    @property
    def clock(self) -> native.Clock:
        if self._clock is None:
            self._clock = native.Clock(cpus.counter_is_trusted())
        return self._clock

    @cached_property
    def _layers(self) -> list[layers.Layer]:
        return layers.active(files_mapped())

    def calibrate(self) -> Calibrated:
        """The same loop on functions that do nothing, into the results of slot 0."""
        at("")  # no call of the driver's is under way
        reads = self.clock.floor()
        steps = [LoopStep(Op.MAP, size=4096, whole=True), LoopStep(Op.UNMAP)]
        program = native.Program(native.null_driver(2), [(1 << 30, 4096)], [steps])
        results = self.results[0]
        run_threads([program], self.clock, results, Pass.RATE, {"ns": FLOOR_NS})  # warm-up
        results.clear()
        for kind in (Pass.RATE, Pass.LATENCY):
            run_threads([program], self.clock, results, kind, {"ns": FLOOR_NS})
        return Calibrated(self.clock.name, reads, self.clock.step())

    def measure(self, jobs: Sequence[Job], *, in_turns: bool = False) -> Measured:
        """Allocates once for the group, then runs its jobs in turns: check, warm-up, rounds of rate and latency.

        A trace is replayed instead.
        """
        if jobs[0].traced:
            return self._replay(jobs[0], in_turns=in_turns)
        self._device(jobs[0].device)
        mappings = len(areas())
        self._ranges = []
        with ExitStack() as held:
            pressure_notes = held.enter_context(pressed(self._device(jobs[0].device), jobs[0]))
            turns = [
                Turn(job, programs, results, load)
                for job, (programs, load), results in zip(jobs, self._programs(jobs, held), self.results, strict=False)
            ]
            for turn in turns:
                turn.results.clear()
                turn.run(self.clock, Pass.CHECK, {"iterations": 1})
                if turn.job.warmup_seconds:
                    turn.run(self.clock, Pass.RATE, {"ns": int(turn.job.warmup_seconds * 1e9)}, discard=True)
            self._rounds(turns, in_turns=in_turns)
            beside = trampled(self._ranges)
            tramples = Cause("tramples", text=beside) if beside else None
            found = tuple(turn.cause() or tramples for turn in turns)
            gpu = tuple(turn.gpu for turn in turns)
        notes = [*self._layer_notes(jobs), *pressure_notes, *_gap_notes(turns)]
        notes += _left_notes(jobs[0], len(areas()) - mappings)
        return Measured(found, tuple(notes), gpu=gpu)

    def _replay(self, job: Job, *, in_turns: bool) -> Measured:
        """The job's trace as often as asked for: each is a round."""
        device, results = self._device(job.device), self.results[0]
        mappings = len(areas())
        rounds = job.iterations or 1
        with prepared_replay(device, job) as ready:
            results.clear()
            for number in range(rounds):
                if in_turns and number and not self._may_go_on():
                    break
                at("")  # no call of the driver's is under way but those of the replay
                try:
                    run_together(ready.threads, lambda i: ready.replay.run(self.clock, results, i), results)
                finally:
                    ready.replay.end()
                self.channel.send(pack(Round((None,), number + 1, rounds)))
                if results.control.stop:
                    break
            beside = trampled(ready.ranges)
            tramples = Cause("tramples", text=beside) if beside else None
            found = replay_cause(results, job) or tramples
        notes = [*self._layer_notes([job]), *_left_notes(job, len(areas()) - mappings)]
        return Measured((found,), tuple(notes), gpu=(None,), replaced=tuple(ready.replaced))

    def _layer_notes(self, jobs: Sequence[Job]) -> list[Note]:
        """A warning for each layer that answers the measured calls before the driver does."""
        found: list[Note] = []
        for job in jobs:
            which = (job.device, job.api)
            if which not in self._layers_told:
                addresses = self._device(job.device).map_functions(job.api)
                self._layers_told.add(which)
                found += [layers.note(layer) for layer in layers.in_path(self._layers, areas(), addresses)]
        return found

    def _rounds(self, turns: "list[Turn]", *, in_turns: bool) -> None:
        """Each round gives every job a rate slice and a latency slice; the order rotates so that drift is shared."""
        job = turns[0].job
        loaded = any(turn.job.gpu_load != "none" for turn in turns)  # a load takes its time to begin and to end
        rounds = rounds_of(job, ROUNDS_IN_TURNS if in_turns and not loaded else ROUNDS)
        kinds = (Pass.LATENCY,) if job.rate else (Pass.RATE, Pass.LATENCY)
        budget_ns = int(job.duration_seconds * 1e9 * len(turns))
        for turn in turns:
            turn.beside_ns = 0
        spent_ns = 0
        leaks = Leaks()
        for number in range(rounds):
            if in_turns and number and not self._may_go_on():
                return
            begin = self.clock.ns()
            order = turns[number % len(turns) :] + turns[: number % len(turns)]
            for kind in kinds:
                for turn in order:
                    turn.run(self.clock, kind, _limits(job, len(kinds), rounds, number))
            usage = process_usage() if job.period_seconds else {}
            leaked = leaks.after_round(usage)
            nanoseconds = tuple(turn.latest_ns_per_pair() for turn in turns)
            spent_ns += self.clock.ns() - begin
            self.channel.send(pack(Round(nanoseconds, number + 1, rounds, usage, leaked)))
            if leaked:
                return
            stopped = any(turn.results.control.stop for turn in turns)
            spent = spent_ns - sum(turn.beside_ns for turn in turns)
            out_of_time = job.iterations is None and spent > budget_ns
            if stopped or out_of_time or all(turn.ended for turn in turns):
                return

    def _may_go_on(self) -> bool:
        """Waits for a Go; False where the parent is gone, or wants no more."""
        at("")  # no call of the driver's is under way
        return next(self.channel.requests(), None) is not None

    def _programs(self, jobs: Sequence[Job], held: ExitStack) -> list[tuple[list[native.Program], Load | None]]:
        """Each job's programs, one a thread, and its load; all over the same allocations and addresses."""
        first = jobs[0]
        if first.width != "auto" and not native.access_bytes(first.width):
            raise Unsupported(f"this CPU has no loads and stores of --width {first.width}", "use a smaller one")
        device = self._device(first.device)
        facts = device.facts
        threads: list[tuple[Sequence[native.Object], list[list[LoopStep]], native.Queue | None]] = []
        loaded = next((job for job in jobs if job.gpu_load != "none"), None)
        with ExitStack() as chosen:
            for thread in range(first.threads):
                objects = held.enter_context(allocated(device, first))
                if first.scripted:
                    addresses = {}
                    hosts = held.enter_context(host_memory_of(device, first))
                    self._ranges += hosts.values()
                    for name, wanted in ranges_of(first.scripted).items():
                        one = reserve_for(wanted.wanted, wanted.size)
                        held.callback(one.release_guards)
                        chosen.callback(one.release_middle)  # the steps themselves take it
                        self._ranges.append(one)
                        addresses[name] = one.begin
                    cycle = scripted_cycle(first, facts, addresses, hosts, thread)
                    cycle, queue = held.enter_context(prepared(device, loaded or first, objects, cycle, thread))
                    threads.append((objects, [cycle], queue))
                    continue
                imported = [*held.enter_context(host_memory_of(device, first)).values()]
                places = imported or (held.enter_context(_placed_at(first)) if first.placed else [])
                self._ranges += places
                threads.append((objects, cycles_of(first, facts, [one.begin for one in places], thread), None))
            if first.fill:
                held.enter_context(filled(first.placed or "low4g"))
        load = None
        if loaded:
            mapped = [(one.memory, one.size) for objects, *_ in threads for one in objects]
            load = held.enter_context(load_of(device, loaded, mapped))
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
                                map_alignment=facts.limits.map_alignment,
                                seed=thread_seed(job, thread),
                                interval_ns=1e9 / job.rate if job.rate else 0.0,
                                queue=queue,
                                width=job.width,
                                access=job.access,
                            ),
                            job,
                        )
                    )
                    for thread, (objects, cycles, queue) in enumerate(threads)
                ]
            )
        return [(one, load if job.gpu_load != "none" else None) for job, one in zip(jobs, programs, strict=True)]

    def _functions(self, device: OpenDevice, job: Job) -> native.Functions:
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
    """One job's programs, a thread each, where their results go, and the load that runs during its passes alone.

    beside_ns: what starting and stopping the load took. gpu: what the load has done.
    """

    def __init__(
        self, job: Job, programs: list[native.Program], results: native.Results, load: Load | None = None
    ) -> None:
        self.job, self.programs, self.results, self.load = job, programs, results, load
        self.fault = Fault.OK
        self.beside_ns = 0
        self.gpu: GpuWork | None = None

    @property
    def ended(self) -> bool:
        """Whether no pass will run any more: one met a fault, or the load has failed."""
        return bool(self.fault or (self.load and self.load.failed))

    def run(self, clock: native.Clock, kind: Pass, limits: dict[str, int], *, discard: bool = False) -> None:
        """One pass, unless an earlier one met a fault. discard: forgets what the pass counted."""
        if self.ended:
            return
        for program in self.programs:
            program.forget_writes()
        begin, spent = clock.ns(), 0
        with self.load.running() if self.load else nullcontext(True) as ready:
            if ready:
                started = clock.ns()
                run_threads(self.programs, clock, self.results, kind, limits)
                spent = clock.ns() - started
        self.beside_ns += clock.ns() - begin - spent
        if self.load:
            self.gpu = self.load.take() + self.gpu
        self.fault = self.results.fault()[0]
        if discard and not self.fault:
            self.results.clear()

    def cause(self) -> Cause | None:
        """Why the job ended early, None if it did not."""
        fault, result, place, mismatch = self.results.fault()
        if fault is Fault.OK:
            return self.load.failed if self.load else None
        return causes.of_fault(fault, result_name(result) if result else "", place, mismatch, self.job.api)

    def latest_ns_per_pair(self) -> float | None:
        pairs = 0 if self.job.waits else self.results.total("slice_pairs")
        return self.results.total("slice_ns") / pairs if pairs and not self.ended else None


def run_threads(
    programs: Sequence[native.Program],
    clock: native.Clock,
    results: native.Results,
    kind: Pass,
    limits: dict[str, int],
) -> None:
    """One pass of each program in a thread of its own."""
    run_together(len(programs), lambda i: programs[i].run(clock, results, i, kind, **limits), results)


def run_together(count: int, run: Callable[[int], object], results: native.Results) -> None:
    """run(i) in `count` threads, each on a core of its own, with a common start; a single one right here.

    Raises Unsupported where so many threads cannot be started.
    """
    results.control.threads, results.control.arrived = count, 0
    try:
        cpus.in_threads(count, run, give_up=results.stop)
    except RuntimeError as error:
        results.control.stop = 0
        limit = "'ulimit -u' and the container limit their number"
        raise Unsupported(f"{count} threads cannot be started here: {error}", limit) from None


def rounds_of(job: Job, most: int = ROUNDS) -> int:
    """Rounds of a group. Paced cycles have one, since what is still due when a round ends would not be counted."""
    if job.period_seconds and job.iterations is None:
        return max(1, round(job.duration_seconds / job.period_seconds))
    if job.rate:
        return 1
    return most if job.iterations is None else min(ROUNDS, job.iterations)


def _limits(job: Job, kinds: int, rounds: int, number: int) -> dict[str, int]:
    """A slice's share: of the time, which the kinds of pass share, or of the iterations, spread over the rounds."""
    if job.iterations is None:
        return {"ns": max(int(job.duration_seconds / kinds * 1e9 / rounds), 1)}
    return {"iterations": job.iterations * (number + 1) // rounds - job.iterations * number // rounds}


def _left_notes(job: Job, left: int) -> list[Note]:
    """A warning where a job left mappings behind."""
    if left <= MAPPINGS_SLACK:
        return []
    return [Note("mappings-left", f"{job.job}: {left} mappings more in the process than before the job")]


def _gap_notes(turns: Sequence[Turn]) -> list[Note]:
    """A warning where the device was not as busy as was asked: submissions came late, on a machine with no CPU free."""
    found = []
    for turn in turns:
        work = turn.gpu
        if work and work.gaps > MOST_GAPS * work.submissions:
            text = (
                f"{turn.job.job}: the device had nothing left to do after {work.gaps} of {work.submissions} submissions"
            )
            found.append(Note("gpu-idle", text))
    return found


@contextmanager
def _placed_at(job: Job) -> Iterator[list[Range]]:
    """Reserved address ranges, one for each live object."""
    length = page_ceil(job.allocation_size if job.map_size is None else job.map_size)
    reserved: list[Range] = []
    try:
        lowest = LOWEST_ADDRESS
        for _ in range(job.live):
            one = reserve_for(job.placed or "any", length, lowest)
            lowest = one.end + one.above
            reserved.append(one)
        yield reserved
    finally:
        for one in reserved:
            one.release()


@contextmanager
def _unwound(program: native.Program, job: Job) -> Iterator[native.Program]:
    """Leaves nothing mapped, and no range reserved but the placed ones, which _placed_at releases."""
    try:
        yield program
    finally:
        program.unwind()
        if not job.placed and not job.scripted:
            program.release_kept()
