"""Rows while the device is busy, and round trips, on lavapipe: whole, lost, crashed, hung and interrupted ones."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from cli_runner import vkmapctl
from icd.build import icd
from test_stops import Job, to_command, to_group

SHORT = ("--duration", "100ms", "--warmup", "0s", "--quiet", "--json")
BUSY = ("stress", "--size", "1M", *SHORT, "--gpu-load", "copy")
TRIPS = """
[[job]]
size = "64K"
steps = [
  { op = "map" },
  { op = "to-host", size = 256 },
  { op = "to-device", offset = 4096, size = 1024 },
  { op = "verify", offset = 4096, size = 1024 },
  { op = "unmap" },
]
"""


@pytest.fixture
def trips(tmp_path: Path) -> str:
    path = tmp_path / "trips.toml"
    path.write_text(TRIPS)
    return str(path)


def rows(*arguments: str, code: int = 0, **options: Any) -> list[Any]:
    result = vkmapctl(*arguments, **options)
    assert result.code == code, result.err
    found: list[Any] = result.json()["results"]
    return found


@pytest.mark.parametrize(
    "flags",
    [
        ("--gpu-load", "fill"),
        ("--gpu-load", "copy", "--gpu-on", "mapped"),
        ("--gpu-load", "copy-from", "--gpu-on", "mapped", "--touch", "read"),
        ("--gpu-load", "copy", "--gpu-on", "mapped", "--map-size", "512K", "--touch", "write", "--live", "3"),
        ("--gpu-load", "copy", "--threads", "2", "--touch", "first"),
        ("--gpu-load", "copy", "--rate", "1000"),
        ("--gpu-load", "copy", "--emulate", "placed", "--placed", "--reserve"),
    ],
)
def test_idle_and_busy_stand_beside_each_other(flags: tuple[str, ...]) -> None:
    idle, busy = rows("stress", "--size", "1M", *SHORT, *flags)
    assert [row["status"] for row in (idle, busy)] == ["ok", "ok"]
    assert (idle["gpu_load"], idle["gpu_on"], idle["gpu"]) == ("none", "others", None)
    assert (busy["gpu_load"], busy["job"]) != (idle["gpu_load"], idle["job"])
    assert busy["gpu"]["submissions"] >= 3
    assert busy["gpu"]["bytes"] > busy["gpu"]["submissions"]
    assert busy["map"]["count"] > 0


def test_each_api_has_its_own_ratio_and_its_own_load() -> None:
    found = rows("stress", "--size", "64K", "--iterations", "200", *SHORT[2:], "--gpu-load", "fill", "--api", "all")
    assert [(row["api"], row["gpu_load"]) for row in found] == [
        (api, load) for api in ("v1", "khr", "core") for load in ("none", "fill")
    ]
    assert [row["ratio_to_v1"] is not None for row in found] == [False, False, True, True, True, True]
    assert [row["ratio_to_idle"] is not None for row in found] == [False, True] * 3
    assert len({row["gpu"]["submission_ns"] for row in found if row["gpu"]}) == 3


def test_what_the_device_writes_beside_is_no_mismatch() -> None:
    """The device fills one half while the other is verified."""
    flags = ("--touch", "verify", "--map-size", "512K", "--gpu-load", "fill", "--gpu-on", "mapped")
    _, busy = rows("stress", "--size", "1M", *SHORT, *flags)
    assert (busy["mismatches"], busy["verified_bytes"] > 0) == (0, True)


def test_objects_come_and_go_while_the_device_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    steps = ", ".join(f'{{ op = "{op}" }}' for op in ("allocate", "map", "first", "unmap", "free"))
    path.write_text(f'[[job]]\nsize = "64K"\ngpu_load = "copy"\nsteps = [{steps}]\n')
    idle, busy = rows("stress", str(path), *SHORT)
    assert idle["calls"]["allocate"]["count"] > 0
    assert busy["calls"]["free"]["count"] > 0


def test_a_script_says_what_it_works_on(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text('[[job]]\ngpu_load = "copy"\ngpu_on = "mapped"\nsteps = [{ op = "map" }, { op = "unmap" }]\n')
    result = vkmapctl("stress", str(path), "--quiet")
    assert result.code == 2
    assert "gpu_on means nothing beside steps" in result.errors()[0]


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["vkQueueSubmit", "vkWaitForFences"])
def test_a_device_that_is_lost_under_load_is_a_lost_row(tmp_path: Path, call: str) -> None:
    driver = icd(tmp_path, f"{call}@20=return:-4")
    idle, busy = rows(*BUSY, code=6, driver=driver)
    assert busy["status"] == "lost"
    assert busy["reason"].startswith(f"VK_ERROR_DEVICE_LOST in {call} of the GPU load")
    assert idle["status"] == "ok"


def test_a_driver_that_crashes_under_load_is_a_crashed_row(tmp_path: Path) -> None:
    found = rows(*BUSY, code=6, driver=icd(tmp_path, "vkQueueSubmit@20=crash"))
    assert "crashed" in {row["status"] for row in found}
    assert {row["status"] for row in found} <= {"crashed", "not-run"}


def test_a_fence_that_never_comes_is_a_hang(tmp_path: Path) -> None:
    driver = icd(tmp_path, "vkWaitForFences@20=hang")
    found = rows(*BUSY, "--timeout", "2s", code=6, driver=driver)
    assert {row["status"] for row in found} <= {"hung", "not-run"}
    assert any("vkWaitForFences of the GPU load" in row["reason"] for row in found)


@pytest.mark.parametrize("whom", [to_group, to_command])
def test_a_run_that_is_interrupted_under_load_leaves_no_process(tmp_path: Path, whom: Any) -> None:
    sizes = ("--size", "64K", "--size", "1M", "--size", "4M..64M")
    job = Job(tmp_path, "stress", *sizes, "--duration", "300ms", "--gpu-load", "copy")
    job.wait_for_rows(2)
    children = job.children()
    whom(job, signal.SIGINT)
    document, code = job.document()
    assert (code, document["outcome"]) == (130, "interrupted")
    assert {row["status"] for row in document["results"]} <= {"ok", "interrupted"}
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


# --- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_round_trips_are_timed_and_compared(trips: str, threads: int) -> None:
    (row,) = rows("stress", trips, *SHORT, "--threads", str(threads))
    there, back = row["calls"]["to-host"], row["calls"]["to-device"]
    assert there["count"] == back["count"] == row["map"]["count"] > 0
    assert row["verified_bytes"] >= there["count"] * (256 + 1024 + 1024)
    assert row["mismatches"] == 0


def test_every_api_makes_round_trips_on_the_same_object(trips: str) -> None:
    found = rows("stress", trips, *SHORT, "--api", "all")
    assert [(row["api"], row["status"], row["mismatches"]) for row in found] == [
        (api, "ok", 0) for api in ("v1", "khr", "core")
    ]


def test_a_load_does_not_share_the_only_queue_with_round_trips(trips: str) -> None:
    result = vkmapctl("stress", trips, *SHORT, "--gpu-load", "copy")
    assert result.code == 3
    assert "has one queue" in result.json()["results"][0]["reason"]


@pytest.mark.parametrize(("call", "status"), [("return:-4", "lost"), ("crash", "crashed")])
def test_a_round_trip_that_fails_is_the_rows(tmp_path: Path, trips: str, call: str, status: str) -> None:
    (row,) = rows("stress", trips, *SHORT, code=6, driver=icd(tmp_path, f"vkQueueSubmit@20={call}"))
    assert row["status"] == status
    assert re.search(r"in vkQueueSubmit or vkWaitForFences \(step \d, object 0", row["reason"])


def test_a_copy_that_did_not_arrive_is_a_mismatch(tmp_path: Path, trips: str) -> None:
    """One submission of a copy to the host does nothing, and its fence is over at once."""
    driver = icd(tmp_path, "vkQueueSubmit@11=return:0 vkWaitForFences@11=return:0")
    (row,) = rows("stress", trips, *SHORT, code=4, driver=driver)
    assert row["status"] == "failed"
    assert row["mismatches"] > 0
    assert "written was" in row["reason"]
