"""The verify pattern: what is written is found again, and nothing else passes for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vkmapctl._loop import ffi, lib

GUARD, GUARD_BYTE = 64, 0xA5
LARGE = 4 << 20
WAYS = [lib.VKM_VECTOR_STORES, lib.VKM_NON_TEMPORAL_STORES]
KEY = lib.vkm_pattern_key(1, 2, 3)


class Window:
    """`size` bytes that begin `misaligned` bytes past a multiple of 16, with guard bytes on both sides."""

    def __init__(self, size, misaligned=0):
        self._raw = ffi.new("unsigned char[]", size + 2 * GUARD + 32)
        base = int(ffi.cast("uintptr_t", self._raw)) + GUARD
        self._begin = GUARD + -base % 16 + misaligned
        self.size = size
        self.pointer = self._raw + self._begin
        ffi.memmove(self._raw, bytes([GUARD_BYTE]) * len(self._raw), len(self._raw))

    def bytes(self):
        return bytes(ffi.buffer(self.pointer, self.size))

    def guards_are_whole(self):
        everything = bytes(ffi.buffer(self._raw))
        outside = everything[: self._begin] + everything[self._begin + self.size :]
        return outside == bytes([GUARD_BYTE]) * len(outside)


def written(offset, size, *, misaligned=0, key=KEY, way=lib.VKM_VECTOR_STORES):
    window = Window(size, misaligned)
    lib.vkm_pattern_write(window.pointer, offset, size, key, way)
    return window


def mismatches(window, offset, key=KEY):
    """How many bytes differ, and the allocation's offset of the first."""
    first = ffi.new("uint64_t *", 0)
    return lib.vkm_pattern_mismatches(window.pointer, offset, window.size, key, first), first[0]


ranges = {
    "offset": st.one_of(st.integers(0, 40), st.integers(0, 1 << 40)),
    "size": st.one_of(st.integers(1, 40), st.integers(4000, 12_500)),
    "misaligned": st.integers(0, 15),
}


@given(**ranges, way=st.sampled_from(WAYS))
def test_what_was_written_is_found_and_nothing_outside_is_touched(offset, size, misaligned, way):
    window = written(offset, size, misaligned=misaligned, way=way)
    assert mismatches(window, offset)[0] == 0
    assert window.guards_are_whole()


@given(**ranges, data=st.data())
def test_a_flipped_bit_is_found_at_its_offset(offset, size, misaligned, data):
    window = written(offset, size, misaligned=misaligned)
    at, bit = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 7))
    window.pointer[at] ^= 1 << bit
    assert mismatches(window, offset) == (1, offset + at)


@pytest.mark.parametrize(("offset", "size"), [(0, 8), (3, 43), (8, 32), (7, 2), (4090, 20)])
def test_every_single_bit_counts(offset, size):
    window = written(offset, size)
    for at in range(size):
        for bit in range(8):
            window.pointer[at] ^= 1 << bit
            assert mismatches(window, offset) == (1, offset + at)
            window.pointer[at] ^= 1 << bit


def test_all_differing_bytes_are_counted_across_blocks():
    window = written(5, 20_000)
    spoilt = [0, 1, 4096, 8191, 12_345, 19_999]
    for at in spoilt:
        window.pointer[at] ^= 0xFF
    assert mismatches(window, 5) == (len(spoilt), 5)


@given(offset=st.integers(0, 1 << 40), size=st.integers(1, 200))
def test_the_pattern_is_a_function_of_the_place_in_the_allocation(offset, size):
    expected = bytes(lib.vkm_pattern_byte(offset + i, KEY) for i in range(size))
    assert written(offset, size).bytes() == expected


@pytest.mark.parametrize(
    "seed_object_round",
    [(1, 2, 2), (1, 2, 4), (1, 1, 3), (2, 2, 3)],
    ids=["stale round", "later round", "other object", "other seed"],
)
def test_bytes_of_another_write_differ(seed_object_round):
    window = written(0, 4096, key=lib.vkm_pattern_key(*seed_object_round))
    assert mismatches(window, 0)[0] > 3500


@pytest.mark.parametrize("shift", [1, 7, 8, 64, 4096, 65536, 1 << 32])
def test_a_shifted_window_differs(shift):
    assert mismatches(written(1000 + shift, 4096), 1000)[0] > 2000


@pytest.mark.parametrize("constant", [0x00, 0xFF, GUARD_BYTE])
def test_memory_that_holds_one_byte_differs(constant):
    window = Window(4096)
    ffi.memmove(window.pointer, bytes([constant]) * 4096, 4096)
    assert mismatches(window, 0)[0] > 3500


@pytest.mark.parametrize("misaligned", [0, 1, 8, 15])
@pytest.mark.parametrize(("offset", "more"), [(0, 0), (3, 0), (5, 8), (8, 21), (15, 1)])
def test_large_ranges_hold_what_small_ones_do(offset, more, misaligned):
    """However they are stored."""
    size, piece = LARGE + more, LARGE - 4096
    small = Window(size)
    for at in range(0, size, piece):
        lib.vkm_pattern_write(small.pointer + at, offset + at, min(piece, size - at), KEY, lib.VKM_VECTOR_STORES)
    large = written(offset, size, misaligned=misaligned, way=lib.VKM_NON_TEMPORAL_STORES)
    assert large.bytes() == small.bytes()
    assert large.guards_are_whole()
    assert mismatches(large, offset)[0] == 0
    large.pointer[size - 1] ^= 1
    assert mismatches(large, offset) == (1, offset + size - 1)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 200])
def test_reading_loads_every_byte(size):
    window = written(0, size, misaligned=1)
    before = lib.vkm_read_range(window.pointer, size)
    for at in range(size):
        window.pointer[at] ^= 1
        assert lib.vkm_read_range(window.pointer, size) != before
        window.pointer[at] ^= 1
