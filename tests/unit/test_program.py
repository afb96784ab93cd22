"""The steps that a job becomes, and that the loop accepts each of them."""

import pytest
from builders import FULLY_PLACED, NON_COHERENT, a_device, a_job
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.model.device import Limits, Placed
from vkmapctl.model.loop import Op
from vkmapctl.native import PAGE, Program, null_driver
from vkmapctl.plans.program import RANDOM_CYCLES, atom_range, cycles_of, offsets_of
from vkmapctl.rules import PLACED, RESERVE

SIZE = 64 << 10
COHERENT = a_device(placed=FULLY_PLACED)
ATOMS_OF_64 = a_device(memory_types=(NON_COHERENT,), placed=FULLY_PLACED)
ADDRESSES = [0x10000000, 0x20000000, 0x30000000]


def cycles(device=COHERENT, addresses=(), thread=0, **job):
    """The cycles of a job, each of which the loop's own check has accepted."""
    wanted = a_job(**job)
    made = cycles_of(wanted, device, list(addresses), thread)
    Program(null_driver(2), [(1 << 30, wanted.allocation_size)] * wanted.live, made)
    return made


def names(steps):
    return " ".join(step.op.name.lower() for step in steps)


@pytest.mark.parametrize(
    ("touch", "coherent", "other"),
    [
        ("none", "map unmap", "map unmap"),
        ("first", "map first unmap", "map first flush unmap"),
        ("write", "map write unmap", "map write flush unmap"),
        ("read", "map read unmap", "map invalidate read unmap"),
        (
            "verify",
            "map verify write unmap",
            "map invalidate verify write flush unmap",
        ),
    ],
)
def test_order_of_steps(touch, coherent, other):
    assert [names(cycle) for cycle in cycles(touch=touch)] == [coherent]
    assert [names(cycle) for cycle in cycles(ATOMS_OF_64, touch=touch)] == [other]


def test_a_gap_is_slept_before_the_first_map_of_each_cycle():
    made = cycles(gap_seconds=0.25, offset="random", map_size=4096, live=2, touch="read")
    assert {names(cycle) for cycle in made} == {"pause map read map read unmap unmap"}
    assert {cycle[0].size for cycle in made} == {250_000_000}


@pytest.mark.parametrize(
    ("placed", "reserve", "expected"),
    [
        (None, False, "map unmap"),
        (None, True, "map release_kept unmap"),
        ("any", False, "map unmap hold"),
        ("any", True, "map unmap"),
    ],
)
def test_nobody_else_gets_a_placed_range_and_no_reserved_one_leaks(placed, reserve, expected):
    (steps,) = cycles(addresses=ADDRESSES[:1] if placed else (), placed=placed, reserve=reserve)
    assert names(steps) == expected
    assert steps[0].flags == (PLACED if placed else 0)
    assert steps[0].address == (ADDRESSES[0] if placed else 0)
    assert [step.flags for step in steps if step.op is Op.UNMAP] == [RESERVE if reserve else 0]


def test_a_hold_takes_whole_pages_of_the_mapping():
    (steps,) = cycles(addresses=ADDRESSES[:1], placed="any", offset=4096, map_size=PAGE + 1)
    assert (steps[-1].op, steps[-1].address, steps[-1].size) == (Op.HOLD, ADDRESSES[0], 2 * PAGE)


def test_live_objects_are_all_mapped_before_the_first_is_unmapped():
    (steps,) = cycles(live=3, addresses=ADDRESSES, placed="any", reserve=True)
    assert [(step.op, step.object) for step in steps] == [(op, i) for op in (Op.MAP, Op.UNMAP) for i in range(3)]
    assert [step.address for step in steps[:3]] == ADDRESSES


@pytest.mark.parametrize(
    ("offset", "map_size", "mapped"), [(0, None, SIZE), (3, None, SIZE - 3), (3, 5, 5), (SIZE - 1, 1, 1)]
)
def test_the_range_that_is_mapped_is_the_range_that_is_touched(offset, map_size, mapped):
    (steps,) = cycles(offset=offset, map_size=map_size, touch="verify")
    for step in steps:
        if step.op is not Op.UNMAP:
            assert (step.offset, step.size) == (offset, mapped)
    assert [step.whole for step in steps if step.op is Op.MAP] == [map_size is None]


