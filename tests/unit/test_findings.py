"""What figures say in words."""

import pytest
from builders import a_latency, a_row
from msgspec.structs import replace

from vkmapctl.figures.findings import bandwidths, findings, scalings, sharing, widths
from vkmapctl.model.measured import FirstTouch, TouchRate

SIZES = [4096 * 4**i for i in range(9)]


def sweep(cost, **changes):
    return [
        a_row(allocation_size=size, job=str(size), map=a_latency(p50_ns=cost(size)), unmap=a_latency(), **changes)
        for size in SIZES
    ]


@pytest.mark.parametrize(
    ("cost", "exponent", "verdict"),
    [
        (lambda size: 35.0, 0, "O(1)"),
        (lambda size: 0.01 * size, 1, "O(size)"),
        (lambda size: size**0.5, 0.5, "between O(1) and O(size)"),
    ],
)
def test_the_exponent_is_fitted(cost, exponent, verdict) -> None:
    first, second = scalings(sweep(cost))
    assert (first.call, first.verdict) == ("map", verdict)
    assert first.exponent == pytest.approx(exponent, abs=0.001)
    assert first.upper == pytest.approx(exponent, abs=0.001)
    assert (second.call, second.verdict) == ("unmap", "O(1)")


def test_a_fixed_cost_does_not_hide_growth() -> None:
    first, _ = scalings(sweep(lambda size: 20_000 + 0.015 * size))
    assert first.exponent < 0.7 < first.upper
    assert first.verdict == "O(size)"
    assert "map is O(size): p50 grows as size^" in first.text()


def test_sweeps_are_told_apart_and_short_ones_left_out() -> None:
    rows = sweep(lambda size: 30.0) + sweep(lambda size: float(size), placed="low4g")
    assert [(one.verdict, "low4g" in one.where) for one in scalings(rows) if one.call == "map"] == [
        ("O(1)", False),
        ("O(size)", True),
    ]
    assert scalings(rows[:2]) == []
    assert scalings([replace(row, status="failed") for row in rows]) == []


def test_the_first_touch_has_a_cost_per_page() -> None:
    row = a_row(touch="first", first_touch_ns_per_page=1000.0, page_faults={"minor": 7, "major": 1})
    assert findings([row]) == [
        "64 MiB: the first touch of a page costs 1.00 us; 7 minor and 1 major faults in both passes"
    ]
    assert findings([replace(row, first_touch_ns_per_page=None)]) == []


def test_sharing_pairs_rows_of_the_same_device() -> None:
    alone = [a_row(device=i) for i in range(2)]
    together = [replace(row, together=2) for row in alone]
    assert sharing([*alone, *together]) == list(zip(alone, together, strict=True))
    assert sharing(alone) == []


def test_the_fastest_and_the_slowest_type_are_named_beside_malloc() -> None:
    rates = {-1: ((), 76e9), 2: (("Vi", "Co"), 20.6e9), 4: (("De", "Vi", "Co"), 20.5e6)}
    rows = [
        a_row(touch="read", memory_type=index, memory_flags=flags, touch_bytes_per_second=TouchRate(read=rate))
        for index, (flags, rate) in rates.items()
    ]
    assert bandwidths(rows) == [
        "read, 64 MiB: fastest #2 Vi Co at 20.6 GB/s, slowest #4 De Vi Co at 20.5 MB/s, 1,005 times apart; "
        "malloc 76.0 GB/s"
    ]
    assert bandwidths(rows[:2]) == []
    assert bandwidths([replace(row, touch="none", part="other") for row in rows]) == []
    apart = [replace(row, allocation_size=4096 * (i + 1)) for i, row in enumerate(rows)]
    assert bandwidths(apart) == []


def test_the_faults_of_a_first_touch_are_told_for_each_mapping():
    first = FirstTouch(mappings=10, pages=40_960, ns=1, minor_faults=80, huge_bytes=1 << 20, looked_bytes=1 << 24)
    row = a_row(touch="first", first_touch_ns_per_page=20.0, first_touch=first)
    [line] = findings([row])
    assert line.endswith("costs 20 ns; 8 faults a mapping, 512 pages a fault, 6% on huge pages")


def lives(cost=1000.0, **changes):
    calls = {"allocate": a_latency(p50_ns=cost), "free": a_latency(p50_ns=100.0)}
    return a_row(steps=4, script="01234567", calls=calls, **changes)


