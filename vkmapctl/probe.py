"""The parent of a probe: every device described and proved, one broken one never hiding another."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace

from vkmapctl.driver import layers
from vkmapctl.driver import listing as drivers
from vkmapctl.driver.messages import Described, Prove, Proved
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.driver.protocol import Died, Driver, Interrupted
from vkmapctl.errors import VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.figures.proved import probe_of
from vkmapctl.inside import server
from vkmapctl.inside.fork import Started
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.machine import host
from vkmapctl.model.base import Note, Status
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.documents import SCHEMA, ProbeReport, Tool
from vkmapctl.plans import patience
from vkmapctl.plans.gates import missing
from vkmapctl.plans.selectors import select


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
) -> ProbeReport:
    """Describes and proves the selected devices, all by default. started: a process that serves the layer already.

    A gate holds where one device meets all of it. Raises VkmapError where no device can be described.
    """
    machine = host.describe()  # while the driver loads
    interrupts = Interrupts()
    early = [started] if started else []

    def start() -> DriverProcess:
        return DriverProcess(
            partial(server.serve, layer=layer),
            timeout=timeout or patience.BASE_SECONDS,
            interrupts=interrupts,
            started=early.pop() if early else None,
        )

    with interrupts.caught():
        described, probes, at_end = _probe_devices(selector, start, alone=bool(layer and layer.fault))
    lacking = [missing(requirements, expected_driver, one) for one in probes]
    gap = tuple(sorted(lacking, key=len)[0]) if lacking else ()
    outcome = _outcome([*(one.status for one in probes), at_end], bool(gap))
    return ProbeReport(
        schema=SCHEMA,
        tool=Tool("vkmapctl", version, tuple(command)),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        host=machine,
        loader=described.loader,
        devices=tuple(probes),
        outcome=outcome,
        exit_code=outcomes.EXIT[outcome],
        missing=gap,
        warnings=described.notes,
        layers=layers.names(described.files),
    )


def _outcome(statuses: Sequence[Status], gap: bool) -> Status:
    """A gate that does not hold comes before a call that failed, and after a driver that died."""
    if "interrupted" in statuses:
        return "interrupted"
    outcome = outcomes.worst(statuses)
    return "unsupported" if gap and outcome in ("failed", "ok") else outcome


def _probe_devices(
    selector: str | None, start: Callable[[], Driver], *, alone: bool
) -> tuple[Described, list[Probe], Status]:
    """Every selected device, proved, and how the driver's process ended."""
    driver, described = drivers.describe(start, alone=alone)
    try:
        probes: list[Probe] = []
        if selector in (None, "all"):
            left_out = [note.message for note in described.notes if note.code == drivers.BROKEN]
            probes += [Probe(device=None, status="crashed", reason=reason) for reason in left_out]
        for device in select(described.devices, selector or "all"):
            if probes and probes[-1].device and probes[-1].status != "ok":
                driver.close(0)
                driver = start()
                driver.describe()
            probes.append(_prove(driver, device))
            if probes[-1].status == "interrupted":
                break
        if probes[-1].status in ("hung", "interrupted"):
            return described, probes, "ok"
        try:
            driver.end()
        except Died as died:
            note = Note("died-at-end", f"the driver {died.kind} when it was to end: {died.where}")
            return replace(described, notes=(*described.notes, note)), probes, died.kind
        except Interrupted:
            return described, probes, "interrupted"
        return described, probes, "ok"
    finally:
        driver.close(0)


def _prove(driver: Driver, device: Device) -> Probe:
    """The live proof of one device, however its driver behaves."""
    try:
        proved = driver.answer(Prove(device.index), Proved)
        found = probe_of(device, proved.resolves, proved.proofs)
        if not proved.validation:
            return found
        return replace(found, status="failed", reason="; ".join(proved.validation))
    except VkmapError as error:
        return Probe(device=device, status=outcomes.of_error(error), reason=error.message)
    except Interrupted:
        return Probe(device=device, status="interrupted", reason="stopped by the user")
    except Died as died:
        reason = f"the driver {died.kind} in the live proof: {died.where}"
        said = tuple(Note("driver-said", line) for line in died.output.splitlines()[-5:])
        return Probe(device=device, status=died.kind, reason=reason, notes=said)
