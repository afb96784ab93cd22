"""Conditions that decide a run's exit code."""

import pytest
from builders import FULLY_PLACED, a_device, a_gpu, a_latency, a_probe, a_row
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.model.device import Placed, Probe, Proof
from vkmapctl.model.loop import CALLS
from vkmapctl.model.measured import TouchRate, Versus
from vkmapctl.plans import gates


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "limit"),
    [
        ("map.p99>50us", "map.p99", ">", 50_000),
        (" unmap.p999 >= 1.5ms ", "unmap.p999", ">=", 1_500_000),
        ("map.max>2s", "map.max", ">", 2e9),
        ("ns_per_pair>100ns", "ns_per_pair", ">", 100),
        ("pairs_per_second<1e6", "pairs_per_second", "<", 1e6),
        ("write<5GB/s", "write", "<", 5e9),
        ("read<=20.5MB/s", "read", "<=", 20.5e6),
        ("mismatches>0", "mismatches", ">", 0),
    ],
)
def test_thresholds(text, metric, comparison, limit):
    threshold = gates.parse_threshold(text)
    assert (threshold.metric, threshold.comparison) == (metric, comparison)
    assert threshold.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "text",
    ["", "map.p99", "map.p99>", ">50us", "map.p99>50", "map.p99=50us", "map.p98>50us", "nonsense>1", "map>5us",
     "map.p99>50us>60us", "write<5", "write<5us", "pairs_per_second<nan", "pairs_per_second<fast", "MAP.P99>5us",
     "errors>inf", "pairs_per_second<1e400", "errors>-1e19", "write<" + "9" * 400 + "GB/s"],
)  # fmt: skip
def test_thresholds_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        gates.parse_threshold(text)


@given(st.one_of(st.text(), st.from_regex(r"\A(map\.p99|write|errors)[<>]=?\S{0,8}\Z")))
def test_threshold_garbage_raises_nothing_but_value_errors(text):
    try:
        gates.parse_threshold(text)
    except ValueError:
        pass


@pytest.mark.parametrize("metric", gates.metrics())
def test_every_metric_is_found_in_a_full_row(metric):
    row = a_row(
        calls={call: a_latency() for call in CALLS},
        response=a_latency(),
        touch_bytes_per_second=TouchRate(1e9, 2e9),
        errors={"VK_ERROR_MEMORY_MAP_FAILED": 2},
        versus=Versus({name: (1.0, 0.9, 1.1) for name in ("ns_per_pair", *(f"{call}.p50" for call in CALLS))}),
        ratio_to_idle=(1.5, 1.2, 1.9),
    )
    assert gates.value_of(metric, row) is not None


def test_a_ratio_to_idle_is_judged_where_there_is_a_load():
    idle, busy = a_row(job="idle"), a_row(job="busy", gpu_load="copy", ratio_to_idle=(1.5, 1.2, 1.9))
    too_slow = [gates.parse_threshold("ratio_to_idle>1.2")]
    assert gates.missed(too_slow, [idle, busy]) == ["busy: ratio_to_idle>1.2: it is 1.50"]
    assert gates.missed([gates.parse_threshold("ratio_to_idle>2")], [idle, busy]) == []
    assert gates.missed(too_slow, [idle]) == [
        "idle: ratio_to_idle could not be judged: only a row with --gpu-load has it"
    ]


@pytest.mark.parametrize(
    ("condition", "is_missed"),
    [
        ("map.p99>50us", True),
        ("map.p99>60us", False),
        ("map.p99>=60us", True),
        ("unmap.p99>1us", False),
        ("pairs_per_second<1e6", True),
        ("pairs_per_second<=1000", True),
        ("pairs_per_second<1000", False),
        ("errors>0", True),
        ("mismatches>0", False),
        ("read<1GB/s", False),
        ("write<1GB/s", True),
    ],
)
def test_missed(condition, is_missed):
    row = a_row(
        map=a_latency(p99_ns=60_000.0),
        unmap=a_latency(p99_ns=900.0),
        pairs_per_second=1000.0,
        errors={"VK_ERROR_MEMORY_MAP_FAILED": 1},
        touch_bytes_per_second=TouchRate(write=0.5e9, read=2e9),
    )
    lines = gates.missed([gates.parse_threshold(condition)], [row])
    assert bool(lines) == is_missed
    assert all(condition in line and row.job in line for line in lines)


@pytest.mark.parametrize(
    ("condition", "row"),
    [
        ("map.p999>1s", a_row(map=a_latency(p999_ns=None))),
        ("map.p99>1s", a_row(map=None)),
        ("write<1GB/s", a_row()),
        ("response.p50>1s", a_row()),
        ("pairs_per_second<1", a_row(pairs_per_second=None)),
    ],
)
def test_a_threshold_without_a_value_never_passes(condition, row):
    (line,) = gates.missed([gates.parse_threshold(condition)], [row])
    assert "could not be judged" in line


def test_rows_that_do_not_do_what_a_threshold_is_about_are_left_out_where_others_do_it():
    writes = a_row(job="writes", touch="write", touch_bytes_per_second=TouchRate(write=1e9))
    reads = a_row(job="reads", touch="read", touch_bytes_per_second=TouchRate(read=1e9))
    frees = a_row(job="frees", calls={"free": a_latency(p99_ns=5e6)})
    assert gates.missed([gates.parse_threshold("write<1MB/s")], [writes, reads]) == []
    assert gates.missed([gates.parse_threshold("write<2GB/s")], [writes, reads]) == [
        "writes: write<2GB/s: it is 1.00 GB/s"
    ]
    assert gates.missed([gates.parse_threshold("free.p99>1ms")], [writes, frees]) == [
        "frees: free.p99>1ms: it is 5.00 ms"
    ]


