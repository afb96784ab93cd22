"""stress on lavapipe and through the test layer, as users and CI call it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_runner import LAVAPIPE, RADV_NULL, environment, vkmapctl
from processes import children, runs

from vkmapctl import native

BRIEF = ("--warmup", "10ms", "--quiet")
SHORT = ("--duration", "150ms", *BRIEF)


def stress(*arguments: str, **options: Any) -> Any:
    """A short run's document; its outcome must be ok."""
    result = vkmapctl("stress", *(BRIEF if "--iterations" in arguments else SHORT), "--json", *arguments, **options)
    assert result.code == 0, result.err
    return result.json()


def rows(document: Any, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(row[key] for key in keys) for row in document["results"]]


def test_all_apis_take_turns_and_have_a_ratio_to_v1() -> None:
    document = stress("--size", "1M", "--api", "all")
    assert rows(document, "api", "status") == [("v1", "ok"), ("khr", "ok"), ("core", "ok")]
    for row in document["results"]:
        assert row["pairs"] > 1000
        assert row["map"]["count"] == row["unmap"]["count"] > 100
        assert sum(n for _, n in row["map"]["histogram"]["bins"]) == row["map"]["count"]
    assert document["results"][0]["ratio_to_v1"] is None
    middle, low, high = document["results"][2]["ratio_to_v1"]
    assert low <= middle <= high
    assert document["floor"]["timer_ns"] > 0
    assert document["floor"]["call_ns"] > 0


def test_sweep_has_a_row_for_every_combination() -> None:
    document = stress("--size", "64K", "--size", "1M", "--offset", "0", "--offset", "17")
    assert rows(document, "allocation_size", "offset") == [
        (65536, 0),
        (65536, 17),
        (1048576, 0),
        (1048576, 17),
    ]


@pytest.mark.parametrize("touch", ["first", "write", "read", "verify"])
def test_touch(touch: str) -> None:
    (row,) = stress("--size", "64K", "--offset", "4097", "--map-size", "9001", "--touch", touch)["results"]
    rates = row["touch_bytes_per_second"]
    assert (rates["write"] is not None) == (touch in ("write", "verify"))
    assert (row["first_touch_ns_per_page"] is not None) == (touch == "first")
    assert (rates["read"] is not None) == (touch in ("read", "verify"))
    assert (row["verified_bytes"] > 0) == (touch == "verify")
    assert row["mismatches"] == 0


@pytest.mark.parametrize("touch", ["write", "read"])
@pytest.mark.parametrize("width", ["1", "8", "16", "32", "64", "memcpy", "stream"])
def test_a_width_is_measured_or_refused_where_the_cpu_lacks_it(touch: str, width: str) -> None:
    result = vkmapctl("stress", *SHORT, "--json", "--size", "1M", "--touch", touch, "--width", width)
    (row,) = result.json()["results"]
    if native.access_bytes(width):
        assert (result.code, row["status"]) == (0, "ok")
        assert row["touch_bytes_per_second"][touch] > 0
    else:
        assert (result.code, row["status"]) == (3, "unsupported")
        assert f"no loads and stores of --width {width}" in row["reason"]
    assert row["write_way"] == ""


def test_how_the_pattern_was_written_is_saved() -> None:
    (small,) = stress("--size", "64K", "--touch", "write")["results"]
    assert small["write_way"] == "vector stores"
    (large,) = stress("--size", "16M", "--touch", "verify")["results"]
    assert large["write_way"] in ("vector stores", "non-temporal stores")
    assert (large["verified_bytes"] > 0, large["mismatches"]) == (True, 0)


def test_iterations_are_counted_exactly() -> None:
    document = stress("--size", "64K", "--iterations", "1234", "--offset", "random", "--map-size", "1", "--api", "all")
    assert [(row["pairs"], row["map"]["count"]) for row in document["results"]] == [(1234, 1234)] * 3


def test_threads_and_live_objects_add_up() -> None:
    (row,) = stress("--size", "64K", "--iterations", "50", "--threads", "2", "--live", "7")["results"]
    assert row["pairs"] == row["map"]["count"] == 50 * 2 * 7


@pytest.mark.parametrize("place", ["any", "low4g", "low2g", "0x100000000000"])
@pytest.mark.parametrize("reserve", [True, False])
def test_placed_maps_through_the_layer(place: str, reserve: bool) -> None:
    flags = ["--reserve"] if reserve else []
    document = stress("--emulate", "placed", "--placed", place, *flags, "--touch", "verify", "--size", "64K")
    (row,) = document["results"]
    assert (row["placed"], row["reserve"], row["api"]) == (place, reserve, "core")
    assert document["devices"][0]["placed"]["emulated"] is True


def test_reserve_without_placed_leaves_no_range_behind() -> None:
    (row,) = stress("--emulate", "placed", "--reserve", "--size", "64K", "--live", "5")["results"]
    assert row["map"]["count"] > 0


