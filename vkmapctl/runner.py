"""Groups of jobs to rows and notes, through a driver's process: turns, deaths, interrupts, leaks.

Knows no plan, gate, file or terminal, and no process either: a Driver answers, and slots hold what was counted.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from vkmapctl.driver.messages import (
    AskPointer,
    Calibrate,
    Calibrated,
    Described,
    Finish,
    Finished,
    Go,
    Measure,
    Measured,
    PointerTypes,
    Round,
)
from vkmapctl.driver.protocol import DIED_AT_END, Died, Driver, Interrupted
from vkmapctl.driver.proving import proved
from vkmapctl.errors import CallFailed, DriverDied, ExitCode, KilledForMemory, VkmapError
from vkmapctl.figures import stats, trust
from vkmapctl.figures.rows import measured_row
from vkmapctl.model.base import Note, Status
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.loop import Place, call_of
from vkmapctl.model.measured import Cause, Counted, Floor, GpuWork, Row
from vkmapctl.model.workload import Job, Workload
from vkmapctl.plans import patience

VARIANTS = 3  # v1, khr, core: the most that a group holds, twice so many with the device idle and busy
VALIDATION = "validation"
_LAST_COUNTS_SECONDS = 1.0


class Slot(Protocol):
    """Where the loop counts one job of a group, in memory that the driver's process shares."""

    def clear(self) -> None:
        """Before a new group: everything but the wish to stop."""

    def stop(self) -> None:
        """Ends the running pass at its next look."""

    def heartbeat(self) -> object:
        """Changes with each step of the loop."""

    def place(self) -> Place | None:
        """Where the first thread that is inside the loop is."""

    def counted(self) -> Counted:
        """What all threads have counted."""


class Watcher:
    """What a run tells while it goes on; the terminal's progress is one, silence another."""

    def begin(self, jobs: Sequence[Job], *, sides: int = 1) -> None:
        """Before the first group, with every job to come. sides: processes that measure each of them in turns."""

    def tick(self, group: Sequence[Job], slots: Sequence[Slot]) -> None:
        """Some ten times a second while a group runs."""

    def round(self, group: Sequence[Job], slots: Sequence[Slot], reply: Round) -> None:
        """After each round of a group that has a period."""

    def row(self, row: Row) -> None:
        """After each row."""

    def end(self) -> None:
        """After the last, however it came."""


class Group(NamedTuple):
    """What became of a group of jobs."""

    rows: tuple[Row, ...]
    notes: tuple[Note, ...]
    interrupted: bool = False


Turns = Generator[tuple[float | None, ...], None, Group]


