"""Which conditions can judge a part of a workload at all, as far as the workload alone tells."""

from collections.abc import Iterable, Sequence

from vkmapctl.errors import UsageProblem
from vkmapctl.model import script
from vkmapctl.model.workload import Workload
from vkmapctl.plans.gates import VERSUS, Threshold

_CALLS_OF_STEPS: dict[type, tuple[str, ...]] = {  # with what `draws` undoes at a cycle's end
    script.Map: ("map", "unmap"),
    script.Allocate: ("allocate", "free"),
    script.Import: ("import", "free"),
    script.Flush: ("flush",),
    script.Invalidate: ("invalidate",),
    script.ToHost: ("to-host",),
    script.ToDevice: ("to-device",),
}
_CALLS_OF_TOUCHES = {  # where the memory is not coherent
    "none": (),
    "first": ("flush",),
    "write": ("flush",),
    "read": ("invalidate",),
    "verify": ("invalidate", "flush"),
}
_HINTS = {
    "response": "give a --rate",
    "ratio_to_idle": "give a --gpu-load, and no --rate or --gap",
    "ns_per_pair": "leave --rate and --gap out",
    "write": "use --touch write",
    "read": "use --touch read",
    "mismatches": "use --touch verify",
    "import": "use --import host",
    "flush": "use --touch write, on memory that is not coherent",
    "invalidate": "use --touch read, on memory that is not coherent",
    "allocate": "vkmapctl stress allocation has steps that allocate and free",
    "free": "vkmapctl stress allocation has steps that allocate and free",
    "to-host": "vkmapctl stress round-trip has such steps",
    "to-device": "vkmapctl stress round-trip has such steps",
}


def can_judge(metric: str, part: Workload) -> bool:
    """Whether rows of the part may have the metric, on some device. What --versus adds is not looked at."""
    kinds = {type(step) for _, step in script.walk(part.steps)}
    call, _, name = metric.removeprefix("versus.").partition(".")
    paced = part.rate is not None
    has_pairs = not part.trace and (not kinds or bool(kinds & {script.Map, script.Import}))
    if name:
        return paced if call == "response" else call in _calls(part, kinds)
    match metric:
        case "ns_per_pair":
            return has_pairs and not paced and not part.gap_seconds
        case "pairs_per_second":
            return has_pairs
        case "ratio_to_idle":
            return part.gpu_load != "none" and has_pairs and not paced and not part.gap_seconds
        case "write":
            return script.Write in kinds or part.touch in ("write", "verify")
        case "read":
            return bool(kinds & {script.Read, script.Verify}) or part.touch in ("read", "verify")
        case "mismatches":
            return bool(kinds & {script.Verify, script.ToHost, script.ToDevice}) or part.touch == "verify"
        case _:
            return True


def _calls(part: Workload, kinds: Iterable[type]) -> set[str]:
    """The calls that the part may make."""
    if part.trace:
        return {*part.trace.calls(), *(["allocate"] if part.imports else [])}  # a device may import nothing
    if part.steps:
        return {call for kind in kinds for call in _CALLS_OF_STEPS.get(kind, ())}
    if part.imported == "host":
        return {"import", "free"}
    return {"map", "unmap", *_CALLS_OF_TOUCHES[part.touch]}


def refuse(thresholds: Iterable[Threshold], parts: Sequence[Workload], where: str = "", *, versus: bool = True) -> None:
    """Raises UsageProblem for a condition that none of the parts can have judged.

    where: of a workload file, empty for the command line. versus: whether another driver's process measures beside.
    """
    for one in thresholds:
        told = f"{where}: fail_if '{one.text}'" if where else f"--fail-if '{one.text}'"
        if one.metric in VERSUS and not versus:
            raise UsageProblem(f"{told} judges what --versus measures, which is not asked for")
        if not any(can_judge(one.metric, part) for part in parts):
            call, _, name = one.metric.removeprefix("versus.").partition(".")
            lacking = f"makes the call {call}" if name and call != "response" else f"has {one.metric}"
            hints = [_HINTS[call]] if call in _HINTS else []
            raise UsageProblem(f"{told} would judge nothing: no row of this workload {lacking}", *hints)
