"""What each preset asks is answered from its rows, and only as far as they say."""

from pathlib import Path

import pytest
from builders import a_latency, a_row, a_run
from msgspec.structs import replace

import vkmapctl
from vkmapctl.figures.answers import _ANSWERS, answer
from vkmapctl.model.measured import FirstTouch, TouchRate
from vkmapctl.model.workload import Workload

PRESETS = sorted(path.stem for path in (Path(vkmapctl.__file__).parent / "presets").glob("*.toml"))
KIB, MIB = 1 << 10, 1 << 20


def asked(name, *rows):
    return answer(replace(a_run(*rows), workload=Workload(name=name, question="Does it?")))


def touched(part, **first):
    counted = FirstTouch(mappings=10, pages=40_960, ns=1, looked_bytes=16 * MIB, **first)
    return a_row(part=part, first_touch=counted, first_touch_ns_per_page=250.0, allocation_size=16 * MIB)


def timed(**p50):
    """Medians in ns of calls other than map and unmap."""
    return {"calls": {call: a_latency(p50_ns=ns) for call, ns in p50.items()}}


def life(part, *, allocate=1000.0, **changes):
    """A row whose four steps allocate, map, unmap and free."""
    return a_row(part=part, steps=4, script="01234567", **timed(allocate=allocate, free=500.0), **changes)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_answers_its_question_or_says_why_it_cannot(preset):
    assert preset in _ANSWERS
    failed = asked(preset, a_row(status="failed", reason="byte 3 is wrong"))
    assert failed == "no: 64 MiB: byte 3 is wrong"
    refused = asked(preset, a_row(status="unsupported", reason="memoryMapPlaced is missing", map=None, unmap=None))
    assert refused == "cannot tell: memoryMapPlaced is missing"


@pytest.mark.parametrize("preset", [one for one in PRESETS if one != "quick"])
def test_one_plain_row_answers_no_comparison(preset):
    assert asked(preset, a_row()).startswith("cannot tell: ")


def test_own_workloads_ask_nothing():
    assert asked("my", a_row()) == ""
    assert answer(replace(a_run(a_row()), workload=Workload(name="quick"))) == ""


@pytest.mark.parametrize(
    ("preset", "rows", "expected"),
    [
        (
            "quick",
            [a_row(map=a_latency(p50_ns=35.0, at_floor=True))],
            "yes: p50 at 64 MiB is: map less than 35 ns",
        ),
        (
            "offset-sweep",
            [a_row(offset=0, ns_per_pair=10.0), a_row(offset=1, ns_per_pair=10.5)],
            "no: 10 ns to 10.5 ns",
        ),
        (
            "offset-sweep",
            [a_row(offset=0, ns_per_pair=10.0), a_row(offset="random", ns_per_pair=20.0)],
            "yes: 10 ns to",
        ),
        (
            "live-set",
            [a_row(live=4000, ns_per_pair=90.0), a_row(live=16, ns_per_pair=30.0)],
            "yes: 30 ns a pair with 16",
        ),
        (
            "threads",
            [a_row(pairs_per_second=1e6), a_row(threads=2, pairs_per_second=1.98e6)],
            "no: 2 threads make 1.98",
        ),
        ("threads", [a_row(pairs_per_second=1e6), a_row(threads=4, pairs_per_second=1.5e6)], "yes: 4 threads make 1.5"),
        (
            "api-compare",
            [a_row(api="v1"), a_row(api="core", ratio_to_v1=(1.01, 0.97, 1.05))],
            "no difference shows; beside vkMapMemory a pair costs: core 1.01 (0.97 to 1.05)",
        ),
        (
            "api-compare",
            [a_row(api="v1"), a_row(api="core", ratio_to_v1=(1.3, 1.25, 1.35))],
            "they differ by at most 30%",
        ),
        (
            "size-sweep",
            [a_row(allocation_size=4 * KIB << i, map=a_latency(p50_ns=10.0 * 2**i)) for i in range(6)],
            "O(size): 10 ns at 4 KiB",
        ),
        (
            "first-touch",
            [touched("fresh memory", minor_faults=40_960), touched("mapped again")],
            "mapping again costs no faults: a page of fresh memory (#0 De Vi Co Ca) 250 ns, 4.10 k faults a mapping",
        ),
        (
            "first-touch",
            [touched("fresh memory", minor_faults=80), touched("mapped again", minor_faults=80)],
            "mapping again faults again",
        ),
        (
            "memory-types",
            [
                a_row(memory_type=2, touch_bytes_per_second=TouchRate(write=9e9, read=1e9)),
                a_row(memory_type=3, touch_bytes_per_second=TouchRate(write=8e9, read=7e9)),
                a_row(memory_type=-1, touch_bytes_per_second=TouchRate(write=10e9, read=12e9)),
            ],
            "stage uploads in #2 De Vi Co Ca, written at 9.00 GB/s; write every frame in #2 De Vi Co Ca, written at "
            "9.00 GB/s; read back from #3 De Vi Co Ca, read at 7.00 GB/s; malloc's memory: write 10.0 GB/s; malloc's",
        ),
        (
            "host-import",
            [
                a_row(part="map"),
                a_row(part="import", imported="host", map=None, unmap=None, **timed(**{"import": 350.0, "free": 90.0})),
            ],
            "64 MiB: an import costs 350 ns and its free 90 ns, 10 times the map; a map 35 ns",
        ),
        (
            "allocation",
            [
                life("life"),
                life("life", allocation_size=MIB, allocate=2000.0),
                life("beside 1000", allocate=9000.0),
                a_row(part="part of a block", map_size=64 * KIB),
            ],
            "p50 at 1 MiB is: allocate 2.00 us, map 35 ns, free 500 ns; p50 at 64 MiB is: allocate 1.00 us, map 35 ns, "
            "free 500 ns; beside 1,000 other objects: allocate 9.00 us, map 35 ns, free 500 ns; "
            "mapping 64 KiB of one block: 35 ns",
        ),
        (
            "pressure",
            [life("before"), life("under pressure", pressure=90, allocate=3000.0), life("after", allocate=1100.0)],
            "64 MiB, #0 De Vi Co Ca, heap filled: before allocate 1.00 us, map 35 ns, free 500 ns; "
            "at 90% allocate 3.00 us, map 35 ns, free 500 ns; after allocate 1.10 us",
        ),
        ("soak", [a_row(verified_bytes=5 << 30)], "yes: 5 GiB compared"),
        (
            "reserve-churn",
            [a_row(part="placed", unmap=a_latency(p50_ns=900.0)), a_row(part="placed, reserve", reserve=True)],
            "yes, addresses stayed taken; an unmap costs",
        ),
    ],
)
def test_answers(preset, rows, expected):
    assert asked(preset, *rows).startswith(expected)