class Runner:
    """Measures one group after the other, in a new process where the last one has died.

    start: makes a driver's process, given what gives its heartbeat and what to call ten times a second, and describes
    its devices. slots: as many as slots_for says. timeout: seconds without progress that end a driver; None derives
    them from each job.
    """

    def __init__(
        self,
        start: Callable[[Callable[[], object], Callable[[], None]], tuple[Driver, Described]],
        slots: Sequence[Slot],
        *,
        timeout: float | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._start_driver, self._slots = start, slots
        self._timeout, self._watcher = timeout, watcher or Watcher()
        self._driver: Driver | None = None
        self._group: Sequence[Job] = ()
        self._replaced: Sequence[str] = ()
        self.latencies_floor = 0.0

    def start(self) -> Described:
        """A new process, and its devices. Raises VkmapError where there are none."""
        self.close()
        self._driver, described = self._start_driver(
            lambda: [slot.heartbeat() for slot in self._slots], lambda: self._watcher.tick(self._group, self._slots)
        )
        return described

    def prove(self, device: Device) -> Probe:
        """The live proof of a device, for a gate. Raises DriverDied, or Interrupted."""
        assert self._driver is not None
        return proved(self._driver, device)

    def pointer_types(self, device: Device) -> tuple[int, ...] | None:
        """The memory types that take a pointer to host memory, as its driver says; None where it does not tell."""
        assert self._driver is not None
        try:
            return self._driver.answer(AskPointer(device.index), PointerTypes).pointer_types
        except Died:
            self.start()
        except VkmapError as error:
            if error.exit_code == ExitCode.INTERNAL:  # no driver's fault
                raise
        return None

    def calibrate(self) -> Floor:
        """The floor, measured by the same loop on functions that do nothing. Raises Died."""
        assert self._driver is not None
        reply = self._driver.answer(Calibrate(), Calibrated)
        null = self._slots[0].counted()
        null_call = null.calls["map"]
        step = stats.timer_step(reply.reads, reply.step_ns)
        self.latencies_floor = stats.floor_of(null_call, step)
        return Floor(
            timer=reply.timer,
            timer_ns=stats.percentile(reply.reads, 0.5) or 0.0,
            timer_step_ns=step,
            call_ns=null.rate_ns / max(null.pairs, 1),
            timer_latency=stats.latency(reply.reads, 0.0),
            call_latency=stats.latency(null_call, 0.0),
        )

    def measure(self, group: Sequence[Job]) -> Group:
        """The group's rows, however its driver behaves."""
        turns = self.turns(group, alone=True)
        while True:
            try:
                next(turns)
            except StopIteration as end:
                found: Group = end.value
                return found

    def turns(self, group: Sequence[Job], *, alone: bool = False) -> Turns:
        """The same round by round: yields each round's ns per pair of every job, and returns the rows.

        Between two rounds the process waits, unless it is alone: then nothing is yielded.
        """
        self._group, self._replaced = group, ()
        for slot in self._slots:
            slot.clear()
        rounds: list[tuple[float | None, ...]] = []
        notes: list[Note] = []
        gpu: list[GpuWork | None] = []
        interrupted = False
        causes: Sequence[Cause | None]
        try:
            causes = yield from self._ask(group, rounds, notes, gpu, alone=alone)
        except Died as died:
            causes = [self._cause_of_death(job, slot, died) for job, slot in zip(group, self._slots, strict=False)]
            notes += died.notes
            self.close(grace=0)
        except Interrupted:
            self._let_pass_end()
            causes, interrupted = [Cause("interrupted")] * len(group), True
        except VkmapError as error:
            self.close(grace=0)
            if error.exit_code == ExitCode.INTERNAL:  # no driver's fault
                raise
            causes = [_refusal(error)] * len(group)
        rows = self._rows(group, rounds, causes, gpu or [None] * len(group))
        if any(row.status == "lost" for row in rows):
            self.close(grace=0)  # a lost device stays lost; the next group gets a new one
        return Group(rows, (*notes, *(note for row in rows for note in trust.row_notes(row))), interrupted)

    def counted(self) -> list[Counted]:
        """What each job of the latest group has counted so far."""
        return [slot.counted() for slot, _ in zip(self._slots, self._group, strict=False)]

    def end(self) -> tuple[Status, list[Note]]:
        """Ends the process through its driver's own end, where what is amiss with that shows: `ok`, or how it died."""
        if self._driver is None:
            return "ok", []
        try:
            said = self._driver.answer(Finish(), Finished).validation
            self._driver.end()
            return "ok", validation_notes(said)
        except Died as died:
            self.close(grace=0)
            return died.kind, [Note(DIED_AT_END, died.at_end), *died.notes]
        finally:
            self.close()

    def close(self, grace: float = 2.0) -> None:
        """Leaves no process behind."""
        if self._driver is not None:
            self._driver.close(grace)
            self._driver = None

    def _ask(
        self,
        group: Sequence[Job],
        rounds: list[tuple[float | None, ...]],
        notes: list[Note],
        gpu: list[GpuWork | None],
        *,
        alone: bool,
    ) -> Generator[tuple[float | None, ...], None, Sequence[Cause | None]]:
        """Lets the driver's process measure, and adds what it says as it comes; why each job ended early."""
        if self._driver is None:
            notes += validation_notes(self.start().validation)
        assert self._driver is not None
        leak = None
        request: Measure | Go = Measure(tuple(group), in_turns=not alone)
        while True:
            for reply in self._driver.ask(request, timeout=patience.for_group(group, self._timeout)):
                if isinstance(reply, Round):
                    rounds.append(reply.ns_per_pair)
                    leak = Cause("leak", text=f"leak: {reply.leak}") if reply.leak else None
                    if reply.usage:
                        self._watcher.round(group, self._slots, reply)
                    if not alone:
                        yield reply.ns_per_pair
                        if reply.number < reply.rounds:
                            break
                elif isinstance(reply, Measured):
                    said = reply.validation
                    notes += [*reply.notes, *validation_notes(said)]
                    gpu += reply.gpu
                    self._replaced = reply.replaced
                    wrong = Cause("validation", text=said[0]) if said else None
                    return [cause or wrong or leak for cause in reply.causes]
            else:
                raise AssertionError("the driver's process ended its answer early")
            request = Go()

    def _cause_of_death(self, job: Job, slot: Slot, died: Died) -> Cause:
        """The job that was inside the loop died; the others of its group were only cut short."""
        place = slot.place()
        if place is None and any(other.place() for other in self._slots):
            return Cause("cut-short")
        said = died.said
        if place is None:
            return Cause(died.kind, call=died.call, text=died.how, said=said)
        return Cause(
            died.kind,
            call=call_of(place.op, place.api or job.api),
            step=place.step,
            object=place.object,
            iteration=place.iteration,
            thread=place.thread,
            text=died.how,
            said=said,
        )

    def _let_pass_end(self) -> None:
        """Gives the loop a moment to stop by itself, so that its last counts are whole."""
        for slot in self._slots:
            slot.stop()
        deadline = time.monotonic() + _LAST_COUNTS_SECONDS
        while any(slot.place() for slot in self._slots) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.close(grace=0.2)

    def _rows(
        self,
        group: Sequence[Job],
        rounds: Sequence[tuple[float | None, ...]],
        causes: Sequence[Cause | None],
        gpu: Sequence[GpuWork | None],
    ) -> tuple[Row, ...]:
        taken = [[value for one in rounds if (value := one[i]) is not None] for i in range(len(group))]

        def ratio(i: int, *, api: str, gpu_load: str) -> tuple[float, float, float] | None:
            """To the group's job of that api and load, None where there is none but this one."""
            bases = (j for j, job in enumerate(group) if j != i and (job.api, job.gpu_load) == (api, gpu_load))
            base = next(bases, None)
            return None if base is None else stats.ratio_interval(taken[i], taken[base])

        return tuple(
            measured_row(
                job,
                self._slots[i].counted(),
                causes[i],
                taken[i],
                ratio(i, api="v1", gpu_load=job.gpu_load),
                self.latencies_floor,
                to_idle=ratio(i, api=job.api, gpu_load="none"),
                gpu=gpu[i],
                replaced=self._replaced,
            )
            for i, job in enumerate(group)
        )


def slots_for(parts: Sequence[Workload]) -> int:
    """How many jobs a group of these parts may hold."""
    return VARIANTS * (2 if any(part.gpu_load != "none" for part in parts) else 1)


def _refusal(error: VkmapError) -> Cause:
    """The cause that an error of the driver's process is, or its death while the devices were listed again."""
    if isinstance(error, DriverDied):
        return Cause(error.kind, call=error.call, text=error.how or error.message)
    if isinstance(error, KilledForMemory):
        return Cause("out-of-memory", call=error.call, text=error.how)
    if isinstance(error, CallFailed):
        return Cause("call-failed", call=error.call, result=error.result, text=error.message)
    return Cause("unsupported" if error.exit_code == ExitCode.UNSUPPORTED else "refused", text=error.message)


def validation_notes(messages: Sequence[str]) -> list[Note]:
    """The validation layer's errors, quoted with their VUIDs."""
    return [Note(VALIDATION, message) for message in messages]


def share(runners: Sequence[Runner], groups: Sequence[Sequence[Sequence[Job]]]) -> list[Group]:
    """What becomes of each runner's groups, the first of all at the same time, then the second, and so on.

    As far as all have something to measure: where one has died, the others end too. The processes are started here,
    before the threads that wait for them.
    """
    for runner in runners:
        runner.start()
    starts = [threading.Barrier(len(runners)) for _ in range(min(map(len, groups)))]
    with ThreadPoolExecutor(len(runners)) as pool:
        running = [
            pool.submit(_measure_shared, runner, one, starts) for runner, one in zip(runners, groups, strict=True)
        ]
        return [group for one in running for group in one.result()]


def _measure_shared(
    runner: Runner, groups: Sequence[Sequence[Job]], starts: Sequence[threading.Barrier]
) -> list[Group]:
    found: list[Group] = []
    try:
        for group, start in zip(groups, starts, strict=False):
            start.wait()
            found.append(runner.measure(group))
            if found[-1].interrupted or any(row.status != "ok" for row in found[-1].rows):
                break
    except threading.BrokenBarrierError:
        pass
    finally:
        for start in starts[len(found) :]:
            start.abort()
        runner.close()
    return found
