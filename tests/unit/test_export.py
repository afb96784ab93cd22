"""A run as Markdown, CSV and JUnit, read back by parsers that are not ours."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET

import msgspec
import pyperf
import pytest
from builders import (
    TOOL,
    a_busy_row,
    a_check,
    a_device,
    a_gpu,
    a_latency,
    a_probe,
    a_probe_report,
    a_row,
    a_run,
    a_selftest,
    a_trial,
    a_verify_report,
    checks,
)
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from vkmapctl.errors import UsageProblem
from vkmapctl.model.base import Note
from vkmapctl.model.device import Probe
from vkmapctl.model.documents import Answer, CheckRow, DoctorReport, Tool, VerifyReport
from vkmapctl.model.measured import Bins
from vkmapctl.report import export
from vkmapctl.reports import FORMATS

HOSTILE = "<b>|`x`|\n=1+1"
FAILED = a_row(status="failed", reason="byte 3 is wrong", job="bad")
RUN = a_run(a_row(), a_busy_row(device=0), FAILED, outcome="failed", exit_code=4)


def rows_of_csv(run):
    return list(csv.DictReader(io.StringIO(export(run, "csv").decode(), newline="")))


def test_csv_has_every_figure_in_its_column() -> None:
    first, busy, failed = rows_of_csv(RUN)
    assert float(first["pairs_per_second"]) == 12_345_678
    assert (first["map_p50_ns"], first["map_count"], first["response_p50_ns"]) == ("35.0", "123456", "")
    assert (busy["placed"], busy["reserve"], busy["minor_faults"], busy["offset"]) == (
        "low4g",
        "True",
        "66000",
        "random",
    )
    assert (failed["status"], failed["reason"]) == ("failed", "byte 3 is wrong")


def test_csv_text_cannot_be_a_formula_or_break_a_line() -> None:
    (row,) = rows_of_csv(a_run(a_row(job="=cmd()", reason='a,"b"\nc')))
    assert (row["job"], row["reason"]) == ("'=cmd()", 'a,"b"\nc')


def test_markdown_tables_keep_their_shape() -> None:
    run = a_run(a_row(job=HOSTILE), a_busy_row(device=0), device=a_device(name=HOSTILE))
    lines = export(run, "md").decode().splitlines()
    tables = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert {line.count("|") for line in tables} == {9, 10}
    assert not [line for line in lines if "<b>" in line]
    assert "Outcome: **ok** (exit code 0)" in lines


def test_markdown_grows_no_link() -> None:
    links = "[x](http://evil) ![y](z) <http://evil> https://evil www.evil.org"
    text = export(a_run(a_row(job=links), device=a_device(name=links), host={"kernel": links}), "md").decode()
    assert text.count("evil") == 4 * text.count("evil.org") > 0
    assert re.findall(r"(?<!\\)[<\[\]]|://|www\.", text) == []


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("stress", "--fail-if", "map.p50>1ms"), "- `vkmapctl stress --fail-if 'map.p50>1ms'`"),
        (("stress", "a `b`` c"), "- ``` vkmapctl stress 'a `b`` c' ```"),
    ],
)
def test_markdown_shows_a_command_as_a_shell_takes_it(command, shown) -> None:
    run = a_run(a_row(), tool=Tool("vkmapctl", "0.1.0", command))
    assert shown in export(run, "md").decode().splitlines()


@pytest.mark.parametrize("wanted", ["md", "html"])
def test_what_was_not_asked_for_is_not_called_none(wanted) -> None:
    rows = [a_row(job=f"{size}", allocation_size=size, placed=None, seed=None) for size in (4096, 65536, 1 << 20)]
    assert not re.search(r"\bNone\b", export(a_run(*rows), wanted).decode())


def test_markdown_says_what_failed() -> None:
    assert "- **failed**: bad: byte 3 is wrong" in export(RUN, "md").decode()


def test_junit() -> None:
    run = a_run(
        a_row(),
        FAILED,
        a_row(job="none", status="unsupported", reason="no memoryMapPlaced"),
        a_row(job="dead", status="crashed", reason="killed by SIGSEGV"),
        warnings=(Note("threshold", "64 KiB: map.p99>1us: it is 2 us"), Note("drift", "x")),
    )
    root = ET.fromstring(export(run, "junit"))
    kinds = [[child.tag for child in case if child.tag != "system-out"] for case in root.iter("testcase")]
    assert kinds == [[], ["failure"], ["skipped"], ["error"], ["failure"]]
    assert [suite.get("failures") for suite in root] == ["1", "1"]


def test_junit_of_a_run_without_rows_does_not_pass() -> None:
    root = ET.fromstring(export(a_run(outcome="crashed", exit_code=6), "junit"))
    assert root.find(".//error") is not None


def test_several_devices_are_suites_of_their_own() -> None:
    run = a_run(a_row(), a_row(device=1), devices=(a_device(), a_gpu()))
    assert len(ET.fromstring(export(run, "junit"))) == 2


def names_of(root):
    return [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]


def test_junit_names_are_unique_also_of_two_devices_of_one_name() -> None:
    rows = (a_row(), a_row(device=1, job="64 MiB"))
    twice = Note("threshold", "64 MiB: map.p99>1us: it is 2 us")
    other = Note("threshold", "64 MiB: map.p99>1us: it is 3 us")
    run = a_run(devices=(a_device(), a_device(index=1)), results=rows, warnings=(twice, other))
    names = names_of(ET.fromstring(export(run, "junit")))
    assert len(set(names)) == len(names) == 4


def test_junit_says_when_and_of_what() -> None:
    (suite,) = ET.fromstring(export(a_run(a_row()), "junit"))
    assert suite.get("timestamp") == "2026-01-02T03:04:05+00:00"
    assert {one.get("name"): one.get("value") for one in suite.iter("property")} == {
        "device": "llvmpipe (LLVM 19.1.7, 256 bits)",
        "driver": "llvmpipe Mesa 25.0.7 (LLVM 19.1.7)",
        "vulkan": "1.4.305",
        "loader": "1.4.309",
        "version": "0.1.0",
    }


@pytest.mark.parametrize("outcome", ["failed", "crashed", "interrupted", "missed"])
def test_junit_is_red_where_no_row_tells_what_went_wrong(outcome) -> None:
    """A validation layer's message, or a driver that dies at its own end."""
    skipped = a_row(status="unsupported", reason="no memoryMapPlaced", job="none")
    run = a_run(a_row(), skipped, outcome=outcome, exit_code=4, warnings=(Note("validation", "VUID-x"),))
    (error,) = ET.fromstring(export(run, "junit")).iter("error")
    assert error.get("message") == f"outcome {outcome}, exit code 4"


