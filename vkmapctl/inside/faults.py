"""What can be wrong with a driver's maps, in words. Which of it was found: inside/proof, worker/faults."""

TEXTS = {  # by the names of native.Fault
    "NULL_POINTER": "the map succeeded but gave no pointer",
    "MOVED": "the placed map landed at another address than asked for",
    "MISALIGNED": "the pointer is not aligned to minMemoryMapAlignment",
    "OVERLAP": "two mapped objects share addresses",
    "RESERVATION_LOST": "the address range was free after an unmap with reserve",
    "RESERVATION_REUSED": "an unplaced map returned an address inside the range that the unmap before had reserved",
    "HOLD_FAILED": "another mapping took the address range between unmap and map",
    "RELEASE_FAILED": "the reserved range could not be given back",
}


def mismatch(offset: int, found: int, expected: int) -> str:
    """One line for a byte that is not what was written."""
    return f"byte {offset} of the allocation is {found:#04x}, written was {expected:#04x}"
