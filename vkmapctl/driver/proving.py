"""The live proof of a device, asked of the driver's process: what the proof itself does is inside/proof."""

from msgspec.structs import replace

from vkmapctl.driver.messages import Prove, Proved
from vkmapctl.driver.protocol import KILLED, Died, Driver, Interrupted
from vkmapctl.errors import DriverDied, ExitCode, KilledForMemory, VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.figures.proved import probe_of
from vkmapctl.model.base import Note
from vkmapctl.model.device import Device, Probe


def proved(driver: Driver, device: Device) -> Probe:
    """The same for whoever cannot go on without: raises DriverDied, KilledForMemory, or Interrupted."""
    found = prove(driver, device)
    if found.status == "interrupted":
        raise Interrupted
    if any(note.code == KILLED for note in found.notes):
        raise KilledForMemory(found.reason, *(note.message for note in found.notes))
    if found.status in ("crashed", "hung"):
        died = DriverDied(found.reason, *(note.message for note in found.notes))
        died.kind = "crashed" if found.status == "crashed" else "hung"
        raise died
    return found


def with_pointer_types(device: Device, types: tuple[int, ...] | None) -> Device:
    """The device, with what its driver says of pointers to host memory."""
    limits = device.host_import
    return replace(device, host_import=replace(limits, memory_types=types)) if limits else device


def prove(driver: Driver, device: Device) -> Probe:
    """The live proof of one device, however its driver behaves."""
    try:
        proved = driver.answer(Prove(device.index), Proved)
        found = probe_of(with_pointer_types(device, proved.pointer_types), proved.resolves, proved.proofs)
        if not proved.validation:
            return found
        return replace(found, status="failed", reason="; ".join(proved.validation))
    except VkmapError as error:
        if error.exit_code == ExitCode.INTERNAL:  # no driver's fault
            raise
        return Probe(device=device, status=outcomes.of_error(error), reason=error.message)
    except Interrupted:
        return Probe(device=device, status="interrupted", reason="stopped by the user")
    except Died as died:
        reason = f"{died.what} in the live proof: {died.where}"
        said = tuple(Note("driver-said", line) for line in died.output.splitlines()[-5:])
        return Probe(device=device, status=died.kind, reason=reason, notes=(*said, *died.notes))
