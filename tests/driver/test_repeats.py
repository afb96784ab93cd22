"""Repeated runs as a user makes and compares them: fresh processes, all rows in turn, pooled, kept apart."""

import json
from pathlib import Path

import pytest
from cli_runner import vkmapctl
from icd.build import icd

BRIEF = ("--iterations", "200", "--warmup", "0s", "--quiet", "--force")


def stress(path: Path, *arguments: str, code: int = 0, **options):
    result = vkmapctl("stress", *BRIEF, "--save", str(path), *arguments, **options)
    assert result.code == code, result.err
    return json.loads(path.read_text())


def compare(*arguments) -> tuple[int, dict]:
    result = vkmapctl("report", "compare", "--json", *map(str, arguments))
    return result.code, json.loads(result.out) if result.out else result.err


def test_each_process_measures_every_row_and_is_kept(tmp_path: Path) -> None:
    document = stress(tmp_path / "a.json", "--size", "4K", "--size", "8K", "--api", "all", "--repeat", "3")
    assert [row["allocation_size"] for row in document["results"]] == [4096] * 3 + [8192] * 3
    for row in document["results"]:
        assert (row["status"], row["map"]["count"], row["unmap"]["count"]) == ("ok", 600, 600)
        assert len(row["repeats"]) == 3
        assert len(row["rounds_ns_per_pair"]) == 30
        assert all(one["ns_per_pair"] > 0 and one["p50_ns"]["map"] > 0 for one in row["repeats"])
        assert (row["ratio_to_v1"] is None) == (row["api"] == "v1")
    shown = vkmapctl("report", "show", str(tmp_path / "a.json")).out
    assert "processes" in shown
    assert "apart" in shown


def test_every_repetition_has_a_process_of_its_own(tmp_path: Path) -> None:
    """Each maps 401 times; a driver that crashes in the 500th map of a process never does."""
    driver = icd(tmp_path, "vkMapMemory2@500=crash")
    document = stress(tmp_path / "a.json", "--size", "4K", "--repeat", "3", driver=driver)
    assert (len(document["results"][0]["repeats"]), document["results"][0]["map"]["count"]) == (3, 600)


@pytest.mark.parametrize("layer", [(), ("--emulate", "placed", "--placed", "low4g", "--reserve")])
def test_repetitions_compare_with_repetitions_and_with_one_run(tmp_path: Path, layer: tuple[str, ...]) -> None:
    paths = [tmp_path / f"{name}.json" for name in "abcd"]
    for path, repeat in zip(paths, ("3", "3", "1", "1"), strict=True):
        stress(path, "--size", "64K", "--repeat", repeat, *layer)
    for arguments, repeats in (
        (paths[:2], [3, 3]),
        ([paths[0], paths[2]], [3, 1]),
        (paths[2:], [1, 1]),
        ([paths[0], paths[2], "--with", paths[1], paths[3]], [2, 2]),
        ([paths[2], paths[3], "--with", paths[1]], [2, 3]),
    ):
        code, report = compare(*arguments, "--gate", "warn")
        (one,) = report["comparisons"]
        assert (code, one["pairs"][0]["repeats"]) == (0, repeats)
    assert "one run each: cannot tell less than" in vkmapctl("report", "compare", *map(str, paths[2:])).out


def test_a_crash_in_one_of_them_is_the_row_s(tmp_path: Path) -> None:
    """The first process leaves a file behind, and those that find it crash."""
    flag = tmp_path / "ran"
    breaks = f"vkMapMemory2=when:{flag},crash vkFreeMemory=touch:{flag}"
    document = stress(tmp_path / "a.json", "--size", "4K", "--repeat", "3", code=6, driver=icd(tmp_path, breaks))
    (row,) = document["results"]
    assert (row["status"], len(row["repeats"]), row["map"]["count"]) == ("crashed", 1, 200)
    assert "SIGSEGV" in row["reason"]


def test_thresholds_judge_all_of_them_together(tmp_path: Path) -> None:
    document = stress(tmp_path / "a.json", "--size", "4K", "--repeat", "2", "--fail-if", "map.min>=0ns", code=5)
    assert len([one for one in document["warnings"] if one["code"] == "threshold"]) == 1


def test_metrics_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    stress(tmp_path / "a.json", "--size", "4K")
    result = vkmapctl("report", "compare", *[str(tmp_path / "a.json")] * 2, "--metric", "map.p51")
    assert result.code == 2
    assert "unknown metric 'map.p51'; known: ns_per_pair, map.p50" in result.err
