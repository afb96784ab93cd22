"""Traces replayed as users replay them: threads that hand objects over, what the driver lacks, and what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_runner import LAVAPIPE, environment, vkmapctl
from icd.build import icd
from processes import children

LAVAPIPES = {"flags": ["De", "Vi", "Co", "Ca"]}
PLACED = ("--emulate", "placed")


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items() if one is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def written(folder: Path, *threads: list[dict[str, Any]], job: str = "", **trace: Any) -> str:
    """The file of a workload that replays these threads."""
    path = folder / "mine.toml"
    whole = {"memory": [LAVAPIPES], "objects": 4, "threads": list(threads)} | trace
    path.write_text(f'[[job]]\nname = "mine"\n{job}\ntrace = {toml(whole)}\n')
    return str(path)


def replayed(path: str, *arguments: str, code: int = 0, **options: Any) -> Any:
    result = vkmapctl("stress", path, "--quiet", "--json", *arguments, **options)
    assert result.code == code, result.err or result.out
    return result.json()


def the_row(path: str, *arguments: str, code: int = 0, **options: Any) -> Any:
    (row,) = replayed(path, *arguments, code=code, **options)["results"]
    return row


def allocate(number: int = 0, size: int = 65536, **more: Any) -> dict[str, Any]:
    return {"op": "allocate", "object": number, "size": size} | more


def a_map(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"op": "map", "object": number} | more


def unmap(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"op": "unmap", "object": number} | more


def free(*number: int) -> dict[str, Any]:
    return {"op": "free"} | ({"object": number[0]} if number else {})


def touch(number: int = 0, offset: int = 0, size: int = 65536) -> dict[str, Any]:
    return {"op": "touch", "object": number, "offset": offset, "size": size}


def flush(*ranges: dict[str, Any], op: str = "flush", **more: Any) -> dict[str, Any]:
    return {"op": op, "ranges": list(ranges)} | more


def signal_to(thread: int) -> dict[str, Any]:
    return {"op": "signal", "to": thread}


def wait_for(thread: int) -> dict[str, Any]:
    return {"op": "wait", "of": thread}


def repeat(times: int, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"op": "repeat", "times": times, "steps": list(steps)}


# Two threads: one makes objects, the other touches, flushes and frees them while they are mapped; ends stay open.
HANDED_OVER = (
    [repeat(200, allocate(), a_map(api="core"), signal_to(1), wait_for(1)), allocate(1), a_map(1)],
    [
        repeat(200, wait_for(0), touch(), flush({"object": 0}, {"object": 0, "offset": 4096, "size": 4096}), free(0),
               signal_to(0)),
        free(),
    ],
)  # fmt: skip


def test_threads_hand_objects_over(tmp_path: Path) -> None:
    row = the_row(written(tmp_path, *HANDED_OVER))
    assert (row["status"], row["threads"], row["pairs"], row["ns_per_pair"]) == ("ok", 2, 0, None)
    calls = {"map": 201, "allocate": 201, "free": 201, "flush": 200}
    assert row["replay"]["calls"] == calls
    found = {"map": row["map"]["count"]} | {call: one["count"] for call, one in row["calls"].items()}
    assert found == calls
    assert (row["unmap"], row["errors"], row["replay"]["skipped"], row["replay"]["replaced"]) == (None, {}, 0, [])
    assert row["first_touch"]["pages"] == 200 * 16
    assert sum(row["page_faults"].values()) >= 200 * 16
    assert row["seconds"] > 0


def test_it_is_replayed_as_often_as_asked(tmp_path: Path) -> None:
    path = written(tmp_path, *HANDED_OVER, job="iterations = 3")
    assert the_row(path)["replay"]["calls"]["map"] == 3 * 201
    assert the_row(path, "--iterations", "2")["replay"]["calls"]["map"] == 2 * 201
    row = the_row(path, "--repeat", "2")
    assert (row["replay"]["calls"]["map"], row["map"]["count"], len(row["repeats"])) == (6 * 201, 6 * 201, 2)


def test_every_kind_of_call(tmp_path: Path) -> None:
    steps = [
        allocate(0, kind="device-address"), allocate(1, kind="dedicated"), allocate(2, kind="host"),
        *(step for api in ("v1", "khr", "core") for step in (a_map(0, api=api), unmap(0, api=api))),
        a_map(1, offset=4096, size=8192), touch(1, 4096, 8192),
        flush({"object": 1, "offset": 4096, "size": 4096}), flush({"object": 1, "offset": 4096}, op="invalidate"),
        a_map(2), touch(2), free(2), free(1), free(0),
    ]  # fmt: skip
    row = the_row(written(tmp_path, steps))
    made = {"map": 5, "unmap": 3, "allocate": 2, "free": 3, "flush": 1, "invalidate": 1, "import": 1}
    assert (row["status"], row["replay"]["calls"], row["replay"]["replaced"]) == ("ok", made, [])


def test_times_between_calls_are_kept_where_asked(tmp_path: Path) -> None:
    steps = [allocate(), repeat(20, {"op": "gap", "ns": 10_000_000, "busy": 1_000_000}, a_map(), unmap())]
    path = written(tmp_path, steps, seconds=0.2)
    row = the_row(path, "--pace", "recorded")
    assert (row["pace"], row["replay"]["recorded_seconds"]) == ("recorded", 0.2)
    assert row["seconds"] >= 0.2
    assert the_row(path)["pace"] == "full"


def test_a_call_that_failed_in_the_recording(tmp_path: Path) -> None:
    """It is made too: where it succeeds it is undone, and a recorded failure is no failure of this driver."""
    steps = [allocate(), a_map(result="VK_ERROR_MEMORY_MAP_FAILED"), a_map(), unmap()]
    row = the_row(written(tmp_path, steps))
    assert (row["status"], row["replay"]["differs"], row["errors"]) == ("ok", 1, {})
    assert (row["replay"]["calls"]["map"], row["map"]["count"]) == (2, 1)
    row = the_row(written(tmp_path, steps), driver=icd(tmp_path, "vkMapMemory@1=return:-5"))
    assert (row["status"], row["replay"]["differs"], row["errors"], row["map"]["count"]) == ("ok", 0, {}, 1)


def test_a_call_that_fails_here_is_counted_and_what_follows_is_skipped(tmp_path: Path) -> None:
    cycle = [allocate(), a_map(api="core"), touch(), unmap(api="core"), free(0)]
    driver = icd(tmp_path, "vkMapMemory2@3=return:-5")
    path = tmp_path / "run.json"
    row = the_row(written(tmp_path, [repeat(5, *cycle)]), "--save", str(path), code=4, driver=driver)
    assert (row["status"], row["errors"]) == ("failed", {"VK_ERROR_MEMORY_MAP_FAILED": 1})
    assert row["reason"].startswith("VK_ERROR_MEMORY_MAP_FAILED in vkMapMemory2 (thread 0, step 2, object 0)")
    assert row["replay"]["skipped"] == 2
    assert (row["replay"]["calls"]["map"], row["replay"]["calls"]["unmap"], row["map"]["count"]) == (5, 4, 4)
    shown = vkmapctl("report", "show", str(path)).out
    assert "steps left out after calls that failed here and not in the recording: 2" in shown


def test_placed_maps_and_reserve(tmp_path: Path) -> None:
    """Two objects beside each other below 4 GiB, one of them freed while it is there."""
    page = 65536
    placed = [
        allocate(0, page), allocate(1, page), a_map(0, api="khr", placed=0), a_map(1, api="core", placed=0, at=page),
        touch(0, 0, page), touch(1, 0, page), unmap(0, api="khr", reserve=True), a_map(0, api="khr", placed=0),
        unmap(0, api="core"), free(1), a_map(0, api="core", placed=0, at=page), touch(0, 0, page),
    ]  # fmt: skip
    path = written(tmp_path, [repeat(10, *placed, unmap(0, api="core"), free(0))],
                   ranges=[{"size": 2 * page, "low": True}])  # fmt: skip
    row = the_row(path, *PLACED)
    assert (row["status"], row["replay"]["replaced"], row["replay"]["skipped"]) == ("ok", [], 0)
    assert (row["map"]["count"], row["unmap"]["count"], row["first_touch"]["pages"]) == (40, 30, 30 * 16)
    plain = the_row(path)
    assert plain["replay"]["replaced"] == [
        "placed maps are plain ones: the feature memoryMapPlaced is missing",
        "unmaps with reserve are plain ones: the feature memoryUnmapReserve is missing",
    ]
    assert (plain["status"], plain["map"]["count"], plain["replay"]["skipped"]) == ("ok", 40, 0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("place-elsewhere", "landed at another address"),
        ("reserve-lets-go", "was free after an unmap with reserve"),
        ("tramples-neighbours", "were replaced too"),
    ],
)
def test_faults_of_placed_maps_are_found(tmp_path: Path, fault: str, reason: str) -> None:
    steps = [allocate(), a_map(api="core", placed=0), unmap(api="core", reserve=True)]
    path = written(tmp_path, steps, ranges=[{"size": 65536}])
    row = the_row(path, *PLACED, "--inject", fault, code=4)
    assert row["status"] == "failed"
    assert reason in row["reason"]


def test_a_memory_type_that_this_device_lacks(tmp_path: Path) -> None:
    """Its only type is visible and coherent, and neither local nor cached."""
    driver = icd(tmp_path, "memoryTypes[0].propertyFlags=0x6")
    memory = [LAVAPIPES, {"flags": ["Vi", "Co"]}, {"flags": ["De"]}]
    steps = [step for i in range(3) for step in (allocate(i, memory=i), *([a_map(i)] if i < 2 else []))]
    row = the_row(written(tmp_path, steps, memory=memory), driver=driver)
    assert (row["status"], row["map"]["count"], row["calls"]["allocate"]["count"]) == ("ok", 2, 3)
    assert row["replay"]["replaced"] == [
        "memory type De Vi Co Ca is #0 Vi Co",
        "memory type De is #0 Vi Co",
    ]


def test_functions_that_this_device_lacks(tmp_path: Path) -> None:
    driver = icd(tmp_path, f"apiVersion={1 << 22 | 3 << 12} rename=VK_KHR_map_memory2:VK_KHR_no_such_thing")
    row = the_row(written(tmp_path, *HANDED_OVER), driver=driver)
    assert (row["status"], row["api"], row["map"]["count"]) == ("ok", "v1", 201)
    assert row["replay"]["replaced"] == ["vkMapMemory2 and vkUnmapMemory2 are vkMapMemory and vkUnmapMemory"]


def test_a_crash_names_the_step(tmp_path: Path) -> None:
    driver = icd(tmp_path, "vkMapMemory2@50=crash")
    row = the_row(written(tmp_path, *HANDED_OVER), code=6, driver=driver)
    assert row["status"] == "crashed"
    assert row["reason"].startswith("killed by SIGSEGV in vkMapMemory2 (thread 0, step 2, object 0)")
    assert row["map"]["count"] == 49
    assert row["replay"]["calls"]["free"] == 49


def test_a_hang_names_the_call_and_not_who_waits_for_it(tmp_path: Path) -> None:
    driver = icd(tmp_path, "vkFreeMemory@20=hang")
    row = the_row(written(tmp_path, *HANDED_OVER), "--timeout", "2s", code=6, driver=driver)
    assert row["status"] == "hung"
    assert "in vkFreeMemory (thread 1, step 4, object 0)" in row["reason"]


def test_a_long_gap_is_no_hang(tmp_path: Path) -> None:
    path = written(tmp_path, [allocate(), {"op": "gap", "ns": 3_000_000_000}, a_map(), signal_to(1)], [wait_for(0)])
    row = the_row(path, "--pace", "recorded", "--timeout", "1s")
    assert (row["status"], row["map"]["count"]) == ("ok", 1)


def test_an_interrupt_leaves_what_was_counted(tmp_path: Path) -> None:
    steps = [repeat(400_000_000, a_map(), unmap())]
    saved = tmp_path / "it.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", "stress", written(tmp_path, [allocate(), *steps]), "--quiet", "--json",
         "--save", str(saved)],
        env=environment(LAVAPIPE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (saved.exists() and json.loads(saved.read_text())["floor"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children(process.pid)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    (row,) = json.loads(out)["results"]
    assert (process.returncode, row["status"], err) == (130, "interrupted", "")
    assert row["replay"]["calls"]["map"] > 0
    assert row["replay"]["calls"]["map"] - row["replay"]["calls"]["unmap"] in (0, 1)


def test_conditions_judge_it(tmp_path: Path) -> None:
    path = written(tmp_path, *HANDED_OVER, job='fail_if = ["flush.p50>1h"]')
    assert replayed(path)["outcome"] == "ok"
    assert replayed(path, "--fail-if", "free.p50>0ns", code=5)["outcome"] == "missed"
    refused = vkmapctl("stress", path, "--fail-if", "invalidate.p50>1us")
    assert (refused.code, len(refused.errors())) == (2, 1)


def test_what_means_nothing_for_a_trace_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, *HANDED_OVER)
    for flags in (
        ("--size", "4K"), ("--touch", "write"), ("--gpu-load", "copy"), ("--pressure", "50%"), ("--threads", "2"),
        ("--api", "all"), ("--memory-type", "all"), ("--memory-type", "malloc"), ("--duration", "1s"),
    ):  # fmt: skip
        result = vkmapctl("stress", path, *flags)
        assert (result.code, len(result.errors())) == (2, 1), flags


def test_all_of_it_by_one_api_or_of_one_memory_type(tmp_path: Path) -> None:
    path = written(tmp_path, *HANDED_OVER)
    row = the_row(path, "--api", "v1", "--memory-type", "0")
    assert (row["api"], row["map"]["count"], row["status"]) == ("v1", 201, "ok")


def test_two_drivers_replay_it_in_turns(tmp_path: Path) -> None:
    path = written(tmp_path, *HANDED_OVER)
    driver = icd(tmp_path, "vkAllocateMemory=spin:1000")
    other = "VKMAPCTL_ICD=vkAllocateMemory=spin:100000"
    row = the_row(path, "--versus", other, "--iterations", "20", driver=driver)
    assert (row["status"], row["replay"]["calls"]["map"]) == ("ok", 20 * 201)
    assert row["versus"]["ratios"]["allocate.p50"][1] > 1.2
    refused = vkmapctl("stress", path, "--versus", other, driver=driver)
    assert (refused.code, len(refused.errors())) == (2, 1)


def test_a_trace_without_room_is_refused(tmp_path: Path) -> None:
    result = vkmapctl("stress", written(tmp_path, [allocate(0, 1 << 44), allocate(1, 1 << 44)]))
    assert result.code == 3
    assert "the trace holds up to 32 TiB" in result.errors()[0]


def test_every_view_shows_the_replay_beside_its_recording(tmp_path: Path) -> None:
    latency = replayed(written(tmp_path, *HANDED_OVER), "--iterations", "10")["results"][0]["map"]
    path, saved = written(tmp_path, *HANDED_OVER), tmp_path / "run.json"
    text = Path(path).read_text().replace("objects = 4", f"objects = 4, recorded = {toml({'map': latency})}", 1)
    Path(path).write_text(text)
    replayed(path, "--save", str(saved))
    shown = vkmapctl("report", "show", str(saved)).out
    assert "Replay beside its recording" in shown
    assert "mine: replayed in " in shown
    for form, told in (("md", "| mine | map | 2.01 k |"), ("csv", "201"), ("html", "Replay beside its recording")):
        assert told in vkmapctl("report", "export", str(saved), "--format", form).out
    assert vkmapctl("report", "export", str(saved), "--format", "junit").code == 0
    compared = vkmapctl("report", "compare", str(saved), str(saved))
    assert (compared.code, "map.p50" in compared.out) == (0, True)
    planned = vkmapctl("workloads", "check", path)
    assert (planned.code, "replays 14 steps of 2 threads" in planned.out) == (0, True)
