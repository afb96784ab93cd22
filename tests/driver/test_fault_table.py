"""The table of docs/reliability.md, made by running it: fault, command, what the user saw, exit code, rows kept.

VKMAPCTL_REGENERATE=1 writes the table anew; otherwise it must be the committed one. Every run must also leave no
process, no shared memory and no other file than the saved one.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cli_runner import LAVAPIPE, environment
from cli_runner import start as start_warm
from page_table import expect_table
from processes import children, runs
from test_drivers import LVP, broken_driver
from warm import Command

COMMANDS = {
    "probe": ["probe", "--emulate", "placed"],
    "stress": [
        "stress", "--emulate", "placed", "--iterations", "20", "--warmup", "0s",
        "--size", "4K", "--size", "8K", "--size", "16K",
    ],
    "verify": ["verify", "--emulate", "placed", "--check", "P12", "--check", "M5", "--check", "P13"],
}  # fmt: skip
Running = Command | subprocess.Popen[str]
PERIODS = {"out-of-memory": ":2", "init-crashes": "", "enumerate-crashes": ""}  # else 60: stress's second row


class Fault(NamedTuple):
    """inject: a fault of the test layer. act: done to the running command once it is stuck in that fault."""

    name: str
    inject: str
    act: Callable[[Any], None] | None = None
    timeout: str = "1s"


def kill_worker(process: Running) -> None:
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)


def close_output(process: "subprocess.Popen[str]") -> None:
    """Nobody reads any more; then the worker ends, and the command has something to say."""
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    kill_worker(process)


def sends(number: signal.Signals) -> Callable[[Running], None]:
    return lambda process: process.send_signal(number)


def terminate_all(process: Running) -> None:
    """As systemd and CI do: the worker first."""
    for pid in [*children(process.pid), process.pid]:
        os.kill(pid, signal.SIGTERM)


FAULTS = [  # those that are acted on last
    Fault("a map dies of SIGSEGV", "map-crashes"),
    Fault("a map calls abort()", "map-aborts"),
    Fault("a map never returns", "map-hangs"),
    Fault("the device is lost", "device-lost"),
    Fault("an allocation finds no memory", "out-of-memory"),
    Fault("a map fails", "map-fails"),
    Fault("creating a device crashes", "init-crashes"),
    Fault("listing the devices crashes", "enumerate-crashes"),
    Fault("the worker is killed", "map-hangs", kill_worker, "60s"),
    Fault("Ctrl-C", "map-hangs", sends(signal.SIGINT), "60s"),
    Fault("SIGTERM", "map-hangs", sends(signal.SIGTERM), "60s"),
    Fault("SIGTERM to command and worker", "map-hangs", terminate_all, "60s"),
    Fault("SIGHUP", "map-hangs", sends(signal.SIGHUP), "60s"),
    Fault("kill -9 of the command", "map-hangs", sends(signal.SIGKILL), "60s"),
    Fault("whoever reads the output goes away", "map-hangs", close_output, "60s"),
]


class Seen(NamedTuple):
    """One line of the table."""

    fault: str
    command: str
    saw: str
    code: int
    rows: str


def run(fault: Fault, command: str, folder: Path) -> Seen:
    folder.mkdir()
    saved = folder / "saved.json"
    quiet = [] if fault.act is close_output else ["--quiet"]
    period = PERIODS.get(fault.inject, ":60") if command == "stress" else ""
    arguments = [
        *COMMANDS[command], *quiet, "--inject", fault.inject + period, "--timeout", fault.timeout,
        "--save", str(saved), "--json",
    ]  # fmt: skip
    process = start(arguments, LAVAPIPE) if fault.act is close_output else start_warm(*arguments)
    workers: set[int] = set()
    if fault.act:
        wait_until_stuck(process)
        workers.update(children(process.pid))
        fault.act(process)
    return finish(process, workers, fault.name, command, saved)


def start(arguments: list[str], driver: dict[str, str], limit: int | None = None) -> "subprocess.Popen[str]":
    """A command that prints into pipes; limit: the largest file that it may write, in bytes."""
    return subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", *arguments],
        env=environment(driver), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))),
    )  # fmt: skip


def wait_until_stuck(process: Running) -> None:
    """Until the worker sleeps in pause(), which is how the layer hangs, for some time."""
    deadline, stuck = time.monotonic() + 30, 0
    while stuck < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
        stuck = stuck + 1 if any(_is_in_pause(pid) for pid in children(process.pid)) else 0
    assert stuck == 5, "the driver does not hang"


def _is_in_pause(pid: int) -> bool:
    """Whether the process is inside that system call (x86-64: 34); one that has just ended is not."""
    try:
        waits_in = Path(f"/proc/{pid}/wchan").read_text()
        return waits_in.endswith("pause") or Path(f"/proc/{pid}/syscall").read_text().startswith("34 ")
    except OSError:
        return False


def finish(process: Running, workers: set[int], fault: str, command: str, saved: Path) -> Seen:
    """Waits for the end, and insists that nothing is left of it, nor of the children that were seen."""
    while isinstance(process, Command) and process.poll() is None:
        workers.update(children(process.pid))
        time.sleep(0.02)
    if isinstance(process, subprocess.Popen) and process.stdout and process.stdout.closed:
        process.wait(60)
        out = err = ""
    else:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    deadline = time.monotonic() + 5
    while any(map(runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(filter(runs, workers)) == []
    assert [path.name for path in saved.parent.iterdir() if path.name.startswith(".")] == []
    document = json.loads(saved.read_text()) if saved.exists() else None
    if out and document:
        printed = json.loads(out)
        assert printed["exit_code"] == process.returncode
        assert printed == document or "disk" in fault
        document = printed
    return Seen(fault, command, saw(document, err), process.returncode, rows(command, document))


def saw(document, err: str) -> str:
    """The reason of the first row that is not sound, or the error line."""
    found = [line for line in err.splitlines() if line.startswith("Error: ")]
    if document:
        key = "devices" if "missing" in document else "results"
        bad = [row for row in document[key] if row["status"] not in ("ok", "pass")]
        found += [f"{row['status']}: {row.get('reason') or row.get('detail')}" for row in bad]
        found += [f"outcome {document['outcome']}"]
    text = found[0] if found else "nothing"
    text = re.sub(r" (/\S*)?/", " ", re.sub(r"iteration \d+", "iteration N", text))
    return text.replace("|", "\\|")


def rows(command: str, document) -> str:
    """`2 ok, 1 crashed`."""
    if document is None:
        return "none measured yet"
    of = document["devices" if command == "probe" else "results"]
    return ", ".join(f"{count} {status}" for status, count in Counter(row["status"] for row in of).items()) or "none"


def others(tmp_path: Path) -> list[Seen]:
    """What is not a fault of the layer: one driver among several, and the disk."""
    seen = []
    broken = broken_driver(tmp_path)
    both = f"{broken}:{LVP}"
    for command, arguments in COMMANDS.items():
        for name, driver, limit in (
            ("one of two drivers crashes when loaded", {"VK_DRIVER_FILES": both, "VK_ICD_FILENAMES": both}, None),
            ("the disk is full before the start", LAVAPIPE, 1000),
        ):
            folder = tmp_path / f"{command}{limit}"
            folder.mkdir()
            process = start([*arguments, "--quiet", "--json", "--save", str(folder / "it.json")], driver, limit)
            seen.append(finish(process, set(), name, command, folder / "it.json"))
    sizes = [word for i in range(40) for word in ("--size", str(4096 + i))]
    folder = tmp_path / "full"
    folder.mkdir()
    process = start(
        ["stress", *sizes, "--iterations", "50", "--warmup", "0s", "--api", "all", "--quiet", "--json",
         "--save", str(folder / "it.json")], LAVAPIPE, 72 << 10,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    seen.append(
        Seen("the disk fills up meanwhile", "stress", saw(None, err), process.returncode, rows("", json.loads(out)))
    )
    return seen


def table(seen: list[Seen]) -> str:
    lines = ["| fault | command | what the user saw | exit code | rows kept |", "| --- | --- | --- | --- | --- |"]
    for one in seen:
        code = "killed" if one.code < 0 else str(one.code)
        lines.append(f"| {one.fault} | {one.command} | {one.saw} | {code} | {one.rows} |")
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="system call numbers")
def test_the_table_is_what_happens(tmp_path: Path) -> None:
    def at_once(faults: list[Fault], count: int) -> list[Seen]:
        runs = [(fault, command, tmp_path / f"{command} {fault.name}") for fault in faults for command in COMMANDS]
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda one: run(*one), runs))

    seen = at_once([fault for fault in FAULTS if not fault.act], 3)
    seen += at_once([fault for fault in FAULTS if fault.act], 8)  # which wait most of the time
    shared = set(os.listdir("/dev/shm"))
    seen = sorted(seen + others(tmp_path), key=lambda one: one.command)
    assert set(os.listdir("/dev/shm")) <= shared
    made = table(seen)
    expect_table(__file__, made)
