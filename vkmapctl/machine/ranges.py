"""Address ranges that placed maps go to, taken from this process and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

from vkmapctl.errors import Unsupported
from vkmapctl.machine import addresses
from vkmapctl.units import PLACES, parse_place

LOWEST_ADDRESS = 1 << 20
ARENA_STEP = 64 << 10
QUIET_ADDRESS = 1 << 44  # far from where the kernel puts mappings by itself, so that a free range stays free


@contextmanager
def reserved(wanted: str, length: int) -> Iterator[int]:
    """A range held while the other addresses are chosen; the program's own steps take it afterwards."""
    address = reserve_for(wanted, length, QUIET_ADDRESS if wanted == "any" else LOWEST_ADDRESS)
    try:
        yield address
    finally:
        addresses.unmap_pages(address, length)


@contextmanager
def filled(placed: str) -> Iterator[None]:
    """Takes every free address below the limit of `low4g` or `low2g`, in pieces down to ARENA_STEP."""
    end, taken, piece = PLACES[placed], [], 256 << 20
    try:
        while piece >= ARENA_STEP:
            for address in range(LOWEST_ADDRESS // piece * piece, end, piece):
                if address >= LOWEST_ADDRESS and addresses.map_if_free(piece, address):
                    taken.append((address, piece))
            piece //= 8
        yield
    finally:
        for address, length in taken:
            addresses.unmap_pages(address, length)


def reserve_for(placed: str, length: int, lowest: int = LOWEST_ADDRESS) -> int:
    """A reserved range for a placed map: `any`, below 4 or 2 GiB from `lowest` on, or at an address.

    Raises Unsupported where there is no such range.
    """
    wanted = parse_place(placed)
    if wanted is not None:
        found = wanted if addresses.map_if_free(length, wanted) else 0
    elif placed == "any" and lowest < QUIET_ADDRESS:
        found = addresses.map_pages(length, addresses.NONE)
    else:
        end = PLACES[placed]
        lowest = -(-lowest // ARENA_STEP) * ARENA_STEP
        candidates = range(lowest, end - length + 1, ARENA_STEP)
        found = next((a for a in candidates if addresses.map_if_free(length, a)), 0)
    if not found:
        where = {"any": "anywhere", "low4g": "below 4 GiB", "low2g": "below 2 GiB"}.get(placed, f"at {placed}")
        raise Unsupported(f"no free address range of {length} bytes {where} in this process")
    return found
