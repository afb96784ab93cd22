"""What importing host memory needs of a device (VK_EXT_external_memory_host), and what it rules out."""

from collections.abc import Sequence

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.base import Note
from vkmapctl.model.device import Device, MemoryType
from vkmapctl.model.workload import Job, Workload
from vkmapctl.rules import EXTERNAL_MEMORY_HOST


def refuse(workload: Workload, device: Device) -> None:
    """Raises UsageProblem for what makes no sense beside an import, Unsupported for a device that has none."""
    where = "--import host" if workload.imported == "host" else "an import step"
    for beside, what in (
        (workload.memory_type == "malloc", "--memory-type malloc: that memory is the host's already"),
        (workload.imported == "host" and workload.placed is not None, "--placed: nothing is mapped"),
        (workload.imported == "host" and workload.reserve, "--reserve: nothing is unmapped"),
        (workload.imported == "host" and workload.offsets != (0,), "--offset: an import is of a whole allocation"),
        (workload.imported == "host" and workload.map_size is not None, "--map-size: nothing is mapped"),
    ):
        if beside:
            raise UsageProblem(f"{where} excludes {what}", "leave one of them out")
    if device.host_import is None:
        raise Unsupported(
            f"{where} needs {EXTERNAL_MEMORY_HOST}, which is missing on {device.name}",
            "vkmapctl probe shows what each device has",
        )


def alignment(device: Device) -> int:
    """minImportedHostPointerAlignment, 1 without imports."""
    return device.host_import.min_imported_host_pointer_alignment if device.host_import else 1


def takers(workload: Workload, device: Device, chosen: Sequence[MemoryType]) -> tuple[list[MemoryType], list[Note]]:
    """Those of the chosen memory types that take a host pointer, and a note on those that do not.

    An import need not be of a type that can be mapped. `auto`: the first that does, one that can be mapped before
    others; `all`: each that does. Raises Unsupported where none of them does.
    """
    accepted = device.host_import.memory_types if device.host_import else None
    if accepted is None:  # nobody has asked the driver yet: it is asked for each range before it is measured
        return list(chosen), []
    taking = [one for one in device.memory_types if one.index in accepted and not one.barred and "Pr" not in one.flags]
    known = "these take one: " + ("; ".join(one.label for one in taking) or "none")
    why = f"(vkGetMemoryHostPointerPropertiesEXT on {device.name})"
    usable = [one for one in taking if one.usable]
    if workload.memory_type == "auto":
        found = (usable or ([] if workload.steps else taking))[:1]
        if not found:
            raise Unsupported(f"no memory type that will do takes a host pointer {why}", known)
        return found, []
    if workload.memory_type == "all":
        found = usable if workload.steps else taking
        refusing = [one for one in device.memory_types if one not in taking]
    else:
        found = [one for one in chosen if one in taking]
        refusing = [one for one in chosen if one not in taking]
    refused = f"no host pointer is taken by memory type {'; '.join(one.label for one in refusing)} {why}"
    if not found:
        raise Unsupported(refused, known)
    return found, [Note("import-types", refused)] if refusing else []


def check_size(job: Job, device: Device) -> None:
    """Raises UsageProblem: VUID-VkMemoryAllocateInfo-allocationSize-01745."""
    if job.allocation_size % alignment(device):
        raise UsageProblem(
            f"--size {job.allocation_size} of an import must be a multiple of minImportedHostPointerAlignment "
            f"({alignment(device)})",
            "VUID-VkMemoryAllocateInfo-allocationSize-01745",
        )


def notes(job: Job, device: Device) -> list[Note]:
    """What a reader of the job's figures must know."""
    if job.imported == "none":
        return []
    found = [Note("import-pairs", "a pair of a row with import is an import and a free: nothing is mapped")]
    memory_type = device.memory_type(job.memory_type)
    if job.touch == "none" or memory_type.coherent:
        return found
    return [
        *found,
        Note(
            "import-not-flushed",
            f"memory type {memory_type.label} is not coherent, and what is not mapped cannot be flushed: the touches "
            "show what the host sees of its own memory, not the device",
        ),
    ]
