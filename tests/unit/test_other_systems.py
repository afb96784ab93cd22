"""On a system that is not Linux: one line, what to use instead, and exit code 3."""

import subprocess
import sys

import pytest

from vkmapctl.errors import ExitCode, of_system

# What Python has on Linux alone, or not on Windows: importing one of them would be a traceback there.
NOT_THERE = ("fcntl", "grp", "pwd", "resource", "termios", "vulkan", "vkmapctl._loop", "click", "msgspec")


@pytest.mark.parametrize(
    ("platform", "name", "instead"),
    [
        ("win32", "Windows", "WSL 2"),
        ("cygwin", "Windows", "WSL 2"),
        ("darwin", "macOS", "a Linux machine, or a virtual one"),
        ("freebsd14", "freebsd14", "a Linux machine"),
    ],
)
def test_the_start_on_another_system(platform, name, instead):
    code = (
        f"import runpy, sys\nsys.platform = {platform!r}\n"
        f"sys.modules.update(dict.fromkeys({NOT_THERE!r}))\n"
        "sys.argv = ['vkmapctl', 'probe', '--json']\nrunpy.run_module('vkmapctl', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    error, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (ExitCode.UNSUPPORTED, "")
    assert error.startswith(f"Error: vkmapctl works on Linux alone, and this is {name}")
    assert hint.startswith("Hint: ")
    assert instead in hint


def test_linux_is_refused_nothing():
    assert of_system("linux") is None
