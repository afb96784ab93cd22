"""The parent of a verify run: each check on each memory type in a process of its own."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from vkmapctl.begun import begun
from vkmapctl.checks import registry
from vkmapctl.checks.registry import Check
from vkmapctl.driver import layers
from vkmapctl.driver import listing as drivers
from vkmapctl.driver.messages import Described, Finish, Finished, Tried, Try
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.driver.protocol import DIED_AT_END, KILLED, Died, Interrupted
from vkmapctl.driver.proving import prove, proved
from vkmapctl.errors import DriverDied, ExitCode, KilledForMemory, UsageProblem, VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.model.base import Note, Status, Verdict
from vkmapctl.model.device import Device, MemoryType, Probe, same
from vkmapctl.model.documents import CheckRow, VerifyReport
from vkmapctl.plans import patience
from vkmapctl.plans.known_failures import Known
from vkmapctl.plans.known_failures import read as read_known_failures
from vkmapctl.plans.selectors import choose as choose_devices
from vkmapctl.plans.selectors import same_gpu_notes
from vkmapctl.worker.serve import serve

QUIRKS = ("unaligned-placed",)
# The layer takes an unmap that failed for one that succeeded (1.4.309), and objects to the flush and unmap after it.
_AFTER_FAILED_UNMAP = ("VUID-VkMemoryUnmapInfo-memory-07964", "VUID-VkMappedMemoryRange-memory-00684")
FALSE_POSITIVES = dict.fromkeys(("R1", "R1-none", "R1-all"), _AFTER_FAILED_UNMAP)
MOST_HANGS = 3  # of a device; then the rest would only hang too
SECONDS_AFTER_HANG = 8.0  # a driver that has hung is waited for so long and no longer: a minute in all by default
BROKEN = ("fail", "crashed", "hung", "lost", "out-of-memory")


def choose(identifiers: Sequence[str], quirks: Sequence[str]) -> list[Check]:
    """The checks to run: those named, or all; a quirk's only where the quirk is asked for.

    Raises UsageProblem for an unknown id.
    """
    known = registry.load()
    unknown = [name for name in identifiers if name not in known]
    if unknown:
        raise UsageProblem(f"no check '{unknown[0]}'", f"known: {', '.join(known)}")
    chosen = [known[name] for name in identifiers] if identifiers else list(known.values())
    return [one for one in chosen if one.quirk is None or one.quirk in quirks]


class Attempts:
    """Runs single checks, each in a fresh child with the same driver, layer and timeout.

    A check that breaks with a foreign layer in that child is tried once more without it.
    """

    def __init__(self, *, timeout: float, layer: LayerChoice | None, interrupts: Interrupts) -> None:
        self._injects = layer is not None and bool(layer.fault)
        self._validate = layer is not None and layer.validate
        self._start = partial(DriverProcess, partial(serve, layer=layer), interrupts=interrupts)
        self._blaming = layers.Blaming(layer.names if layer else (), injects=self._injects)
        self.timeout = timeout
        self.notes: list[Note] = []  # of processes that were killed for memory

    def describe(self) -> Described:
        """The devices. Raises VkmapError where there are none or the driver dies."""
        child, described = drivers.describe(partial(self._start, timeout=self.timeout), alone=self._injects)
        child.close(0)
        return described

    def prove(self, device: Device) -> Probe:
        """The live proof of a device, for a gate. Raises DriverDied, or Interrupted."""
        driver = self._start(timeout=self.timeout)
        try:
            driver.describe()
            return proved(driver, device)
        finally:
            driver.close(0)

    def end(self, devices: Sequence[Device]) -> tuple[Status, str]:
        """How a process ends that has these devices open, `ok` or what to note: attempts are cut short."""
        active: list[layers.Layer] = []
        died = self._end(devices, active)
        if died is None:
            return "ok", ""
        if died.kind == "out-of-memory":
            self.notes += died.notes
            return died.kind, died.at_end
        text = self._blaming.blame(active, lambda: self._end(devices, []) is None, hung=died.kind == "hung").text
        return died.kind, f"{died.at_end}; {text}" if text else died.at_end

    def _end(self, devices: Sequence[Device], active: list[layers.Layer]) -> Died | None:
        """None where it ends well. active: gets the layers of that process."""
        driver = self._start(timeout=self.timeout)
        try:
            described = driver.describe()
            active += layers.active(described.files)
            there = [found for one in devices if (found := same(one, described.devices))]
            if all(prove(driver, one).status == "ok" for one in there):
                driver.end()
        except Died as died:
            return died
        except (VkmapError, Interrupted):
            pass  # the checks are done
        finally:
            driver.close(0)
        return None

    def attempt(self, one: Check, device: Device, memory_type: MemoryType, *, timeout: float | None = None) -> CheckRow:
        """One check on one memory type, however the driver behaves. timeout: seconds, where not as for all."""
        begin = time.monotonic()
        files: list[str] = []
        noted = len(self.notes)
        verdict = self._verdict(one, device, memory_type, timeout or self.timeout, files)
        blame = layers.NOBODY
        killed = len(self.notes) > noted  # for memory, which no layer can help
        if verdict.status in BROKEN and not killed:
            patient = min(timeout or self.timeout, SECONDS_AFTER_HANG) if verdict.status == "hung" else self.timeout
            active = layers.active(files) if files else layers.expected(os.environ)

            def works() -> bool:
                return self._verdict(one, device, memory_type, patient, []).status not in BROKEN

            blame = self._blaming.blame(active, works, hung=verdict.status == "hung")
        if blame.text:
            verdict = replace(verdict, detail=f"{verdict.detail}; {blame.text}")
        row = _row(one, device, memory_type, verdict, time.monotonic() - begin)
        return replace(row, at_fault=blame.layers)

    def _verdict(
        self, one: Check, device: Device, memory_type: MemoryType, timeout: float, files: list[str]
    ) -> Verdict:
        """Of a process of its own. files: gets those mapped into it, by which its layers are known."""
        child = self._start(timeout=timeout)
        try:
            described = child.describe()
            files += described.files
            said = described.validation
            now = same(device, described.devices) or device
            tried = child.answer(Try(one.id, now.index, memory_type.index), Tried)
            said += tried.validation
            if self._validate:  # what was not destroyed shows only at the end
                said += child.answer(Finish(), Finished).validation
            return _validated(one, tried.verdict, said)
        except Died as died:
            self.notes += died.notes
            return Verdict(died.kind, died.told)
        except KilledForMemory as error:
            self.notes.append(Note(KILLED, error.hints[-1]))
            return Verdict("out-of-memory", error.message)
        except DriverDied as error:
            return Verdict(error.kind, error.message)
        except VkmapError as error:
            if error.exit_code == ExitCode.INTERNAL:  # no driver's fault
                raise
            skipped = error.exit_code == ExitCode.UNSUPPORTED
            return Verdict("skip" if skipped else registry.verdict_of(error) or "fail", error.message)
        finally:
            child.close(0)


def _row(
    one: Check, device: Device, memory_type: MemoryType | None, verdict: Verdict, seconds: float = 0.0
) -> CheckRow:
    return CheckRow(
        id=one.id,
        title=one.title,
        rule=one.rule,
        level=one.level,
        device=device.index,
        memory_type=memory_type.index if memory_type else None,
        memory_flags=memory_type.flags if memory_type else (),
        status=verdict.status,
        detail=verdict.detail,
        seconds=round(seconds, 3),
        breaks=one.breaks,
    )


def _validated(one: Check, verdict: Verdict, said: Sequence[str]) -> Verdict:
    """A check that holds but used Vulkan wrongly fails; the layer's own errors are left out."""
    wrong = [line for line in said if line.partition(":")[0] not in FALSE_POSITIVES.get(one.id, ())]
    if not wrong or verdict.status in BROKEN:
        return verdict
    return Verdict("fail", "; ".join(wrong))


