"""Output that cannot be written: a reader that has gone, a closed stream, a full disk, before and after measuring."""

import json
import os
import resource
import subprocess
import sys

import pytest
from cli_runner import LAVAPIPE, environment

SHORT = ("--duration", "100ms", "--warmup", "0s", "--size", "64K", "--quiet")
COMMAND = [sys.executable, "-m", "vkmapctl"]


def vkmapctl(*arguments, shell="", preexec=None, cwd=None):
    """The command under a shell's redirection."""
    line = f'"$@" {shell}'
    return subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *arguments],
        env=environment(LAVAPIPE), capture_output=True, text=True, timeout=60, preexec_fn=preexec, cwd=cwd,
    )  # fmt: skip


def saved(path):
    document = json.loads(path.read_text())
    return document["outcome"], document["exit_code"], len(document["results"])


@pytest.mark.parametrize("arguments", [["probe"], ["probe", "--json"], ["stress", *SHORT], ["--help"]])
def test_a_reader_that_has_gone(arguments):
    done = vkmapctl(*arguments, shell='| true; exit "${PIPESTATUS[0]}"')
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("command", ["stress", "verify"])
def test_progress_that_nobody_reads_costs_the_progress_alone(command, tmp_path):
    """stderr is a pipe without a reader from the start; the first row's line meets it."""
    read, write = os.pipe()
    os.close(read)
    sweep = ["--duration", "100ms", "--size", "4K", "--size", "8K"] if command == "stress" else []
    path = tmp_path / "it.json"
    done = subprocess.run(
        [*COMMAND, command, *sweep, "--save", str(path)],
        env=environment(LAVAPIPE), stdout=subprocess.PIPE, stderr=write, text=True, timeout=60,
    )  # fmt: skip
    os.close(write)
    assert done.returncode == 0
    assert saved(path)[:2] == ("ok", 0)
    assert "ok (exit code 0)" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed, tmp_path):
    path = tmp_path / "it.json"
    done = vkmapctl("stress", *SHORT, "--save", str(path), shell=closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert saved(path) == ("ok", 0, 1)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_full_disk_under_the_output(form):
    done = vkmapctl("stress", *SHORT, *form, shell=">/dev/full")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: ")] == [
        "Error: cannot write the output: No space left on device"
    ]
    assert "Traceback" not in done.stderr


def limited(size):
    """A disk that takes files of `size` bytes; Python lets write() fail rather than die of SIGXFSZ."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("command", [["stress", *SHORT], ["verify"], ["probe"]])
def test_a_full_disk_is_found_before_the_measuring(command, tmp_path):
    done = vkmapctl(*command, "--save", str(tmp_path / "it.json"), preexec=limited(1000))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot write" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_costs_no_row(tmp_path):
    """The document outgrows what the disk takes; what was saved last is still sound, and the table is printed."""
    sizes = [word for i in range(40) for word in ("--size", f"{4096 + i}")]
    path = tmp_path / "it.json"
    done = vkmapctl(
        "stress", *sizes, "--iterations", "50", "--warmup", "0s", "--api", "all", "--save", str(path),
        preexec=limited(72 << 10),
    )  # fmt: skip
    assert done.returncode == 2
    assert "File too large" in done.stderr
    assert done.stdout.count("4.04 KiB") + done.stdout.count(" B ") > 100
    assert "ok (exit code 0)" in done.stdout
    outcome, code, rows = saved(path)
    assert (outcome, code) == ("interrupted", 130), "it never claims to be whole"
    assert 0 < rows < 120
    assert [one.name for one in tmp_path.iterdir()] == ["it.json"]


def test_a_report_that_cannot_be_saved_keeps_its_own_exit_code(tmp_path):
    sizes = [word for i in range(40) for word in ("--size", f"{4096 + i}")]
    done = vkmapctl(
        "stress", *sizes, "--iterations", "50", "--warmup", "0s", "--api", "all", "--fail-if", "map.p50>1ns",
        "--save", str(tmp_path / "it.json"), preexec=limited(72 << 10),
    )  # fmt: skip
    assert done.returncode == 5
    assert "File too large" in done.stderr
