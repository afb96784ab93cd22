"""What ends a run from outside: signals to the command, to its group, to all of a service; a stop and a continuation.

In processes of their own, started as a shell starts a job: in a new process group.
"""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, environment, vkmapctl
from icd.build import icd
from processes import children

LONG = {
    "stress": ("stress", "--size", "4K", "--size", "8K", "--duration", "300ms", "--size", "16K..1G*2"),
    "verify": ("verify",),
}


class Job:
    """A command in a group of its own, saving into a folder."""

    def __init__(self, folder, *arguments, ignored=(), driver=None):
        self.saved = folder / "it.json"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vkmapctl", *arguments, "--quiet", "--json", "--save", str(self.saved)],
            env=environment(LAVAPIPE if driver is None else driver), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, process_group=0,
            preexec_fn=lambda: [signal.signal(number, signal.SIG_IGN) for number in ignored],
        )  # fmt: skip
        self.pid = self._process.pid

    def children(self):
        return children(self.pid)

    def wait_for_rows(self, count):
        """Until so many rows are saved and the next is being measured."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.saved.exists() and len(json.loads(self.saved.read_text())["results"]) >= count and self.children():
                return
            time.sleep(0.02)
        raise AssertionError("no such row")

    def document(self):
        """What is printed at the end, which is what is saved; and the exit code."""
        out, err = self._process.communicate(timeout=60)
        assert "Traceback" not in err
        assert json.loads(out) == json.loads(self.saved.read_text())
        return json.loads(out), self._process.returncode


def to_group(job, number):
    """As timeout(1) does, or a terminal."""
    os.killpg(job.pid, number)


def to_all(job, number):
    """As systemd and CI do; those that work for the command come first."""
    for pid in [*job.children(), job.pid]:
        os.kill(pid, number)


def to_command(job, number):
    os.kill(job.pid, number)


@pytest.mark.parametrize(
    ("command", "whom", "number"),
    [
        ("stress", to_group, signal.SIGINT),
        ("stress", to_group, signal.SIGTERM),
        ("stress", to_all, signal.SIGTERM),
        ("stress", to_command, signal.SIGHUP),
        ("verify", to_group, signal.SIGTERM),
        ("verify", to_all, signal.SIGHUP),
        ("verify", to_all, signal.SIGTERM),
    ],
)
def test_a_run_that_is_told_to_end_blames_nobody(tmp_path, command, whom, number):
    job = Job(tmp_path, *LONG[command])
    job.wait_for_rows(2)
    children = job.children()
    whom(job, number)
    document, code = job.document()
    assert (code, document["outcome"], document["exit_code"]) == (130, "interrupted", 130)
    statuses = [row["status"] for row in document["results"]]
    assert len(statuses) >= 2
    assert set(statuses) <= {"ok", "pass", "skip", "quality", "interrupted"}
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_a_killed_driver_in_a_run_that_is_told_to_end_is_not_blamed(tmp_path):
    """SIGTERM to the command, and SIGKILL to the rest at once."""
    job = Job(tmp_path, *LONG["stress"])
    job.wait_for_rows(1)
    os.kill(job.pid, signal.SIGSTOP)
    os.kill(job.pid, signal.SIGTERM)
    for pid in job.children():
        os.kill(pid, signal.SIGKILL)
    os.kill(job.pid, signal.SIGCONT)
    document, code = job.document()
    assert code == 130
    assert {row["status"] for row in document["results"]} <= {"ok", "interrupted"}


def test_nohup_goes_on(tmp_path):
    job = Job(tmp_path, "stress", "--size", "4K", "--size", "8K", "--duration", "300ms", ignored=[signal.SIGHUP])
    job.wait_for_rows(1)
    to_group(job, signal.SIGHUP)
    document, code = job.document()
    assert (code, [row["status"] for row in document["results"]]) == (0, ["ok", "ok"])


@pytest.mark.parametrize("whom", [to_group, to_all])
def test_a_stop_and_a_continuation_later_are_no_hang(tmp_path, whom):
    """Ctrl-Z and fg, or a container that is paused: for longer than --timeout, in the middle of a map."""
    driver = icd(tmp_path, "vkMapMemory2=sleep:1200")
    asked = ("--size", "4K", "--iterations", "1", "--warmup", "0s", "--timeout", "1800ms")
    job = Job(tmp_path, "stress", *asked, driver=driver)
    job.wait_for_rows(0)
    time.sleep(0.8)
    whom(job, signal.SIGSTOP if whom is to_all else signal.SIGTSTP)
    time.sleep(2.5)
    for pid in [job.pid, *job.children()]:
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)  # the command looks at its worker before that goes on
    document, code = job.document()
    assert (code, [row["status"] for row in document["results"]]) == (0, ["ok"])


@pytest.mark.parametrize("command", [("probe",), ("stress",), ("verify",)])
def test_an_interrupt_at_any_moment_ends_a_command_with_a_word(tmp_path, command):
    """From the first line of the program on; before that it is the interpreter's."""
    script = "import vkmapctl.__main__ as m; m._open_standard_streams = lambda: print('here', flush=True); m.main()"
    for delay in (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *command], env=environment(LAVAPIPE),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
        )  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 130), err
        assert "Traceback" not in err
        assert process.returncode == 0 or "interrupted" in out + err


