"""Address ranges between guards, and what stands in them by the kernel's own list."""

import os

import pytest

from vkmapctl.errors import Unsupported
from vkmapctl.machine import addresses, ranges
from vkmapctl.machine.addresses import END, NONE, PAGE, READ_WRITE, areas_in

KIB64 = 64 << 10


@pytest.fixture
def taken():
    """Sixteen pages between guards."""
    one = ranges.take(KIB64)
    yield one
    one.release()


def test_a_range_is_reserved_at_a_quiet_address_and_never_the_same(taken):
    begins = {taken.begin}
    for _ in range(20):
        one = ranges.take(KIB64)
        begins.add(one.begin)
        assert [area.permissions for area in areas_in(one.begin, one.end)] == ["---p"]
        one.release()
        assert areas_in(one.begin - one.below, one.end + one.above) == []
    assert len(begins) == 21 or (END == 1 << 32 and len(begins) > 10)  # 1024 places there: some are drawn again
    assert all(ranges.QUIET_ADDRESS <= begin < 3 * ranges.QUIET_ADDRESS for begin in begins)


@pytest.mark.parametrize("alignment", [PAGE, 16 << 10, KIB64])
def test_a_range_is_no_more_aligned_than_asked_for(alignment):
    for _ in range(8):
        one = ranges.take(PAGE, alignment=alignment)
        assert one.begin % alignment == 0
        assert one.begin % (2 * alignment)
        assert min(one.below, one.above) >= ranges.GUARD
        one.release()


def test_a_range_may_be_accessible(taken):
    one = ranges.take(PAGE, protection=READ_WRITE)
    addresses.write(one.begin, b"hello")
    assert addresses.read(one.begin, 5) == b"hello"
    assert not addresses.readable(one.begin - 1)
    assert not addresses.readable(one.end)
    one.release()


@pytest.mark.parametrize(("place", "end"), [("low4g", 1 << 32), ("low2g", 1 << 31), ("any", 1 << 47)])
def test_a_range_for_a_placed_map_has_guards_wherever_it_is(place, end):
    one = ranges.reserve_for(place, 3 * PAGE)
    two = ranges.reserve_for(place, KIB64, one.end + one.above)
    assert one.begin % KIB64 == two.begin % KIB64 == 0
    assert max(one.end + one.above, two.end + two.above) <= end
    assert min(one.below, one.above, two.below, two.above) >= KIB64
    assert ranges.trampled([one, two]) == ""
    one.release()
    two.release()


def test_a_range_at_an_address_has_the_guards_that_there_is_room_for(taken):
    taken.release()
    below = taken.begin - KIB64
    assert addresses.map_if_free(KIB64, below)
    one = ranges.reserve_for(hex(taken.begin), PAGE)
    assert (one.begin, one.below, one.above) == (taken.begin, 0, KIB64)
    with pytest.raises(Unsupported, match="no free address range"):
        ranges.reserve_for(hex(taken.begin), PAGE)
    one.release()
    assert areas_in(below, below + KIB64) != []
    addresses.unmap_pages(below, KIB64)


def test_what_a_driver_does_inside_the_range_is_no_trampling(taken):
    addresses.map_pages(KIB64, READ_WRITE, address=taken.begin)
    addresses.unmap_pages(taken.begin, KIB64)
    assert ranges.trampled([taken]) == ""


@pytest.mark.parametrize("protection", [NONE, READ_WRITE])
def test_a_guard_that_was_replaced_is_told_whatever_replaced_it(taken, protection):
    addresses.map_pages(KIB64 + 3 * PAGE, protection, address=taken.begin - PAGE)
    assert f"{KIB64} bytes placed at {taken.begin:#x}: {PAGE} bytes before and {2 * PAGE} bytes after" in (
        ranges.trampled([taken])
    )


def test_a_guard_that_was_unmapped_is_told(taken):
    other = ranges.take(PAGE)
    addresses.unmap_pages(taken.end, PAGE)
    assert "0 bytes before and 4096 bytes after" in ranges.trampled([other, taken])
    assert ranges.trampled([other]) == ""
    other.release()


def test_a_file_shows_where_it_was_mapped_before(taken):
    file = os.memfd_create("object")
    os.ftruncate(file, KIB64)
    addresses.map_pages(KIB64, READ_WRITE, address=taken.begin, file=file)
    before = areas_in(taken.begin, taken.end)
    addresses.unmap_pages(taken.begin, PAGE)
    left = addresses.still_showing(before, areas_in(taken.begin, taken.end))
    assert [(area.begin, area.permissions) for area in left] == [(taken.begin + PAGE, "rw-s")]
    addresses.map_pages(KIB64, READ_WRITE, address=taken.begin, file=file, offset=PAGE)
    assert addresses.still_showing(before, areas_in(taken.begin, taken.end)) == [], "another part of the file"
    addresses.map_pages(KIB64, NONE, address=taken.begin, file=file)
    assert addresses.still_showing(before, areas_in(taken.begin, taken.end)) == [], "out of reach"
    os.close(file)


def test_looking_maps_nothing(taken):
    taken.release()
    for _ in range(50):
        addresses.areas()
        assert areas_in(taken.begin, taken.end) == []
