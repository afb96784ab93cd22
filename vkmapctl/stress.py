"""The parent of a stress run: plans, watches the child that holds the driver, and turns what it counted into rows.

A crash, a hang or an interrupt ends the row at hand with what was measured until then; the rest goes on in a new
child.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from vkmapctl.driver import layers
from vkmapctl.driver import listing as drivers
from vkmapctl.driver.messages import Calibrate, Calibrated, Described, Finish, Finished, Measure, Measured, Round
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.driver.protocol import Died, Interrupted
from vkmapctl.errors import ExitCode, Unsupported, VkmapError
from vkmapctl.figures import outcomes, stats, trust
from vkmapctl.figures.rows import measured_row, refused_row
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.machine import host
from vkmapctl.model.base import Note, Outcome, Status
from vkmapctl.model.case import Effort, Job, Plan, Workload
from vkmapctl.model.device import Device
from vkmapctl.model.documents import SCHEMA, Run, Tool
from vkmapctl.model.measured import Floor, Row
from vkmapctl.native import Fault, Results
from vkmapctl.plans import patience, workload
from vkmapctl.plans.gates import Threshold, missed, parse_threshold
from vkmapctl.plans.selectors import select
from vkmapctl.rules import Api
from vkmapctl.worker.faults import explain
from vkmapctl.worker.serve import serve

VARIANTS = 3  # v1, khr, core
VALIDATION = "validation"


class Watcher:
    """What a run tells while it goes on; the terminal's progress is one, silence another."""

    def begin(self, plan: Plan) -> None:
        """Before the first group of a device."""

    def tick(self, group: Sequence[Job], results: Sequence[Results]) -> None:
        """Some ten times a second while a group runs."""

    def round(self, group: Sequence[Job], results: Sequence[Results], reply: Round) -> None:
        """After each round of a group that has a period."""

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
        layer: LayerChoice | None = None,
        command: Sequence[str] = (),
        save: Callable[[Run], None] = lambda run: None,
        watcher: Watcher | None = None,
        version: str = "",
        together: bool = False,
        interrupts: Interrupts | None = None,
    ) -> None:
        self._together = together
        self._wanted, self._selector, self._thresholds = wanted, selector, thresholds
        self._timeout, self._layer, self._save = timeout, layer, save
        self._watcher = watcher or Watcher()
        threads = max(part.threads for part in wanted.parts())
        self._results = [Results(threads) for _ in range(VARIANTS)]
        self._group: tuple[Job, ...] = ()
        self._interrupts = interrupts or Interrupts()
        self._child: DriverProcess | None = None
        self._latencies_floor = 0.0
        self._noted: set[Note] = set()
        self._next_save = 0.0
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
            exit_code=ExitCode.INTERRUPTED,
        )

    def run(self) -> Run:
        """The finished document. Raises VkmapError for what is refused before anything is measured."""
        with self._interrupts.caught():
            try:
                self._measure_all()
                if self._together:
                    self._measure_together()
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
        plans = self._plans(chosen)
        facts = self._run.host | host.near_gpu(chosen[0].pci_address)
        self._update(
            loader=described.loader,
            layers=layers.names(described.files),
            device=chosen[0],
            devices=tuple(chosen),
            host=facts,
        )
        most_threads = max(job.threads for plan in plans for group in plan.groups for job in group)
        self._note(*trust.machine_notes(facts, most_threads))
        self._note(*described.notes, *(note for plan in plans for note in plan.notes))
        self._save(self._run)
        self._calibrate()
        for plan in plans:
            self._tell("begin", plan)
            for group in plan.groups:
                self._measure(group, plan.effort)

    def _measure_together(self) -> None:
        """Every device at the same time, one child each; the rows come after those of each device alone."""
        devices = self._run.devices
        if len(devices) < 2:
            self._note(Note("together", "--together found one device: it has nothing to share with"))
            return
        self._end_child()
        sharers = [
            Stress(
                self._wanted,
                selector=str(device.index),
                timeout=self._timeout,
                layer=self._layer,
                interrupts=self._interrupts,
            )
            for device in devices
        ]
        for rows, notes in share(sharers, self._latencies_floor):
            self._update(results=(*self._run.results, *rows))
            self._note(*notes)
            for row in rows:
                self._tell("row", row)
        self._save(self._run)
        if self._interrupts.pending:
            raise Interrupted

    def prepare(self, latencies_floor: float) -> list[tuple[tuple[Job, ...], Effort]]:
        """Starts the child, and returns the groups to measure: for `share`, which measures them at a common time."""
        described = self._start_child()
        chosen = select(described.devices, self._selector)
        self._update(devices=tuple(chosen))
        self._latencies_floor = latencies_floor
        return [(group, plan.effort) for plan in self._plans(chosen) for group in plan.groups]

    def measure_shared(
        self, groups: Sequence[tuple[tuple[Job, ...], Effort]], barrier: threading.Barrier
    ) -> tuple[tuple[Row, ...], tuple[Note, ...]]:
        """Measures each group when the other devices are ready too; ends early where one of them has died."""
        try:
            for group, effort in groups:
                barrier.wait()
                self._measure(group, effort)
                if self._child is None:
                    break
        except (threading.BrokenBarrierError, Interrupted):
            pass
        finally:
            barrier.abort()
            self._end_child()
        rows = tuple(replace(row, together=barrier.parties) for row in self._run.results)
        return rows, self._run.warnings

    def _plans(self, chosen: Sequence[Device]) -> list[Plan]:
        """Of each part for each device. Where others can run, one that is unsupported becomes a row that says so."""
        room = host.room()
        plans: list[Plan] = []
        refused: list[tuple[Workload, Device, Unsupported]] = []
        for device in chosen:
            for part in self._wanted.parts():
                try:
                    plans.append(workload.resolve(part, device, room))
                except Unsupported as error:
                    if not self._wanted.jobs:
                        raise
                    refused.append((part, device, error))
        if not plans:
            raise refused[0][2]
        self._update(results=tuple(refused_row(*one) for one in refused))
        return plans

    def _measure(self, group: tuple[Job, ...], effort: Effort) -> None:
        self._group = group
        rounds: list[tuple[float | None, ...]] = []
        for results in self._results:
            results.clear()
        interrupted = False
        statuses: list[tuple[Status, str]]
        try:
            measured, leak = self._ask(group, effort, rounds)
            statuses = [self._status_of(i, measured) for i in range(len(group))]
            self._note(*measured.notes, *validation_notes(measured.validation))
            if leak:
                statuses = [("failed", f"leak: {leak}") if one[0] == "ok" else one for one in statuses]
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
        self._add_rows(group, rounds, statuses, effort)
        self._leave_lost_device(statuses)
        if interrupted:
            raise Interrupted

    def _ask(
        self, group: tuple[Job, ...], effort: Effort, rounds: list[tuple[float | None, ...]]
    ) -> tuple[Measured, str]:
        """Lets the child measure the group, and adds each round as it comes. The second is a leak in words."""
        if self._child is None:
            self._start_child()
        assert self._child is not None
        leak = ""
        timeout = self._timeout or max(patience.for_job(job) for job in group)
        for reply in self._child.ask(Measure(group, effort), timeout=timeout):
            if isinstance(reply, Round):
                rounds.append(reply.ns_per_pair)
                leak = reply.leak
                if reply.usage:
                    self._tell("round", group, self._results, reply)
            elif isinstance(reply, Measured):
                return reply, leak
        return Measured(()), leak

    def _leave_lost_device(self, statuses: Sequence[tuple[Status, str]]) -> None:
        """A lost device stays lost; the next row gets a new one."""
        if any(status == "lost" for status, _ in statuses):
            self._end_child(grace=0)

    def _start_child(self) -> Described:
        self._end_child()
        self._child, described = drivers.describe(self._new_child, alone=bool(self._layer and self._layer.fault))
        self._note(*validation_notes(described.validation))
        return described

    def _new_child(self) -> DriverProcess:
        return DriverProcess(
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
        name = measured.results[index]
        return outcomes.of_failure(name), explain(fault, name, place)

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
        effort: Effort,
    ) -> None:
        by_api: dict[Api, list[float]] = {
            job.api: [one[i] for one in rounds if one[i] is not None]  # type: ignore[misc]
            for i, job in enumerate(group)
        }
        for i, job in enumerate(group):
            ratio = None
            if job.api != "v1" and "v1" in by_api:
                ratio = stats.ratio_interval(by_api[job.api], by_api["v1"])
            row = measured_row(
                job, self._device(job).memory_type(job.memory_type), self._results[i], statuses[i], by_api[job.api],
                ratio, self._latencies_floor,
            )  # fmt: skip
            self._update(results=(*self._run.results, row))
            self._note(*trust.row_notes(row, effort))
            self._tell("row", row)
        self._save_if_due()

    def _device(self, job: Job) -> Device:
        return next(device for device in self._run.devices if device.index == job.device)

    def _save_if_due(self) -> None:
        """After every row, unless writing the whole document so often would cost more than a tenth of the run."""
        begin = time.monotonic()
        if begin < self._next_save:
            return
        self._save(self._run)
        end = time.monotonic()
        self._next_save = end + 9 * (end - begin)

    def _finish(self, outcome: Outcome) -> None:
        codes = {note.code for note in self._run.warnings}
        if outcome == "ok" and ("died-at-end" in codes or (drivers.BROKEN in codes and self._asks_for_any())):
            outcome = "crashed"
        if outcome == "ok" and VALIDATION in codes:
            outcome = "failed"
        if outcome == "ok":
            lines = missed(self._thresholds, self._run.results)
            for part in self._wanted.parts():
                own = [row for row in self._run.results if row.part == part.name]
                lines += missed([parse_threshold(text) for text in part.fail_if], own)
            self._note(*(Note("threshold", line) for line in lines))
            outcome = "missed" if lines else "ok"
        self._update(outcome=outcome, exit_code=outcomes.EXIT[outcome])

    def _asks_for_any(self) -> bool:
        """Whether a driver that had to be left out could have been meant."""
        return self._selector in (None, "all")

    def _note(self, *notes: Note) -> None:
        new = [note for note in dict.fromkeys(notes) if note not in self._noted]
        self._noted.update(new)
        self._update(warnings=(*self._run.warnings, *new))

    def _update(self, **changes: Any) -> None:
        self._run = replace(self._run, **changes)


def share(sharers: Sequence[Stress], latencies_floor: float) -> list[tuple[tuple[Row, ...], tuple[Note, ...]]]:
    """Rows and notes of each, measured at the same time as far as all have something to measure.

    Children are forked here, before the threads that wait for them are started.
    """
    planned = [sharer.prepare(latencies_floor) for sharer in sharers]
    common = min(map(len, planned))
    barrier = threading.Barrier(len(sharers))
    with ThreadPoolExecutor(len(sharers)) as pool:
        running = [
            pool.submit(sharer.measure_shared, groups[:common], barrier)
            for sharer, groups in zip(sharers, planned, strict=True)
        ]
        return [one.result() for one in running]


def validation_notes(messages: Sequence[str]) -> list[Note]:
    """The validation layer's errors, quoted with their VUIDs."""
    return [Note(VALIDATION, message) for message in messages]
