"""Accesses of one width: exactly the bytes asked for, by accesses of exactly that width."""

import mmap
import platform
import re
import shutil
import subprocess
import sys
from functools import cache

import pytest
from driving import Memory, a_program, one_thread, run
from hypothesis import given
from hypothesis import strategies as st
from vkmapctl._loop import __file__ as LOOP
from vkmapctl._loop import ffi, lib

from vkmapctl import native
from vkmapctl.machine import addresses
from vkmapctl.model.loop import Fault, LoopStep, Op
from vkmapctl.native import PAGE, Pass

WIDTHS = [width for width in ("1", "2", "4", "8", "16", "32", "64", "memcpy", "stream") if native.access_bytes(width)]
NUMBERS = [width for width in WIDTHS if width != "memcpy"]
FILL, VALUE, ROOM = 0xA5, 0x5B, 70_000
STRIDE = lib.VKM_STRIDE


class Ground:
    """Bytes that begin at a page, of which a part is accessed."""

    def __init__(self, begin, size):
        self._memory = mmap.mmap(-1, ROOM + 2 * PAGE)
        self._memory[:] = bytes([FILL]) * len(self._memory)
        self.begin, self.end = PAGE + begin, PAGE + begin + size
        self.pointer = ffi.from_buffer("unsigned char[]", self._memory) + self.begin
        self.size = size

    def store(self, width, access="sequential", key=1):
        order = native.ACCESSES.index(access)
        return lib.vkm_access_store(self.pointer, self.size, native._width(width), order, key, VALUE)

    def load(self, width, access="sequential"):
        order = native.ACCESSES.index(access)
        return lib.vkm_access_load(self.pointer, self.size, native._width(width), order, 1)

    def written(self):
        """Offsets from the first page on; each byte is as it was, or the value."""
        assert set(self._memory[:]) <= {FILL, VALUE}
        return {m.start() for m in re.finditer(re.escape(bytes([VALUE])), self._memory[:])}

    def places(self, width):
        """Where the aligned accesses of that many bytes begin."""
        return range(-(-self.begin // width) * width, self.end - width + 1, width)


@given(
    width=st.sampled_from(WIDTHS),
    begin=st.integers(0, 130),
    size=st.one_of(st.integers(1, 300), st.integers(16_300, 16_500), st.integers(60_000, 66_000)),
)
def test_stores_in_order_reach_every_byte_and_none_outside(width, begin, size):
    ground = Ground(begin, size)
    assert ground.store(width) == size
    assert ground.written() == set(range(ground.begin, ground.end))
    assert ground.load(width) == size


@given(width=st.sampled_from(NUMBERS), begin=st.integers(0, 600), size=st.integers(1, 9000))
def test_strided_stores_are_one_in_each_stride(width, begin, size):
    ground, each = Ground(begin, size), native.access_bytes(width)
    accessed, places = ground.store(width, "strided"), ground.places(each)
    starts = [one for one in places if (one - places[0]) % STRIDE == 0] if places else []
    assert ground.written() == {start + i for start in starts for i in range(each)}
    assert accessed == len(starts) * each == ground.load(width, "strided")


@given(
    width=st.sampled_from(NUMBERS),
    begin=st.integers(0, 130),
    size=st.integers(1, 9000),
    key=st.integers(0, (1 << 64) - 1),
)
def test_random_stores_are_whole_and_aligned_and_as_many_as_there_are_places(width, begin, size, key):
    ground, each = Ground(begin, size), native.access_bytes(width)
    accessed, places = ground.store(width, "random", key), ground.places(each)
    written = ground.written()
    hit = [start for start in places if start in written]
    assert written == {start + i for start in hit for i in range(each)}
    assert accessed == len(places) * each
    assert len(hit) >= len(places) // 3  # of n draws of n places some 0.63 n are hit


def test_random_stores_go_everywhere_and_begin_elsewhere_each_time():
    grounds = [Ground(0, 65_536) for _ in range(2)]
    for key, ground in enumerate(grounds):
        ground.store("8", "random", key)
    first, second = (ground.written() for ground in grounds)
    assert first != second
    for eighth in range(8):
        part = range(PAGE + eighth * 8192, PAGE + (eighth + 1) * 8192)
        assert 0.55 < len(first & set(part)) / 8192 < 0.71


def test_random_accesses_are_bounded():
    memory = Memory(lib.VKM_RANDOM_ACCESSES * 2)
    bytes_ = ffi.cast("unsigned char *", memory.address)
    assert lib.vkm_access_load(bytes_, memory.size, 1, lib.VKM_RANDOM, 0) == lib.VKM_RANDOM_ACCESSES


@pytest.mark.parametrize("access", native.ACCESSES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", [1, 63, 4095, 3 * PAGE])
def test_nothing_is_loaded_beyond_the_range(width, access, size):
    """The range ends, or begins, where no access is allowed: this process would die."""
    begin = addresses.map_pages(5 * PAGE, addresses.NONE)
    addresses.unmap_pages(begin + PAGE, 3 * PAGE)
    held = addresses.map_pages(3 * PAGE, addresses.READ_WRITE, address=begin + PAGE)
    try:
        for first in (held, held + 3 * PAGE - size):
            pointer = ffi.cast("unsigned char *", first)
            order = native.ACCESSES.index("sequential" if width == "memcpy" else access)
            assert lib.vkm_access_load(pointer, size, native._width(width), order, 7) <= size
            assert lib.vkm_access_store(pointer, size, native._width(width), order, 7, 1) <= size
    finally:
        addresses.unmap_pages(begin, 5 * PAGE)


X86 = {
    "load1": r"movz?b\w*\s+\S*\(%\w+\),%\w+", "store1": r"movb?\s+%(?:\wl|\w\wl|r\d+b),\S*\(%",
    "load2": r"movz?w\w*\s+\S*\(%\w+\),%\w+", "store2": r"movw?\s+%(?:[abcd]x|[sd]i|r\d+w),\S*\(%",
    "load4": r"movl?\s+\S*\(%\w+\),%(?:e\w\w|r\d+d)", "store4": r"movl?\s+%(?:e\w\w|r\d+d),\S*\(%",
    "load8": r"movq?\s+\S*\(%\w+\),%r(?:\w\w|\d+)\b", "store8": r"movq?\s+%r(?:\w\w|\d+),\S*\(%",
    "load16": r"v?movdqa\s+\S*\(%\w+\),%xmm", "store16": r"v?movdqa\s+%xmm\d+,\S*\(%",
    "load32": r"vmovdqa\s+\S*\(%\w+\),%ymm", "store32": r"vmovdqa\s+%ymm\d+,\S*\(%",
    "load64": r"vmovdqa64\s+\S*\(%\w+\),%zmm", "store64": r"vmovdqa64\s+%zmm\d+,\S*\(%",
    "stream_load16": r"\smovntdqa\s+\S*\(%\w+\),%xmm", "stream_store16": r"\smovntdq\s+%xmm\d+,\S*\(%",
    "stream_load32": r"vmovntdqa\s+\S*\(%\w+\),%ymm", "stream_store32": r"vmovntdq\s+%ymm\d+,\S*\(%",
    "stream_load64": r"vmovntdqa\s+\S*\(%\w+\),%zmm", "stream_store64": r"vmovntdq\s+%zmm\d+,\S*\(%",
}  # fmt: skip
ARM = {
    "load1": r"ldrb\s+w", "store1": r"strb\s+w", "load2": r"ldrh\s+w", "store2": r"strh\s+w",
    "load4": r"ldr\s+w", "store4": r"str\s+w", "load8": r"ldr\s+x", "store8": r"str\s+x",
    "load16": r"ldr\s+q", "store16": r"str\s+q", "stream_load32": r"ldnp\s+q", "stream_store32": r"stnp\s+q",
}  # fmt: skip
I386 = X86 | {"load8": r"\smovq\s+\S*\(%\w+\),%xmm", "store8": r"\smovq\s+%xmm\d+,\S*\(%"}
INSTRUCTIONS = ARM if platform.machine() == "aarch64" else I386 if sys.maxsize < 1 << 32 else X86
IN_ORDER, STRIDED, RANDOM = 8 + 1, 4 + 1, 1 + 1  # accesses that the three walks have in their loops


@cache
def compiled():
    """The instructions of each function of access.c."""
    objdump = shutil.which("objdump")
    assert objdump, "binutils come with the compiler"
    text = subprocess.run([objdump, "-d", "--no-show-raw-insn", LOOP], capture_output=True, text=True, check=True)
    found = re.findall(r"^[0-9a-f]+ <(\w+)(?:\.\w+)*>:\n((?:.+\n)+)", text.stdout, re.M)
    return dict(found)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_the_compiler_has_left_each_access_as_it_was_asked_for(name):
    made = re.findall(INSTRUCTIONS[name], compiled()[name])
    assert len(made) >= IN_ORDER + STRIDED + RANDOM


def touching(op, size=PAGE, **options):
    return a_program(
        Memory(size), [LoopStep(Op.MAP, size=size), LoopStep(op, size=size), LoopStep(Op.UNMAP)], **options
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_loop_writes_and_reads_by_it(width):
    results = one_thread()
    program = touching(Op.WRITE, width=width)
    assert run(program, results, Pass.LATENCY, iterations=3) is Fault.OK
    assert results.total("write_bytes") == 3 * PAGE
    assert len(set(program.memory.bytes[:])) == 1
    assert program.memory.bytes[0]
    assert results.total("write_ways") == 0
    results = one_thread()
    assert run(touching(Op.READ, width=width), results, Pass.LATENCY, iterations=3) is Fault.OK
    assert (results.total("read_bytes"), results.total("write_bytes")) == (3 * PAGE, 0)


@pytest.mark.parametrize("access", ["strided", "random"])
def test_the_loop_counts_what_was_accessed(access):
    results = one_thread()
    assert run(touching(Op.READ, width="4", access=access), results, Pass.LATENCY, iterations=2) is Fault.OK
    assert results.total("read_bytes") == 2 * {"strided": PAGE // STRIDE * 4, "random": PAGE}[access]


@pytest.mark.parametrize("misaligned", [0, 3])
def test_a_range_of_several_pieces_is_written_whole(misaligned):
    size = (1 << 20) + 5
    memory = Memory(size + 2 * PAGE)
    steps = [
        LoopStep(Op.MAP, size=memory.size),
        LoopStep(Op.WRITE, offset=PAGE + misaligned, size=size),
        LoopStep(Op.UNMAP),
    ]
    results = one_thread()
    assert run(a_program(memory, steps, width="8"), results, Pass.LATENCY, iterations=1) is Fault.OK
    assert results.total("write_bytes") == size
    begin = PAGE + misaligned
    assert memory.bytes[begin : begin + size] == memory.bytes[begin : begin + 1] * size
    assert not any(memory.bytes[:begin])
    assert not any(memory.bytes[begin + size :])


def test_a_verify_looks_for_nothing_that_a_width_has_written():
    cycle = [LoopStep(op, size=PAGE) for op in (Op.MAP, Op.WRITE, Op.VERIFY)] + [LoopStep(Op.UNMAP)]
    results = one_thread()
    assert run(a_program(Memory(PAGE), cycle, width="4"), results, Pass.LATENCY, iterations=2) is Fault.OK
    assert results.total("verified_bytes") == 0
