"""Rows beside the measured ones. Pure."""

from vkmapctl.errors import Unsupported
from vkmapctl.model import Device, Row, Workload


def refused_row(part: Workload, device: Device, error: Unsupported) -> Row:
    """What stands for a part that this device cannot run."""
    size = next((one for one in part.sizes if isinstance(one, int)), 0)
    return Row(
        job=part.name,
        device=device.index,
        api=device.apis()[0],
        memory_type=0,
        memory_flags=(),
        allocation_size=size,
        offset=part.offsets[0],
        map_size=part.map_size,
        placed=part.placed,
        reserve=part.reserve,
        touch=part.touch,
        threads=part.threads,
        live=part.live,
        status="unsupported",
        reason=error.message,
        part=part.name,
    )
