"""Which row is this: every output tells every two rows apart, and a run compares clean with itself."""

import csv
import io
import xml.etree.ElementTree as ET

import pytest
from builders import a_device, a_gpu, a_job, a_row, a_run
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vkmapctl import report
from vkmapctl.figures.compare import Limits, compare
from vkmapctl.figures.rows import measured_row
from vkmapctl.model.case import ASPECTS, Case, labels, varying
from vkmapctl.model.measured import Counted, FirstTouch, Histogram, Touched
from vkmapctl.plans.gates import missed, parse_threshold
from vkmapctl.reports import plain, stress

UNTIMED = Histogram(0, 0, 0, 0, 0, ())
NOTHING = Counted(1000, 35_000, 35_000, {}, UNTIMED, Touched(), Touched(), FirstTouch(), 0, 0, 0, 0, 0)
VALUES = {
    "device": st.integers(0, 1),
    "part": st.sampled_from(["", "a", "1 MiB", "1 MiB, core", "a (2)"]),
    "api": st.sampled_from(["v1", "khr", "core"]),
    "memory_type": st.integers(0, 2),
    "allocation_size": st.sampled_from([131072, 131268, 131584, 1 << 20, 1 << 30]),
    "offset": st.sampled_from([0, 1, 4096, "random"]),
    "map_size": st.sampled_from([None, 4096, 4097]),
    "placed": st.sampled_from([None, "any", "low4g", "0x10000000"]),
    "reserve": st.booleans(),
    "touch": st.sampled_from(["none", "first", "write", "read", "verify"]),
    "threads": st.integers(1, 3),
    "live": st.integers(1, 3),
    "unmap_order": st.sampled_from(["same", "reverse", "random"]),
    "rate": st.sampled_from([None, 1.0, 1000000.0, 1000000.5]),
    "seed": st.integers(1, 3),
    "duration_seconds": st.sampled_from([0.1, 1 / 3, 0.3333333333, 2.0]),
    "iterations": st.sampled_from([None, 7, 8]),
    "warmup_seconds": st.sampled_from([0.0, 0.1]),
    "period_seconds": st.sampled_from([None, 10.0]),
    "script": st.sampled_from(["", "01234567", "89abcdef"]),
    "steps": st.integers(0, 1),
    "fill": st.booleans(),
    "together": st.integers(1, 2),
    "gap_seconds": st.sampled_from([0.0, 0.001, 0.0010001]),
    "imported": st.sampled_from(["none", "host"]),
    "pressure": st.sampled_from([0, 50, 90]),
    "allocation": st.sampled_from(["plain", "dedicated", "export", "device-address"]),
    "width": st.sampled_from(["auto", "1", "16", "memcpy", "stream"]),
    "access": st.sampled_from(["sequential", "strided", "random"]),
    "gpu_load": st.sampled_from(["none", "copy", "copy-from", "fill"]),
    "gpu_on": st.sampled_from(["others", "mapped"]),
    "trace": st.sampled_from(["", "01234567", "89abcdef"]),
    "pace": st.sampled_from(["full", "recorded"]),
}
CASES = st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=8)
DEVICES = (a_device(), a_gpu(memory_types=a_device().memory_types * 3))


def a_run_of(asked):
    rows = [a_row(**one) for one in asked]
    told = labels(rows)
    rows = [replace(row, job=label, ns_per_pair=100.0) for row, label in zip(rows, told, strict=True)]
    return a_run(*rows, devices=DEVICES)


def test_every_field_is_an_aspect_or_named_with_one() -> None:
    assert set(VALUES) | {"memory_flags"} == set(Case.__struct_fields__)
    for name, value in {"threads": 2, "rate": 3.0, "seed": 9, "fill": True, "together": 2, "part": "b"}.items():
        assert len(varying([a_row(), a_row(**{name: value})])) == 1
    assert len({aspect.title for aspect in ASPECTS}) == len(ASPECTS)


@given(CASES)
def test_no_two_rows_have_one_label(asked) -> None:
    run = a_run_of(asked)
    assert len({row.job for row in run.results}) == len(asked)
    assert [row.label(run.results) for row in run.results] == [row.job for row in run.results]


@pytest.mark.parametrize(
    "name", ["device", "api", "memory_type", "allocation_size", "offset", "map_size", "placed", "reserve", "touch",
             "threads", "live", "unmap_order", "rate", "seed", "duration_seconds", "iterations", "warmup_seconds",
             "period_seconds", "fill", "together", "gap_seconds", "imported", "allocation", "pressure",
             "gpu_load", "gpu_on"],
)  # fmt: skip
@given(data=st.data())
def test_a_label_says_more_than_a_number_where_one_thing_differs(name, data) -> None:
    first, second = data.draw(st.tuples(VALUES[name], VALUES[name]).filter(lambda pair: pair[0] != pair[1]))
    told = labels([a_row(**{name: first}), a_row(**{name: second})])
    assert not any(label.endswith(" (2)") for label in told)


@given(CASES)
def test_a_run_compares_clean_with_itself(asked) -> None:
    run = a_run_of(asked)
    found = compare(("a", run), ("b", run), Limits())
    assert (found.differences, found.added) == ((), ())
    assert [(pair.row, pair.found, pair.verdict) for pair in found.pairs] == [
        (row, True, "same") for row in run.results
    ]


@given(CASES)
def test_every_output_tells_every_two_rows_apart(asked) -> None:
    run = a_run_of(asked)
    count = len(asked)
    sheet = list(csv.DictReader(io.StringIO(report.export(run, "csv").decode(), newline="")))
    assert len({line["job"] for line in sheet}) == count
    markdown = report.export(run, "md").decode().split("| row | call |")[0]
    assert len({line for line in markdown.splitlines() if line.startswith("| ")}) == count + 2
    suites = ET.fromstring(report.export(run, "junit"))
    assert len({(case.get("classname"), case.get("name")) for case in suites.iter("testcase")}) == count
    assert len({line.split(":")[0] for line in missed([parse_threshold("errors>=0")], run.results)}) == count
    for width in (80, 10_000):
        shown = [line for part in stress.run_view(run) for line in plain.lines_of(part, width)]
        begin = next(i for i, line in enumerate(shown) if line.startswith("Throughput"))
        assert len(set(shown[begin + 4 : begin + 4 + count])) == count


def test_a_row_carries_what_its_job_was_asked() -> None:
    job = a_job(seed=7, iterations=3, part="p", script="abcd", steps=2)
    row = measured_row(job, NOTHING, None, (), None, 0.0)
    assert (row.identity(), row.job) == (job.identity(), job.job)


@pytest.mark.parametrize("sizes", [(131072, 131268, 131584), (10 << 20, (10 << 20) + 1)])
def test_sizes_that_round_alike_are_told_apart(sizes) -> None:
    rows = [a_row(allocation_size=size) for size in sizes]
    assert len({*labels(rows)}) == len(sizes)
    assert "rows: memory type" in "".join(
        line for part in stress.run_view(a_run(*rows)) for line in plain.lines_of(part, 200)
    )