class Planned(NamedTuple):
    """A check to be tried on a memory type, None for the device as a whole. missing: why it cannot run there."""

    check: Check
    memory_type: MemoryType | None
    missing: str = ""


def planned(chosen: Sequence[Check], device: Device) -> Iterator[Planned]:
    """Every chosen check on every host-visible memory type of a device."""
    for one in chosen:
        missing = device.no_memory or registry.missing_need(one, device)
        if missing:
            yield Planned(one, None, missing)
            continue
        for memory_type in device.memory_types:
            if memory_type.host_visible:
                yield Planned(one, memory_type, "" if memory_type.usable else memory_type.barred)


class Checking:
    """The checks of one device, one at a time; what cannot run is a skip with its reason.

    After a hang the driver is given less time, and after MOST_HANGS of them no more.
    """

    def __init__(self, device: Device, attempts: Attempts) -> None:
        self._device, self._attempts, self._hangs = device, attempts, 0

    def row(self, wanted: Planned) -> CheckRow:
        """How it ended."""
        one, memory_type, missing = wanted
        if memory_type is None or missing:
            return _row(one, self._device, memory_type, Verdict("skip", missing))
        if self._hangs == MOST_HANGS:
            return _row(one, self._device, memory_type, Verdict("not-run", "hung three times before"))
        timeout = min(self._attempts.timeout, SECONDS_AFTER_HANG) if self._hangs else None
        row = self._attempts.attempt(one, self._device, memory_type, timeout=timeout)
        self._hangs += row.status == "hung"
        return row


def rows(chosen: Sequence[Check], device: Device, attempts: Attempts) -> Iterator[CheckRow]:
    """Every chosen check on every host-visible memory type of a device."""
    checking = Checking(device, attempts)
    return map(checking.row, planned(chosen, device))


