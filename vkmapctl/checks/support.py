"""What several chapters of checks do alike: bytes in and out of an object, placed maps, what is left behind."""

import os
import random
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from vkmapctl import native, units
from vkmapctl.checks.ground import MAP_FAILED, Broken, Ground, Skip, expect
from vkmapctl.errors import CallFailed
from vkmapctl.figures import outcomes
from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import PAGE, Area, areas_in, covered

if TYPE_CHECKING:
    from vkmapctl.checks.calls import Memory

SIZE = 64 << 10
_Result = TypeVar("_Result")


# --- contents -------------------------------------------------------------------------------------


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes that differ with place and seed."""
    return random.Random(seed).randbytes(size)


def fill(ground: Ground, memory: "Memory", data: bytes) -> None:
    """Writes through a mapping of its own."""
    addresses.write(memory.map(), data)
    ground.flush(memory)
    memory.unmap()


def contents(ground: Ground, memory: "Memory", size: int) -> bytes:
    """Reads through a mapping of its own."""
    pointer = memory.map()
    ground.invalidate(memory)
    data = addresses.read(pointer, size)
    memory.unmap()
    return data


def expect_bytes(found: bytes, wanted: bytes, what: str) -> None:
    """Raises Broken naming the first byte that differs."""
    if found != wanted:
        at = next(i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
        raise Broken(f"{what}: byte {at} is {found[at]:#04x}, expected {wanted[at]:#04x}")


# --- placed maps ----------------------------------------------------------------------------------


def place(ground: Ground, memory: "Memory", address: int, **options: Any) -> None:
    """A placed map of the whole object, which must land exactly there.

    A driver that refuses it as an object's very first map is asked again after an ordinary one: that is P1-first's
    business alone.
    """
    mapped = memory.try_map(address=address, **options)
    if mapped.result == MAP_FAILED and not memory.was_mapped:
        memory.map()
        memory.unmap()
        mapped = memory.try_map(address=address, **options)
    pointer = memory.checked(mapped)
    expect(pointer == address, f"asked for {address:#x}, got {pointer:#x}")


# --- what stands where a mapping was --------------------------------------------------------------


def describe(areas: Iterable[Area]) -> str:
    """Mappings in words."""
    return ", ".join(f"{area.begin:#x}-{area.end:#x} {area}" for area in areas)


def expect_reserved(before: Sequence[Area], begin: int, end: int, when: str) -> None:
    """Raises Broken unless [begin, end) is still taken, by something that is not just passing by.

    before: what stood there while it was mapped. A reservation is out of reach or what the driver had there anyway;
    memory that the process took by itself in the meantime also covers a range that was let go.
    """
    now = areas_in(begin, end)
    if not covered(begin, end, now):
        raise Broken(
            f"{when}: the kernel shows nothing in a part of the range" if now else f"{when}: the range is free"
        )
    for area in now:
        ours = any(area.shows_the_same(one) for one in before) or (area.begin, area.end) == (begin, end)
        expect(not area.in_reach or ours, f"{when}: the range was let go, and now {area} stands in it")


def shows(ground: Ground, memory: "Memory", address: int, before: Sequence[Area]) -> str:
    """How an unmapped object still shows at an address where it was mapped, in words; empty where it does not.

    Asks the kernel, then writes through a mapping elsewhere and looks whether that arrives at the old address.
    """
    left = addresses.still_showing(before, areas_in(address, address + memory.size))
    pointer = memory.map()
    elsewhere = pointer + memory.size <= address or pointer >= address + memory.size
    arrives = elsewhere and all(_arrives(ground, memory, value, pointer, address) for value in (0x88, 0x44))
    memory.unmap()
    if left and elsewhere:
        return f"it is still mapped there as {left[0]}{', and shows later writes' if arrives else ''}"
    return "it can still be read there, and shows later writes" if arrives else ""


def _arrives(ground: Ground, memory: "Memory", value: int, pointer: int, address: int) -> bool:
    addresses.fill(pointer, value, memory.size)
    ground.flush(memory)
    return addresses.readable(address) and addresses.read(address, 1)[0] == value


class Kept:
    """An address range that an unmap with reserve left behind; given back at the ground's end.

    before: what stood in it while it was mapped.
    """

    def __init__(self, ground: Ground, begin: int, size: int, before: Sequence[Area]) -> None:
        self.begin = begin & ~(PAGE - 1)
        self.end = -(-(begin + size) // PAGE) * PAGE
        self.before = before
        self.ours = True
        ground.held.callback(self._release)

    def _release(self) -> None:
        if self.ours:
            addresses.unmap_pages(self.begin, self.end - self.begin)

    def holds(self, begin: int, size: int) -> bool:
        """Whether [begin, begin+size) reaches into the range."""
        return begin < self.end and begin + size > self.begin

    def expect_reserved(self, when: str) -> None:
        """Raises Broken unless the range is still taken."""
        expect_reserved(self.before, self.begin, self.end, when)


def reserve_after_place(ground: Ground, memory: "Memory") -> Kept:
    """Places, writes, and unmaps with reserve."""
    address = ground.take_range(memory.size)
    place(ground, memory, address)
    addresses.fill(address, 0x77, memory.size)
    ground.flush(memory)
    before = areas_in(address, address + memory.size)
    memory.unmap(reserve=True)
    return Kept(ground, address, memory.size, before)


# --- how large a map may be -----------------------------------------------------------------------

_LARGEST = 8 << 30  # beyond what 32 bits count; more would only take longer


def largest(ground: Ground, map_and_unmap: Callable[["Memory"], int]) -> str:
    """Looks by bisection for the largest object that can be mapped, up to a quarter of what is free.

    map_and_unmap: the VkResult of the map. A remark where the allocation is what ends it, or nothing does; raises
    Broken where an object could be allocated, but not mapped.
    """
    ceiling = min(ground.modest_size, _LARGEST) // SIZE * SIZE
    works, fails, size = 0, ceiling + SIZE, ceiling
    refused: tuple[int, int] | None = None
    while works + SIZE < fails:
        result = _tried(ground, size, map_and_unmap)
        if result == 0:
            works = size
        else:
            fails = size
            refused = refused if result is None else (size, result)
        size = (works + fails) // 2 // SIZE * SIZE
    if refused:
        raise Broken(
            f"the largest is {units.size(works)} ({works} bytes); "
            f"{refused[0]} bytes are allocated, but not mapped: VkResult {refused[1]}"
        )
    if works == ceiling:
        return f"{units.size(works)}; more was not tried"
    return f"the largest is {units.size(works)} ({works} bytes); more cannot be allocated"


def _tried(ground: Ground, size: int, map_and_unmap: Callable[["Memory"], int]) -> int | None:
    """The VkResult of the map of so many bytes, None where they cannot be allocated."""
    try:
        memory = ground.allocate(size)
    except CallFailed as error:
        if outcomes.of_error(error) == "out-of-memory":
            return None
        raise
    try:
        return map_and_unmap(memory)
    finally:
        memory.free()


# --- other threads, and a kernel that refuses -----------------------------------------------------


def while_refused(refusal: native.Refusal, call: Callable[[], _Result]) -> _Result:
    """call() in a thread of its own, to which alone the kernel refuses what `refusal` says.

    Raises what call() raises, and Skip where this kernel does not let a process filter its own calls (seccomp).
    """
    found: list[_Result] = []
    raised: list[Exception] = []
    done = threading.Event()

    def work() -> None:
        try:
            if native.refuse_maps(refusal):
                found.append(call())
        except Exception as error:  # every kind of it is the caller's
            raised.append(error)
        done.set()
        threading.Event().wait()  # the end of a thread may map something too

    threading.Thread(target=work, daemon=True).start()
    done.wait()
    if raised:
        raise raised[0]
    if not found:
        raise Skip("this kernel does not let a process filter its own mmap calls (seccomp)")
    return found[0]


def at_once(works: Sequence[Callable[[], None]]) -> None:
    """Runs each in a thread of its own. Raises what the first that failed raised."""
    start, raised = threading.Barrier(len(works)), list[Exception]()

    def run(work: Callable[[], None]) -> None:
        start.wait()
        try:
            work()
        except Exception as error:  # every kind of it is the caller's
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@contextmanager
def forked() -> Iterator[None]:
    """A child of this process lives meanwhile, with all that was mapped when it was forked, and does nothing."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads; the child runs none of their code
        child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        yield
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)
