"""What the caller or the machine does not give: files, threads, a null device; and much that nobody asked for."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, environment

COMMANDS = [("probe",), ("stress", "--size", "4K", "--duration", "50ms", "--warmup", "0s"), ("verify", "--check", "M1")]
RUN = str(Path(__file__).parents[2] / "docs/results/h100-threads.json")
NO_THREADS = """
import threading

start, started = threading.Thread.start, []
def start_some(thread):
    if len(started) == 6:
        raise RuntimeError("can't start new thread")
    started.append(thread)
    start(thread)
threading.Thread.start = start_some
from vkmapctl.__main__ import main
main()
"""


def vkmapctl(*arguments, before=None, script=None, keep_files=False, stdout=subprocess.PIPE):
    how = ["-c", script] if script else ["-m", "vkmapctl"]
    return subprocess.run(
        [sys.executable, *how, *arguments], env=environment(LAVAPIPE), stdout=stdout, stderr=subprocess.PIPE,
        text=True, timeout=60, preexec_fn=before, close_fds=not keep_files,
    )  # fmt: skip


def errors(done):
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("Error: ")]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("files", [5, 7, 8])
def test_too_few_files(command, files):
    done = vkmapctl(*command, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    assert (done.returncode, len(errors(done))) == (3, 1), done.stderr
    assert "ulimit -n" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_caller_with_more_than_a_thousand_open_files(command):
    def many():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        for _ in range(1100):
            os.set_inheritable(os.dup(0), True)

    done = vkmapctl(*command, before=many, keep_files=True)
    assert (done.returncode, errors(done)) == (0, [])


@pytest.mark.parametrize(
    ("limit", "name", "value", "by"),
    [(resource.RLIMIT_AS, "RLIMIT_AS", 768 << 20, "ulimit -v"), (resource.RLIMIT_DATA, "RLIMIT_DATA", 96 << 20, "-d")],
)
def test_a_limit_of_the_process_that_leaves_the_driver_too_little(limit, name, value, by):
    """It would crash, or give pointers to nothing: lavapipe does not look whether its mmap failed."""
    command = ("stress", "--size", "64K", "--duration", "50ms", "--quiet")
    done = vkmapctl(*command, before=lambda: resource.setrlimit(limit, (value, value)))
    assert (done.returncode, len(errors(done))) == (3, 1), done.stderr
    assert f"{name} of the driver's process is {value >> 20} MiB" in errors(done)[0]
    assert by in done.stderr
    noted = json.loads(vkmapctl("probe", "--json", before=lambda: resource.setrlimit(limit, (value, value))).stdout)
    assert f"{name} of the driver's process is {value >> 20} MiB" in noted["warnings"][0]["message"]
    enough = 64 << 30
    done = vkmapctl(*command, before=lambda: resource.setrlimit(limit, (enough, enough)))
    assert (done.returncode, errors(done)) == (0, [])


def test_more_threads_than_can_be_started():
    done = vkmapctl("stress", "--threads", "32", "--size", "4K", "--duration", "50ms", "--quiet", script=NO_THREADS)
    assert done.returncode == 3
    assert "32 threads cannot be started here" in done.stdout
    assert errors(done) == []


@pytest.mark.parametrize(
    "command",
    [
        ("--help",), ("--version",), ("stress", "--help"),
        ("workloads", "list"), ("workloads", "list", "--json"), ("workloads", "show", "quick"), ("workloads", "schema"),
        ("workloads", "check", "quick", "--offline"), ("workloads", "check", "quick", "--offline", "--json"),
        ("verify", "--list"), ("verify", "--list", "--json"), ("selftest", "--list"),
        ("report", "show", RUN), ("report", "show", RUN, "--json"), ("report", "compare", RUN, RUN),
        ("report", "compare", RUN, RUN, "--json"), ("report", "export", RUN, "--format", "md"),
    ],
    ids=lambda command: " ".join(command[:3]),
)  # fmt: skip
def test_a_full_disk_under_the_output(command):
    with open("/dev/full", "w") as full:
        done = vkmapctl(*command, stdout=full)
    assert (done.returncode, errors(done)) == (2, ["Error: cannot write the output: No space left on device"])
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_under_standard_error(command, tmp_path):
    saved = tmp_path / "it.json"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vkmapctl", *command, "--save", str(saved)],
            env=environment(LAVAPIPE), stdout=subprocess.PIPE, stderr=full, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0
    assert "llvmpipe" in done.stdout
    assert saved.exists()


def test_a_fault_set_by_hand_is_labelled(monkeypatch):
    monkeypatch.setenv("VKMAPCTL_LAYER_FAULT", "map-sleeps")
    for command in COMMANDS:
        assert '"injected": "map-sleeps"' in vkmapctl(*command, "--emulate", "placed", "--json", "--quiet").stdout
    done = vkmapctl(*COMMANDS[1], "--json", "--quiet")
    assert '"injected": ""' in done.stdout, "without the layer nothing is injected"