def test_an_interrupt_that_python_would_ignore_comes_again():
    """A weak reference's callback has nobody to raise to; importing has many of them."""
    script = """
import os, signal, sys, weakref
import vkmapctl.__main__ as m
import vkmapctl.cli
class It: pass
def main():
    it = It()
    held = weakref.ref(it, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del it
    import time
    time.sleep(30)
vkmapctl.cli.main = main
m.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (130, "Error: interrupted\n")


@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_terminal_that_goes_away(tmp_path, hangs_up):
    """Closing its window sends SIGHUP, unless nohup is in between; then the progress alone is lost."""
    master, terminal = pty.openpty()
    saved = tmp_path / "it.json"

    def on_the_terminal():
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        if not hangs_up:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", "stress", "--size", "4K", "--size", "8K", "--duration", "700ms",
         "--save", str(saved)],
        env=environment(LAVAPIPE), stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True,
        preexec_fn=on_the_terminal,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while b"1 of 2 rows" not in shown:
        shown += os.read(master, 1 << 16)
    os.close(master)
    out, _ = process.communicate(timeout=60)
    statuses = [row["status"] for row in json.loads(saved.read_text())["results"]]
    if hangs_up:
        assert (process.returncode, statuses[0]) == (130, "ok")
        assert "interrupted" in out
    else:
        assert (process.returncode, statuses) == (0, ["ok", "ok"])


# --- how long is waited ---------------------------------------------------------------------------

SCRIPT = """
[[job]]
objects = 1
size = "4K"
duration = "2s"
steps = [{op = "map"}, {op = "pause", duration = "1500ms"}, {op = "unmap"}]
"""


@pytest.mark.parametrize("flags", [("--rate", "0.7"), ("--gap", "1500ms"), None], ids=["rate", "gap", "pause"])
def test_a_planned_wait_longer_than_the_timeout_is_no_hang(tmp_path, flags):
    (tmp_path / "it.toml").write_text(SCRIPT)
    asked = [str(tmp_path / "it.toml")] if flags is None else ["--size", "4K", "--duration", "3s", *flags]
    result = vkmapctl("stress", *asked, "--warmup", "0s", "--timeout", "800ms", "--json", "--quiet")
    assert result.code == 0, result.out
    assert result.json()["results"][0]["pairs"] > 0


# --- while the clock is measured ------------------------------------------------------------------


@pytest.mark.parametrize("before_ms", [30, 60, 100, 150])
def test_a_death_while_the_clock_is_measured_is_a_crash(tmp_path, before_ms):
    """The thread starts with the last that is asked while devices are listed; the device comes after the clock."""
    thread = f"vkGetPhysicalDeviceMemoryProperties2@1=thread,sleep:{before_ms},crash"
    driver = icd(tmp_path, f"{thread} vkCreateDevice=sleep:1000")
    saved = tmp_path / "it.json"
    short = ("--duration", "50ms", "--warmup", "0s", "--save", str(saved))
    result = vkmapctl("stress", "--size", "4K", "--size", "8K", *short, "--json", "--quiet", driver=driver)
    document = result.json()
    assert document == json.loads(saved.read_text())
    assert (result.code, document["outcome"]) == (6, "crashed")
    assert len(document["results"]) == 2, "what was planned is there"
    assert {row["status"] for row in document["results"]} <= {"not-run", "crashed"}
