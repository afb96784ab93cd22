"""The parent of a probe: every device described and proved, one broken one never hiding another."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from vkmapctl import early, host
from vkmapctl.child import Channel, Child, Died, Interrupts
from vkmapctl.errors import ExitCode, VkmapError
from vkmapctl.gates import missing
from vkmapctl.model import SCHEMA, Note, Outcome, Probe, ProbeReport, TestLayer, Tool
from vkmapctl.protocol import Described, Prove, Proved
from vkmapctl.selectors import select


def probe(
    *,
    selector: str | None = None,
    requirements: Sequence[str] = (),
    expected_driver: str | None = None,
    timeout: float = 30.0,
    layer: TestLayer | None = None,
    command: Sequence[str] = (),
    version: str = "",
    meanwhile: Callable[[], object] | None = None,
) -> ProbeReport:
    """Describes and proves the selected devices, all by default. meanwhile: called while the driver is loading.

    A gate holds where one device meets all of it. Raises VkmapError where no device can be described.
    """
    interrupts = Interrupts()

    def serve(channel: Channel) -> None:
        from vkmapctl import worker  # here, so that only the child imports the loop

        worker.serve(channel, layer=layer)

    def start() -> Child:
        forked = None if layer else early.take()
        return Child(serve, timeout=timeout, interrupts=interrupts, forked=forked, meanwhile=meanwhile)

    with interrupts.caught():
        described, probes = _probe_devices(selector, start)
    lacking = [missing(requirements, expected_driver, one) for one in probes]
    gap = tuple(sorted(lacking, key=len)[0]) if lacking else ()
    outcome = _outcome(probes, bool(gap))
    return ProbeReport(
        schema=SCHEMA,
        tool=Tool("vkmapctl", version, tuple(command)),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        host=host.describe(),
        loader=described.loader,
        devices=tuple(probes),
        outcome=outcome,
        exit_code=int(_EXIT[outcome]),
        missing=gap,
        warnings=described.notes,
        layers=described.layers,
    )


_EXIT: dict[Outcome, ExitCode] = {
    "ok": ExitCode.OK,
    "unsupported": ExitCode.UNSUPPORTED,
    "failed": ExitCode.FAILED,
    "crashed": ExitCode.DRIVER_DIED,
    "hung": ExitCode.DRIVER_DIED,
}


def _outcome(probes: Sequence[Probe], gap: bool) -> Outcome:
    statuses = {one.status for one in probes}
    if "crashed" in statuses or "hung" in statuses:
        return "crashed" if "crashed" in statuses else "hung"
    if gap:
        return "unsupported"
    return "failed" if "failed" in statuses else "ok"


def _probe_devices(selector: str | None, start: Callable[[], Child]) -> tuple[Described, list[Probe]]:
    child = start()
    try:
        described = child.describe()
        probes = []
        for device in select(described.devices, selector or "all"):
            try:
                probes.append(child.answer(Prove(device.index), Proved).probe)
            except VkmapError as error:
                probes.append(Probe(device=device, status="failed", reason=error.message))
            except Died as died:
                reason = f"the driver {died.kind} in the live proof: {died.how}"
                said = tuple(Note("driver-said", line) for line in died.output.splitlines()[-5:])
                probes.append(Probe(device=device, status=died.kind, reason=reason, notes=said))
            if probes[-1].status in ("failed", "crashed", "hung"):
                child.close(0)
                child = start()
                child.describe()
        return described, probes
    finally:
        child.close()
