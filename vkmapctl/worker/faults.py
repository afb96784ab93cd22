"""What is wrong with a driver that the C loop has found out, in words."""

from collections.abc import Mapping

from vkmapctl.inside.faults import TEXTS, mismatch
from vkmapctl.native import Fault, Op


def explain(fault: Fault, result_name: str, place: Mapping[str, int]) -> str:
    """One line for a fault. result_name: the VkResult of a failed call; place: as native.Results.fault gives it."""
    if fault is Fault.CALL_FAILED:
        return f"{result_name} in {Op(place['op']).name.lower()} (step {place['step']})"
    if fault is Fault.MISMATCH:
        return mismatch(place["offset"], place["found"], place["expected"])
    return TEXTS[fault.name]
