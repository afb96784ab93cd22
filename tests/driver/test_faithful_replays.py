"""A replay is faithful: a recording of it shows the calls of its trace, in order, thread by thread, and no others."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_runner import vkmapctl
from msgspec.structs import replace

from vkmapctl.figures.tracing import trace_of
from vkmapctl.model.trace import (
    Allocate,
    AnyTraceStep,
    Flush,
    Free,
    Gap,
    Invalidate,
    Map,
    MemoryRange,
    Repeat,
    Signal,
    Touch,
    Trace,
    TraceMemory,
    TraceRange,
    Unmap,
    Wait,
)
from vkmapctl.plans.trace_text import dumps
from vkmapctl.saved.recordings import RecordingFile

LAVAPIPES = (TraceMemory(("De", "Vi", "Co", "Ca")),)
PAGE = 4096


def recorded_replay(folder: Path, trace: Trace, *arguments: str) -> Trace:
    """The trace of a recording of the trace's replay."""
    mine, recording = folder / "mine.toml", folder / "it.vkr"
    mine.write_text(dumps(trace, "mine"))
    command = [sys.executable, "-m", "vkmapctl", "stress", str(mine), "--quiet", "--json", *arguments]
    result = vkmapctl("record", "--out", str(recording), "--no-faults", "--", *command)
    assert result.code == 0, result.err
    return trace_of(RecordingFile(recording)).trace


def calls(steps: Iterable[AnyTraceStep]) -> Iterator[AnyTraceStep]:
    """What a thread calls, repeats unfolded."""
    for step in steps:
        if isinstance(step, Repeat):
            for _ in range(step.times):
                yield from calls(step.steps)
        elif not isinstance(step, Gap | Touch | Signal | Wait):
            yield step


def called(trace: Trace) -> list[list[AnyTraceStep]]:
    """Of each thread; the numbers that objects and ranges have been given may be others, sizes and offsets may not."""
    return [[unnumbered(step) for step in calls(steps)] for steps in trace.threads]


def unnumbered(step: Any) -> AnyTraceStep:
    if isinstance(step, Flush | Invalidate):
        return replace(step, ranges=tuple(replace(one, object=0) for one in step.ranges))
    if isinstance(step, Map) and step.placed is not None:
        step = replace(step, placed=0, at=0)
    return step if step.object is None else replace(step, object=0)


def test_threads_that_hand_over_free_while_mapped_and_flush(tmp_path: Path) -> None:
    first, second = 16 * PAGE, 32 * PAGE
    ranges = (MemoryRange(0, 0, PAGE), MemoryRange(0, PAGE, PAGE))
    trace = Trace(
        LAVAPIPES,
        threads=(
            (
                Allocate(0, first), Map(0, 0, first, "core"), Signal(1), Wait(1),
                Repeat(50, (Allocate(0, first), Map(0, PAGE, PAGE, "khr"), Touch(0, PAGE, PAGE), Signal(1), Wait(1))),
                Allocate(1, second), Map(1, 0, second), Unmap(1), Map(1, 0, second, "core"), Unmap(1, "core"), Free(1),
            ),
            (
                Wait(0), Flush(ranges), Invalidate(ranges), Free(0), Signal(0),
                Repeat(50, (Wait(0), Unmap(0, "khr"), Free(0), Free(), Signal(0))),
            ),
        ),
        objects=2,
    )  # fmt: skip
    assert called(recorded_replay(tmp_path, trace)) == called(trace)


def test_maps_in_a_range_of_addresses(tmp_path: Path) -> None:
    steps = (
        Allocate(0, PAGE), Allocate(1, PAGE), Map(0, 0, PAGE, "core", placed=0), Map(1, 0, PAGE, "khr", 0, PAGE),
        Unmap(0, "core", reserve=True), Map(0, 0, PAGE, "core", placed=0), Free(1), Unmap(0, "core"), Free(0),
    )  # fmt: skip
    trace = Trace(LAVAPIPES, ((Repeat(5, steps),),), (TraceRange(2 * PAGE, low=True),), objects=2)
    again = recorded_replay(tmp_path, trace, "--emulate", "placed")
    assert called(again) == called(trace)
    assert {one.low for one in again.ranges} == {True}


@pytest.mark.parametrize("pace", ["full", "recorded"])
def test_pauses_are_no_calls(tmp_path: Path, pace: str) -> None:
    steps = (Allocate(0, PAGE), Gap(2_000_000, 500_000), Map(0, 0, PAGE), Gap(2_000_000), Unmap(0), Free(0))
    trace = Trace(LAVAPIPES, ((Repeat(3, steps),),), objects=1)
    assert called(recorded_replay(tmp_path, trace, "--pace", pace)) == called(trace)
