"""What was never going to be measured is refused as a threshold, before anything is measured."""

from pathlib import Path

import pytest

from vkmapctl.cli import main
from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.model.workload import Workload
from vkmapctl.plans.gates import metrics, parse_threshold
from vkmapctl.plans.judging import can_judge
from vkmapctl.plans.workload_file import load, read
from vkmapctl.stress import Stress

LIMITS = {"pairs_per_second": "<1", "write": "<1GB/s", "read": "<1GB/s", "mismatches": ">0", "errors": ">0",
          "ratio_to_idle": ">2"}  # fmt: skip
PLAIN = Workload()


def condition(metric: str) -> str:
    return metric + LIMITS.get(metric, ">2" if metric.startswith("versus") else ">1ms")


@pytest.mark.parametrize(
    ("part", "metrics"),
    [
        (PLAIN, "map.p50 unmap.max ns_per_pair pairs_per_second errors versus versus.map.p50"),
        (Workload(touch="write"), "write flush.p99 map.p50"),
        (Workload(touch="first"), "flush.p50"),
        (Workload(touch="read"), "read invalidate.p50"),
        (Workload(touch="verify"), "write read mismatches flush.p50 invalidate.p50"),
        (Workload(imported="host"), "import.p50 free.p999 ns_per_pair"),
        (Workload(rate=100.0), "response.p99 map.p50 pairs_per_second"),
        (Workload(gap_seconds=0.1), "map.p50 pairs_per_second"),
        (Workload(gpu_load="copy"), "ratio_to_idle ns_per_pair"),
        (load("allocation").parts()[0], "allocate.p50 free.p50 map.p50 unmap.p50 ns_per_pair"),
        (load("round-trip").parts()[0], "to-host.p50 mismatches"),
    ],
)
def test_what_a_part_measures_can_be_judged(part: Workload, metrics: str) -> None:
    assert [metric for metric in metrics.split() if not can_judge(metric, part)] == []


@pytest.mark.parametrize(
    ("part", "metrics"),
    [
        (PLAIN, "write read mismatches free.p99 import.p50 flush.p50 response.p50 ratio_to_idle versus.free.p50"),
        (Workload(touch="write"), "read mismatches invalidate.p50"),
        (Workload(touch="first"), "write read mismatches"),
        (Workload(imported="host", touch="verify"), "map.p50 unmap.p50 flush.p50"),
        (Workload(rate=100.0, gpu_load="copy"), "ns_per_pair ratio_to_idle"),
        (Workload(gap_seconds=0.1), "ns_per_pair response.p50"),
        (load("allocation").parts()[0], "write import.p50 mismatches"),
    ],
)
def test_what_a_part_does_not_measure_cannot(part: Workload, metrics: str) -> None:
    assert [metric for metric in metrics.split() if can_judge(metric, part)] == []


def test_every_metric_can_be_judged_somewhere() -> None:
    parts = [
        Workload(touch="verify"), Workload(imported="host"), Workload(rate=1.0), Workload(gpu_load="copy"),
        *load("allocation").parts(), *load("round-trip").parts(),
    ]  # fmt: skip
    assert [metric for metric in metrics() if not any(can_judge(metric, part) for part in parts)] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fail-if", "write<5GB/s"], ("has write", "--touch write")),
        (["--fail-if", "mismatches>0"], ("has mismatches", "--touch verify")),
        (["--fail-if", "free.p99>1ms"], ("makes the call free", "allocation")),
        (["--fail-if", "import.p50>1ms"], ("makes the call import", "--import host")),
        (["--fail-if", "response.p99>1ms"], ("has response.p99", "--rate")),
        (["--fail-if", "ratio_to_idle>2"], ("has ratio_to_idle", "--gpu-load")),
        (["--fail-if", "versus>1.1"], ("--versus",)),
        (["--fail-if", "versus.free.p50>1.1", "--versus", "A=B"], ("makes the call free",)),
        (["--fail-if", "ns_per_pair>1ms", "--rate", "100"], ("has ns_per_pair", "--rate")),
        (["--fail-if", "map.p50>1ms", "--fail-if", "read<1GB/s"], ("'read<1GB/s'", "--touch read")),
    ],
)
def test_such_a_threshold_is_a_mistake_of_usage(arguments, words, capsys, monkeypatch) -> None:
    def started(*_):
        raise AssertionError("went on to start the driver")

    monkeypatch.setattr("vkmapctl.driver.listing.describe", started)
    assert main(["stress", *arguments]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.startswith("Error: --fail-if '")
    assert all(word in said for word in words), said


def test_one_that_some_job_can_have_judged_is_taken() -> None:
    for metric, preset in (("write", "memory-types"), ("free.p99", "allocation"), ("import.p50", "host-import")):
        Stress(load(preset), thresholds=[parse_threshold(condition(metric))])


def test_a_condition_in_a_file_is_judged_by_the_parts_of_its_job_that_can() -> None:
    text = '[[job]]\nimport = ["none", "host"]\nfail_if = ["import.p50>1ms", "errors>0"]'
    mapped, imported = read(text, name="my.toml").parts()
    assert mapped.fail_if == ("errors>0",)
    assert imported.fail_if == ("import.p50>1ms", "errors>0")


def test_workloads_check_refuses_one_that_none_can(tmp_path: Path, capsys) -> None:
    file = tmp_path / "my.toml"
    file.write_text('[[job]]\n[[job]]\nname = "b"\nfail_if = ["write<5GB/s"]')
    assert main(["workloads", "check", "--offline", str(file)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert f"{file}: job 2 ('b'): fail_if 'write<5GB/s' would judge nothing" in said


def test_a_ratio_in_a_file_needs_the_other_side() -> None:
    wanted = read('[[job]]\nfail_if = ["versus>1.1"]', name="my.toml")
    Stress(wanted, versus={"A": "B"})
    with pytest.raises(UsageProblem, match=r"my: fail_if 'versus>1\.1' judges what --versus measures"):
        Stress(wanted)
