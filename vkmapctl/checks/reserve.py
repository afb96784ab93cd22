"""Checks of unmap with VK_MEMORY_UNMAP_RESERVE_BIT_EXT: R1 to R8."""

from typing import TYPE_CHECKING

from vkmapctl.checks.ground import MAP_FAILED, Ground, expect
from vkmapctl.checks.registry import check
from vkmapctl.checks.support import (
    SIZE,
    Kept,
    contents,
    describe,
    expect_bytes,
    pattern,
    place,
    reserve_after_place,
    shows,
    while_refused,
)
from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import PAGE, areas_in
from vkmapctl.native import Refusal

if TYPE_CHECKING:
    from vkmapctl.checks.calls import Memory

TRIES = 64


def _failing_reserve(ground: Ground, refusal: Refusal) -> str:
    """Unmaps with reserve where the kernel refuses, and looks at what then stands in the range, whatever was said."""
    size = ground.placed_size(SIZE)
    memory, address = ground.allocate(size), ground.take_range(size)
    place(ground, memory, address)
    addresses.fill(address, 0x31, size)
    ground.flush(memory)
    before = areas_in(address, address + size)
    result = while_refused(refusal, lambda: memory.try_unmap(reserve=True))
    now = areas_in(address, address + size)
    if result == 0:
        return _reserved_after_all(ground, memory, Kept(ground, address, size, before))
    expect(result == MAP_FAILED, f"VkResult {result} instead of VK_ERROR_MEMORY_MAP_FAILED (-5)")
    expect(addresses.covered(address, address + size, now), "the reserve failed, but the range is no longer mapped")
    expect(all(area.in_reach for area in now), f"the reserve failed, but the range is now {describe(now)}")
    expect_bytes(addresses.read(address, size), b"\x31" * size, "the mapping after the failed reserve")
    addresses.fill(address, 0x32, size)
    ground.flush(memory)
    memory.unmap()
    expect_bytes(contents(ground, memory, size), b"\x32" * size, "what was written after the failed reserve")
    return "failed with VK_ERROR_MEMORY_MAP_FAILED, stayed mapped, and a second unmap succeeded"


def _reserved_after_all(ground: Ground, memory: "Memory", kept: Kept) -> str:
    """A success although the kernel refused: right only for a driver that needs none of the refused calls."""
    said = "VK_SUCCESS although the kernel refused"
    kept.expect_reserved(said)
    pointer = memory.map()
    memory.unmap()
    expect(not kept.holds(pointer, memory.size), f"{said}, and the object's next map is at {pointer:#x}, in the range")
    how = shows(ground, memory, kept.begin, kept.before)
    expect(not how, f"{said}, and the object was not unmapped: {how}")
    return "this driver reserves without such a call: the failure could not be provoked"


_FAILS = "vkUnmapMemory2: VK_ERROR_MEMORY_MAP_FAILED, and still mapped"


@check(
    "R1",
    "a reserve that fails leaves the object mapped",
    _FAILS,
    needs=["placed", "reserve"],
    breaks="When the kernel refuses, Wine believes the range is safe: a stale pointer writes into a live buffer.",
)
def failing_reserve(ground: Ground) -> str:
    """Silent fall-back to a plain unmap is what the rule excludes: another thread takes the address.

    The kernel refuses mmap and mremap at a fixed address, which is how most drivers reserve.
    """
    return _failing_reserve(ground, Refusal.FIXED)


@check(
    "R1-none",
    "a reserve that is refused PROT_NONE, likewise",
    _FAILS,
    needs=["placed", "reserve"],
    breaks="When the kernel refuses, Wine believes the range is inaccessible: stray writes reach a later frame's data.",
)
def failing_inaccessible(ground: Ground) -> str:
    """A range that stays mapped and writable after a success shows a later frame's data to a stale pointer.

    The kernel refuses mmap and mprotect with PROT_NONE, at whatever address.
    """
    return _failing_reserve(ground, Refusal.INACCESSIBLE)


