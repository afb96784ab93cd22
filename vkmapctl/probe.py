"""The parent of a probe: every device described and proved, one broken one never hiding another."""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from vkmapctl.begun import begun
from vkmapctl.driver import layers
from vkmapctl.driver import listing as drivers
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.driver.protocol import DIED_AT_END, KILLED, Died, Driver, Interrupted
from vkmapctl.driver.proving import prove, with_pointer_types
from vkmapctl.errors import VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.inside import server
from vkmapctl.inside.fork import Started
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.model.base import Note, Status
from vkmapctl.model.device import Device, Probe, same
from vkmapctl.model.documents import ProbeReport
from vkmapctl.plans import patience
from vkmapctl.plans.gates import unmet
from vkmapctl.plans.selectors import same_gpu_notes, select


def probe(
    *,
    selector: str | None = None,
    requirements: Sequence[str] = (),
    expected_driver: str | None = None,
    timeout: float | None = None,
    layer: LayerChoice | None = None,
    command: Sequence[str] = (),
    version: str = "",
    started: Started | None = None,
    begin: Callable[[ProbeReport], None] = lambda report: None,
) -> ProbeReport:
    """Describes and proves the selected devices, all by default. started: a process that serves the layer already.

    A gate is about the devices that other commands would use with the same selector: the best one by default. begin:
    gets the document before the driver is asked for anything. Raises VkmapError where no device can be described.
    """
    report = begun(ProbeReport, command=command, version=version, layer=layer)  # while the driver loads
    begin(report)
    interrupts = Interrupts()
    running = [started] if started else []

    def start() -> DriverProcess:
        return DriverProcess(
            partial(server.serve, layer=layer),
            timeout=timeout or patience.BASE_SECONDS,
            interrupts=interrupts,
            started=running.pop() if running else None,
        )

    with interrupts.caught():
        proving = Proving(start, layer)
        try:
            shown = select(proving.described.devices, selector or "all")
            probes = [*(proving.left_out() if selector in (None, "all") else ()), *proving.probes(shown)]
            ended = proving.end()
        finally:
            proving.close()
    used = {one.index for one in select(shown, selector if selector == "all" else None)}
    gap = unmet(requirements, expected_driver, [one for one in probes if one.device and one.device.index in used])
    active = tuple(one.name for one in proving.layers)
    outcome = _outcome([*(one.status for one in probes), ended], bool(gap))
    return replace(
        report,
        loader=proving.described.loader,
        devices=tuple(probes),
        outcome=outcome,
        exit_code=outcomes.EXIT[outcome],
        missing=gap,
        warnings=(*proving.described.notes, *proving.notes),
        layers=active,
        injected=layers.injected(layer.fault if layer else "", active),
    )


def _outcome(statuses: Sequence[Status], gap: bool) -> Status:
    """A gate that does not hold comes before a call that failed, and after a driver that died."""
    if "interrupted" in statuses:
        return "interrupted"
    outcome = outcomes.worst(statuses)
    return "unsupported" if gap and outcome in ("failed", "ok") else outcome


class Proving:
    """The devices of this machine, proved one after the other: in one process, and a new one after each failure.

    start: makes such a process. Raises VkmapError where no device can be described.
    """

    def __init__(self, start: Callable[[], Driver], layer: LayerChoice | None) -> None:
        self._start, self._injected = start, layer is not None and bool(layer.fault)
        self._driver, self.described = drivers.describe(start, alone=self._injected)
        self._now = self.described  # as the latest process lists them
        self._spent = False  # by a failure
        self.layers = layers.active(self.described.files)
        self._blaming = layers.Blaming(layer.names if layer else (), injects=self._injected)
        self._proved: list[Device] = []
        self.notes: list[Note] = []

    def left_out(self) -> list[Probe]:
        """What stands for the drivers that the others had to be listed without."""
        return [
            Probe(device=None, status=one.status, reason=f"{one.manifest}: {one.reason}")
            for one in self.described.left_out
        ]

    def probes(self, devices: Sequence[Device]) -> list[Probe]:
        """The live proof of each device, however its driver behaves, until the user stops it."""
        again = same_gpu_notes(devices)
        found: list[Probe] = []
        for device in devices:
            probe = self._probe(device)
            if device.index in again:
                probe = replace(probe, notes=(*probe.notes, again[device.index]))
            found.append(probe)
            if probe.status == "interrupted":
                break
        return found

    def _probe(self, device: Device) -> Probe:
        """A failure ends the process; where its driver cannot even be listed any more, the others still are."""
        if self._spent:
            self._driver.close(0)
            try:
                self._driver, self._now = drivers.describe(self._start, alone=self._injected)
            except VkmapError as error:
                return Probe(device=device, status=outcomes.of_error(error), reason=error.message)
        now = same(device, self._now.devices)
        if now is None:
            return Probe(device=device, status="failed", reason="it was not listed again after another had failed")
        self._proved.append(device)
        probe = prove(self._driver, now)
        types = probe.device.host_import.memory_types if probe.device and probe.device.host_import else None
        probe = replace(probe, device=with_pointer_types(device, types))
        self._spent = probe.status != "ok"
        killed = any(note.code == KILLED for note in probe.notes)
        if self._spent and not killed and probe.status != "interrupted":
            probe = replace(probe, reason=probe.reason + self._blame([device]))
        return probe

    def end(self) -> Status:
        """Lets the process end through its driver's own end: `ok`, or how that failed, which is noted."""
        if self._spent:
            return "ok"
        try:
            self._driver.end()
        except Interrupted:
            self.notes.append(Note("interrupted", "whether the driver ends well was not waited for"))
            return "interrupted"
        except Died as died:
            blame = "" if died.kind == "out-of-memory" else self._blame(self._proved)
            self.notes += [Note(DIED_AT_END, died.at_end + blame), *died.notes]
            return died.kind
        return "ok"

    def _blame(self, devices: Sequence[Device]) -> str:
        """Whether a failure is a layer's or the driver's, to go behind a reason; empty where no layer is active."""
        text = self._blaming.blame(self.layers, lambda: self._holds(devices)).text
        return f"; {text}" if text else ""

    def _holds(self, devices: Sequence[Device]) -> bool:
        """Whether the proofs of these devices hold in a process of their own, to its end."""
        driver = self._start()
        try:
            known = driver.describe().devices
            there = [found for one in devices if (found := same(one, known))]
            statuses = [prove(driver, one).status for one in there]
            if "interrupted" in statuses:
                raise Interrupted
            driver.end()
        except (VkmapError, Died):
            return False
        finally:
            driver.close(0)
        return len(there) == len(devices) and all(one == "ok" for one in statuses)

    def close(self) -> None:
        """Leaves no process behind."""
        self._driver.close(0)
