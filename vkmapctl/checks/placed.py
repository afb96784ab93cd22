"""Checks of placed maps (VK_EXT_map_memory_placed): P1 to P17, and the quirk of unaligned sizes."""

import os
from functools import partial
from typing import TYPE_CHECKING

from vkmapctl.checks.ground import MAP_FAILED, Broken, Ground, Skip, expect
from vkmapctl.checks.registry import check
from vkmapctl.checks.support import (
    at_once,
    contents,
    describe,
    expect_bytes,
    expect_reserved,
    fill,
    largest,
    pattern,
    place,
    shows,
    while_refused,
)
from vkmapctl.machine import addresses, ranges
from vkmapctl.machine.addresses import PAGE, READ_WRITE, Area, areas_in
from vkmapctl.machine.ranges import trampled
from vkmapctl.native import Refusal

if TYPE_CHECKING:
    from vkmapctl.checks.calls import Memory

SIZES = (4096, 8192, 64 << 10, 1 << 20)
GUARD = 8 << 20  # larger than any slab a driver sub-allocates from
MARK = 0xAB


@check(
    "P1",
    "a placed map lands at its address",
    "VkMemoryMapPlacedInfoEXT::pPlacedAddress",
    needs=["placed"],
    breaks="Wine's 32-bit mode hands a game a cut-off pointer: it crashes at the first buffer it writes.",
)
def lands(ground: Ground) -> None:
    """The address is the whole point: 32-bit programs can only see low ones."""
    for size in map(ground.placed_size, SIZES):
        memory = ground.allocate(size)
        address = ground.take_range(size)
        for api in [api for api in ground.apis if api != "v1"]:
            place(ground, memory, address, api=api)
            addresses.fill(address, 0x11, size)
            memory.unmap(api=api)


@check(
    "P1-first",
    "a placed map may be the first map of an object",
    "no valid usage asks for another map before it",
    needs=["placed"],
    breaks="Wine cannot map fresh buffers below 4 GiB: 32-bit games fail to start unless everything is mapped twice.",
)
def first_map(ground: Ground) -> None:
    """A driver that has the object mapped for itself already may refuse, or keep, the other address."""
    for size in map(ground.placed_size, SIZES):
        memory, address = ground.allocate(size), ground.take_range(size)
        mapped = memory.try_map(address=address)
        if mapped.result:
            memory.map()
            memory.unmap()
            again = memory.try_map(address=address).result
            then = f"fails with VkResult {again} too" if again else "succeeds"
            raise Broken(
                f"the first map of {size} bytes failed with VkResult {mapped.result}; after an ordinary map it {then}"
            )
        expect(mapped.pointer == address, f"asked for {address:#x}, got {mapped.pointer:#x}")
        data = pattern(size, 15)
        addresses.write(address, data)
        ground.flush(memory)
        memory.unmap()
        expect_bytes(contents(ground, memory, size), data, f"{size} bytes, through an ordinary map")


@check(
    "P2",
    "nothing beside the range changes",
    "a placed map replaces [address, address + size) alone",
    needs=["placed"],
    breaks="A placed map destroys the data beside it, a heap's or another buffer's: the program crashes elsewhere.",
)
def neighbours_stay(ground: Ground) -> None:
    """Several small live objects and wide guards: sub-allocated memory tempts drivers to map a whole slab."""
    file = os.memfd_create("vkmapctl-neighbours")
    ground.held.callback(os.close, file)
    os.ftruncate(file, 2 * GUARD)
    for memory in [ground.allocate(ground.placed_size(size)) for size in SIZES * 3]:
        base = ground.take_range(memory.size + 2 * GUARD)
        address = base + GUARD
        for begin, offset in ((base, 0), (address + memory.size, GUARD)):
            addresses.map_pages(GUARD, READ_WRITE, address=begin, file=file, offset=offset)
            addresses.fill(begin, MARK, GUARD)
        before = areas_in(base, address + memory.size + GUARD)
        place(ground, memory, address)
        addresses.fill(address, 0x22, memory.size)
        _expect_neighbours(before, base, address, memory.size, "after the map")
        memory.unmap()
        _expect_neighbours(before, base, address, memory.size, "after the unmap")


