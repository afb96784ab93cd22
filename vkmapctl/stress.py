"""The parent of a stress run: plans, watches the child that holds the driver, and turns what it counted into rows.

A crash, a hang or an interrupt ends the row at hand with what was measured until then; the rest goes on in a new
child.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from vkmapctl import drivers, host, outcomes, patience, stats, workload
from vkmapctl.child import Child, Died, Interrupted, Interrupts
from vkmapctl.errors import ExitCode, VkmapError
from vkmapctl.gates import Threshold, missed
from vkmapctl.model import (
    SCHEMA,
    Api,
    Effort,
    Floor,
    Job,
    Note,
    Outcome,
    Plan,
    Row,
    Run,
    Status,
    TestLayer,
    Tool,
    TouchRate,
    Workload,
)
from vkmapctl.native import Fault, Results
from vkmapctl.protocol import Calibrate, Calibrated, Described, Finish, Finished, Measure, Measured, Round
from vkmapctl.selectors import select
from vkmapctl.worker import serve

VARIANTS = 3  # v1, khr, core
VALIDATION = "validation"
DRIFT_LIMIT = 0.25
FEW_BEYOND = 10  # samples beyond p99 for it to be more than an anecdote

_FAULTS = {
    Fault.NULL_POINTER: "the map succeeded but gave no pointer",
    Fault.MOVED: "the placed map landed at another address than asked for",
    Fault.MISALIGNED: "the pointer is not aligned to minMemoryMapAlignment",
    Fault.OVERLAP: "two mapped objects share addresses",
    Fault.RESERVATION_LOST: "the address range was free after an unmap with reserve",
    Fault.HOLD_FAILED: "another mapping took the address range between unmap and map",
    Fault.RESERVATION_REUSED: "an unplaced map returned an address inside the range that the unmap before had reserved",
    Fault.RELEASE_FAILED: "the reserved range could not be given back",
}


class Watcher:
    """What a run tells while it goes on; the terminal's progress is one, silence another."""

    def begin(self, plan: Plan) -> None:
        """Before the first group of a device."""

    def tick(self, group: Sequence[Job], results: Sequence[Results]) -> None:
        """Some ten times a second while a group runs."""

    def row(self, row: Row) -> None:
        """After each row."""

    def end(self) -> None:
        """After the last, however it came."""


