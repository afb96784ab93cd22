"""Presets, files and scripts on lavapipe; what needs placed maps goes through the test layer."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_runner import LAVAPIPE, vkmapctl
from icd.build import icd

from vkmapctl.plans.workload_file import presets

SHORT = ("--duration", "40ms", "--warmup", "2ms", "--quiet")
PLACED = ("--emulate", "placed")


def stress(*arguments: str, **options: Any) -> Any:
    result = vkmapctl("stress", *SHORT, "--json", *arguments, **options)
    assert result.code == 0, result.err
    return result.json()


def in_file(folder: Path, text: str) -> str:
    path = folder / "my.toml"
    path.write_text(text)
    return str(path)


def heap(folder: Path) -> dict[str, str]:
    """A driver whose heap is small enough to be filled on any machine."""
    return icd(folder, f"memoryHeaps[0].size={2 << 30} heapBudget[0]={1 << 30} heapUsage[0]=0")


@pytest.mark.parametrize("name", presets())
def test_every_preset_runs(name: str, tmp_path: Path) -> None:
    document = stress(name, *PLACED, driver=heap(tmp_path) if name == "pressure" else None)
    assert document["workload"]["name"] == name
    assert document["results"]
    for row in document["results"]:
        assert (row["status"], row["mismatches"]) == ("ok", 0)
        if row["import"] == "host":
            assert row["calls"]["import"]["count"] == row["calls"]["free"]["count"] > 0
        else:
            assert row["map"]["count"] == row["unmap"]["count"] > 0


@pytest.mark.parametrize("name", sorted(set(presets()) - {"low4g", "reserve-churn"}))
def test_presets_need_no_placed_maps(name: str, tmp_path: Path) -> None:
    document = stress(name, driver=heap(tmp_path) if name == "pressure" else None)
    assert {row["status"] for row in document["results"]} <= {"ok", "not-run"}
    assert document["outcome"] == "ok"


def test_an_import_stands_beside_a_map_where_there_are_no_placed_maps() -> None:
    result = vkmapctl("stress", "host-import", *SHORT, "--json")
    statuses = {row["part"]: row["status"] for row in result.json()["results"]}
    assert (result.code, statuses) == (0, {"map": "ok", "import": "ok", "placed map": "not-run", "allocate": "ok"})


def test_parts_that_a_driver_cannot_run_are_rows_that_say_why() -> None:
    result = vkmapctl("stress", "reserve-churn", *SHORT, "--json")
    statuses = [(row["part"], row["status"]) for row in result.json()["results"]]
    assert result.code == 3
    assert ("plain", "ok") in statuses
    assert ("ping-pong", "unsupported") in statuses


def test_a_preset_that_no_part_can_run_is_refused() -> None:
    result = vkmapctl("stress", "low4g", *SHORT)
    assert (result.code, len(result.errors())) == (3, 1)
    assert "memoryMapPlaced" in result.errors()[0]


@pytest.mark.parametrize("name", presets())
def test_check_tells_rows_memory_and_time_without_running(name: str) -> None:
    result = vkmapctl("workloads", "check", name, *PLACED)
    assert result.code == 0, result.err
    assert "at a time, about" in result.out.splitlines()[-1]


def test_check_counts_what_will_be_allocated() -> None:
    plan = json.loads(vkmapctl("workloads", "check", "live-set", "--json").out)
    assert plan["memory_bytes"] == 4000 * 4096
    assert [row["job"]["live"] for row in plan["rows"]] == [16, 256, 1024, 4000]


def test_a_wrong_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = in_file(tmp_path, '[[job]]\n[[job]]\nname = "b"\ntouhc = "read"\n')
    for arguments in (("stress", path), ("workloads", "check", path)):
        result = vkmapctl(*arguments)
        assert result.code == 2
        assert result.errors() == [f"Error: {path}: job 2 ('b'): unknown key 'touhc'; did you mean 'touch'?"]


SCRIPT = """
[[job]]
name = "all steps"
objects = ["64K", "1M"]
iterations = 20
steps = [
  { op = "reserve", range = "low", size = "64K", address = "low2g" },
  { op = "map", object = 0, placed = "low" },
  { op = "map", object = 1, offset = "4K", size = "8K" },
  { op = "write", object = 0 },
  { op = "write", object = 1, offset = "8K", size = 100 },
  { op = "flush", object = 0 },
  { op = "pause", duration = "50us" },
  { op = "unmap", object = 0, reserve = true },
  { op = "unmap", object = 1 },
  { op = "repeat", times = 5, steps = [
    { op = "map", object = 0, placed = "low" },
    { op = "invalidate", object = 0 },
    { op = "verify", object = 0 },
    { op = "unmap", object = 0, reserve = true },
  ] },
  { op = "release", range = "low" },
  { op = "map", object = 1 },
  { op = "verify", object = 1, offset = "8K", size = 100 },
  { op = "read", object = 1 },
  { op = "first", object = 1 },
  { op = "unmap", object = 1, reserve = true },
  { op = "release", object = 1 },
]
[[job]]
name = "come and go"
iterations = 20
size = "256K"
threads = 2
steps = [{ op = "allocate" }, { op = "map" }, { op = "write" }, { op = "unmap" }, { op = "free" }]
"""


def test_a_script_runs_every_step(tmp_path: Path) -> None:
    document = vkmapctl("stress", in_file(tmp_path, SCRIPT), *PLACED, "--json", "--quiet").json()
    scripted, fresh = document["results"]
    assert [row["status"] for row in (scripted, fresh)] == ["ok", "ok"]
    assert (scripted["pairs"], scripted["map"]["count"]) == (20 * 8, 20 * 8)
    assert (fresh["pairs"], fresh["map"]["count"]) == (20 * 2, 20 * 2)
    assert scripted["verified_bytes"] >= 2 * 20 * (5 * 65536 + 100)


def test_a_script_that_the_driver_spoils_is_caught(tmp_path: Path) -> None:
    result = vkmapctl("stress", in_file(tmp_path, SCRIPT), *PLACED, "--inject", "bit-flip", "--json", "--quiet")
    row = result.json()["results"][0]
    assert (result.code, row["status"]) == (4, "failed")
    assert "of the allocation is" in row["reason"]


def test_memory_that_cannot_be_had_ends_a_script_in_words(tmp_path: Path) -> None:
    text = '[[job]]\nsteps = [{ op = "allocate" }, { op = "map" }, { op = "unmap" }, { op = "free" }]'
    result = vkmapctl("stress", in_file(tmp_path, text), *SHORT, "--inject", "out-of-memory", "--json")
    (row,) = result.json()["results"]
    assert (result.code, row["status"]) == (3, "out-of-memory")
    assert "VK_ERROR_OUT_OF_DEVICE_MEMORY in vkAllocateMemory (step 0" in row["reason"]


def test_the_same_file_and_seed_give_the_same_calls(tmp_path: Path) -> None:
    """An injected fault that strikes at the n-th call of its kind meets the same step each time."""
    path = in_file(
        tmp_path,
        '[[job]]\nsize = "64K"\nobjects = 4\ndraws = 200\nsteps = [{ op = "map", object = "any" }, '
        '{ op = "unmap", object = "any" }, { op = "write", object = "any", size = 64 }]',
    )

    def outcome(seed: int) -> tuple[Any, ...]:
        arguments = ("--iterations", "3", "--inject", "map-fails:50", "--seed", str(seed), "--json", "--quiet")
        (row,) = vkmapctl("stress", path, *arguments).json()["results"]
        return row["status"], row["reason"], row["pairs"]

    assert outcome(1) == outcome(1)
    assert len({outcome(seed) for seed in range(1, 5)}) > 1


def test_soak_says_how_it_goes_and_stops_at_a_mismatch() -> None:
    arguments = ("stress", "soak", "--duration", "1h", "--inject", "bit-flip:20000", "--json")
    result = vkmapctl(*arguments)
    (row,) = result.json()["results"]
    assert (result.code, row["status"]) == (4, "failed")
    assert row["mismatches"] > 0


def test_soak_stops_at_a_leak_with_evidence(tmp_path: Path) -> None:
    text = '[[job]]\nsize = "64K"\nduration = "1h"\nperiod = "100ms"\nrate = 500\n'
    result = vkmapctl("stress", in_file(tmp_path, text), "--inject", "leak", "--json")
    (row,) = result.json()["results"]
    assert (result.code, row["status"]) == (4, "failed")
    assert row["reason"].startswith("leak: ")
    assert "mappings grew in each of the last" in row["reason"]
    assert "round 3 of 36000: " in result.err


def test_a_sound_driver_leaks_nothing(tmp_path: Path) -> None:
    text = '[[job]]\nsize = "64K"\nlive = 4\nduration = "1500ms"\nperiod = "100ms"\ntouch = "verify"\n'
    result = vkmapctl("stress", in_file(tmp_path, text), *PLACED, "--json")
    assert result.code == 0, result.err


def test_a_rate_counts_from_the_moment_that_a_cycle_was_due(tmp_path: Path) -> None:
    """A pause of 5 ms in each cycle, one due each 2 ms: calls stay quick, and each cycle is later than the last."""
    text = (
        '[[job]]\nsize = "64K"\nrate = 500\nduration = "400ms"\n'
        'steps = [{ op = "map" }, { op = "pause", duration = "5ms" }, { op = "unmap" }]'
    )
    result = vkmapctl("stress", in_file(tmp_path, text), "--json", "--quiet")
    (row,) = result.json()["results"]
    assert row["map"]["p50_ns"] < 1e5
    assert row["response"]["p50_ns"] > 50e6
    assert row["response"]["max_ns"] > 200e6
    assert row["missed_cycles"] > 0
    assert row["response"]["count"] + row["missed_cycles"] == 201
    assert "rate-missed" in [note["code"] for note in result.json()["warnings"]]


def test_after_a_gap_the_calls_are_timed_and_no_time_per_pair_is_given(tmp_path: Path) -> None:
    """The rate pass sleeps too: its pairs per second are real, but a mean over them would be the gap."""
    path = in_file(tmp_path, '[[job]]\nsize = "64K"\napi = "all"\ngap = [0, "2ms"]\n')
    document = stress(path, "--duration", "200ms")
    at_once, apart = document["results"][:3], document["results"][3:]
    assert all(row["ns_per_pair"] and row["pairs_per_second"] > 10_000 for row in at_once)
    for row in apart:
        assert (row["gap_seconds"], row["ns_per_pair"], row["rounds_ns_per_pair"]) == (0.002, None, [])
        assert row["ratio_to_v1"] is None
        assert 0 < row["pairs_per_second"] <= 500
        assert row["map"]["count"] == row["unmap"]["count"] > 0
        assert row["map"]["p50_ns"] < 1_000_000, "the gap is not part of the call"


def test_a_rate_is_kept() -> None:
    (row,) = stress("--rate", "2000", "--duration", "500ms", "--size", "64K")["results"]
    assert 950 <= row["pairs"] <= 1001
    assert row["pairs_per_second"] == pytest.approx(2000, rel=0.05)
    assert row["ns_per_pair"] is None
    assert row["missed_cycles"] == 0


def test_a_size_sweep_has_its_verdict() -> None:
    result = vkmapctl("stress", "size-sweep", *SHORT, "--plot")
    assert result.code == 0, result.err
    assert "map is O(1): p50 grows as size^" in result.out
    assert "p50 of map by size" in result.out


def test_first_touch_counts_faults_where_memory_is_fresh() -> None:
    rows = {row["part"]: row for row in stress("first-touch", "--size", "4M")["results"]}
    fresh = rows["fresh memory"]["page_faults"]
    assert fresh["minor"] >= 1024
    assert fresh["major"] == 0
    assert rows["still mapped"]["page_faults"]["minor"] < fresh["minor"]


def test_memory_types_stand_beside_malloc() -> None:
    rows = stress("memory-types", "--size", "1M")["results"]
    rates = {(row["memory_type"], row["touch"]): row["touch_bytes_per_second"] for row in rows}
    assert set(rates) == {(-1, "write"), (-1, "read"), (0, "write"), (0, "read"), (0, "none")}
    assert rates[(-1, "write")]["write"] > 1e8
    assert rates[(0, "read")]["read"] > 1e8


def test_limits_in_a_file_are_judged(tmp_path: Path) -> None:
    result = vkmapctl("stress", in_file(tmp_path, '[[job]]\nfail_if = ["map.p50<1s"]\nsize = "4K"'), *SHORT)
    assert result.code == 5
    assert "map.p50<1s" in result.out


def test_together_on_two_devices_shows_what_sharing_costs(tmp_path: Path) -> None:
    driver = icd(tmp_path, r"deviceUUID=\x01 deviceName=Other", beside=True)
    path = str(tmp_path / "run.json")
    result = vkmapctl("stress", *SHORT, "--size", "64K", "--size", "1M", "--together", "--save", path, driver=driver)
    assert result.code == 0, result.err
    assert "What sharing costs (2 devices" in result.out
    rows = json.loads(Path(path).read_text())["results"]
    assert sorted((row["device"], row["together"]) for row in rows) == sorted(
        [(device, together) for device in (0, 1) for together in (1, 2)] * 2
    )
    compared = vkmapctl("report", "compare", path)
    assert "Devices side by side" in compared.out
    assert vkmapctl("report", "show", path).out == result.out


def test_together_on_one_device_says_that_nothing_is_shared() -> None:
    result = vkmapctl("stress", *SHORT, "--size", "64K", "--together", driver=LAVAPIPE)
    assert result.code == 0
    assert "it has nothing to share with" in result.out


def test_show_is_what_was_shown_first(tmp_path: Path) -> None:
    path = str(tmp_path / "run.json")
    first = vkmapctl("stress", "low4g", *PLACED, *SHORT, "--save", path)
    assert first.code == 0
    assert vkmapctl("report", "show", path).out == first.out