def _expect_neighbours(before: list[Area], base: int, address: int, size: int, when: str) -> None:
    """Raises Broken unless GUARD bytes from base on, and behind the range, are mapped and marked as they were."""
    left = addresses.still_showing(before, areas_in(base, address + size + GUARD))
    below = GUARD - sum(area.end - area.begin for area in left if area.begin < address)
    above = GUARD - sum(area.end - area.begin for area in left if area.begin >= address)
    what = f"{size} bytes placed: {below} bytes before and {above} bytes after the range were replaced too, {when}"
    expect(not below and not above, what)
    for begin in (base, address + size):
        expect_bytes(addresses.read(begin, GUARD), bytes([MARK]) * GUARD, f"{size} bytes, guard {when}")


@check(
    "P3",
    "the old mapping is replaced",
    "a placed map atomically replaces what the OS had there",
    needs=["placed"],
    breaks="Writes land in the old memory and the GPU never sees them.",
)
def replaces(ground: Ground) -> None:
    """Writes must reach the memory object and not what was mapped before."""
    size = ground.placed_size(64 << 10)
    memory = ground.allocate(size)
    file = os.memfd_create("vkmapctl-inspector")
    ground.held.callback(os.close, file)
    os.ftruncate(file, size)
    address = ground.take_range(size)
    addresses.map_pages(size, READ_WRITE, address=address, file=file)
    addresses.fill(address, MARK, size)
    place(ground, memory, address)
    data = pattern(size, 3)
    addresses.write(address, data)
    expect_bytes(os.pread(file, size, 0), bytes([MARK]) * size, "the file that was mapped there before")
    ground.flush(memory)
    memory.unmap()
    expect_bytes(contents(ground, memory, size), data, "the memory object")


@check(
    "P4",
    "addresses below 4 and 2 GiB",
    "any aligned address the process may use",
    needs=["placed"],
    breaks="32-bit programs cannot use the driver under Wine's WoW64: no address that they can hold is accepted.",
)
def low_addresses(ground: Ground) -> None:
    """Wine's 32-bit mode needs the first, programs that are not large-address-aware the second."""
    size = ground.placed_size(1 << 20)
    memory = ground.allocate(size)
    for where, end in (("low4g", 1 << 32), ("low2g", 1 << 31)):
        address = ground.take_for(where, size)
        place(ground, memory, address)
        expect(address + size <= end, f"{address:#x} is not below {end:#x}")
        addresses.fill(address, 0x44, size)
        memory.unmap()


@check(
    "P5",
    "a placed map over PROT_NONE is usable",
    "the map is readable and writable whatever stood there",
    needs=["placed"],
    breaks="A program that reserves its addresses first, as Wine does, faults at the first write to the buffer.",
)
def over_reservation(ground: Ground) -> None:
    """Reserving first and placing later is how address space is managed."""
    size = ground.placed_size(64 << 10)
    memory = ground.allocate(size)
    address = ground.take_range(size)
    place(ground, memory, address)
    addresses.fill(address, 0x55, size)
    expect(addresses.read(address + size - 1, 1) == b"\x55", "the last byte")
    memory.unmap()


@check(
    "P6",
    "the exact size equals VK_WHOLE_SIZE",
    "VUID-VkMemoryMapInfo-flags-09572",
    needs=["placed"],
    breaks="A program that names the size instead of VK_WHOLE_SIZE is refused, or gets a shorter map.",
)
def exact_size(ground: Ground) -> None:
    """Both spellings of the same range are legal since 1.3.285."""
    size = ground.placed_size(64 << 10)
    memory, address, data = ground.allocate(size), ground.take_range(size), pattern(size, 6)
    fill(ground, memory, data)
    for length in (None, size):
        pointer = memory.map(0, length, address=address)
        expect(pointer == address, f"size {length}: asked for {address:#x}, got {pointer:#x}")
        ground.invalidate(memory)
        expect_bytes(addresses.read(address, size), data, f"size {length}")
        memory.unmap()


@check(
    "P7",
    "contents follow the object from address to address",
    "the memory object holds the data",
    needs=["placed"],
    breaks="A buffer that Wine maps at another address shows other data: corrupted geometry and textures.",
)
def contents_follow(ground: Ground) -> None:
    """Wine moves buffers between addresses all the time."""
    size = ground.placed_size(1 << 20)
    memory, data = ground.allocate(size), pattern(size, 7)
    first, second = ground.take_range(size), ground.take_range(size)
    place(ground, memory, first)
    addresses.write(first, data)
    ground.flush(memory)
    memory.unmap()
    place(ground, memory, second)
    ground.invalidate(memory)
    expect_bytes(addresses.read(second, size), data, "at the second address")
    memory.unmap()
    expect_bytes(contents(ground, memory, size), data, "through an ordinary map")