@pytest.mark.parametrize(
    ("text", "row", "why"),
    [
        ("map.p999>1s", a_row(map=a_latency(p999_ns=None)), "too few samples"),
        ("flush.p50>1s", a_row(touch="write"), "this row makes no such call as flush"),
        ("write<1GB/s", a_row(), "this row writes nothing"),
        ("write<1GB/s", a_row(touch="write"), "too few samples"),
        ("ns_per_pair>1s", a_row(rate=5.0, ns_per_pair=None), "a row with --rate or --gap waits between its calls"),
        ("map.p50>1s", a_row(map=None, status="not-run"), "the row ended as not-run"),
    ],
)
def test_too_few_samples_is_said_only_where_more_would_help(text, row, why):
    metric = gates.parse_threshold(text).metric
    assert gates.missed([gates.parse_threshold(text)], [row]) == [f"{row.job}: {metric} could not be judged: {why}"]


def test_each_row_is_judged_by_each_threshold():
    rows = [a_row(job="a", pairs_per_second=1.0), a_row(job="b", pairs_per_second=9.0), a_row(job="c", ns_per_pair=1e9)]
    conditions = [gates.parse_threshold("pairs_per_second<5"), gates.parse_threshold("ns_per_pair>1ms")]
    assert [line.split(":")[0] for line in gates.missed(conditions, rows)] == ["a", "c"]


V1_ONLY = a_device(api_version="1.3.239", route="none", extensions={})
KHR = a_device(api_version="1.3.274", route="khr")


@pytest.mark.parametrize(
    ("requirement", "device", "met"),
    [
        ("map2", a_device(), True),
        ("map2", KHR, True),
        ("map2", V1_ONLY, False),
        ("core14", a_device(), True),
        ("core14", KHR, False),
        ("placed", a_device(placed=FULLY_PLACED), True),
        ("placed", a_device(), False),
        ("range-placed", a_device(placed=FULLY_PLACED), True),
        ("range-placed", a_gpu(), False),
        ("reserve", a_gpu(), True),
        ("reserve", a_device(placed=Placed(True, True, False, 4096)), False),
        ("api>=1.4", a_device(), True),
        ("api>=1.4", KHR, False),
        ("api>=1.3", KHR, True),
        ("api>=1.10", a_device(), False),
        ("api>=2.0", a_device(), False),
    ],
)
def test_requirements(requirement, device, met):
    gates.check_requirement(requirement)
    lines = gates.missing([requirement], None, a_probe(device))
    assert (lines == []) == met
    assert all(line.startswith(requirement) for line in lines)


def test_a_map2_that_resolves_but_does_not_work_is_missing():
    broken = a_probe(proofs=(Proof("core", "failed", "other bytes came back"), Proof("v1", "ok")))
    (line,) = gates.missing(["core14"], None, broken)
    assert "other bytes came back" in line


def test_map2_is_met_by_either_pair_of_functions():
    probe = a_probe(proofs=(Proof("core", "failed", "crash"), Proof("khr", "ok"), Proof("v1", "ok")))
    assert gates.missing(["map2"], None, probe) == []


def test_no_facts_meet_no_requirement():
    lines = gates.missing([], None, Probe(device=None, reason="it crashed"))
    assert lines == ["no facts about the device: it crashed"]


@pytest.mark.parametrize("text", ["", "map3", "api>=1", "api>1.4", "api>=1.4.1", "Placed", "api>=x.y"])
def test_unknown_requirements(text):
    with pytest.raises(ValueError, match="unknown requirement"):
        gates.check_requirement(text)


@pytest.mark.parametrize(
    ("text", "matches"),
    [("nvidia", True), ("NVIDIA", True), ("NVIDIA_PROPRIETARY", True), ("580.159", True), ("radv", False),
     ("example gpu", False)],
)  # fmt: skip
def test_driver_matches_name_id_or_version_but_not_the_device(text, matches):
    assert gates.driver_matches(a_gpu(), text) == matches
    assert (gates.missing([], text, a_probe(a_gpu())) == []) == matches


@pytest.mark.parametrize(
    ("text", "ratio", "line"),
    [
        ("versus>1.05", (1.10, 1.08, 1.12), "64 MiB: versus>1.05: it is 1.100 (1.080 to 1.120)"),
        ("versus>1.05", (1.01, 0.99, 1.03), None),
        (
            "versus>1.05",
            (1.10, 1.04, 1.12),
            "64 MiB: versus could not be judged: its interval, 1.040 to 1.120, holds the limit",
        ),
        ("versus<0.9", (0.8, 0.7, 0.85), "64 MiB: versus<0.9: it is 0.800 (0.700 to 0.850)"),
        ("versus.map.p50>1.05", None, "64 MiB: versus.map.p50 could not be judged: only --versus gives it"),
    ],
)
def test_a_ratio_is_judged_by_all_of_its_interval(text, ratio, line):
    row = a_row(versus=Versus({"ns_per_pair": ratio}) if ratio else None)
    assert gates.missed([gates.parse_threshold(text)], [row]) == ([line] if line else [])


def test_a_ratio_of_too_few_rounds_is_not_judged():
    line = "64 MiB: versus could not be judged: too few rounds"
    assert gates.missed([gates.parse_threshold("versus>1.05")], [a_row(versus=Versus())]) == [line]
