"""Scripted steps: what each leads to, and every way in which one is impossible at its place."""

import msgspec
import pytest
from builders import a_device
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl import native
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.model.script import AnyStep
from vkmapctl.native import Program
from vkmapctl.plans.script import Impossible, cycle_of, needs, object_count, resolved

PAGE = native.PAGE
KEPT = [{"op": "reserve", "range": "a", "size": "4K"}]


def steps(*tables):
    return resolved(msgspec.convert(list(tables), tuple[AnyStep, ...]))


def cycle(*tables, sizes=(PAGE,), **options):
    return cycle_of(steps(*tables), sizes, {"a": 0x10000000}, **options)


def ops(found):
    return [step.op.name.lower() for step in found]


def test_a_plain_script_is_its_steps() -> None:
    assert cycle(
        {"op": "map", "offset": 16, "size": 64}, {"op": "write"}, {"op": "verify", "offset": 32, "size": 8},
        {"op": "flush"}, {"op": "invalidate"}, {"op": "pause", "duration": "50us"}, {"op": "unmap"},
    ) == [
        LoopStep(Op.MAP, 0, 16, 64), LoopStep(Op.WRITE, 0, 16, 64), LoopStep(Op.VERIFY, 0, 32, 8),
        LoopStep(Op.FLUSH, 0, 16, 64, whole=True), LoopStep(Op.INVALIDATE, 0, 16, 64, whole=True),
        LoopStep(Op.PAUSE, size=50_000), LoopStep(Op.UNMAP, 0),
    ]  # fmt: skip


def test_repeat_and_several_objects() -> None:
    inner = [{"op": "map", "object": 1}, {"op": "unmap", "object": 1}]
    found = cycle({"op": "map"}, {"op": "repeat", "times": 3, "steps": inner}, {"op": "unmap"}, sizes=(PAGE, PAGE))
    assert [(step.op, step.object) for step in found] == [
        (Op.MAP, 0), *[(Op.MAP, 1), (Op.UNMAP, 1)] * 3, (Op.UNMAP, 0)
    ]  # fmt: skip


def test_a_kept_range_is_placed_at_and_released_by_address() -> None:
    found = cycle(
        *KEPT, {"op": "map", "placed": "a"}, {"op": "unmap", "reserve": True}, {"op": "release", "range": "a"}
    )
    assert ops(found) == ["hold", "map", "unmap", "forget", "release"]
    assert found[1].address == found[0].address == found[4].address == 0x10000000
    assert (found[0].object, found[4].size) == (1, PAGE)


def test_another_object_at_a_kept_range_forgets_the_first() -> None:
    found = cycle(
        *KEPT, {"op": "map", "placed": "a"}, {"op": "unmap", "reserve": True},
        {"op": "map", "object": 1, "placed": "a"}, {"op": "unmap", "object": 1}, sizes=(PAGE, PAGE),
    )  # fmt: skip
    assert ops(found) == ["hold", "map", "unmap", "forget", "map", "unmap"]
    assert found[3].object == 0


def test_an_unplaced_reserve_is_released_by_its_object() -> None:
    found = cycle({"op": "map"}, {"op": "unmap", "reserve": True}, {"op": "release", "object": 0})
    assert found[-1] == LoopStep(Op.RELEASE_KEPT, 0)


def test_objects_that_a_step_allocates_begin_without_memory() -> None:
    found = cycle({"op": "allocate", "size": "8K"}, {"op": "map", "offset": 4096}, {"op": "unmap"}, {"op": "free"})
    assert ops(found) == ["allocate", "map", "unmap", "free"]
    assert (found[0].size, found[1].size) == (8192, 4096)


