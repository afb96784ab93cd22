"""What the loop found wrong, in words."""

from collections.abc import Mapping

from vkmapctl.native import Fault, Op

_TEXTS = {
    Fault.NULL_POINTER: "the map succeeded but gave no pointer",
    Fault.MOVED: "the placed map landed at another address than asked for",
    Fault.MISALIGNED: "the pointer is not aligned to minMemoryMapAlignment",
    Fault.OVERLAP: "two mapped objects share addresses",
    Fault.RESERVATION_LOST: "the address range was free after an unmap with reserve",
    Fault.RESERVATION_REUSED: "an unplaced map returned an address inside the range that the unmap before had reserved",
    Fault.HOLD_FAILED: "another mapping took the address range between unmap and map",
    Fault.RELEASE_FAILED: "the reserved range could not be given back",
}


def explain(fault: Fault, result_name: str, place: Mapping[str, int]) -> str:
    """One line for a fault. result_name: the VkResult of a failed call; place: as native.Results.fault gives it."""
    if fault is Fault.CALL_FAILED:
        return f"{result_name} in {Op(place['op']).name.lower()} (step {place['step']})"
    if fault is Fault.MISMATCH:
        where = f"byte {place['offset']} of the allocation"
        return f"{where} is {place['found']:#04x}, written was {place['expected']:#04x}"
    return _TEXTS[fault]