@check(
    "R1-all",
    "a reserve that is refused every map, likewise",
    _FAILS,
    needs=["placed", "reserve"],
    breaks="At the limit of mappings Wine believes the buffer unmapped: stray writes reach it, and its next map fails.",
)
def failing_all(ground: Ground) -> str:
    """A process at its limit of mappings (vm.max_map_count) is refused all of them.

    The kernel refuses mmap, mremap and mprotect.
    """
    return _failing_reserve(ground, Refusal.ALL)


@check(
    "R2",
    "the range stays taken",
    "the range remains reserved after vkUnmapMemory2",
    needs=["placed", "reserve"],
    breaks="Another thread's allocation takes the range; when Wine frees it or places there, that data is destroyed.",
)
def stays_taken(ground: Ground) -> None:
    """Without it, whatever maps next lands where a 32-bit program still expects its buffer."""
    kept = reserve_after_place(ground, ground.allocate(ground.placed_size(SIZE)))
    kept.expect_reserved("after the unmap with reserve")


@check(
    "R2-view",
    "the reserved range is inaccessible and anonymous",
    "not specified; what drivers do",
    level="quality",
    needs=["placed", "reserve"],
    breaks="The device's memory stays in use, or readable, behind a range that the program believes to be empty.",
)
def inaccessible(ground: Ground) -> None:
    """A range that still belongs to the device's file keeps the device's memory alive."""
    kept = reserve_after_place(ground, ground.allocate(ground.placed_size(SIZE)))
    found = areas_in(kept.begin, kept.end)
    expect(len(found) <= 1, f"{len(found)} mappings cover it")
    odd = [area for area in found if area.permissions[:3] != "---" or area.inode]
    expect(not odd, f"it is mapped as {describe(odd)}")


@check(
    "R3",
    "system maps avoid the range",
    "future system memory maps do not return addresses in the range",
    needs=["placed", "reserve"],
    breaks="Memory of the C library or another one lands in the range, and the next placed map overwrites it.",
)
def system_maps_avoid(ground: Ground) -> None:
    """The reservation must hold against the C library's own mmap calls."""
    kept = reserve_after_place(ground, ground.allocate(ground.placed_size(SIZE)))
    _expect_system_avoids(ground, kept)


def _expect_system_avoids(ground: Ground, kept: Kept) -> None:
    size = kept.end - kept.begin
    for _ in range(TRIES):
        for hint in (0, kept.begin, kept.begin + PAGE):
            found = addresses.map_hinted(size, hint)
            ground.held.callback(addresses.unmap_pages, found, size)
            expect(not kept.holds(found, size), f"mmap with hint {hint:#x} returned {found:#x}")
    expect(not addresses.map_if_free(size, kept.begin), "MAP_FIXED_NOREPLACE got the range")


@check(
    "R4",
    "later maps avoid the range",
    "vkMapMemory and vkMapMemory2 do not return addresses in the range",
    needs=["placed", "reserve"],
    breaks="Another buffer is mapped into the reserved range, and the next placed map there throws it out.",
)
def later_maps_avoid(ground: Ground) -> None:
    """The driver's own next map is the likeliest to take the hole."""
    memory = ground.allocate(ground.placed_size(SIZE))
    _expect_maps_avoid(ground, memory, reserve_after_place(ground, memory))


def _expect_maps_avoid(ground: Ground, memory: "Memory", kept: Kept) -> None:
    for api in ground.apis:
        pointer = memory.map(api=api)
        expect(not kept.holds(pointer, memory.size), f"{api}: the same object was mapped in its reserved range")
        memory.unmap(api=api)
    for _ in range(TRIES):
        other = ground.allocate(memory.size)
        pointer = other.map()
        expect(not kept.holds(pointer, other.size), f"another object was mapped at {pointer:#x}, in the reserved range")