@pytest.mark.parametrize(
    ("tables", "path", "words"),
    [
        ([{"op": "unmap"}], "steps[0]", "not mapped"),
        ([{"op": "map"}, {"op": "map"}], "steps[1]", "mapped already"),
        ([{"op": "map", "object": 5}], "steps[0]", "no object 5"),
        ([{"op": "map", "offset": 4096}], "steps[0]", "not inside"),
        ([{"op": "map", "size": 4097}], "steps[0]", "not inside"),
        ([{"op": "map", "placed": "b"}], "steps[0]", "no step reserves a range 'b'"),
        ([{"op": "map", "size": 8}, {"op": "write", "size": 9}], "steps[1]", "not inside the mapping"),
        ([{"op": "free"}], "steps[0]", "no memory that a step has allocated"),
        ([{"op": "allocate"}, {"op": "allocate"}], "steps[1]", "has memory already"),
        ([{"op": "allocate"}, {"op": "map"}, {"op": "free"}], "steps[2]", "is mapped"),
        ([{"op": "allocate"}], "steps", "still allocated"),
        ([{"op": "reserve", "range": "a"}], "steps[0]", "needs a size"),
        ([*KEPT, *KEPT], "steps[1]", "reserved already"),
        ([*KEPT, {"op": "reserve", "range": "a", "size": "8K"}], "steps[1]", "another size"),
        (KEPT, "steps", "not released"),
        ([{"op": "release"}], "steps[0]", "a range or an object"),
        ([{"op": "release", "object": 0}], "steps[0]", "keeps no addresses"),
        ([*KEPT, {"op": "map", "placed": "a"}, {"op": "release", "range": "a"}], "steps[2]", "not reserved and empty"),
        ([{"op": "map"}, {"op": "unmap", "reserve": True}], "steps", "not released"),
        (
            [*KEPT, {"op": "map", "placed": "a"}, {"op": "unmap"}, {"op": "map", "placed": "a"}],
            "steps[3]",
            "could hit other memory",
        ),
        (
            [{"op": "repeat", "steps": [{"op": "map"}, {"op": "unmap"}, {"op": "unmap"}]}],
            "steps[0].steps[2]",
            "not mapped",
        ),
        ([{"op": "repeat", "times": 999_999, "steps": [{"op": "map"}, {"op": "unmap"}]}], "steps", "at most"),
        ([{"op": "to-host"}], "steps[0]", "not mapped"),
        ([{"op": "map", "size": 64}, {"op": "to-device", "size": 65}], "steps[1]", "not inside the mapping"),
        ([{"op": "allocate"}, {"op": "map"}, {"op": "to-host"}], "steps[2]", "memory from a step"),
    ],
)
def test_impossible_steps_are_named_by_their_place(tables, path, words) -> None:
    with pytest.raises(Impossible) as caught:
        cycle(*tables)
    assert words in str(caught.value)
    assert str(caught.value).startswith(path)


def test_copies_by_the_device_are_of_the_whole_mapping_unless_they_say() -> None:
    found = cycle({"op": "map", "size": 512}, {"op": "to-host"}, {"op": "to-device", "offset": 64, "size": 128},
                  {"op": "unmap"})  # fmt: skip
    assert found[1:3] == [LoopStep(Op.TO_HOST, 0, 0, 512), LoopStep(Op.TO_DEVICE, 0, 64, 128)]


def test_a_copy_by_the_device_has_a_largest_size_and_whole_atoms() -> None:
    tables = ({"op": "map"}, {"op": "to-host"}, {"op": "unmap"})
    assert cycle(*tables, sizes=(64 << 20,))[1].size == 64 << 20
    with pytest.raises(Impossible, match="at most 64 MiB"):
        cycle(*tables, sizes=((64 << 20) + 1,))
    part = ({"op": "map"}, {"op": "to-device", "offset": 32, "size": 64}, {"op": "unmap"})
    with pytest.raises(Impossible, match=r"nonCoherentAtomSize \(64\)"):
        cycle(*part, device=a_device())


def test_what_steps_need() -> None:
    assert needs(steps({"op": "map"}, {"op": "unmap"})) == (False, False, False)
    assert needs(steps({"op": "map", "placed": "a", "size": 1}, {"op": "unmap", "reserve": True})) == (True, True, True)
    assert object_count(steps({"op": "repeat", "steps": [{"op": "map", "object": 4}]})) == 5


MIX = (
    {"op": "map", "object": "any", "weight": 3}, {"op": "unmap", "object": "any"},
    {"op": "unmap", "object": "any", "reserve": True}, {"op": "release", "object": "any"},
    {"op": "write", "object": "any"}, {"op": "verify", "object": "any"}, {"op": "map", "object": "any", "placed": "a"},
    {"op": "allocate", "object": "any"}, {"op": "free", "object": "any"},
    {"op": "reserve", "range": "a", "size": PAGE}, {"op": "release", "range": "a"},
    {"op": "repeat", "steps": [{"op": "map", "object": "any"}, {"op": "write", "object": "any"}]},
)  # fmt: skip


@given(seed=st.integers(0, 1 << 60), draws=st.integers(1, 300))
def test_any_random_mix_is_sound_and_the_same_again(seed, draws) -> None:
    first = cycle(*MIX, sizes=(PAGE,) * 3, draws=draws, seed=seed)
    assert first == cycle(*MIX, sizes=(PAGE,) * 3, draws=draws, seed=seed)
    assert len(first) >= draws
    Program(native.null_driver(2), [(0, 0)] * 4, [first])  # raises ValueError for a program that is not sound


def test_another_seed_is_another_mix() -> None:
    assert len({tuple(cycle(*MIX, sizes=(PAGE,) * 3, draws=50, seed=seed)) for seed in range(20)}) == 20


def test_weights_are_followed() -> None:
    heavy = {"op": "write", "weight": 9}, {"op": "read", "weight": 1}, {"op": "map"}
    found = ops(cycle(*heavy, draws=5000, seed=3))
    assert 6 < found.count("write") / found.count("read") < 13


@pytest.mark.parametrize("weights", [(0, 0), (0, 1)])
def test_draws_that_lead_nowhere_are_refused(weights) -> None:
    with pytest.raises(Impossible, match=r"weight above 0|no step is possible"):
        cycle({"op": "map", "weight": weights[0]}, {"op": "unmap", "weight": weights[1]}, draws=3)
