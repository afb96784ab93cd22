"""Real programs on lavapipe: recorded, answered, and replayed with the calls that they made.

`make test-clients` sees to them (scripts/install-clients). Counts are exact where the program's version is pinned.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cli_runner import vkmapctl

from clients.recorded import PROGRAMS, Process, memory_calls, record
from vkmapctl.model.recording import Called, Mark

pytestmark = pytest.mark.clients

INSTALLED = Path(__file__).parents[2] / "build/clients"
PYTHON = INSTALLED / "venv/bin/python"
WEBGPU = INSTALLED / "node/node_modules/webgpu/index.js"
WINDOWED = ("xvfb-run", "-a")
PRESENT = Called.PRESENT
ZINK = {"MESA_LOADER_DRIVER_OVERRIDE": "zink", "LIBGL_ALWAYS_SOFTWARE": "1"}  # zink takes no CPU's device unless told


def imported(process: Process) -> int:
    """Allocations of the program's own memory."""
    return sum(bool(event.marks & Mark.IMPORTED_HOST) for event in process.events)


@dataclass(frozen=True)
class Client:
    """command: the program. says: what it prints. findings: what its recording must be found to do, nothing-amiss where
    that is nothing. did: whether it was recorded to do what it does. faulting: it touches fresh pages for each use,
    which shows where page faults may be seen."""

    command: tuple[str | Path, ...]
    findings: set[str]
    did: Callable[[Process], bool]
    says: str = ""
    faulting: bool = False
    environment: dict[str, str] = field(default_factory=dict)


FILTERS = "format=yuv420p,hwupload,gblur_vulkan,hwdownload,format=yuv420p"
CLIENTS = {
    "slangpy": Client(
        (PYTHON, PROGRAMS / "slangpy_readbacks.py"), {"allocates-per-use"}, lambda p: p.used == (202, 201, 201, 202),
        says="sum 8355840",
    ),
    "taichi": Client(
        (PYTHON, PROGRAMS / "taichi_launches.py"), {"maps-again"}, lambda p: p.used == (2, 101, 101, 2),
        says="sum 102400",
    ),
    "wgpu-py": Client(
        (PYTHON, PROGRAMS / "wgpu_adds.py"), {"nothing-amiss"}, lambda p: p.used == (1, 1, 1, 1), says="sum 81920"
    ),
    "dawn": Client(
        ("node", PROGRAMS / "dawn_readbacks.mjs", WEBGPU), {"allocates-per-use", "freed-mapped"},
        lambda p: p.used == (201, 201, 1, 201) and p.freed_mapped == 200, says="sum 200", faulting=True,
    ),
    "vkcube": Client(
        (*WINDOWED, "vkcube", "--c", "300"), {"nothing-amiss"},
        lambda p: p.count(PRESENT) == 300 and 0 < p.count(Called.MAP) <= p.count(Called.ALLOCATE) < 20,
    ),
    "zink": Client(
        (*WINDOWED, "glmark2", "-b", "build:nframes=100"), {"nothing-amiss"},
        lambda p: p.count(PRESENT) >= 100 and 0 < p.count(Called.MAP) <= p.count(Called.ALLOCATE),
        says="zink Vulkan", environment=ZINK,
    ),
    "gstreamer": Client(
        ("gst-launch-1.0", "-q", "videotestsrc", "num-buffers=150", "!", "vulkanupload", "!", "fakesink"),
        {"maps-again"}, lambda p: p.used[1] == p.used[2] >= 150 and p.threads > 1,
    ),
    "ffmpeg": Client(
        (
            "ffmpeg", "-hide_banner", "-loglevel", "error", "-init_hw_device", "vulkan=v", "-filter_hw_device", "v",
            "-f", "lavfi", "-i", "testsrc=duration=2:size=320x240", "-vf", FILTERS, "-f", "null", "-",
        ),
        {"imports-per-use"}, lambda p: imported(p) >= 50 and p.used[0] <= p.used[3],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIENTS)
def test_a_program_is_recorded_answered_and_replayed(tmp_path: Path, name: str) -> None:
    client = CLIENTS[name]
    recorded = record(tmp_path, *client.command, **client.environment)
    process = recorded.process
    assert (recorded.head.program.exit_code, recorded.head.program.signal) == (0, "")
    assert client.says in recorded.result.out
    assert client.did(process), process.used

    recording = tmp_path / "recording.vkrec"
    answer = vkmapctl("record", "show", str(recording), "--json").json()
    found = {one["code"]: one["text"] for one in answer["findings"]}
    assert client.findings <= set(found)
    assert not client.faulting or "fresh-pages" in found or recorded.head.faults_missing
    shown = recorded.result.err.replace("\n", " ")
    assert all(text in shown for text in found.values())

    workload = tmp_path / "workload.toml"
    made = vkmapctl("record", "workload", str(recording), "--out", str(workload))
    assert made.code == 0, made.err
    assert name not in workload.read_text()
    stress = (sys.executable, "-m", "vkmapctl", "stress", workload, "--json", "--quiet")
    replayed = record(tmp_path, *stress, options=("--quiet",))
    (row,) = json.loads(replayed.result.out)["results"]
    assert row["status"] == "ok"
    assert memory_calls(replayed.process) == memory_calls(process)
