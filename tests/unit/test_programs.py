"""Running somebody's program: its end, its children, and what it cannot be."""

import os
import signal
import subprocess
import sys
import time

import pytest

from vkmapctl.errors import UsageProblem
from vkmapctl.machine import programs


def ended(*arguments):
    program = programs.Program(arguments, dict(os.environ))
    while program.running:
        program.poll()
        time.sleep(0.01)
    return program.poll()


def test_the_exit_code_and_the_signal_of_the_program_itself_are_told() -> None:
    assert (ended("sh", "-c", "exit 3").exit_code, ended("true").signal) == (3, "")
    killed = ended("sh", "-c", "kill -KILL $$")
    assert (killed.exit_code, killed.signal) == (None, "SIGKILL")


def test_it_runs_until_the_last_process_that_it_left_behind_has_ended(tmp_path) -> None:
    mark = tmp_path / "mark"
    assert ended("sh", "-c", f"(sleep 0.3; touch {mark}) & exit 0").exit_code == 0
    assert mark.exists()


def test_another_child_of_this_process_is_no_part_of_it() -> None:
    with subprocess.Popen(["sleep", "100"]) as other:
        assert ended("true").exit_code == 0
        assert other.poll() is None
        other.kill()


def test_ending_it_ends_its_children_too() -> None:
    program = programs.Program(["sh", "-c", "trap '' TERM; sleep 100 & sleep 100"], dict(os.environ))
    while len(program.tree()) < 3:
        time.sleep(0.01)
    pids = program.tree()
    programs._GRACE_SECONDS, before = 0.2, programs._GRACE_SECONDS
    try:
        program.end()
    finally:
        programs._GRACE_SECONDS = before
    assert not program.running
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_a_second_signal_kills_what_does_not_heed_the_first() -> None:
    program = programs.Program(["sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"], dict(os.environ))
    with program.signals():
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        program.poll()
        assert program.running
        os.kill(os.getpid(), signal.SIGTERM)
        while program.running:
            program.poll()
            time.sleep(0.01)
    assert program.poll().signal == "SIGKILL"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-program", "there is no program no-such-program"),
        ("./no-such-file", "no program"),
        ("/", "cannot be executed"),
    ],
)
def test_what_cannot_be_executed_is_refused(name, said) -> None:
    with pytest.raises(UsageProblem, match=said):
        programs.Program([name], dict(os.environ))


def test_a_file_that_is_no_program_is_refused_by_what_the_kernel_says(tmp_path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\x7fELF, and nothing more")
    path.chmod(0o755)
    with pytest.raises(UsageProblem, match="Exec format error"):
        programs.Program([str(path)], dict(os.environ))


def test_32_bit_and_privileged_programs_are_known_by_their_files(tmp_path, monkeypatch) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF\x01")
    assert programs.bits(str(path)) == 32
    assert programs.bits(sys.executable) == programs.OWN_BITS
    assert programs.bits(__file__) is None
    path.chmod(0o4755)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert programs.is_privileged(str(path))
    assert not programs.is_privileged(sys.executable)
