"""What a kind of allocation needs of a device, and what it rules out."""

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.device import Device
from vkmapctl.model.script import Allocate, walk
from vkmapctl.model.workload import Job, Workload

_NEEDS = {
    "dedicated": "Vulkan 1.1",
    "export": "VK_KHR_external_memory_fd, and buffers that can be exported without a dedicated allocation",
    "device-address": "the feature bufferDeviceAddress",
}


def refuse(workload: Workload, device: Device) -> None:
    """Raises UsageProblem for what makes no sense beside the kind, Unsupported for a device that does not have it."""
    kind = workload.allocation
    if kind == "plain":
        return
    for beside, what in ((workload.memory_type == "malloc", "--memory-type malloc"), (workload.imports, "an import")):
        if beside:
            raise UsageProblem(f"--allocation {kind} excludes {what}: no Vulkan memory is allocated", "leave one out")
    if kind not in device.allocations:
        raise Unsupported(
            f"--allocation {kind} needs {_NEEDS[kind]}, which is missing on {device.name}",
            f"this device has: {', '.join(device.allocations)}",
        )


def check_steps(job: Job) -> None:
    """Raises UsageProblem for an allocate step that is to give a dedicated object another size than its buffer has."""
    if job.allocation != "dedicated":
        return
    for path, step in walk(job.scripted):
        if not isinstance(step, Allocate) or step.size is None:
            continue
        whole = set(job.object_sizes) if step.object == "any" else {job.object_sizes[step.object]}
        if whole != {step.size}:
            raise UsageProblem(
                f"job '{job.part}': {path}: a dedicated allocation has the size of its object's buffer",
                "VUID-VkMemoryDedicatedAllocateInfo-buffer-02965; leave the step's size out",
            )
