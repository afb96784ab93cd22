"""Reserved address ranges, as the loop takes them."""

import mmap

import pytest
from driving import hole
from vkmapctl._loop import ffi, lib

from vkmapctl.native import PAGE

reserve_range, release_range, range_is_reserved = (
    lib.vkm_reserve_range, lib.vkm_release_range, lib.vkm_range_is_reserved,
)  # fmt: skip


@pytest.fixture
def free_range():
    """Four pages."""
    with hole(4) as address:
        yield address


def test_anywhere_gives_different_ranges():
    first, second = reserve_range(0, PAGE), reserve_range(0, PAGE)
    assert first
    assert second
    assert first != second
    release_range(first, PAGE)
    release_range(second, PAGE)


def test_an_address_is_given_exactly_or_refused(free_range):
    assert reserve_range(free_range, 2 * PAGE) == free_range
    assert reserve_range(free_range, PAGE) == 0
    assert reserve_range(free_range + PAGE, 2 * PAGE) == 0
    assert reserve_range(free_range + 2 * PAGE, 2 * PAGE) == free_range + 2 * PAGE


def test_a_taken_range_is_left_alone():
    memory = mmap.mmap(-1, PAGE)
    memory[:4] = b"keep"
    address = int(ffi.cast("uintptr_t", ffi.from_buffer(memory)))
    assert reserve_range(address, PAGE) == 0
    assert range_is_reserved(address, PAGE)
    assert memory[:4] == b"keep"


@pytest.mark.parametrize("address", [1 << 47, 1 << 63, (1 << 64) - PAGE])
def test_addresses_that_no_process_has(address):
    assert reserve_range(address, PAGE) == 0


def test_more_than_the_address_space():
    assert reserve_range(0, 1 << 62) == 0


def test_a_reserved_range_is_taken_until_it_is_released(free_range):
    assert not range_is_reserved(free_range, 4 * PAGE)
    reserve_range(free_range, 4 * PAGE)
    assert range_is_reserved(free_range, 4 * PAGE)
    assert range_is_reserved(free_range + PAGE, PAGE)
    release_range(free_range, 4 * PAGE)
    assert not range_is_reserved(free_range, 4 * PAGE)


def test_looking_changes_nothing(free_range):
    assert not range_is_reserved(free_range, 4 * PAGE)
    assert reserve_range(free_range, 4 * PAGE) == free_range
    assert range_is_reserved(free_range, 4 * PAGE)
    assert reserve_range(free_range, PAGE) == 0


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_range_that_has_lost_a_page_is_not_reserved(free_range, lost):
    """A driver that keeps a part of the range lets others map into the rest."""
    reserve_range(free_range, 4 * PAGE)
    release_range(free_range + lost * PAGE, PAGE)
    assert not range_is_reserved(free_range, 4 * PAGE)