def test_junit_of_a_run_that_could_do_nothing_here_is_skipped() -> None:
    run = a_run(a_row(status="unsupported", reason="no memoryMapPlaced"), outcome="unsupported", exit_code=3)
    kinds = [child.tag for case in ET.fromstring(export(run, "junit")).iter("testcase") for child in case]
    assert kinds == ["skipped", "system-out"]


def test_junit_of_a_probe_has_each_proof_and_each_gate() -> None:
    broken = a_probe(a_gpu(), status="failed", reason="a byte is wrong")
    gone = Probe(device=None, status="crashed", reason="/etc/vulkan/icd.d/x.json: killed by SIGSEGV")
    report = a_probe_report(a_probe(), broken, gone, missing=("driver NVIDIA: this is llvmpipe",), exit_code=6)
    root = ET.fromstring(export(report, "junit"))
    red = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    errors = [case.get("name") for case in root.iter("testcase") if case.find("error") is not None]
    assert (red, errors) == (["device"], ["driver NVIDIA: this is llvmpipe", gone.reason])
    assert ("vkmapctl probe: Example GPU 80GB", "proof placed") in names_of(root)


@pytest.mark.parametrize("wanted", [form for form in FORMATS if form not in ("junit", "md", "html")])
def test_a_probe_has_no_such_form(wanted) -> None:
    with pytest.raises(UsageProblem, match="a probe does not export to "):
        export(a_probe_report(), wanted)


VERIFIED = a_verify_report(
    *checks("M1"),
    a_check("P2", 4, title=HOSTILE, status="fail", detail=HOSTILE, breaks="=1+1"),
    a_check("P11", None, status="skip", detail="memoryMapRangePlaced is missing"),
    outcome="failed",
    exit_code=4,
)


