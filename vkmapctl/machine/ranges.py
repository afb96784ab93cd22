"""Address ranges that placed maps go to: taken from this process, each between guards, and given back.

A driver that maps more than it was asked to replaces what stands beside the range. Between guards that is nothing that
anyone needs, and the guards tell afterwards.
"""

import os
import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from vkmapctl.errors import CallFailed, Unsupported
from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import PAGE, Area
from vkmapctl.units import PLACES, parse_place

LOWEST_ADDRESS = 1 << 20
ARENA_STEP = 64 << 10
GUARD = 2 << 20  # more than any driver rounds a single map up to
LOW_GUARD = ARENA_STEP  # where addresses are scarce
# Far from where the kernel puts mappings by itself, so that a free range stays free.
QUIET_ADDRESS, _QUIET_LENGTH = (1 << 44, 1 << 45) if addresses.END > 1 << 32 else (1 << 30, 1 << 31)
_TRIES = 64
_GUARD_NAME = "vkmapctl-guard"


class Range(NamedTuple):
    """[begin, begin + length), with so many bytes of guard below and above it; 0 where they could not be had."""

    begin: int
    length: int
    below: int
    above: int

    @property
    def end(self) -> int:
        return self.begin + self.length

    def release(self) -> None:
        """Gives all of it back."""
        addresses.unmap_pages(self.begin - self.below, self.below + self.length + self.above)

    def release_middle(self) -> None:
        """Gives back what stands between the guards, for whoever maps there by himself."""
        addresses.unmap_pages(self.begin, self.length)

    def release_guards(self) -> None:
        """Gives back the guards alone."""
        if self.below:
            addresses.unmap_pages(self.begin - self.below, self.below)
        if self.above:
            addresses.unmap_pages(self.end, self.above)


def take(length: int, *, alignment: int = PAGE, protection: int = addresses.NONE) -> Range:
    """A range at a quiet address that is an odd multiple of the alignment, and no other range's before.

    A driver may tell a smaller alignment than a page, at which the kernel maps nothing. Raises CallFailed where the
    kernel refuses.
    """
    length, alignment = -(-length // PAGE) * PAGE, max(alignment, PAGE)
    base = _quiet(GUARD + alignment + length + GUARD)
    aligned = -(-base // alignment) * alignment + GUARD
    begin = aligned if aligned // alignment % 2 else aligned + alignment
    end, last = begin + length, base + GUARD + alignment + length + GUARD
    taken = Range(begin, length, begin - base, last - end)
    _guard(taken)
    if protection:
        addresses.map_pages(length, protection, address=begin)
    return taken


@contextmanager
def host_memory(lengths: Sequence[int], alignment: int) -> Iterator[list[Range]]:
    """This process's own memory to import from: ranges between guards, at a multiple of the alignment.

    Every page is written once, so that what an import costs is not the price of fresh pages.
    """
    taken: list[Range] = []
    try:
        for length in lengths:
            one = take(length, alignment=alignment, protection=addresses.READ_WRITE)
            taken.append(one)
            addresses.fill(one.begin, 1, one.length)
        yield taken
    finally:
        for one in taken:
            one.release()


def _quiet(length: int) -> int:
    """Reserved address space at a multiple of GUARD that nothing was at before; anywhere where a process has less."""
    for _ in range(_TRIES):
        address = QUIET_ADDRESS + random.randrange(_QUIET_LENGTH // GUARD) * GUARD
        if addresses.map_if_free(length, address):
            return address
    return addresses.map_pages(length, addresses.NONE)


@lru_cache(maxsize=1)
def _guard_file() -> int:
    """A file that nothing else maps: a guard that is still one can be told from whatever a driver puts there."""
    try:
        return os.memfd_create(_GUARD_NAME)
    except OSError as error:
        raise CallFailed(f"memfd_create failed: {error.strerror}") from error


def _guard(taken: Range) -> None:
    """Makes the reserved pages beside a range its guards."""
    for begin, length in ((taken.begin - taken.below, taken.below), (taken.end, taken.above)):
        if length:
            addresses.map_pages(length, addresses.NONE, address=begin, file=_guard_file())


def trampled(taken: Iterable[Range]) -> str:
    """What became of the guards of these ranges, in words: empty where all stand as they were put."""
    guards = [area for area in addresses.areas() if _GUARD_NAME in area.path]
    for one in taken:
        below = _missing(guards, one.begin - one.below, one.begin)
        above = _missing(guards, one.end, one.end + one.above)
        if below or above:
            return (
                f"{one.length} bytes placed at {one.begin:#x}: {below} bytes before and {above} bytes after the range "
                "were replaced too"
            )
    return ""


def _missing(guards: list[Area], begin: int, end: int) -> int:
    """How many bytes of [begin, end) these areas, by address, leave out."""
    missing = end - begin
    for i in range(bisect_left(guards, begin, key=lambda area: area.end), len(guards)):
        if guards[i].begin >= end:
            break
        missing -= max(0, min(guards[i].end, end) - max(guards[i].begin, begin))
    return missing


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


def reserve_for(placed: str, length: int, lowest: int = LOWEST_ADDRESS) -> Range:
    """A reserved range for a placed map: `any`, below 4 or 2 GiB from `lowest` on, or at an address.

    Raises Unsupported where there is no such range.
    """
    wanted = parse_place(placed)
    length = -(-length // PAGE) * PAGE
    if wanted is not None:
        return _at(wanted, length)
    if placed == "any":
        base = _quiet(GUARD + length + GUARD)
        taken = Range(base + GUARD, length, GUARD, GUARD)
    else:
        whole = LOW_GUARD + -(-length // ARENA_STEP) * ARENA_STEP + LOW_GUARD
        first = -(-lowest // ARENA_STEP) * ARENA_STEP
        candidates = range(first, PLACES[placed] - whole + 1, ARENA_STEP)
        base = next((a for a in candidates if addresses.map_if_free(whole, a)), 0)
        if not base:
            raise _no_room(length, placed)
        taken = Range(base + LOW_GUARD, length, LOW_GUARD, whole - LOW_GUARD - length)
    _guard(taken)
    return taken


def _at(address: int, length: int) -> Range:
    """At exactly this address, with what guards there is room for."""
    if not addresses.map_if_free(length, address):
        raise _no_room(length, hex(address))
    below = LOW_GUARD if address > LOW_GUARD and addresses.map_if_free(LOW_GUARD, address - LOW_GUARD) else 0
    above = LOW_GUARD if addresses.map_if_free(LOW_GUARD, address + length) else 0
    taken = Range(address, length, below, above)
    _guard(taken)
    return taken


def _no_room(length: int, placed: str) -> Unsupported:
    where = {"low4g": "below 4 GiB", "low2g": "below 2 GiB"}.get(placed, f"at {placed}")
    return Unsupported(f"no free address range of {length} bytes {where} in this process")
