"""What is wrong with a driver that the C loop or the live proof has found out, in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vkmapctl.native import Fault

TEXTS = {  # by the names of native.Fault
    "NULL_POINTER": "the map succeeded but gave no pointer",
    "MOVED": "the placed map landed at another address than asked for",
    "MISALIGNED": "the pointer is not aligned to minMemoryMapAlignment",
    "OVERLAP": "two mapped objects share addresses",
    "RESERVATION_LOST": "the address range was free after an unmap with reserve",
    "RESERVATION_REUSED": "an unplaced map returned an address inside the range that the unmap before had reserved",
    "HOLD_FAILED": "another mapping took the address range between unmap and map",
    "STILL_MAPPED": "the driver's own mapping still stands in the address range after the unmap",
    "RELEASE_FAILED": "the reserved range could not be given back",
}


def explain(fault: "Fault", result_name: str, place: Mapping[str, int]) -> str:
    """One line for a fault. result_name: the VkResult of a failed call; place: as native.Results.fault gives it."""
    from vkmapctl.native import Fault, Op

    if fault is Fault.CALL_FAILED:
        return f"{result_name} in {Op(place['op']).name.lower()} (step {place['step']})"
    if fault is Fault.MISMATCH:
        return mismatch(place["offset"], place["found"], place["expected"])
    return TEXTS[fault.name]


def mismatch(offset: int, found: int, expected: int) -> str:
    """One line for a byte that is not what was written."""
    return f"byte {offset} of the allocation is {found:#04x}, written was {expected:#04x}"