def test_verify_csv_has_each_row_with_its_device_and_driver() -> None:
    rows = rows_of_csv(VERIFIED)
    assert [(row["check"], row["memory_type"], row["status"]) for row in rows] == [
        ("M1", "2", "pass"), ("M1", "3", "pass"), ("M1", "4", "pass"), ("P2", "4", "fail"), ("P11", "", "skip"),
    ]  # fmt: skip
    assert {(row["device_name"], row["driver_info"]) for row in rows} == {("Example GPU 80GB", "580.159.04")}
    assert (rows[3]["breaks"], rows[3]["memory_flags"]) == ("'=1+1", "De Vi Co")


def documents():
    device = a_gpu(name=HOSTILE)
    return {
        "verify": msgspec.structs.replace(VERIFIED, devices=(device,), warnings=(Note("drift", HOSTILE),)),
        "selftest": a_selftest(a_trial(HOSTILE, caught=False), a_trial("leak"), device=device, baseline=(HOSTILE,)),
        "probe": a_probe_report(
            a_probe(device, notes=(Note("placed", HOSTILE),)),
            Probe(device=None, status="crashed", reason=HOSTILE),
            missing=(HOSTILE,),
        ),
        "doctor": DoctorReport(
            tool=TOOL,
            devices=(a_probe(device), Probe(device=None, status="crashed", reason=HOSTILE)),
            device=1,
            answers=(Answer("mapping works", "yes", HOSTILE, "https://example.org/concepts.md"),),
            next=("vkmapctl verify",),
            outcome="ok",
            exit_code=0,
        ),
    }


@pytest.mark.parametrize("kind", documents())
def test_every_kind_is_markdown_whose_tables_keep_their_shape(kind) -> None:
    lines = export(documents()[kind], "md").decode().splitlines()
    assert not [line for line in lines if "<b>" in line]
    tables = "\n".join(line.replace("\\|", "") if line.startswith("|") else "" for line in lines)
    for table in re.split(r"\n\n+", tables.strip()):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert any(line.startswith("Outcome: **") for line in lines)


@pytest.mark.parametrize("kind", documents())
def test_every_kind_is_a_page_that_asks_for_nothing_and_runs_nothing(kind) -> None:
    page = export(documents()[kind], "html").decode()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert not re.findall(r"<script|<img|@import|url\(|src=", page)


