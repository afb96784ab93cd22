"""stress --versus as users type it: two drivers in turns, with and without the test layer, and a side that breaks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, RADV_NULL, environment, vkmapctl
from icd.build import icd
from processes import children

SHORT = ("--duration", "400ms", "--warmup", "0s", "--size", "64K", "--quiet", "--json")


def versus(*arguments: str, code: int = 0, **options):
    result = vkmapctl("stress", *SHORT, *arguments, **options)
    assert result.code == code, result.err
    return result.json()


def test_a_row_has_the_ratio_of_the_other_side(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    document = versus("--versus", "VK_LOADER_LAYERS_DISABLE=~implicit~", "--versus", "NOT_THERE=", "--save", str(path))
    side = document["versus"]
    assert side["environment"] == ["VK_LOADER_LAYERS_DISABLE=~implicit~", "NOT_THERE="]
    assert side["devices"][0]["driver_name"] == "llvmpipe"
    (row,) = document["results"]
    middle, low, high = row["versus"]["ratios"]["ns_per_pair"]
    assert 0 < low <= middle <= high
    assert len(row["versus"]["processes"]) == 1
    shown = vkmapctl("report", "show", str(path)).out
    assert "versus VK_LOADER_LAYERS_DISABLE=~implicit~ NOT_THERE=" in shown
    assert "64 KiB: the other side takes " in shown
    for form, text in (("md", "- versus VK"), ("csv", "versus_low"), ("html", "versus VK_LOADER_LAYERS_DISABLE")):
        assert text in vkmapctl("report", "export", str(path), "--format", form).out


def test_the_environment_of_the_other_side_is_its_alone() -> None:
    """Here the layer sleeps for 300 us in each map, there for 3 ms: a sleep is never shorter than it should be."""
    driver = {**LAVAPIPE, "VKMAPCTL_LAYER_SLEEP_US": "300"}
    document = versus(
        "--inject", "map-sleeps", "--emulate", "placed", "--placed", "low4g", "--reserve",
        "--versus", "VKMAPCTL_LAYER_SLEEP_US=3000", "--fail-if", "versus>1.1", code=5, driver=driver,
    )  # fmt: skip
    (row,) = document["results"]
    assert row["map"]["min_ns"] < 3_000_000
    assert row["versus"]["ratios"]["ns_per_pair"][1] > 1.1
    assert row["versus"]["ratios"]["map.p50"][1] > 1.1
    assert any("versus>1.1: it is " in note["message"] for note in document["warnings"])


def test_a_slower_build_is_found(tmp_path: Path) -> None:
    """Both spin, the other for twice as many turns."""
    driver = icd(tmp_path, "vkMapMemory2=spin:200")
    document = versus("--versus", "VKMAPCTL_ICD=vkMapMemory2=spin:500", driver=driver)
    assert document["results"][0]["versus"]["ratios"]["ns_per_pair"][1] > 1.2


def test_two_drivers_of_one_machine(tmp_path: Path) -> None:
    other = {**icd(tmp_path), "VK_LOADER_DRIVERS_SELECT": ""}
    document = versus(
        *(word for name, value in other.items() for word in ("--versus", f"{name}={value}")), "--api", "all"
    )
    assert [row["api"] for row in document["results"]] == ["v1", "khr", "core"]
    assert all(row["versus"]["ratios"]["ns_per_pair"] for row in document["results"])


def test_repeated_each_pair_of_processes_is_kept() -> None:
    (row,) = versus("--versus", "X=1", "--repeat", "3", "--duration", "100ms")["results"]
    assert (len(row["repeats"]), len(row["versus"]["processes"])) == (3, 3)


@pytest.mark.parametrize(
    ("breaks", "status", "code", "reason"),
    [
        ("vkMapMemory2@2000=crash", "crashed", 6, "the other side: killed by SIGSEGV in vkMapMemory2"),
        ("vkMapMemory2@2000=hang", "hung", 6, "the other side: no progress for 2 s"),
        ("vkMapMemory2@2000=return:-5", "failed", 4, "the other side: VK_ERROR_MEMORY_MAP_FAILED"),
    ],
)
def test_a_side_that_breaks_is_told(tmp_path: Path, breaks: str, status: str, code: int, reason: str) -> None:
    """The row keeps what was measured here until its end."""
    document = versus("--versus", f"VKMAPCTL_ICD={breaks}", "--timeout", "2s", code=code, driver=icd(tmp_path, ""))
    (row,) = document["results"]
    assert row["status"] == status
    assert row["reason"].startswith(reason)
    assert row["pairs"] > 2000
    assert document["outcome"] == status


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--versus", "VK_DRIVER_FILES=/nowhere.json", "--versus", "VK_ICD_FILENAMES=/nowhere.json"), "with VK_DRIVER"),
        (tuple(word for one in RADV_NULL.items() for word in ("--versus", "=".join(one))), "RADV_FORCE_FAMILY=navi31"),
        (("--versus", "X=1", "--require", "placed"), "placed"),
    ],
)
def test_a_workload_that_is_not_possible_there_is_refused(arguments: tuple[str, ...], text: str) -> None:
    result = vkmapctl("stress", *SHORT, *arguments)
    assert result.code == 3
    (line,) = result.errors()
    assert text in line
    assert result.json()["outcome"] == "unsupported"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--versus", "no-value"), "is not NAME=VALUE"),
        (("--versus", "=1"), "is not NAME=VALUE"),
        (("--versus", "A=1", "--together"), "--versus excludes --together"),
        (("--fail-if", "versus>1.1"), "judges what --versus measures"),
        (("--versus", "A=1", "--fail-if", "versus.nothing>1"), "unknown metric"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], text: str) -> None:
    result = vkmapctl("stress", *SHORT, *arguments)
    assert (result.code, result.out) == (2, "")
    assert text in result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_rows_and_no_process(tmp_path: Path, number: signal.Signals) -> None:
    saved = tmp_path / "run.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", "stress", "--size", "4K", "--size", "8K", "--size", "16K", "--duration",
         "700ms", "--versus", "X=1", "--quiet", "--save", str(saved)],
        env=environment(LAVAPIPE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (saved.exists() and json.loads(saved.read_text())["results"]):
        time.sleep(0.02)
    workers = children(process.pid)
    assert len(workers) == 2
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    document = json.loads(saved.read_text())
    assert (process.returncode, document["outcome"]) == (130, "interrupted")
    assert document["results"][0]["status"] == "ok"
    assert document["results"][-1]["status"] in ("ok", "interrupted")
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []
