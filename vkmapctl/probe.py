"""The parent of a probe: every device described and proved, one broken one never hiding another."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from msgspec.structs import replace

from vkmapctl.driver import layers
from vkmapctl.driver import listing as drivers
from vkmapctl.driver.messages import Described, Prove, Proved
from vkmapctl.driver.process import Child, Died, Interrupted, Interrupts
from vkmapctl.errors import VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.figures.proved import probe_of
from vkmapctl.inside.fork import Channel
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.machine import host
from vkmapctl.model.base import Note, Status
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.documents import SCHEMA, ProbeReport, Tool
from vkmapctl.plans import patience
from vkmapctl.plans.gates import missing
from vkmapctl.plans.selectors import select


@contextmanager
def probe(
    *,
    selector: str | None = None,
    requirements: Sequence[str] = (),
    expected_driver: str | None = None,
    timeout: float | None = None,
    layer: LayerChoice | None = None,
    command: Sequence[str] = (),
    version: str = "",
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[ProbeReport]:
    """Describes and proves the selected devices, all by default. meanwhile: called while the driver is loading.

    The driver's process ends while the caller shows the report. A gate holds where one device meets all of it. Raises
    VkmapError where no device can be described.
    """
    interrupts = Interrupts()
    patient = timeout or patience.BASE_SECONDS

    def serve(channel: Channel) -> None:
        from vkmapctl.inside import session  # here, so that only the child imports it

        session.serve(channel, layer)

    def start() -> Child:
        return Child(serve, timeout=patient, interrupts=interrupts, meanwhile=meanwhile)

    with ExitStack() as held:
        with interrupts.caught():
            described, probes = _probe_devices(selector, start, held, alone=bool(layer and layer.fault))
        yield _report(described, probes, requirements, expected_driver, Tool("vkmapctl", version, tuple(command)))


def _report(
    described: Described,
    probes: Sequence[Probe],
    requirements: Sequence[str],
    expected_driver: str | None,
    tool: Tool,
) -> ProbeReport:
    lacking = [missing(requirements, expected_driver, one) for one in probes]
    gap = tuple(sorted(lacking, key=len)[0]) if lacking else ()
    outcome = _outcome(probes, bool(gap))
    return ProbeReport(
        schema=SCHEMA,
        tool=tool,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        host=host.describe(),
        loader=described.loader,
        devices=tuple(probes),
        outcome=outcome,
        exit_code=outcomes.EXIT[outcome],
        missing=gap,
        warnings=described.notes,
        layers=layers.names(described.files),
    )


def _outcome(probes: Sequence[Probe], gap: bool) -> Status:
    """A gate that does not hold comes before a call that failed, and after a driver that died."""
    statuses = [one.status for one in probes]
    if "interrupted" in statuses:
        return "interrupted"
    outcome = outcomes.worst(statuses)
    return "unsupported" if gap and outcome in ("failed", "ok") else outcome


def _probe_devices(
    selector: str | None, start: Callable[[], Child], held: ExitStack, *, alone: bool
) -> tuple[Described, list[Probe]]:
    """Every selected device, proved. What remains of a child is released, and closed with `held`."""
    child, described = drivers.describe(start, alone=alone)
    held.callback(child.close)
    probes: list[Probe] = []
    if selector in (None, "all"):
        left_out = [note.message for note in described.notes if note.code == drivers.BROKEN]
        probes += [Probe(device=None, status="crashed", reason=reason) for reason in left_out]
    for device in select(described.devices, selector or "all"):
        if probes and probes[-1].device and probes[-1].status != "ok":
            child.close(0)
            child = start()
            held.callback(child.close)
            child.describe()
        probes.append(_prove(child, device))
        if probes[-1].status == "interrupted":
            break
    child.release()
    return described, probes


def _prove(child: Child, device: Device) -> Probe:
    """The live proof of one device, however its driver behaves."""
    try:
        proved = child.answer(Prove(device.index), Proved)
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
