"""Warnings: what draws one, what does not, and that the advice names flags of the run at hand."""

import pytest
from builders import a_latency, a_row
from msgspec.structs import replace

from vkmapctl.figures import trust
from vkmapctl.model.measured import Bins

BY_TIME = {"duration_seconds": 2.0, "warmup_seconds": 0.1}
BY_COUNT = {**BY_TIME, "iterations": 500}
RISING = tuple(4.0 + 0.5 * i for i in range(10))
JUMPING = (4.0, 9.0, 4.1, 9.1, 4.0, 9.2, 4.2, 9.0, 4.1, 9.3)
STEADY = (4.0, 4.1, 4.0, 4.2, 4.1, 4.0, 4.1, 4.0, 4.2, 4.1)


def row(rounds=STEADY, count=100_000, **changes):
    latency = replace(a_latency(), count=count, at_floor=False)
    return a_row(
        **({"rounds_ns_per_pair": rounds, **BY_TIME, "map": latency, "unmap": latency, "pairs": 10**6} | changes)
    )


def codes(notes):
    return [note.code for note in notes]


def test_a_steady_row_draws_nothing():
    assert trust.row_notes(row()) == []


@pytest.mark.parametrize(("rounds", "way"), [(RISING, "rose"), (RISING[::-1], "fell")])
def test_a_trend_is_drift(rounds, way):
    [note] = trust.row_notes(row(rounds))
    assert note.code == "drift"
    assert way in note.message
    assert "--warmup 1s" in note.message
    assert "--duration 8s" in note.message


def test_jumping_to_and_fro_is_scatter_not_drift():
    [note] = trust.row_notes(row(JUMPING))
    assert note.code == "scatter"
    assert "other load" in note.message


def test_rounds_of_few_pairs_want_more_of_them():
    [note] = trust.row_notes(row(JUMPING, pairs=40))
    assert "--duration 50s" in note.message


def test_one_slow_round_is_neither():
    assert trust.row_notes(row((*STEADY[:9], 40.0))) == []


def test_advice_names_iterations_where_those_were_given():
    [note] = trust.row_notes(row(RISING, **BY_COUNT))
    assert "--iterations 2000" in note.message
    assert "--duration" not in note.message


@pytest.mark.parametrize(
    ("count", "text"), [(40, "40 samples are too few for a p99"), (900, "p99 rests on 900 samples")]
)
def test_few_samples(count, text):
    [note] = trust.row_notes(row(count=count, **BY_COUNT))
    assert note.code == "few-samples"
    assert text in note.message


def test_cycles_of_seconds_want_a_smaller_size_and_not_an_hour():
    [note] = trust.row_notes(row(count=1, seconds=3.4))
    assert "smaller --size" in note.message


@pytest.mark.parametrize("count", [1000, 10**6])
def test_enough_samples(count):
    assert trust.row_notes(row(count=count)) == []


def test_at_floor_is_said_once_for_both_calls():
    low = replace(a_latency(), count=10**6, at_floor=True)
    [note] = trust.row_notes(row(map=low, unmap=low))
    assert note.code == "at-floor"
    assert "map and unmap" in note.message


def test_overflow_is_told_of_a_failed_row_too():
    late = replace(a_latency(), histogram=Bins((), 3))
    assert codes(trust.row_notes(row(map=late, status="failed"))) == ["overflow"]


@pytest.mark.parametrize(
    ("facts", "threads", "expected"),
    [
        ({"cpu_affinity": [0, 1], "load_1min": 0.1, "governor": "performance"}, 2, []),
        ({"cpu_affinity": [0, 1], "load_1min": 0.1}, 3, ["more-threads-than-cpus"]),
        ({"cpu_affinity": [0, 1], "load_1min": 1.5}, 1, ["busy-machine"]),
        ({"cpu_affinity": [0], "load_1min": 0.0, "governor": "powersave"}, 1, ["governor"]),
        ({}, 1, []),
    ],
)
def test_machine(facts, threads, expected):
    assert codes(trust.machine_notes(facts, threads)) == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.3, "300ms"), (1, "1s"), (24.01, "25s"), (0.0001, "1ms"), (123, "130s")]
)
def test_durations_as_flags(seconds, text):
    assert trust.as_flag(seconds) == text


@pytest.mark.parametrize(("rounds", "tau"), [(RISING, 1.0), (RISING[::-1], -1.0), ((1.0, 1.0, 1.0), 0.0), ((), 0.0)])
def test_trend(rounds, tau):
    assert trust.trend(rounds) == pytest.approx(tau)
