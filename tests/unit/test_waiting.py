"""What waits for the device: said only where a median is longer by what a wait would take."""

import pytest
from builders import a_latency, a_row, a_run
from msgspec.structs import replace

from vkmapctl.figures.answers import answer
from vkmapctl.figures.findings import findings
from vkmapctl.figures.waiting import beside_idle, round_trips, waits
from vkmapctl.model.measured import GpuWork, TouchRate
from vkmapctl.model.workload import Workload

MIB = 1 << 20
WORK = GpuWork(100, 4e6, 100 * 40 * MIB)  # 4 ms each


def pair(busy_map_ns=36.0, *, ratio=(1.03, 0.98, 1.08), work=WORK, part="map", on="mapped", load="copy", **both):
    idle = a_row(job="idle", part=part, map=a_latency(p50_ns=35.0), unmap=a_latency(p50_ns=20.0), **both)
    busy = replace(
        idle, job="busy", gpu_load=load, gpu_on=on, map=a_latency(p50_ns=busy_map_ns), ratio_to_idle=ratio, gpu=work
    )
    return idle, busy


def test_a_map_that_costs_the_same_does_not_wait():
    assert waits(pair()) == [
        "busy: nothing waits for the GPU, which copies to it at 10.5 GB/s (4.00 ms a submission); "
        "time per pair 1.03 times that of idle (0.98 to 1.08); map 36 ns, idle 35 ns; unmap 20 ns, idle 20 ns"
    ]


@pytest.mark.parametrize(("ns", "waiting"), [(999_000.0, []), (1_000_040.0, ["map"]), (6e6, ["map"])])
def test_a_wait_is_a_quarter_of_a_submission_or_more(ns, waiting):
    (one,) = beside_idle(pair(ns))
    assert one.waiting == waiting


def test_slower_is_not_waiting():
    """Ten times as slow, and far from what a wait would take."""
    (line,) = waits(pair(350.0, ratio=(10.0, 9.0, 11.0)))
    assert line.startswith("busy: nothing waits")
    assert "10.00 times that of idle (9.00 to 11.00)" in line


@pytest.mark.parametrize(
    ("load", "on", "words"),
    [
        ("copy", "mapped", "copies to it"),
        ("copy-from", "mapped", "copies from it"),
        ("fill", "mapped", "fills it"),
        ("copy", "others", "copies memory of its own"),
        ("fill", "others", "fills memory of its own"),
    ],
)
def test_a_line_says_what_the_device_does(load, on, words):
    assert words in waits(pair(load=load, on=on))[0]


def test_a_row_whose_load_was_not_seen_says_nothing_of_waits():
    (one,) = beside_idle(pair(6e6, work=None, ratio=None))
    assert one.waiting == []
    assert beside_idle([pair()[1]]) == [], "nothing to stand beside"
    assert beside_idle([replace(pair()[0], status="failed"), pair()[1]]) == []


def test_bandwidths_stand_beside_each_other():
    idle, busy = pair()
    idle = replace(idle, touch_bytes_per_second=TouchRate(write=12e9))
    busy = replace(busy, touch_bytes_per_second=TouchRate(write=9e9))
    assert waits([idle, busy])[0].endswith("write 9.00 GB/s, idle 12.0 GB/s")


def a_trip(size=MIB, memory_type=0, host=30_000.0, device=None, **changes):
    calls = {"to-host": a_latency(p50_ns=host, p99_ns=60_000.0)}
    if device:
        calls["to-device"] = a_latency(p50_ns=device, p99_ns=None)
    flags = ("De", "Vi", "Co", "Ca") if memory_type == 0 else ("Vi",)
    return a_row(job="trip", allocation_size=size, memory_type=memory_type, memory_flags=flags, calls=calls, **changes)


def test_round_trips_have_a_line_for_each_row():
    assert round_trips([a_trip(device=20_000.0), a_row()]) == [
        "trip (#0 De Vi Co Ca): a round trip to the host 30.0 us (p99 60.0 us), to the device 20.0 us"
    ]
    assert round_trips([a_trip(status="lost")]) == []
    assert round_trips([a_trip()])[0] in findings([a_trip()])


def asked(name, *rows):
    return answer(replace(a_run(*rows), workload=Workload(name=name, question="Does it?")))


@pytest.mark.parametrize(
    ("preset", "rows", "expected"),
    [
        ("busy-gpu", pair(), "no, nothing waits; time per pair beside idle: map 1.03 (0.98 to 1.08)"),
        (
            "busy-gpu",
            [*pair(6e6, part="alloc"), *pair(part="map")],
            "yes: alloc: map; time per pair of the others beside idle: map 1.03 (0.98 to 1.08)",
        ),
        ("busy-gpu", pair(ratio=None), "no, nothing waits; time per pair beside idle: map not known"),
        (
            "round-trip",
            [a_trip(device=20_000.0), a_trip(memory_type=1)],
            "p50 of a small copy: to the host 30.0 us, to the device 20.0 us through #0 De Vi Co Ca; "
            "to the host 30.0 us through #1 Vi",
        ),
        (
            "readback",
            [a_trip(4096), a_trip(), a_trip(4096, 1, host=20_000.0), a_trip(memory_type=1, host=1e6)],
            "4 KiB in 20.0 us (205 MB/s) through #1 Vi, 30.0 us through #0 De Vi Co Ca; "
            "1 MiB in 30.0 us (35.0 GB/s) through #0 De Vi Co Ca, 1.00 ms through #1 Vi",
        ),
        ("upload", [a_trip(device=50_000.0)], "1 MiB in 50.0 us (21.0 GB/s) through #0 De Vi Co Ca"),
    ],
)
def test_presets_answer(preset, rows, expected):
    assert asked(preset, *rows) == expected
