"""A stress run: plans, what becomes of them in a runner, gates, and the document, saved as it grows.

Knows no driver's process beyond starting one, and no terminal.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from vkmapctl.begun import begun
from vkmapctl.driver import layers, listing
from vkmapctl.driver.messages import Described, LeftOut
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.driver.protocol import Died, Driver, Interrupted
from vkmapctl.driver.proving import with_pointer_types
from vkmapctl.errors import Unsupported, UsageProblem, VkmapError
from vkmapctl.figures import causes, outcomes, stats, trust
from vkmapctl.figures.pooling import pooled, with_ratios
from vkmapctl.figures.rows import not_run_row, refused_row
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.machine import host
from vkmapctl.model.base import Note, Status
from vkmapctl.model.case import labels
from vkmapctl.model.device import Device, same
from vkmapctl.model.documents import OtherSide, Run
from vkmapctl.model.measured import Row
from vkmapctl.model.workload import Job, Plan, Workload
from vkmapctl.native import Results
from vkmapctl.plans import judging, patience, workload
from vkmapctl.plans.gates import Threshold, missed, parse_threshold
from vkmapctl.plans.selectors import choose, same_gpu_notes, twins
from vkmapctl.runner import VALIDATION, Group, Runner, Watcher, share, slots_for, validation_notes
from vkmapctl.versus import OTHER, beside, changed, measure, shown
from vkmapctl.worker.serve import serve

THRESHOLD = "threshold"
_BROKEN = ("failed", "crashed", "hung", "lost", "out-of-memory")
_AGAIN_SECONDS = 1.0  # of each job that is tried once more to find out whose fault it is


class Stress:
    """One run. `save` gets the document before the measuring starts and after every group.

    requirements, expected_driver: of every device that is used. timeout: seconds without progress that end a driver;
    None derives them from each job. begin: gets the document before the driver is asked for anything, and again with
    what it said. together: measure every device alone, then all at once. repeat: measure all rows so often, each time
    in a fresh process. versus: what the environment of a second process has of its own, which measures each row in
    turns with the first.
    """

    def __init__(
        self,
        wanted: Workload,
        *,
        selector: str | None = None,
        requirements: Sequence[str] = (),
        expected_driver: str | None = None,
        thresholds: Sequence[Threshold] = (),
        timeout: float | None = None,
        layer: LayerChoice | None = None,
        command: Sequence[str] = (),
        begin: Callable[[Run], None] = lambda run: None,
        save: Callable[[Run], None] = lambda run: None,
        watcher: Watcher | None = None,
        version: str = "",
        together: bool = False,
        repeat: int = 1,
        versus: Mapping[str, str | None] | None = None,
    ) -> None:
        if together and any(part.pressure for part in wanted.parts()):
            raise UsageProblem("--together excludes --pressure: devices may share what each of them would fill")
        if versus and (together or any(part.pressure for part in wanted.parts())):
            raise UsageProblem("--versus excludes --together and --pressure: it has two processes already")
        if versus and any(part.trace and (part.iterations or 1) < stats.LEAST_ROUNDS for part in wanted.parts()):
            raise UsageProblem(
                "--versus replays a trace on both sides in turns: once says nothing", "give --iterations, such as 20"
            )
        judging.refuse(thresholds, wanted.parts(), versus=bool(versus))
        for part in wanted.parts():
            conditions = [parse_threshold(text) for text in part.fail_if]
            judging.refuse(conditions, [part], part.name or wanted.name, versus=bool(versus))
        self._wanted, self._selector, self._thresholds = wanted, selector, thresholds
        self._requirements, self._expected_driver = requirements, expected_driver
        self._timeout, self._layer, self._save, self._together = timeout, layer, save, together
        self._repeat = repeat
        self._watcher = watcher or Watcher()
        self._interrupts = Interrupts()
        self._runner = self._new_runner(self._watcher)
        self._versus = dict(versus or {})
        self._other = self._new_runner(Watcher(), self._versus) if versus else None
        self._other_jobs: dict[str, Job] = {}
        self._possible: list[tuple[int, Workload]] = []  # the parts that plans were made of, and of which device
        self._missed: list[str] = []
        self._left_out: tuple[LeftOut, ...] = ()
        self._taken = (0, 0)  # of the memory of the driver's process
        self._layers: list[layers.Layer] = []
        self._blaming = layers.Blaming(layer.names if layer else (), injects=bool(layer and layer.fault))
        self._ended: Status = "ok"
        self._next_save = 0.0
        self._run = begun(Run, command=command, version=version, layer=layer, workload=wanted.kept())
        self._begin_with = begin
        begin(self._run)

    def run(self) -> Run:
        """The finished document. Raises VkmapError for what is refused before anything is measured."""
        with self._interrupts.caught():
            try:
                plans = self._begin()
                self._calibrate(plans)
                self._measure(plans)
                if self._together:
                    self._measure_together(plans)
                self._end(plans)
            except Interrupted:
                self._finish("interrupted")
            except Died as died:  # while the floor was measured
                self._finish(died.kind)
            except Exception:
                if self._run.devices:
                    self._save(self._run)
                raise
            else:
                self._finish(outcomes.worst(row.status for row in self._run.results))
            finally:
                self._watcher.end()
                self._runner.close()
                if self._other:
                    self._other.close()
        self._save(self._run)
        return self._run

    def _new_runner(self, watcher: Watcher, environment: Mapping[str, str | None] | None = None) -> Runner:
        """With a driver's process of its own, whose results are shared by memory. environment: what it has changed."""
        parts = self._wanted.parts()
        slots = [Results(max(part.thread_count for part in parts)) for _ in range(slots_for(parts))]

        def start(heartbeat: Callable[[], object], on_tick: Callable[[], None]) -> tuple[Driver, Described]:
            def process() -> DriverProcess:
                return DriverProcess(
                    partial(serve, results=slots, layer=self._layer),
                    timeout=self._timeout or patience.BASE_SECONDS,
                    interrupts=self._interrupts,
                    heartbeat=heartbeat,
                    on_tick=on_tick,
                )

            with changed(environment or {}):
                return listing.describe(process, alone=bool(self._layer and self._layer.fault))

        return Runner(start, slots, timeout=self._timeout, watcher=watcher)

    # --- the flow ---------------------------------------------------------------------------------

    def _begin(self) -> list[Plan]:
        """The plans, once the devices are known and everything that is true of the whole run is noted."""
        described = self._runner.start()
        self._left_out, self._taken = described.left_out, described.taken
        self._layers = layers.active(described.files)
        active = tuple(one.name for one in self._layers)
        injected = layers.injected(self._run.injected, active)
        self._update(loader=described.loader, layers=active, injected=injected)
        self._note(*described.notes)
        self._begin_with(self._run)
        chosen = choose(
            described.devices,
            self._selector,
            requirements=self._requirements,
            expected_driver=self._expected_driver,
            prove=self._runner.prove,
            hints=listing.missing(described),
        )
        if any(part.imports for part in self._wanted.parts()):
            chosen = [
                with_pointer_types(one, self._runner.pointer_types(one)) if one.host_import else one for one in chosen
            ]
        plans = self._plans(chosen)
        facts = self._run.host | host.near_gpu(chosen[0].pci_address)
        self._update(devices=tuple(chosen), host=facts)
        if self._other:
            self._begin_other(self._other, chosen, plans)
        jobs = [job for plan in plans for job in plan.jobs]
        self._note(*validation_notes(described.validation))
        self._note(*trust.machine_notes(facts, max(job.threads for job in jobs)))
        self._note(*same_gpu_notes(chosen).values(), *(note for plan in plans for note in plan.notes))
        self._save(self._run)
        self._watcher.begin(jobs * self._repeat, sides=2 if self._other else 1)
        return plans

    def _begin_other(self, runner: Runner, chosen: Sequence[Device], plans: Sequence[Plan]) -> None:
        """Raises VkmapError where the workload is not possible on the other side, or another one there."""
        side = OtherSide(shown(self._versus))
        try:
            described = runner.start()
            devices = choose(
                described.devices,
                self._selector,
                requirements=self._requirements,
                prove=runner.prove,
                hints=listing.missing(described),
            )
            if len(devices) != len(chosen):
                raise Unsupported(f"{len(devices)} devices and not {len(chosen)}", "name one with --device")
            room = host.room(described.taken)
            for plan, (position, part) in zip(plans, self._possible, strict=True):
                jobs, notes = beside(plan, workload.resolve(part, devices[position], room))
                self._other_jobs |= jobs
                self._note(*notes)
        except VkmapError as error:
            error.message = f"with {' '.join(side.environment)}: {error.message}"
            raise
        self._note(*(Note(note.code, f"{OTHER}: {note.message}") for note in described.notes))
        active = layers.names(described.files)
        self._update(versus=replace(side, loader=described.loader, layers=active, devices=tuple(devices)))

    def _calibrate(self, plans: Sequence[Plan]) -> None:
        """Raises Died, and then nothing can be measured."""
        try:
            self._update(floor=self._runner.calibrate())
        except Died as died:
            blame = "" if died.kind == "out-of-memory" else self._blame(died.kind, self._calibrates).text
            told = f"{died.told}; {blame}" if blame else died.told
            self._note(Note("died", f"{died.what} before anything was measured: {told}"), *died.notes)
            why = f"{died.what} before"
            rows = [not_run_row(job, why) for plan in plans for job in plan.jobs]
            self._update(results=(*self._run.results, *rows))
            raise

    def _plans(self, chosen: Sequence[Device]) -> list[Plan]:
        """Of each part for each device. Where others can run, one that is unsupported becomes a row that says so."""
        room = host.room(self._taken)
        plans: list[Plan] = []
        refused: list[Row] = []
        for position, device in enumerate(chosen):
            for part in self._wanted.parts():
                try:
                    plans.append(workload.resolve(part, device, room))
                    self._possible.append((position, part))
                except Unsupported as error:
                    if not self._wanted.jobs:
                        raise
                    last = error
                    refused.append(refused_row(part, device, error))
        if not plans:
            raise last
        told = iter(labels([*refused, *(job for plan in plans for job in plan.jobs)]))
        self._update(results=tuple(replace(row, job=next(told)) for row in refused))
        return workload.labelled(plans, told)

    def _measure(self, plans: Sequence[Plan]) -> None:
        for number in range(self._repeat):
            if number:
                self._end(plans)
            for plan in plans:
                for group in plan.groups:
                    self._add(self._measured(group))
        rows = {row.job: row for row in self._run.results}
        for plan in plans:
            conditions = [parse_threshold(text) for text in plan.fail_if]
            self._missed += missed(conditions, [rows[job.job] for job in plan.jobs])

    def _measured(self, group: Sequence[Job]) -> Group:
        """What became of a group, here alone or with the other side in turns."""
        if self._other is None:
            return self._blamed(group, self._runner.measure(group))
        others = [self._other_jobs[job.job] for job in group]
        return measure((self._runner, group), (self._other, others))

    def _measure_together(self, plans: Sequence[Plan]) -> None:
        """Every device at the same time, one process each; the rows come after those of each device alone."""
        again = twins(self._run.devices)
        devices = [one for one in self._run.devices if one.index not in again]
        if len(devices) < 2:
            self._note(Note("together", "--together found one GPU: it has nothing to share with"))
            return
        self._end(plans)
        runners = [self._new_runner(Watcher()) for _ in devices]
        groups = [_together(plans, device, len(devices)) for device in devices]
        for runner in runners:
            runner.latencies_floor = self._runner.latencies_floor
        asked = {group[0].job: group for one in groups for group in one}
        for found in share(runners, groups):
            self._add(self._blamed(asked[found.rows[0].job], found))
        if self._interrupts.pending:
            raise Interrupted

    def _end(self, plans: Sequence[Plan]) -> None:
        """What is amiss with a driver's own end shows only there."""
        ended, notes = self._runner.end()
        if ended != "ok":
            self._ended = ended
            blame = ""
            if ended != "out-of-memory":
                blame = self._blame(ended, lambda: all(self._holds(plan.groups[0]) for plan in plans)).text
            notes = [replace(one, message=f"{one.message}; {blame}") if blame else one for one in notes]
        self._note(*notes)
        if self._other:
            ended, notes = self._other.end()
            self._ended = ended if ended != "ok" else self._ended
            self._note(*(Note(note.code, f"{OTHER}: {note.message}") for note in notes))

    # --- whose fault a failure is -----------------------------------------------------------------

    def _blamed(self, group: Sequence[Job], found: Group) -> Group:
        """The group's rows, each that broke with what trying it once more without foreign layers has shown."""
        broken = [row for row in found.rows if _broke(row)]
        if not broken or found.interrupted:
            return found
        blame = self._blame(outcomes.worst(row.status for row in broken), lambda: self._holds(group))
        if not blame.text:
            return found
        return found._replace(rows=tuple(_with_blame(row, blame) if row in broken else row for row in found.rows))

    def _blame(self, status: Status, works: Callable[[], bool]) -> layers.Blame:
        """Whether a layer or the driver broke."""
        return self._blaming.blame(self._layers, works, hung=status == "hung")

    def _holds(self, group: Sequence[Job]) -> bool:
        """Whether a short form of these jobs goes well in a process of its own, to its end."""
        runner = self._new_runner(Watcher())
        try:
            now = same(self._device(group[0].device), runner.start().devices)
            if now is None:
                return False
            found = runner.measure([_short(job, now) for job in group])
            if found.interrupted:
                raise Interrupted
            return all(row.status == "ok" for row in found.rows) and runner.end()[0] == "ok"
        except VkmapError:
            return False
        finally:
            runner.close(0)

    def _calibrates(self) -> bool:
        """Whether the floor can be measured in a process of its own."""
        runner = self._new_runner(Watcher())
        try:
            runner.start()
            runner.calibrate()
        except (VkmapError, Died):
            return False
        finally:
            runner.close(0)
        return True

    def _device(self, index: int) -> Device:
        return next(one for one in self._run.devices if one.index == index)

    # --- results ----------------------------------------------------------------------------------

    def _add(self, found: Group) -> None:
        self._update(results=_with_rows(self._run.results, found.rows))
        self._note(*found.notes)
        self._save_if_due()
        for row in found.rows:
            self._watcher.row(row)
        if found.interrupted:
            raise Interrupted

    def _save_if_due(self) -> None:
        """After every group, unless writing the whole document so often would cost more than a tenth of the run."""
        begin = time.monotonic()
        if begin < self._next_save:
            return
        self._save(self._run)
        end = time.monotonic()
        self._next_save = end + 9 * (end - begin)

    def _finish(self, outcome: Status) -> None:
        codes = {note.code for note in self._run.warnings}
        outcome = self._ended if outcome == "ok" else outcome
        if outcome == "ok" and self._selector in (None, "all"):  # a driver that was left out could be meant
            outcome = outcomes.worst(one.status for one in self._left_out)
        if outcome == "ok" and VALIDATION in codes:
            outcome = "failed"
        lines = [*missed(self._thresholds, self._run.results), *self._missed] if outcome == "ok" else []
        self._note(*layers.fault_notes([row.cause.at_fault for row in self._run.results if row.cause and _broke(row)]))
        if lines:
            outcome = "missed"
            self._update(warnings=(*self._run.warnings, *(Note(THRESHOLD, line) for line in lines)))
        self._update(outcome=outcome, exit_code=outcomes.EXIT[outcome])

    def _note(self, *notes: Note) -> None:
        """What is true of several groups is told once."""
        self._update(warnings=tuple(dict.fromkeys((*self._run.warnings, *notes))))

    def _update(self, **changes: Any) -> None:
        self._run = replace(self._run, **changes)


