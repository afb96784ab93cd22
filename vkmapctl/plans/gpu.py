"""What the device may work on while a job is measured, and whether that goes with what the host does."""

from vkmapctl import units
from vkmapctl.errors import UsageProblem
from vkmapctl.model.base import Note
from vkmapctl.model.device import MALLOC, Device
from vkmapctl.model.script import ToDevice, ToHost, walk
from vkmapctl.model.workload import Job

MOST_OBJECTS = 256  # that a load works on
_ALIGNMENT = 256  # at which the device's half begins: no atom is larger (chapter Required Limits)
_LEAST = 2 * _ALIGNMENT


def device_half(allocation_size: int) -> int:
    """Where the part of an object begins that the device works on; it ends with the object."""
    return -(-allocation_size // 2 // _ALIGNMENT) * _ALIGNMENT


def check_load(job: Job) -> None:
    """Raises UsageProblem where host and device would touch the same bytes, or where there is nothing to work on."""
    if job.gpu_load == "none":
        if job.gpu_on != "others":
            raise UsageProblem("--gpu-on says what a load works on", "give --gpu-load copy, copy-from or fill too")
        return
    if job.gpu_on == "others":
        if job.gpu_load == "copy-from":
            raise UsageProblem(
                "--gpu-load copy-from reads from the mapped object", "give --gpu-on mapped too, or --gpu-load copy"
            )
        return
    if job.memory_type == MALLOC:
        raise UsageProblem("malloc's memory is not the device's to work on", "use --gpu-on others")
    if job.imported != "none" or job.allocation != "plain":
        raise UsageProblem(
            "--gpu-on mapped binds a transfer buffer to the object, which has to be plain memory",
            "use --gpu-on others, or leave --import and --allocation out",
        )
    if job.live * job.threads > MOST_OBJECTS:
        raise UsageProblem(f"--gpu-on mapped works on at most {MOST_OBJECTS} objects", "lower --live or --threads")
    if job.allocation_size < _LEAST:
        raise UsageProblem(
            f"an object of less than {_LEAST} bytes is not shared with the device", "use a larger --size"
        )
    _check_halves(job)


def _check_halves(job: Job) -> None:
    """Host and device write to different halves; that both read the same bytes is no hazard."""
    if job.touch == "none" or (job.gpu_load == "copy-from" and job.touch == "read"):
        return
    half = device_half(job.allocation_size)
    whole = job.map_size is None or not isinstance(job.offset, int)
    end = job.allocation_size if whole else int(job.offset) + (job.map_size or 0)
    if end > half:
        last = half if job.offset == "random" else max(half - int(job.offset), 0)
        raise UsageProblem(
            f"--touch {job.touch} would reach byte {end}, and --gpu-on mapped has the device work from byte {half} on: "
            "they must not touch the same bytes",
            f"give --map-size {units.exact_size(last).removesuffix(' B').replace(' ', '')} or less"
            if last
            else f"give an --offset below {half}",
        )


def check_transfers(job: Job) -> None:
    """Raises UsageProblem for steps that have the device copy, on memory to which no buffer can be bound."""
    if not any(isinstance(step, ToHost | ToDevice) for _, step in walk(job.scripted)):
        return
    if job.memory_type == MALLOC or job.allocation != "plain":
        raise UsageProblem(
            "steps to-host and to-device bind a transfer buffer to the object, which has to be plain memory",
            "leave --memory-type malloc and --allocation out",
        )


def load_notes(job: Job, device: Device) -> list[Note]:
    """What a reader should know of a load on this device."""
    if job.gpu_load == "none" or not device.software:
        return []
    text = (
        f"{device.name} is software: the load of --gpu-load runs on this machine's CPUs, so it takes time and memory "
        "bandwidth from what is measured"
    )
    return [Note("gpu-is-cpu", text)]