def _judged(row: CheckRow, device: Device, known_failures: Sequence[Known]) -> CheckRow:
    """A row as it counts: broken, but known to be."""
    known = next((one for one in known_failures if _covers(one, row, device)), None)
    if known is None or row.status not in BROKEN:
        return row
    return replace(row, status="known", detail=f"{row.status}: {row.detail} (known: {known.reason})")


def _covers(known: Known, row: CheckRow, device: Device) -> bool:
    return known.covers(row.id, device, row.memory_type, row.memory_flags)


def verify(
    *,
    selector: str | None = None,
    identifiers: Sequence[str] = (),
    quirks: Sequence[str] = (),
    known_failures: Sequence[str] = (),
    known_failures_file: str | None = None,
    requirements: Sequence[str] = (),
    expected_driver: str | None = None,
    timeout: float | None = None,
    layer: LayerChoice | None = None,
    command: Sequence[str] = (),
    version: str = "",
    on_row: Callable[[CheckRow], None] = lambda row: None,
    begin: Callable[[VerifyReport], None] = lambda report: None,
    save: Callable[[VerifyReport], None] = lambda report: None,
) -> VerifyReport:
    """Runs the checks; the document is saved after every row. Raises VkmapError where nothing can be described.

    known_failures: checks whose breaking does not fail the run, and known_failures_file: more of them, each with its
    memory type, driver and reason; one that holds wherever it was expected to break is noted. requirements,
    expected_driver: of every device that is checked. begin: gets the document before the driver is asked for anything,
    and again with what it said.
    """
    choose(known_failures, QUIRKS)
    expected = [Known(name, "named on the command line") for name in known_failures]
    if known_failures_file:
        expected += read_known_failures(Path(known_failures_file), registry.load())
    chosen = choose(identifiers, quirks)
    report = begun(VerifyReport, command=command, version=version, layer=layer)
    begin(report)
    interrupts = Interrupts()
    with interrupts.caught():
        attempts = Attempts(timeout=timeout or patience.BASE_SECONDS, layer=layer, interrupts=interrupts)
        described = attempts.describe()
        active = layers.names(described.files)
        report = replace(
            report,
            loader=described.loader,
            layers=active,
            injected=layers.injected(report.injected, active),
            warnings=described.notes,
        )
        begin(report)
        devices = choose_devices(
            described.devices,
            selector,
            requirements=requirements,
            expected_driver=expected_driver,
            prove=attempts.prove,
            hints=drivers.missing(described),
        )
        notes = (*described.notes, *same_gpu_notes(devices).values())
        report = replace(report, devices=tuple(devices), warnings=notes)
        save(report)
        outcome: Status | None = None
        try:
            for device in devices:
                for row in rows(chosen, device, attempts):
                    row = _judged(row, device, expected)
                    report = replace(report, results=(*report.results, row))
                    save(report)
                    on_row(row)
        except (Interrupted, BrokenPipeError):
            outcome = "interrupted"
            report = replace(report, warnings=(*report.warnings, Note("interrupted", "not every check was run")))
        outcome = outcome or _outcome(report.results)
        ended, told = attempts.end(devices) if outcome in ("ok", "failed") else ("ok", "")
    if ended != "ok":
        report = replace(report, warnings=(*report.warnings, Note(DIED_AT_END, told)))
        outcome = outcomes.worst([outcome, ended])
    if outcome in ("ok", "unsupported") and selector in (None, "all"):  # a driver that was left out could be meant
        outcome = outcomes.worst([outcome, *(one.status for one in described.left_out)])
    blamed = layers.fault_notes([row.at_fault for row in report.results if row.status in (*BROKEN, "known")])
    noted = (*_unexpected_passes(expected, report), *blamed, *dict.fromkeys(attempts.notes))
    report = replace(report, warnings=(*report.warnings, *noted))
    report = replace(report, outcome=outcome, exit_code=outcomes.EXIT[outcome])
    save(report)
    return report


def _unexpected_passes(known_failures: Sequence[Known], report: VerifyReport) -> list[Note]:
    """So that a list of known failures shrinks when a driver is mended."""
    devices = {device.index: device for device in report.devices}
    notes = []
    for known in known_failures:
        statuses = {row.status for row in report.results if _covers(known, row, devices[row.device])}
        if statuses == {"pass"}:
            text = f"{known} is listed as a known failure and unexpectedly passes: {known.reason}"
            notes.append(Note("unexpected-pass", text))
    return notes


def _outcome(results: Sequence[CheckRow]) -> Status:
    statuses = {row.status for row in results}
    if statuses <= {"skip"}:
        return "unsupported"
    return outcomes.worst("failed" if status == "fail" else status for status in statuses)