# --- random offsets -------------------------------------------------------------------------------


def test_random_offsets_are_the_same_for_the_same_seed_alone():
    job = a_job(offset="random", map_size=100)
    same = offsets_of(job, COHERENT, 0)
    assert same == offsets_of(a_job(offset="random", map_size=100), COHERENT, 0)
    assert len(same) == RANDOM_CYCLES
    assert same != offsets_of(a_job(offset="random", map_size=100, seed=2), COHERENT, 0)
    assert same != offsets_of(job, COHERENT, 1)


@given(
    size=st.integers(1, 1 << 20),
    share=st.floats(0, 1),
    whole=st.booleans(),
    live=st.integers(1, 4),
    seed=st.integers(0, (1 << 63) - 1),
)
def test_random_offsets_stay_inside(size, share, whole, live, seed):
    map_size = None if whole else max(int(size * share), 1)
    job = a_job(offset="random", allocation_size=size, map_size=map_size, live=live, seed=seed)
    for offsets in offsets_of(job, COHERENT, 0):
        assert len(offsets) == live
        assert all(0 <= offset < size and offset + (map_size or 1) <= size for offset in offsets)


@pytest.mark.parametrize(("size", "map_size"), [(SIZE, 1), (SIZE, SIZE), (1, 1), (SIZE, None), (SIZE + 1, 5)])
def test_random_offsets_reach_both_ends(size, map_size):
    job = a_job(offset="random", allocation_size=size, map_size=map_size)
    found = [offset for thread in range(60) for (offset,) in offsets_of(job, COHERENT, thread)]
    last = size - (map_size or 1)
    assert min(found) <= last // 100
    assert max(found) >= last - last // 100


@pytest.mark.parametrize("map_size", [None, 65536, 3 * 65536])
def test_random_placed_offsets_are_aligned_and_the_map_fits(map_size):
    device = a_device(placed=Placed(True, True, True, 65536))
    made = cycles(device, ADDRESSES[:1], offset="random", placed="any", allocation_size=1 << 20, map_size=map_size)
    maps = [step for cycle in made for step in cycle if step.op is Op.MAP]
    assert all(step.offset % 65536 == step.size % 65536 == 0 for step in maps)
    assert len({step.offset for step in maps}) > 5


def test_random_cycles_are_each_sound_and_of_equal_length():
    for touch in ("none", "write", "verify"):
        made = cycles(offset="random", map_size=4096, touch=touch, live=2)
        assert len({names(cycle) for cycle in made}) == 1


def test_random_ranges_are_mapped_again_to_check_what_was_written():
    made = cycles(offset="random", map_size=4096, touch="verify")
    offsets = [cycle[0].offset for cycle in made]
    assert offsets[::2] == offsets[1::2]
    assert len(set(offsets)) > 100


# --- memory that is not coherent ------------------------------------------------------------------


@given(
    atom=st.sampled_from([1, 4, 64, 256]),
    allocation=st.integers(1, 1 << 16),
    data=st.data(),
)
def test_flushed_ranges_are_whole_atoms_inside_the_mapping(atom, allocation, data):
    """VUID-VkMappedMemoryRange-offset-00687, -size-01390 and -size-00685."""
    offset = data.draw(st.integers(0, allocation - 1))
    end = data.draw(st.integers(offset + 1, allocation))
    first, last = atom_range(offset, end, allocation, atom)
    if first >= last:
        return
    assert offset <= first < last <= end
    assert first % atom == 0
    assert last % atom == 0 or last == allocation


@given(allocation=st.integers(1, 1 << 12), atom=st.sampled_from([1, 4, 64, 256]))
def test_a_whole_mapping_is_flushed_to_its_last_byte(allocation, atom):
    assert atom_range(0, allocation, allocation, atom) == (0, allocation)


def test_only_what_can_be_flushed_is_touched():
    device = a_device(memory_types=(NON_COHERENT,), limits=Limits(64, 256, 4096))
    (steps,) = cycles(device, offset=100, map_size=1000, touch="verify")
    touched = {(step.offset, step.size) for step in steps if step.op not in (Op.MAP, Op.UNMAP)}
    assert touched == {(256, 768)}
