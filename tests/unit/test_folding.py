"""Folding of repeats: the same sequence again, however it is made, and short where it repeats itself."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.figures import folding
from vkmapctl.figures.folding import Again, fold, length, unfold
from vkmapctl.figures.lanes import SHORTEST_GAP, fold_steps
from vkmapctl.model.trace import Free, Gap, Repeat

NESTED = st.recursive(
    st.lists(st.integers(0, 3), max_size=5),
    lambda inner: st.lists(st.tuples(inner, st.integers(1, 5)), max_size=4).map(
        lambda parts: [item for body, times in parts for item in body * times]
    ),
    max_leaves=12,
)
US = 1000


def size(folded):
    return sum(1 + size(one.body) if isinstance(one, Again) else 1 for one in folded)


@given(NESTED | st.lists(st.integers(0, 2), max_size=200))
def test_unfolded_it_is_what_it_was(items):
    folded = fold(items)
    assert list(unfold(folded)) == items
    assert length(folded) == len(items)
    assert size(folded) <= max(len(items) * 1.5, 1)


def test_equal_rounds_are_one_repeat():
    assert fold([1, 2, 3] * 467) == (Again(467, (1, 2, 3)),)


def test_repeats_within_repeats():
    assert fold(([0] + [1, 2] * 9 + [3]) * 50) == (Again(50, (0, Again(9, (1, 2)), 3)),)


def test_what_comes_before_and_after_stays():
    assert fold([7, *[1] * 5, 8]) == (7, Again(5, (1,)), 8)


def test_two_of_one_item_are_written_as_two():
    assert fold([1, 1, 2]) == (1, 1, 2)


@pytest.mark.parametrize("period", [1, 2, 15, 16, 17, 100, 5000])
def test_periods_of_every_length(period):
    body = [random.Random(period).randrange(4) for _ in range(period)]
    folded = fold(body * 20)
    assert list(unfold(folded)) == body * 20
    assert size(folded) < 3 * period + 10


def test_a_long_sequence_takes_few_looks_at_each_item(monkeypatch):
    """Counted and not timed: 300,000 items that hardly fold, and as many that do."""
    looks = 0
    is_twice = folding._Stack._is_twice

    def counted(self, height, period):
        nonlocal looks
        looks += 1
        return is_twice(self, height, period)

    monkeypatch.setattr(folding._Stack, "_is_twice", counted)
    draw = random.Random(1)
    for items in (
        [draw.randrange(1000) for _ in range(100_000)],
        [item for _ in range(1000) for item in (*range(99), draw.randrange(1000))],
        [*range(5000)] * 20,
    ):
        assert list(unfold(fold(items))) == items
    assert looks < 300_000 * folding.TRIES


KNOWN = [Free(number) for number in range(3)]


def unfolded(steps):
    for step in steps:
        if isinstance(step, Repeat):
            yield from [one for _ in range(step.times) for one in unfolded(step.steps)]
        else:
            yield step


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.data())
def test_steps_stay_as_they_are_and_gaps_where_they_are(numbers, data):
    places = data.draw(st.sets(st.integers(0, len(numbers) - 1)))
    far_apart = st.sampled_from([20, 200, 2000])
    gaps = {place: (data.draw(far_apart) * 1000 * US, 0) for place in places}
    steps = list(unfolded(fold_steps(numbers, gaps, KNOWN)))
    assert [step for step in steps if not isinstance(step, Gap)] == [KNOWN[number] for number in numbers]
    before = [
        one.ns if isinstance(one, Gap) else 0 for one, step in pairwise([None, *steps]) if not isinstance(step, Gap)
    ]
    assert before == [gaps[place][0] if place in gaps else 0 for place in range(len(numbers))]


def test_a_gap_is_the_median_of_those_at_its_place():
    times = [30, 31, 32, 33, 60]
    gaps = {place * 2: (ns * US, ns * 100) for place, ns in enumerate(times)}
    (repeat,) = fold_steps([0, 1] * 5, gaps, KNOWN)
    assert repeat == Repeat(5, (Gap(32 * US, 3200), KNOWN[0], KNOWN[1]))


def test_a_gap_that_was_mostly_too_short_to_be_one_is_none():
    gaps = {0: (SHORTEST_GAP + 1, 0)}
    assert fold_steps([0, 1] * 5, gaps, KNOWN) == (Repeat(5, (KNOWN[0], KNOWN[1])),)
