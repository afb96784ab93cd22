"""The live proof of a device, asked of the driver's process: what the proof itself does is inside/proof."""

from msgspec.structs import replace

from vkmapctl.driver.messages import Prove, Proved
from vkmapctl.driver.protocol import Died, Driver, Interrupted
from vkmapctl.errors import ExitCode, VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.figures.proved import probe_of
from vkmapctl.model.base import Note
from vkmapctl.model.device import Device, Probe


def prove(driver: Driver, device: Device) -> Probe:
    """The live proof of one device, however its driver behaves."""
    try:
        proved = driver.answer(Prove(device.index), Proved)
        found = probe_of(device, proved.resolves, proved.proofs)
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
        reason = f"the driver {died.kind} in the live proof: {died.where}"
        said = tuple(Note("driver-said", line) for line in died.output.splitlines()[-5:])
        return Probe(device=device, status=died.kind, reason=reason, notes=said)
