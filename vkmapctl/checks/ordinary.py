"""Checks of ordinary map and unmap, v1 and map2: M1 to M13."""

import os
import random
import resource
import threading
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from vkmapctl.checks.ground import MAP_FAILED, Ground, Skip, expect
from vkmapctl.checks.registry import check
from vkmapctl.checks.support import (
    SIZE,
    at_once,
    contents,
    describe,
    expect_bytes,
    fill,
    forked,
    largest,
    pattern,
    shows,
    while_refused,
)
from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import PAGE, areas, areas_in
from vkmapctl.native import Refusal

if TYPE_CHECKING:
    from vkmapctl.checks.calls import Mapped, Memory

LEAST_MAP_ALIGNMENT = 64  # chapter Limits, Required Limits
ODD_OFFSETS = (0, 1, 17, 129, 255, 1025, 4097, 32769)
ODD_SIZES = (33, 257, 4087, 8095, 1048577)


@check(
    "M1",
    "pointers are aligned, at odd offsets too",
    "minMemoryMapAlignment (chapter Limits)",
    breaks="Aligned vector loads and stores through the pointer fault: engines use them to fill mapped buffers.",
)
def aligned(ground: Ground) -> None:
    """Programs compute addresses from (pointer - offset) and use aligned vector stores on them."""
    alignment = ground.facts.limits.min_memory_map_alignment
    sane = alignment >= LEAST_MAP_ALIGNMENT and alignment == ground.facts.limits.map_alignment
    expect(sane, f"minMemoryMapAlignment is {alignment}, which is no power of two from {LEAST_MAP_ALIGNMENT} on")
    memory = ground.allocate(SIZE)
    for api in ground.apis:
        for offset in (*ODD_OFFSETS, SIZE - 1):
            pointer = memory.map(offset, api=api)
            expect((pointer - offset) % alignment == 0, f"{api}, offset {offset}: {pointer:#x} - offset is not aligned")
            memory.unmap(api=api)