def test_placed_range_with_the_range_feature() -> None:
    arguments = ("--placed", "--offset", "8K", "--map-size", "4K", "--touch", "verify", "--size", "64K")
    stress("--emulate", "range", *arguments)
    refused = vkmapctl("stress", *SHORT, "--emulate", "placed", *arguments)
    assert refused.code == 3
    assert "memoryMapRangePlaced" in refused.errors()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--placed"], 3, "memoryMapPlaced"),
        (["--reserve"], 3, "memoryUnmapReserve"),
        (["--size", "0"], 2, "size"),
        (["--offset", "1G"], 2, "not inside an allocation"),
        (["--size", "64K", "--map-size", "65K"], 2, "beyond"),
        (["--memory-type", "77"], 2, "no memory type 77"),
        (["--memory-type", "wobbly"], 2, "unknown memory type"),
        (["--size", "500T"], 3, "does not fit"),
        (["--size", "64K", "--live", "1000000"], 3, "does not fit"),
        (["--device", "nvidia"], 3, "no device matches"),
        (["--fail-if", "nonsense"], 2, "not a condition"),
        (["--duration", "0s"], 2, "longer than 0"),
    ],
)
def test_refused_before_anything_is_allocated(arguments: list[str], code: int, text: str) -> None:
    result = vkmapctl("stress", *arguments)
    assert result.code == code
    assert len(result.errors()) == 1
    assert text in result.errors()[0]
    assert result.out == ""


def test_a_device_without_memory_types_is_refused() -> None:
    result = vkmapctl("stress", driver=RADV_NULL)
    assert (result.code, len(result.errors())) == (3, 1)


def test_threshold() -> None:
    assert vkmapctl("stress", *SHORT, "--fail-if", "map.p50>1h").code == 0
    result = vkmapctl("stress", *SHORT, "--fail-if", "map.p50>1ns")
    assert result.code == 5
    assert "map.p50>1ns" in result.out
    assert vkmapctl("stress", *BRIEF, "--iterations", "5", "--fail-if", "map.p999>1h").code == 5


@pytest.mark.parametrize(
    ("arguments", "code", "outcome", "reason"),
    [
        (["--inject", "map-fails:100"], 4, "failed", "VK_ERROR_MEMORY_MAP_FAILED"),
        (["--inject", "unmap2-fails:100"], 4, "failed", "VK_ERROR_MEMORY_MAP_FAILED"),
        (["--inject", "bit-flip:20", "--touch", "verify"], 4, "failed", "written was"),
        (["--inject", "contents-lost:20", "--touch", "verify"], 4, "failed", "written was"),
        (["--inject", "shared-address", "--live", "3"], 4, "failed", "share addresses"),
        (["--inject", "misaligned-pointer"], 4, "failed", "not aligned"),
        (["--inject", "place-elsewhere:30", "--placed"], 4, "failed", "another address"),
        (["--inject", "reserve-lets-go:30", "--placed", "--reserve"], 4, "failed", "was free"),
        (["--inject", "device-lost:30"], 6, "lost", "VK_ERROR_DEVICE_LOST"),
        (["--inject", "map-crashes:9000"], 6, "crashed", "SIGSEGV in vkMapMemory2"),
        (["--inject", "map-aborts:9000"], 6, "crashed", "SIGABRT in vkMapMemory2"),
        (["--inject", "map-hangs:9000", "--timeout", "1s"], 6, "hung", "in vkMapMemory2"),
        (["--inject", "map-sleeps", "--fail-if", "map.p50>1ms"], 5, "missed", ""),
    ],
)
def test_injected_fault_is_caught(arguments: list[str], code: int, outcome: str, reason: str) -> None:
    result = vkmapctl(
        "stress", *SHORT, "--duration", "1s", "--json", "--emulate", "placed", "--size", "64K", *arguments
    )
    document = result.json()
    assert (result.code, document["outcome"], document["exit_code"]) == (code, outcome, code)
    assert reason in document["results"][0]["reason"]


def test_a_leak_of_mappings_is_counted() -> None:
    document = stress("--emulate", "placed", "--inject", "leak", "--size", "64K", "--iterations", "500")
    assert "mappings-left" in [note["code"] for note in document["warnings"]]
    assert "mappings-left" not in json.dumps(stress("--emulate", "placed", "--size", "64K", "--iterations", "500"))


def test_the_rows_before_and_after_a_crash_are_kept() -> None:
    result = vkmapctl(
        "stress", "--json", "--quiet", "--warmup", "0s", "--iterations", "20", "--emulate", "placed",
        "--size", "4K", "--size", "8K", "--size", "16K", "--inject", "map-crashes:60",
    )  # fmt: skip
    statuses = [row["status"] for row in result.json()["results"]]
    assert statuses == ["ok", "crashed", "ok"]


def test_rows_and_histograms_survive_an_interrupt(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for number in (signal.SIGINT, signal.SIGTERM):
        process = _start("--duration", "60s", "--save", str(path), "--force")
        _wait_until_measuring(process)
        process.send_signal(number)
        assert process.wait(10) == 130
        saved = json.loads(path.read_text())
        assert (saved["outcome"], saved["exit_code"]) == ("interrupted", 130)
        assert saved["results"][0]["pairs"] > 0
        assert children(process.pid) == []


def test_the_worker_dies_with_a_killed_parent() -> None:
    process = _start("--duration", "60s")
    _wait_until_measuring(process)
    (worker,) = children(process.pid)
    process.kill()
    process.wait(10)
    deadline = time.monotonic() + 5
    while runs(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(worker)


def test_saved_file_exists_before_the_measuring_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    process = _start("--duration", "60s", "--save", str(path))
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert json.loads(path.read_text())["results"] == []
    process.terminate()
    process.wait(10)
    assert os.listdir(tmp_path) == ["run.json"]


def _start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", "stress", *arguments],
        env=environment(LAVAPIPE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _wait_until_measuring(process: "subprocess.Popen[str]") -> None:
    """Until the worker has used a second of processor time or so: it is then inside the loop."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in children(process.pid):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            if int(fields[11]) + int(fields[12]) > 80:
                return
        time.sleep(0.05)
    raise AssertionError("the worker does not measure")