@check(
    "P7-second",
    "a second placed map goes where it is asked to, or fails",
    "VkMemoryMapPlacedInfoEXT::pPlacedAddress",
    needs=["placed"],
    breaks="The program writes at an address where nothing, or something else, is mapped: a crash or corruption.",
)
def second_map(ground: Ground) -> str | None:
    """A driver that maps an object once for ever answers the second map with the first address, and success."""
    size = ground.placed_size(64 << 10)
    refused = 0
    for reserve in (False, True) if ground.facts.placed.memory_unmap_reserve else (False,):
        memory, first, second = ground.allocate(size), ground.take_range(size), ground.take_range(size)
        place(ground, memory, first)
        addresses.fill(first, 0x71, size)
        ground.flush(memory)
        memory.unmap(reserve=reserve)
        for address, value in ((second, 0x71), (first, 0x72)):
            mapped = memory.try_map(address=address)
            if mapped.result:
                expect(mapped.result == MAP_FAILED, f"VkResult {mapped.result} instead of -5")
                refused += 1
                break
            expect(mapped.pointer == address, f"asked for {address:#x}, got {mapped.pointer:#x} with VK_SUCCESS")
            ground.invalidate(memory)
            expect_bytes(addresses.read(address, size), bytes([value]) * size, f"at {address:#x}")
            addresses.fill(address, 0x72, size)
            ground.flush(memory)
            memory.unmap(reserve=reserve)
    return "another address than the first is refused" if refused else None


@check(
    "P8",
    "place and reserve at one address, again and again",
    "VK_MEMORY_UNMAP_RESERVE_BIT_EXT",
    needs=["placed", "reserve"],
    breaks="32-bit OpenGL programs under Wine fail or leak after some buffer updates.",
)
def place_reserve_loop(ground: Ground) -> None:
    """What 32-bit OpenGL under Wine does for every buffer map."""
    size = ground.placed_size(64 << 10)
    memory, address = ground.allocate(size), ground.take_range(size)
    for round_ in range(256):
        place(ground, memory, address)
        ground.invalidate(memory)
        if round_:
            expect(addresses.read(address, 1)[0] == (round_ - 1) % 256, f"round {round_}: the byte of the round before")
        addresses.fill(address, round_ % 256, size)
        ground.flush(memory)
        before = areas_in(address, address + size)
        memory.unmap(reserve=True)
        expect_reserved(before, address, address + size, f"round {round_}")


@check(
    "P9",
    "a placement that cannot work fails cleanly",
    "VK_ERROR_MEMORY_MAP_FAILED; the object stays unmapped",
    needs=["placed"],
    breaks="A program that should try another address crashes: the refused map counts as done, or the object is lost.",
)
def impossible_address(ground: Ground) -> str:
    """An address beyond the address space is legal to ask for, and must be refused, not moved."""
    size = ground.placed_size(64 << 10)
    memory = ground.allocate(size)
    mapped = memory.try_map(address=1 << 60)
    expect(mapped.result != 0, f"a map at {1 << 60:#x} succeeded, with pointer {mapped.pointer:#x}")
    expect(mapped.result == MAP_FAILED, f"VkResult {mapped.result} instead of VK_ERROR_MEMORY_MAP_FAILED (-5)")
    addresses.fill(memory.map(), 0x99, size)
    memory.unmap()
    return "refused with VK_ERROR_MEMORY_MAP_FAILED, then mapped elsewhere"


@check(
    "P9-refused",
    "a placed map that the kernel refuses fails cleanly",
    "VK_ERROR_MEMORY_MAP_FAILED; the object stays unmapped",
    needs=["placed"],
    breaks="At its limit of mappings a program writes to memory that is not there, instead of hearing of it.",
)
def refused_place(ground: Ground) -> str:
    """A process at its limit of mappings must hear of it, instead of writing to what is not there."""
    size = ground.placed_size(64 << 10)
    said = ""
    for refusal in (Refusal.FIXED, Refusal.ALL):
        memory, address = ground.allocate(size), ground.take_range(size)
        fill(ground, memory, pattern(size, 9))
        mapped = while_refused(refusal, partial(memory.try_map, address=address))
        if mapped.result == 0:
            expect(mapped.pointer == address, f"asked for {address:#x}, got {mapped.pointer:#x}")
            expect(addresses.readable(address), "VK_SUCCESS although the kernel refused, and nothing can be read there")
            said = "this driver places without such a call: the failure could not be provoked"
        else:
            expect(mapped.result == MAP_FAILED, f"VkResult {mapped.result} instead of VK_ERROR_MEMORY_MAP_FAILED (-5)")
            said = "refused with VK_ERROR_MEMORY_MAP_FAILED, then placed"
            place(ground, memory, address)
        ground.invalidate(memory)
        expect_bytes(addresses.read(address, size), pattern(size, 9), "the placed map")
        memory.unmap()
    return said