@check(
    "R5",
    "munmap by the program ends the reservation",
    "the client unreserves the range by itself",
    needs=["placed", "reserve"],
    breaks="Each buffer leaves addresses behind: a 32-bit program runs out of them within minutes.",
)
def program_releases(ground: Ground) -> None:
    """There is no Vulkan call for it: exactly [pointer, pointer + size) must become free."""
    kept = reserve_after_place(ground, ground.allocate(ground.placed_size(SIZE)))
    size = kept.end - kept.begin
    addresses.unmap_pages(kept.begin, size)
    expect(addresses.map_if_free(size, kept.begin), "the range is still taken after munmap")


@check(
    "R5-extent",
    "no more is reserved than was mapped",
    "address space that the program cannot name",
    level="quality",
    needs=["placed", "reserve"],
    breaks="Addresses beyond the buffer stay taken and cannot be given back: a 32-bit program runs out of them slowly.",
)
def nothing_beyond(ground: Ground) -> None:
    """Beyond the range the program does not know what to give back: address space leaks."""
    size = ground.placed_size(SIZE)
    memory, hole = ground.allocate(size), ground.take_range(3 << 20)
    address = hole + (1 << 20)
    addresses.unmap_pages(hole, 3 << 20)
    place(ground, memory, address)
    memory.unmap(reserve=True)
    beyond = [a for a in areas_in(hole, hole + (3 << 20)) if a.begin < address or a.end > address + size]
    text = ", ".join(f"{area.begin:#x}-{area.end:#x}" for area in beyond)
    expect(not beyond, f"mapped {address:#x}-{address + size:#x}, left behind {text}")


@check(
    "R6",
    "reserve after an ordinary map",
    "no valid usage asks for a placed map before a reserve",
    needs=["reserve"],
    breaks="Wine's unmap loses the range of a buffer that was not placed: another thread's allocation takes it.",
)
def after_ordinary_map(ground: Ground) -> None:
    """Wine unmaps with reserve whatever it mapped; the range must be kept all the same."""
    memory, data = ground.allocate(SIZE), pattern(SIZE, 26)
    pointer = memory.map()
    addresses.write(pointer, data)
    ground.flush(memory)
    before = areas_in(pointer, pointer + SIZE)
    memory.unmap(reserve=True)
    kept = Kept(ground, pointer, SIZE, before)
    kept.expect_reserved("after the unmap with reserve")
    again = memory.map()
    kept.ours = not kept.holds(again, SIZE)  # else it is the driver's own mapping that stands there
    expect(not kept.holds(again, SIZE), f"the next map of the object returned {again:#x}, inside the reserved range")
    ground.invalidate(memory)
    expect_bytes(addresses.read(again, SIZE), data, "the object after the reserve")
    memory.unmap()
    _expect_system_avoids(ground, kept)


@check(
    "R7",
    "the reservation outlives the object",
    "not specified; the range is the program's",
    level="quality",
    needs=["placed", "reserve"],
    breaks="The range is lost when Wine frees the object, before it has released the addresses itself.",
)
def outlives_object(ground: Ground) -> None:
    """Wine frees the memory first and the address range after it."""
    memory = ground.allocate(ground.placed_size(SIZE))
    kept = reserve_after_place(ground, memory)
    memory.free()
    kept.expect_reserved("after vkFreeMemory")
    _expect_system_avoids(ground, kept)


@check(
    "R8",
    "the old address no longer shows the memory",
    "the object is unmapped",
    level="quality",
    needs=["placed", "reserve"],
    breaks="A stale pointer reads and writes live data instead of faulting: bugs in programs become corruption.",
)
def no_longer_shows(ground: Ground) -> None:
    """A stale pointer should fault, not read another frame's data."""
    memory = ground.allocate(ground.placed_size(SIZE))
    kept = reserve_after_place(ground, memory)
    how = shows(ground, memory, kept.begin, kept.before)
    expect(not how, how)
    expect(not addresses.readable(kept.begin), "the range can still be read, and does not show later writes")