def test_imports_and_allocations_have_their_own_growth() -> None:
    imported = [
        a_row(allocation_size=size, imported="host", map=None, unmap=None,
              calls={"import": a_latency(p50_ns=0.1 * size), "free": a_latency(p50_ns=50.0)})
        for size in SIZES
    ]  # fmt: skip
    assert [(one.call, one.verdict) for one in scalings(imported)] == [("import", "O(size)"), ("free", "O(1)")]
    allocated = [lives(0.1 * size, allocation_size=size) for size in SIZES]
    assert [(one.call, one.verdict) for one in scalings(allocated)] == [("allocate", "O(size)"), ("free", "O(1)")]
    assert scalings([replace(row, memory_type=-1) for row in allocated]) == []


def test_kinds_of_allocation_stand_beside_plain_ones() -> None:
    (line,) = findings([lives(), lives(2000.0, allocation="export"), lives(1010.0, allocation="dedicated")])
    assert line == (
        "64 MiB, #0 De Vi Co Ca: plain allocate 1.00 us, map 35 ns, free 100 ns; "
        "export allocate 2.00 us (2 times), map 35 ns, free 100 ns; "
        "dedicated allocate 1.01 us (1.01 times), map 35 ns, free 100 ns"
    )
    assert findings([lives(allocation="export")]) == []


def test_a_placed_map_stands_beside_an_import_of_its_size() -> None:
    calls = {"import": a_latency(p50_ns=70.0), "free": a_latency(p50_ns=20.0, at_floor=True)}
    imported = a_row(imported="host", part="import", map=None, unmap=None, calls=calls)
    placed = a_row(placed="any", part="placed map", map=a_latency(p50_ns=9000.0))
    assert findings([a_row(part="map"), imported, placed, a_row(part="map", allocation_size=4096)]) == [
        "64 MiB: an import costs 70 ns and its free less than 20 ns, 2 times the map; a map 35 ns, a placed map 9.00 us"
    ]


def test_pressure_is_told_with_what_was_before_and_after() -> None:
    rows = [lives(), lives(1500.0, pressure=50), lives(9000.0, pressure=90), lives(1000.0, part="after")]
    (line,) = findings(rows)
    assert [part.split(" allocate")[0] for part in line.split(": ")[1].split("; ")] == [
        "before", "at 50%", "at 90%", "after"
    ]  # fmt: skip
    assert findings([lives(pressure=50)]) == []
    assert findings([lives(), lives(pressure=50, status="failed")]) == []


def by_width(kind="read", **rates):
    asked = {name.lstrip("w"): rate for name, rate in rates.items()}
    return [
        a_row(touch=kind, width=width, touch_bytes_per_second=TouchRate(**{kind: rate * 1e9}), job=width)
        for width, rate in asked.items()
    ]


@pytest.mark.parametrize(
    ("kind", "rates", "told"),
    [
        (
            "read",
            {"w1": 0.5, "w4": 1, "w16": 11, "stream": 12},
            "reads reach 90% of their best (12.0 GB/s, stream) from 16 bytes a load on; "
            "1-byte loads are 24 times slower",
        ),
        (
            "write",
            {"w4": 10, "w8": 10, "w16": 10.5},
            "writes reach 90% of their best (10.5 GB/s, 16-byte stores) from 4",
        ),
        ("read", {"w4": 10, "w8": 5, "w16": 10}, "from 16 bytes a load on"),
        (
            "read",
            {"w4": 0.01, "w16": 0.04, "stream": 0.16},
            "reads reach 25% of their best (160 MB/s, stream) with 16 bytes a load; 4-byte loads are 16 times slower",
        ),
    ],
)
def test_the_width_that_suffices_is_told(kind, rates, told) -> None:
    rows = by_width(kind, **rates)
    (line,) = widths(rows)
    assert line.startswith(f"#0 De Vi Co Ca, 64 MiB: {kind}s reach ")
    assert told in line
    assert findings(rows) == [line]


def test_one_width_tells_nothing_and_orders_are_apart() -> None:
    assert widths(by_width(w4=1, stream=2)) == []
    rows = by_width(w4=1, w8=2)
    lines = widths([*rows, *(replace(row, access="random") for row in rows)])
    assert [", random:" in line for line in lines] == [False, True]