@check(
    "P10",
    "the structure without the flag is ignored",
    "VkMemoryMapPlacedInfoEXT without VK_MEMORY_MAP_PLACED_BIT_EXT",
    needs=["placed"],
    breaks="A program that always fills the structure has its ordinary maps moved to addresses it did not ask for.",
)
def without_flag(ground: Ground) -> None:
    """The flag places, not the structure."""
    size = ground.placed_size(64 << 10)
    memory = ground.allocate(size)
    address = ground.take_range(size, READ_WRITE)
    addresses.fill(address, MARK, size)
    pointer = memory.map(ignored_address=address)
    expect(pointer != address, "the map was placed without the flag")
    addresses.fill(pointer, 0x10, size)
    expect_bytes(addresses.read(address, size), bytes([MARK]) * size, "the address that must be ignored")
    memory.unmap()


@check(
    "P11",
    "a placed range shows the bytes of its offset",
    "memoryMapRangePlaced; pointer == address",
    needs=["placed", "range"],
    breaks="A program that places a part of an object, as one buffer of a pool, reads and writes another part of it.",
)
def placed_range(ground: Ground) -> None:
    """An emulation that adds the offset twice, or not at all, shows other bytes."""
    align = ground.alignment
    size = 8 * max(align, 4096)
    memory, data = ground.allocate(size), pattern(size, 11)
    fill(ground, memory, data)
    for step in range(0, size, max(align, 4096)):
        length = min(2 * max(align, 4096), size - step)
        address = ground.take_range(length)
        pointer = memory.map(step, length, address=address)
        expect(pointer == address, f"offset {step}: asked for {address:#x}, got {pointer:#x}")
        if not ground.memory_type.coherent:
            memory.invalidate(step)
        expect_bytes(addresses.read(address, length), data[step : step + length], f"offset {step}")
        memory.unmap()


@check(
    "P12",
    "features and limit are sane",
    "VkPhysicalDeviceMapMemoryPlaced*EXT: memoryMapPlaced required, alignment a power of two up to 65536",
    breaks="Wine and engines that trust the answers choose addresses that are refused, or use no placed maps at all.",
)
def sane_properties(ground: Ground) -> None:
    """A structure that the driver leaves unfilled reads as whatever was in it."""
    facts = ground.facts
    if "VK_EXT_map_memory_placed" not in facts.extensions:
        raise Skip("no VK_EXT_map_memory_placed")
    expect(facts.placed.memory_map_placed, "the extension is advertised without memoryMapPlaced")
    alignment = facts.placed.min_placed_memory_map_alignment or 0
    sane = 0 < alignment <= 65536 and alignment & (alignment - 1) == 0
    expect(sane, f"minPlacedMemoryMapAlignment is {alignment}")


@check(
    "P13",
    "the limit fits this machine's pages",
    "minPlacedMemoryMapAlignment",
    level="quality",
    needs=["placed"],
    breaks="Address space managers that work in pages cannot place where they want: every placement must be rounded.",
)
def alignment_fits(ground: Ground) -> None:
    """Above the page size, address space managers need to know; below, the kernel cannot do it."""
    expect(ground.alignment == PAGE, f"minPlacedMemoryMapAlignment is {ground.alignment}, pages have {PAGE} bytes")


@check(
    "P14",
    "placed maps of different objects in parallel",
    "only the memory object is externally synchronized",
    needs=["placed"],
    breaks="A program that maps from several threads finds a buffer at the wrong address, or crashes at random.",
)
def in_parallel(ground: Ground) -> None:
    """Every thread of a game maps its own buffers."""
    size = ground.placed_size(64 << 10)
    reserves = ground.facts.placed.memory_unmap_reserve

    def churn(memory: "Memory", address: int, value: int) -> None:
        for _ in range(100):
            place(ground, memory, address)
            addresses.fill(address, value, size)
            expect(addresses.read(address, size) == bytes([value]) * size, f"thread {value}: other bytes")
            memory.unmap(reserve=reserves)
            if not reserves:
                addresses.map_if_free(size, address)

    at_once([partial(churn, ground.allocate(size), ground.take_range(size), value) for value in range(1, 5)])