@check(
    "M2",
    "every byte of the range is in reach",
    "VUID-VkMemoryMapInfo-size-07960, -07961",
    breaks="A program crashes at the end of a buffer that it was given in full.",
)
def in_reach(ground: Ground) -> None:
    """A map that is short by a page crashes the program that trusted it."""
    for size in ODD_SIZES:
        memory = ground.allocate(size)
        for offset, length in ((0, None), (0, size), (size - 1, 1), (size // 3, size // 5 + 1), (1, size - 1)):
            reach = size - offset if length is None else length
            pointer = memory.map(offset, length)
            for at in {pointer, pointer + reach // 2, pointer + reach - 1}:
                addresses.write(at, b"\x5a")
                expect(addresses.read(at, 1) == b"\x5a", f"byte {at - pointer} of {memory.describe(offset, length)}")
            memory.unmap()
        memory.free()


@check(
    "M3",
    "contents stay over unmap and map, at any offset",
    "Host access to device memory; unmap does not discard",
    breaks="Vertices, textures and uniforms change between two maps: flicker and corruption that no call reports.",
)
def contents_stay(ground: Ground) -> None:
    """A window that shows other bytes than the same place did before corrupts data silently."""
    memory, data = ground.allocate(SIZE), pattern(SIZE)
    fill(ground, memory, data)
    for offset in ODD_OFFSETS:
        pointer = memory.map(offset)
        ground.invalidate(memory) if offset == 0 else _invalidate_inside(ground, memory, offset)
        expect_bytes(addresses.read(pointer, SIZE - offset), data[offset:], f"map at {offset}")
        memory.unmap()


def _invalidate_inside(ground: Ground, memory: "Memory", offset: int) -> None:
    atom = ground.facts.limits.non_coherent_atom_size
    if not ground.memory_type.coherent:
        memory.invalidate(-(-offset // atom) * atom)


@check(
    "M3-mixed",
    "v1 and map2 mix",
    "vkMapMemory2 with empty pNext equals vkMapMemory",
    needs=["map2"],
    breaks="A program whose layer or library uses the other generation of the calls loses data or crashes.",
)
def apis_mix(ground: Ground) -> None:
    """A layer or an engine may map with one generation of the calls and unmap with another."""
    memory = ground.allocate(SIZE)
    for seed, (mapper, unmapper) in enumerate((m, u) for m in ground.apis for u in ground.apis):
        data = pattern(SIZE, seed)
        addresses.write(memory.map(api=mapper), data)
        ground.flush(memory)
        memory.unmap(api=unmapper)
        expect_bytes(contents(ground, memory, SIZE), data, f"mapped by {mapper}, unmapped by {unmapper}")


@check(
    "M4",
    "v1 and map2 agree",
    "vkMapMemory2 with empty pNext equals vkMapMemory",
    needs=["map2"],
    breaks="A program corrupts its buffers on the day it moves from vkMapMemory to vkMapMemory2.",
)
def apis_agree(ground: Ground) -> None:
    """map2 is a drop-in: the same range must show the same bytes, whole size included."""
    memory, data = ground.allocate(SIZE), pattern(SIZE, 4)
    fill(ground, memory, data)
    for offset in ODD_OFFSETS:
        for length in (None, 31, SIZE - offset):
            reach = SIZE - offset if length is None else length
            for api in ground.apis:
                pointer = memory.map(offset, length, api=api)
                wanted = data[offset : offset + reach]
                expect_bytes(addresses.read(pointer, reach), wanted, f"{api}, {memory.describe(offset, length)}")
                memory.unmap(api=api)


@check(
    "M5",
    "vkUnmapMemory2 without flags succeeds",
    "VK_KHR_map_memory2: unmap cannot fail",
    needs=["map2"],
    breaks="The object stays mapped, the next map of it is an error, and address space runs out.",
)
def unmap_succeeds(ground: Ground) -> None:
    """No program is ready for an unmap that fails."""
    memory = ground.allocate(SIZE)
    for api in [api for api in ground.apis if api != "v1"]:
        for offset in ODD_OFFSETS * 8:
            memory.map(offset, api=api)
            memory.unmap(api=api)


@check(
    "M6",
    "mapped objects do not share addresses",
    "Host access to device memory",
    breaks="Writing one buffer overwrites another: corruption in a place that has nothing to do with the cause.",
)
def objects_apart(ground: Ground) -> None:
    """Two objects at one address overwrite each other."""
    generator = random.Random(6)
    ranges = []
    for _ in range(64):
        memory = ground.allocate(generator.choice((257, 4096, 8095, SIZE, 1 << 20)))
        pointer = memory.map()
        ranges.append((pointer, pointer + memory.size))
    ranges.sort()
    for (_, end), (begin, _) in pairwise(ranges):
        expect(begin >= end, f"mappings that end at {end:#x} and begin at {begin:#x} overlap")


@check(
    "M7",
    "freeing mapped memory is fine",
    "VUID-vkFreeMemory-memory-00677; a free unmaps implicitly",
    breaks="An engine crashes or hangs when it frees a pool, at a level change or at exit.",
)
def free_while_mapped(ground: Ground) -> None:
    """Engines free whole pools without unmapping them first."""
    for round_ in range(64):
        memory = ground.allocate(SIZE)
        addresses.fill(memory.map(), round_, SIZE)
        memory.free()


@check(
    "M7-gone",
    "freeing mapped memory unmaps it",
    "vkFreeMemory: implicitly unmapped",
    level="quality",
    breaks="Memory of freed buffers is not given back while the program runs; a stale pointer still reads it.",
)
def gone_after_free(ground: Ground) -> None:
    """A mapping that stays keeps the memory of a freed object alive, and shows it to a stale pointer."""
    memory = ground.allocate(SIZE)
    pointer = memory.map()
    addresses.fill(pointer, 0x17, SIZE)
    before = areas_in(pointer, pointer + SIZE)
    memory.free()
    left = addresses.still_showing(before, areas_in(pointer, pointer + SIZE))
    expect(not left, f"after vkFreeMemory it is still mapped as {describe(left)}")


@check(
    "M7-leak",
    "map, unmap and free leave nothing behind",
    "process resources",
    level="quality",
    breaks="A long session ends in VK_ERROR_MEMORY_MAP_FAILED or out of memory, after hours, for no visible reason.",
)
def nothing_left(ground: Ground) -> str:
    """A mapping or a file left over at each cycle ends a long-lived process: vm.max_map_count is 65530 by default."""
    api = ground.apis[0]

    def cycle() -> None:
        memory = ground.allocate(SIZE)
        for _ in range(4):
            addresses.write(memory.map(api=api), b"x")
            memory.unmap(api=api)
        memory.free()

    for _ in range(32):
        cycle()
    before = _resources()
    for _ in range(256):
        cycle()
    after = _resources()
    grown = {name: after[name] - before[name] for name in before if after[name] > before[name] + _SLACK[name]}
    expect(not grown, f"after 256 cycles of allocate, 4 maps, free: {grown} more")
    return f"{after['mappings']} mappings, {after['files']} files"


_SLACK = {"mappings": 8, "bytes": 4 << 20, "files": 2}


def _resources() -> dict[str, int]:
    found = areas()
    size = sum(area.end - area.begin for area in found if "[heap]" not in area.path)
    return {"mappings": len(found), "bytes": size, "files": len(os.listdir("/proc/self/fd"))}


@check(
    "M8",
    "the device sees what the host wrote",
    "Host write, flush and vkQueueSubmit make writes available",
    breaks="The GPU draws from old or missing data: flicker, black textures, wrong vertices.",
)
def device_sees_host(ground: Ground) -> None:
    """A driver that maps a copy looks right to the host alone."""
    source, target, transfers = ground.buffer(SIZE), ground.buffer(SIZE), ground.transfers()
    for api in ground.apis:
        data = pattern(SIZE, ord(api[0]))
        addresses.write(source.memory.map(api=api), data)
        ground.flush(source.memory)
        source.memory.unmap(api=api)
        transfers.copy(source, target)
        expect_bytes(contents(ground, target.memory, SIZE), data, f"copied by the device, {api}")


@check(
    "M8-host",
    "the host sees what the device wrote",
    "Host read after a fence and a host barrier",
    breaks="Read-backs, screenshots and compute results show old or wrong bytes.",
)
def host_sees_device(ground: Ground) -> None:
    """Read-back is what most mappings are for."""
    buffer, transfers = ground.buffer(SIZE), ground.transfers()
    pointer = buffer.memory.map()
    for word in (0x01020304, 0xA5A5A5A5):
        transfers.fill(buffer, word)
        transfers.fill(buffer, word ^ 0xFFFFFFFF, SIZE // 2, 4096)
        ground.invalidate(buffer.memory)
        data = bytearray(word.to_bytes(4, "little") * (SIZE // 4))
        data[SIZE // 2 : SIZE // 2 + 4096] = (word ^ 0xFFFFFFFF).to_bytes(4, "little") * 1024
        expect_bytes(addresses.read(pointer, SIZE), bytes(data), f"filled with {word:#x} by the device")


@check(
    "M8-flush",
    "overlapping and partial flushes and invalidates",
    "VUID-VkMappedMemoryRange-offset-00687 to -01390",
    breaks="On memory that is not coherent some bytes of an update never arrive, on either side.",
)
def overlapping_flushes(ground: Ground) -> None:
    """The conformance suite names overlapping ranges and never makes them overlap."""
    atom = ground.facts.limits.non_coherent_atom_size
    source, target, transfers = ground.buffer(SIZE), ground.buffer(SIZE), ground.transfers()
    data = pattern(SIZE, 8)
    pointer, half = source.memory.map(), SIZE // 2
    addresses.write(pointer, data)
    for offset, size in ((half, half), (0, half + 4 * atom), (half - 4 * atom, 8 * atom), (atom, atom)):
        source.memory.flush(offset, size)
    transfers.copy(source, target)
    pointer = target.memory.map()
    for offset, size in ((half - atom, 2 * atom), (0, half + atom), (half, half)):
        target.memory.invalidate(offset, size)
    expect_bytes(addresses.read(pointer, SIZE), data, "copied after overlapping flushes")


@check(
    "M8-fork",
    "the device sees what was written after a fork",
    "Host write, flush and vkQueueSubmit",
    breaks="After any fork, such as a crash handler's or a launcher's, uploads silently stop to arrive at the GPU.",
)
def device_sees_after_fork(ground: Ground) -> None:
    """Pages that a fork makes copy-on-write become the host's alone with the next write, if the driver lets them."""
    source, target, transfers = ground.buffer(SIZE), ground.buffer(SIZE), ground.transfers()
    pointer = source.memory.map()
    addresses.write(pointer, pattern(SIZE, 1))
    ground.flush(source.memory)
    transfers.copy(source, target)
    if contents(ground, target.memory, SIZE) != pattern(SIZE, 1):
        raise Skip("the device does not see what the host wrote before a fork either: that is M8's")
    with forked():
        data = pattern(SIZE, 2)
        addresses.write(pointer, data)
        ground.flush(source.memory)
        transfers.copy(source, target)
        expect_bytes(contents(ground, target.memory, SIZE), data, "copied by the device while the child lives")


@check(
    "M9",
    "a map that fails leaves the object usable",
    "VK_ERROR_MEMORY_MAP_FAILED; the object stays unmapped",
    breaks="A 32-bit game that runs out of addresses crashes for good instead of freeing something and going on.",
)
def failed_map(ground: Ground) -> str:
    """Out of address space is a normal day for a 32-bit program: it frees something and tries again."""
    size = 64 << 20
    memory = ground.allocate(size)
    results = set()
    for offset in (0, PAGE):  # a pointer of 0 + offset is none either
        for refused in (_without_address_space, _without_any_map):  # one after the other: a map may succeed
            mapped = refused(memory, offset)
            results.add(mapped.result)
            if mapped.result == 0:
                there = addresses.covered(mapped.pointer, mapped.pointer + size - offset)
                expect(
                    there,
                    f"a map that the kernel refused returned VK_SUCCESS and {mapped.pointer:#x}: nothing is there",
                )
                memory.unmap()
            addresses.write(memory.map(), b"still usable")
            memory.unmap()
    if results == {0}:
        raise Skip("this driver maps without asking the kernel for address space, so the map cannot be made to fail")
    failures = results - {0}
    expect(failures <= {MAP_FAILED, -1, -2}, f"the map failed with VkResult {min(failures)}")
    return f"refused by the kernel, the map failed with VkResult {min(failures)}, then succeeded"


def _without_address_space(memory: "Memory", offset: int) -> "Mapped":
    """A map of the rest where the process may not have that much more (RLIMIT_AS)."""
    used = int(open("/proc/self/statm").read().split()[0]) * PAGE
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + memory.size // 2, limits[1]))
    try:
        return memory.try_map(offset)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _without_any_map(memory: "Memory", offset: int) -> "Mapped":
    """The same where the kernel refuses every call that maps."""
    return while_refused(Refusal.ALL, lambda: memory.try_map(offset))


@check(
    "M10",
    "an unmapped object is gone from its old address",
    "the object is unmapped",
    level="quality",
    breaks="A stale pointer writes into live buffers; the bug in the program stays hidden until it corrupts a frame.",
)
def gone_after_unmap(ground: Ground) -> str | None:
    """A stale pointer should fault, not read what another part of the program writes to the object."""
    memory = ground.allocate(SIZE)
    old = memory.map()
    addresses.fill(old, 0x10, SIZE)
    ground.flush(memory)
    before = areas_in(old, old + SIZE)
    memory.unmap()
    how = shows(ground, memory, old, before)
    expect(not how, how)
    stays = addresses.still_showing(before, areas_in(old, old + SIZE))
    return "the driver keeps an object at one address for as long as it lives" if stays else None


@check(
    "M11",
    "how large a map may be",
    "VkMemoryMapInfo::size is limited by the allocation alone",
    level="quality",
    breaks="What the driver let a program allocate cannot be mapped: large scenes and compute buffers fail to load.",
)
def largest_map(ground: Ground) -> str:
    """A driver that grants more than it can map is found out by the first program that loads something large."""

    def both_ends(memory: "Memory") -> int:
        mapped = memory.try_map()
        if mapped.result == 0:
            for end in (mapped.pointer, mapped.pointer + memory.size - 1):
                addresses.write(end, b"\x5a")
            memory.unmap()
        return mapped.result

    return largest(ground, both_ends)


@check(
    "M12",
    "maps of different objects in parallel",
    "only the memory object is externally synchronized",
    breaks="An engine that uploads from several threads writes into the wrong buffers, or crashes at random.",
)
def in_parallel(ground: Ground) -> None:
    """Every thread of an engine maps its own buffers."""
    lock, mapped_now = threading.Lock(), dict[int, int]()

    def churn(memory: "Memory", value: int) -> None:
        for _ in range(100):
            pointer = memory.map()
            with lock:
                others = [at for at, end in mapped_now.items() if at < pointer + SIZE and end > pointer]
                expect(not others, f"thread {value}: mapped at {pointer:#x}, where another object is mapped")
                mapped_now[pointer] = pointer + SIZE
            addresses.fill(pointer, value, SIZE)
            expect(addresses.read(pointer, SIZE) == bytes([value]) * SIZE, f"thread {value}: other bytes")
            ground.flush(memory)
            with lock:
                del mapped_now[pointer]
            memory.unmap()
        expect_bytes(contents(ground, memory, SIZE), bytes([value]) * SIZE, f"thread {value}")

    at_once([partial(churn, ground.allocate(SIZE), value) for value in range(1, 5)])


@check(
    "M13",
    "a forked child that maps nothing changes nothing",
    "the objects are this process's",
    breaks="A game that starts a helper process loses its mappings or their contents.",
)
def fork_changes_nothing(ground: Ground) -> None:
    """Launchers, crash handlers and shells fork; what they start neither knows of the device nor should."""
    memory = ground.allocate(SIZE)
    fill(ground, memory, pattern(SIZE, 0))
    if contents(ground, memory, SIZE) != pattern(SIZE, 0):
        raise Skip("contents do not stay without a fork either: that is M3's")
    for seed in (1, 2, 3):
        data = pattern(SIZE, seed)
        pointer = memory.map()
        with forked():
            addresses.write(pointer, data)
            ground.flush(memory)
            memory.unmap()
            expect_bytes(contents(ground, memory, SIZE), data, "while the child lives")
            other = ground.allocate(SIZE)
            fill(ground, other, data[::-1])
        expect_bytes(contents(ground, memory, SIZE), data, "after the child has ended")
        expect_bytes(contents(ground, other, SIZE), data[::-1], "an object made while the child lived")