def _with_rows(results: Sequence[Row], rows: Sequence[Row]) -> tuple[Row, ...]:
    """The results with a group's rows; one that an earlier process has measured too is of both from now on."""
    known = {row.job: row for row in results}
    if any(row.job in known for row in rows):
        rows = with_ratios([pooled([known[row.job], row] if row.job in known else [row]) for row in rows])
    return tuple((known | {row.job: row for row in rows}).values())


def _together(plans: Sequence[Plan], device: Device, count: int) -> list[tuple[Job, ...]]:
    """The groups of one device, as jobs that so many devices do at once."""
    return [
        tuple(replace(job, together=count, job=f"{job.job}, {count} devices at once") for job in group)
        for plan in plans
        for group in plan.groups
        if group[0].device == device.index
    ]


def _broke(row: Row) -> bool:
    """Whether the row did not end well, and not for want of a feature, of time or of the process's memory."""
    return row.status in _BROKEN and row.cause is not None and row.cause.kind != "out-of-memory"


def _with_blame(row: Row, blame: layers.Blame) -> Row:
    assert row.cause is not None
    cause = replace(row.cause, at_fault=blame.layers, blame=blame.text)
    return replace(row, cause=cause, reason=causes.words(cause))


def _short(job: Job, device: Device) -> Job:
    """The same for a moment, on the device as another process lists it."""
    seconds = min(job.duration_seconds, _AGAIN_SECONDS)
    return replace(
        job,
        device=device.index,
        duration_seconds=seconds,
        warmup_seconds=0.0,
        iterations=None,
        period_seconds=None,
        pace="full",
    )