def test_verify_markdown_begins_with_what_is_broken() -> None:
    text = export(VERIFIED, "md").decode()
    order = ["1 of 2 checks fails on Example GPU 80GB: P2", "breaks:", "P11 skipped", "<details><summary>5 rows"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


# --- for people with data, and programs that follow figures ------------------------------------------


def lines_of(run, form):
    return list(csv.DictReader(io.StringIO(export(run, form).decode(), newline="")))


BINS = ((31, 100), (128, 20), (1 << 39, 3))
ROUNDS = a_row(map=a_latency(histogram=Bins(BINS, 2)), rounds_ns_per_pair=(80.0, 84.0, 82.0))


@pytest.mark.parametrize("form", ["csv", "csv-rounds", "csv-bins"])
def test_every_line_of_csv_says_when_and_of_what(form) -> None:
    run = a_run(ROUNDS, a_row(device=1, rounds_ns_per_pair=(1.0,)), devices=(a_device(), a_gpu()))
    lines = lines_of(run, form)
    assert {line["started"] for line in lines} == {"2026-01-02T03:04:05+00:00"}
    keys = ("device", "device_name", "driver_name", "driver_info")
    assert {tuple(line[key] for key in keys) for line in lines} == {
        ("0", "llvmpipe (LLVM 19.1.7, 256 bits)", "llvmpipe", "Mesa 25.0.7 (LLVM 19.1.7)"),
        ("1", "Example GPU 80GB", "NVIDIA", "580.159.04"),
    }
    assert {line["allocation_size"] for line in lines} == {str(64 << 20)}


def test_csv_of_rounds_has_a_line_for_each() -> None:
    lines = lines_of(a_run(ROUNDS, a_row(job="none")), "csv-rounds")
    assert [(line["round"], line["ns_per_pair"]) for line in lines] == [("0", "80.0"), ("1", "84.0"), ("2", "82.0")]


def test_csv_of_bins_has_their_edges_and_every_sample() -> None:
    lines = [line for line in lines_of(a_run(ROUNDS), "csv-bins") if line["call"] == "map"]
    assert [(line["low_ns"], line["high_ns"], line["count"]) for line in lines] == [
        ("31", "32", "100"),
        ("128", "130", "20"),
        (str(1 << 39), str((1 << 39) + (1 << 33)), "3"),
        (str(1 << 40), "", "2"),
    ]


def samples_of(document):
    """The samples by both of Prometheus' own readers, which must agree."""
    text = export(document, "openmetrics").decode()
    new, old = (
        {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}
        for families in (openmetrics(text), prometheus(text))
    )
    assert new == old
    return new


def test_openmetrics() -> None:
    run = a_run(a_row(), a_busy_row(device=0, job=HOSTILE), device=a_device(name=HOSTILE))
    samples = samples_of(run)
    row = (("device", "0"), ("row", "64 MiB"))
    assert samples["vkmapctl_pair_seconds", *row] == pytest.approx(81e-9)
    assert samples["vkmapctl_call_seconds", ("call", "map"), row[0], ("quantile", "0.99"), row[1]] == pytest.approx(
        61e-9
    )
    assert samples["vkmapctl_call_seconds_count", ("call", "map"), *row] == 123_456
    assert samples["vkmapctl_touched_bytes_per_second", ("by", "write"), ("device", "0"), ("row", HOSTILE)] == 9.87e9
    assert samples[("vkmapctl_start_timestamp_seconds",)] == 1767323045
    assert samples[("vkmapctl_exit_code",)] == 0
    assert next(key for key in samples if key[0] == "vkmapctl_device")[3] == ("name", HOSTILE)


def test_openmetrics_of_a_run_that_measured_nothing() -> None:
    samples = samples_of(a_run(outcome="crashed", exit_code=6, started="yesterday"))
    assert {name for name, *_ in samples} == {"vkmapctl_exit_code", "vkmapctl_device"}


def test_openmetrics_of_checks() -> None:
    check = CheckRow("M1", "title", "rule", "must", 0, 0, ("De",), "skip", "seen", 0.1)
    samples = samples_of(VerifyReport(tool=TOOL, devices=(a_device(),), results=(check,)))
    assert samples["vkmapctl_checks", ("device", "0"), ("status", "skip")] == 1
    assert samples["vkmapctl_checks", ("device", "0"), ("status", "fail")] == 0


def test_github_benchmark() -> None:
    entries = {one["name"]: one for one in json.loads(export(a_run(ROUNDS, FAILED), "github-benchmark"))}
    assert entries["64 MiB: per pair"] == {
        "name": "64 MiB: per pair",
        "unit": "ns",
        "value": 81.0,
        "range": "± 2",
        "extra": "llvmpipe (LLVM 19.1.7, 256 bits), llvmpipe Mesa 25.0.7 (LLVM 19.1.7)",
    }
    assert entries["64 MiB: unmap p50"]["value"] == 17.5
    assert len(entries) == 6


def test_bencher() -> None:
    """Its schema: https://bencher.dev/docs/reference/bencher-metric-format"""
    found = json.loads(export(a_run(ROUNDS), "bencher"))
    assert found["64 MiB"] == {
        "latency": {"value": 81.0, "lower_value": 80.0, "upper_value": 84.0},
        "throughput": {"value": 12_345_678.0},
    }
    assert found["64 MiB: map p50"] == {"latency": {"value": 35.0}}


def test_pyperf() -> None:
    suite = pyperf.BenchmarkSuite.loads(export(a_run(ROUNDS, FAILED), "pyperf").decode())
    (benchmark,) = suite.get_benchmarks()
    assert (benchmark.get_name(), benchmark.get_unit()) == ("64 MiB", "second")
    assert benchmark.get_values() == pytest.approx((80e-9, 84e-9, 82e-9))
    with pytest.raises(UsageProblem, match="no row has rounds"):
        export(a_run(FAILED), "pyperf")