@check(
    "P15",
    "an unmapped object is gone from its range",
    "the object is unmapped",
    level="quality",
    needs=["placed"],
    breaks="The old object still shows in a range that the program has put to another use: stray writes corrupt both.",
)
def gone_after_unmap(ground: Ground) -> None:
    """The range is the program's, and its next use is another object's."""
    size = ground.placed_size(64 << 10)
    memory, address = ground.allocate(size), ground.take_range(size)
    place(ground, memory, address)
    addresses.fill(address, 0x15, size)
    ground.flush(memory)
    before = areas_in(address, address + size)
    memory.unmap()
    left = addresses.still_showing(before, areas_in(address, address + size))
    how = shows(ground, memory, address, before) or (f"it is still mapped there as {left[0]}" if left else "")
    expect(not how, how)


@check(
    "P16",
    "freeing a placed object unmaps it, and nothing else",
    "vkFreeMemory: implicitly unmapped; other ranges are the program's",
    needs=["placed"],
    breaks="Freeing a buffer destroys what now stands at its address, or leaves it mapped there for ever.",
)
def free_while_placed(ground: Ground) -> None:
    """Many programs free without unmapping, and put something else at the address next."""
    size = ground.placed_size(64 << 10)
    memory, first, second = ground.allocate(size), ground.take(size), ground.take(size)
    place(ground, memory, first.begin)
    reserves = ground.facts.placed.memory_unmap_reserve
    memory.unmap(reserve=reserves)
    if not reserves:
        addresses.map_if_free(size, first.begin)
    ours = areas_in(first.begin, first.end)
    place(ground, memory, second.begin)
    addresses.fill(second.begin, 0x16, size)
    before, replaced = areas_in(second.begin, second.end), trampled([first, second])
    memory.free()
    left = addresses.still_showing(before, areas_in(second.begin, second.end))
    expect(not left, f"after vkFreeMemory it is still mapped as {describe(left)}")
    expect_reserved(ours, first.begin, first.end, "the range of an earlier map, after vkFreeMemory")
    harmed = trampled([first, second])
    expect(harmed == replaced, f"after vkFreeMemory: {harmed}")  # what a map replaces is P2's business


@check(
    "P17",
    "how large a placed map may be",
    "VkMemoryMapInfo::size is limited by the allocation alone",
    level="quality",
    needs=["placed"],
    breaks="A large buffer that was granted cannot be placed: Wine programs with large heaps fail to load.",
)
def largest_map(ground: Ground) -> str:
    """Address space managers place whole heaps."""

    def both_ends(memory: "Memory") -> int:
        taken = ranges.take(memory.size, alignment=ground.alignment)
        try:
            mapped = memory.try_map(address=taken.begin)
            if mapped.result == 0:
                expect(mapped.pointer == taken.begin, f"asked for {taken.begin:#x}, got {mapped.pointer:#x}")
                for end in (taken.begin, taken.end - 1):
                    addresses.write(end, b"\x5a")
                memory.unmap()
            return mapped.result
        finally:
            taken.release()

    return largest(ground, both_ends)


@check(
    "Q1",
    "how far a placed map of an unaligned size reaches",
    "VUID-VkMemoryMapInfo-flags-09651 is broken on purpose",
    level="quality",
    needs=["placed"],
    quirk="unaligned-placed",
    breaks="Wine, which does not round sizes up, overwrites what follows the buffer in its address space.",
)
def unaligned_size(ground: Ground) -> str:
    """Wine passes allocation sizes on unrounded; the map may then reach into what follows."""
    reaches = []
    for size in (1, 4097, 65537, (1 << 20) + 1):
        memory = ground.allocate(size)
        base = ground.take_range((4 << 20) + GUARD)
        end = base + -(-size // PAGE) * PAGE
        mapped = memory.try_map(address=base)
        if mapped.result:
            memory.free()
            reaches.append(f"{size} bytes: refused with VkResult {mapped.result}")
            continue
        beyond = sum(
            area.end - max(area.begin, end) for area in areas_in(end, base + (4 << 20)) if area.permissions[0] == "r"
        )
        reaches.append(f"{size} bytes: {beyond} bytes beyond its last page")
        memory.unmap()
        memory.free()
    return "; ".join(reaches)