class Stress:
    """One run. `save` gets the document before the measuring starts and after every row.

    timeout: seconds without progress that end a driver; None derives them from each job.
    """

    def __init__(
        self,
        wanted: Workload,
        *,
        selector: str | None = None,
        thresholds: Sequence[Threshold] = (),
        timeout: float | None = None,
        layer: TestLayer | None = None,
        command: Sequence[str] = (),
        save: Callable[[Run], None] = lambda run: None,
        watcher: Watcher | None = None,
        version: str = "",
    ) -> None:
        self._wanted, self._selector, self._thresholds = wanted, selector, thresholds
        self._timeout, self._layer, self._save = timeout, layer, save
        self._watcher = watcher or Watcher()
        self._results = [Results(wanted.threads) for _ in range(VARIANTS)]
        self._group: tuple[Job, ...] = ()
        self._interrupts = Interrupts()
        self._child: Child | None = None
        self._latencies_floor = 0.0
        self._run = Run(
            schema=SCHEMA,
            tool=Tool("vkmapctl", version, tuple(command)),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            host=host.describe(),
            loader="",
            device=None,
            devices=(),
            workload=wanted,
            outcome="interrupted",  # until it is finished: a file that is left behind claims no success
            exit_code=int(ExitCode.INTERRUPTED),
        )

    def run(self) -> Run:
        """The finished document. Raises VkmapError for what is refused before anything is measured."""
        with self._interrupts.caught():
            try:
                self._measure_all()
                self._finish_validation()
            except Interrupted:
                self._finish("interrupted")
            else:
                self._finish(outcomes.worst(row.status for row in self._run.results))
            finally:
                self._tell("end")
                self._end_child()
        self._save(self._run)
        return self._run

    def _tell(self, event: str, *what: Any) -> None:
        """Tells the watcher. Where nobody reads its output any more, the run ends as if interrupted."""
        try:
            getattr(self._watcher, event)(*what)
        except BrokenPipeError:
            self._watcher = Watcher()
            self._interrupts.pending = True

    # --- the flow ---------------------------------------------------------------------------------

    def _measure_all(self) -> None:
        described = self._start_child()
        chosen = select(described.devices, self._selector)
        available = host.memory_available()
        plans = [workload.resolve(self._wanted, device, available) for device in chosen]
        self._update(loader=described.loader, device=chosen[0], devices=tuple(chosen))
        self._note(*described.notes, *(note for plan in plans for note in plan.notes))
        self._save(self._run)
        self._calibrate()
        for plan in plans:
            self._tell("begin", plan)
            for group in plan.groups:
                self._measure(group, plan.effort)

    def _measure(self, group: tuple[Job, ...], effort: Effort) -> None:
        self._group = group
        rounds: list[tuple[float | None, ...]] = []
        for results in self._results:
            results.clear()
        interrupted = False
        statuses: list[tuple[Status, str]]
        try:
            if self._child is None:
                self._start_child()
            assert self._child is not None
            measured = Measured(())
            timeout = self._timeout or patience.for_job(group[0])
            for reply in self._child.ask(Measure(group, effort), timeout=timeout):
                if isinstance(reply, Round):
                    rounds.append(reply.ns_per_pair)
                elif isinstance(reply, Measured):
                    measured = reply
                    break
            statuses = [self._status_of(i, measured) for i in range(len(group))]
            self._note(*measured.notes, *validation_notes(measured.validation))
        except Died as died:
            statuses = [self._status_of_dead(i, died) for i in range(len(group))]
            self._end_child(grace=0)
        except Interrupted:
            self._let_pass_end()
            statuses = [("interrupted", "stopped by the user")] * len(group)
            interrupted = True
        except VkmapError as error:
            statuses = [(outcomes.of_error(error), error.message)] * len(group)
            self._end_child(grace=0)
        self._add_rows(group, rounds, statuses)
        self._leave_lost_device(statuses)
        if interrupted:
            raise Interrupted

    def _leave_lost_device(self, statuses: Sequence[tuple[Status, str]]) -> None:
        """A lost device stays lost; the next row gets a new one."""
        if any(status == "lost" for status, _ in statuses):
            self._end_child(grace=0)

    def _start_child(self) -> Described:
        self._end_child()
        self._child, described = drivers.describe(self._new_child, alone=bool(self._layer and self._layer.fault))
        self._note(*validation_notes(described.validation))
        return described

    def _new_child(self) -> Child:
        return Child(
            partial(serve, results=self._results, layer=self._layer),
            timeout=self._timeout or patience.BASE_SECONDS,
            interrupts=self._interrupts,
            heartbeat=lambda: [results.heartbeat() for results in self._results],
            on_tick=lambda: self._tell("tick", self._group, self._results),
        )

    def _calibrate(self) -> None:
        assert self._child is not None
        self._update(floor=self._floor(self._child.answer(Calibrate(), Calibrated)))

    def _finish_validation(self) -> None:
        """What was not destroyed, or not in order, shows only at the end."""
        if self._child is None or self._layer is None or not self._layer.validate:
            return
        try:
            self._note(*validation_notes(self._child.answer(Finish(), Finished).validation))
        except Died as died:
            self._note(Note("died-at-end", f"the driver {died.kind} while its device was destroyed: {died.how}"))

    def _end_child(self, grace: float = 2.0) -> None:
        if self._child is not None:
            self._child.close(grace)
            self._child = None

    def _let_pass_end(self) -> None:
        """Gives the loop a moment to stop by itself, so that its last counts are whole."""
        for results in self._results:
            results.stop()
        deadline = time.monotonic() + 1.0
        while any(results.last_step() for results in self._results) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._end_child(grace=0.2)

    # --- results ----------------------------------------------------------------------------------

    def _floor(self, reply: Calibrated) -> Floor:
        reads, null = reply.reads, self._results[0]
        calls = null.histogram("map_ns")
        self._latencies_floor = stats.percentile(calls, 0.5) or 0.0
        return Floor(
            timer=reply.timer,
            timer_ns=stats.percentile(reads, 0.5) or 0.0,
            timer_step_ns=stats.timer_step(reads),
            call_ns=null.total("rate_ns") / max(null.total("rate_pairs"), 1),
            timer_latency=stats.latency(reads, 0.0),
            call_latency=stats.latency(calls, 0.0),
        )

    def _status_of(self, index: int, measured: Measured) -> tuple[Status, str]:
        fault, _, place = self._results[index].fault()
        if fault is Fault.OK:
            return ("failed", measured.validation[0]) if measured.validation else ("ok", "")
        if fault is Fault.CALL_FAILED:
            name = measured.results[index]
            return outcomes.of_failure(name), f"{name} in step {place['step']}"
        if fault is Fault.MISMATCH:
            return "failed", (
                f"byte {place['offset']} of the allocation is {place['found']:#04x}, "
                f"written was {place['expected']:#04x}"
            )
        return "failed", _FAULTS[fault]

    def _status_of_dead(self, index: int, died: Died) -> tuple[Status, str]:
        """The job that was inside the loop died; the others of its group were only cut short."""
        at = self._results[index].last_step()
        busy = any(results.last_step() for results in self._results)
        if busy and not at:
            return "not-run", f"its turn was cut short: the driver {died.kind} in another row"
        said = f"; it said: {died.output.splitlines()[-1]}" if died.output else ""
        return died.kind, f"{died.how} in {at or died.call or 'setting up or ending the job'}{said}"

    def _add_rows(
        self,
        group: Sequence[Job],
        rounds: Sequence[tuple[float | None, ...]],
        statuses: Sequence[tuple[Status, str]],
    ) -> None:
        by_api: dict[Api, list[float]] = {
            job.api: [one[i] for one in rounds if one[i] is not None]  # type: ignore[misc]
            for i, job in enumerate(group)
        }
        for i, job in enumerate(group):
            ratio = None
            if job.api != "v1" and "v1" in by_api:
                ratio = stats.ratio_interval(by_api[job.api], by_api["v1"])
            row = self._row(job, self._results[i], statuses[i], by_api[job.api], ratio)
            self._update(results=(*self._run.results, row))
            self._note(*_row_notes(row))
            self._tell("row", row)
        self._save(self._run)

    def _row(
        self,
        job: Job,
        results: Results,
        status: tuple[Status, str],
        rounds: list[float],
        ratio: tuple[float, float, float] | None,
    ) -> Row:
        pairs, total_ns = results.total("rate_pairs"), results.total("rate_ns")
        seconds = results.longest("rate_ns") / 1e9
        _, result, _ = results.fault()
        device = next(device for device in self._run.devices if device.index == job.device)
        return Row(
            job=job.name,
            device=job.device,
            api=job.api,
            memory_type=job.memory_type,
            memory_flags=device.memory_types[job.memory_type].flags,
            allocation_size=job.allocation_size,
            offset=job.offset,
            map_size=job.map_size,
            placed=job.placed,
            reserve=job.reserve,
            touch=job.touch,
            threads=job.threads,
            live=job.live,
            pairs=pairs,
            seconds=seconds,
            pairs_per_second=pairs / seconds if seconds else None,
            ns_per_pair=total_ns / pairs if pairs else None,
            rounds_ns_per_pair=tuple(rounds),
            ratio_to_v1=ratio,
            map=stats.latency(results.histogram("map_ns"), self._latencies_floor),
            unmap=stats.latency(results.histogram("unmap_ns"), self._latencies_floor),
            touch_bytes_per_second=TouchRate(
                write=_per_second(results, "write"),
                read=_per_second(results, "read"),
            ),
            page_faults={"minor": results.total("minor_faults"), "major": results.total("major_faults")},
            errors={status[1].split()[0]: 1} if result else {},
            verified_bytes=results.total("verified_bytes"),
            mismatches=results.total("mismatches"),
            status=status[0],
            reason=status[1],
        )

    def _finish(self, outcome: Outcome) -> None:
        codes = {note.code for note in self._run.warnings}
        if outcome == "ok" and ("died-at-end" in codes or (drivers.BROKEN in codes and self._asks_for_any())):
            outcome = "crashed"
        if outcome == "ok" and VALIDATION in codes:
            outcome = "failed"
        if outcome == "ok":
            lines = missed(self._thresholds, self._run.results)
            self._note(*(Note("threshold", line) for line in lines))
            outcome = "missed" if lines else "ok"
        self._update(outcome=outcome, exit_code=int(outcomes.EXIT[outcome]))

    def _asks_for_any(self) -> bool:
        """Whether a driver that had to be left out could have been meant."""
        return self._selector in (None, "all")

    def _note(self, *notes: Note) -> None:
        self._update(warnings=tuple(dict.fromkeys((*self._run.warnings, *notes))))

    def _update(self, **changes: Any) -> None:
        self._run = replace(self._run, **changes)


def validation_notes(messages: Sequence[str]) -> list[Note]:
    """The validation layer's errors, quoted with their VUIDs."""
    return [Note(VALIDATION, message) for message in messages]


def _per_second(results: Results, kind: str) -> float | None:
    """Bytes per second of all threads together: they touch at the same time."""
    total, longest = results.total(f"{kind}_bytes"), results.longest(f"{kind}_ns")
    return total / longest * 1e9 if longest else None


def _row_notes(row: Row) -> list[Note]:
    """What a reader should know before trusting a row."""
    notes = []
    where = f"{row.job}, {row.api}"
    moved = stats.drift(row.rounds_ns_per_pair)
    if row.status == "ok" and moved > DRIFT_LIMIT:
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
    overflow = sum(call.histogram.overflow for call in calls)
    if overflow:
        text = f"{where}: {overflow} calls took 18 minutes or more, or the clock went back"
        notes.append(Note("overflow", text))
    return notes
