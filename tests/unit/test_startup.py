"""What the start of a command pays for, by what is imported and not by seconds."""

import os
import subprocess
import sys

import pytest

from vkmapctl.driver import early

DRIVER_SIDE = {"vulkan", "cffi", "_cffi_backend", "vkmapctl._loop", "vkmapctl.native", "vkmapctl.driver.vkapi"}


def imported(*arguments):
    """Modules that the process of a command has imported at its end; its children tell nothing."""
    code = (
        "import os, sys\n"
        "from vkmapctl import __main__ as main\n"
        "parent, leave = os.getpid(), os._exit\n"
        "def tell(code):\n"
        "    if os.getpid() == parent:\n"
        "        sys.__stderr__.write('\\nIMPORTED ' + ' '.join(sys.modules) + '\\n')\n"
        "        sys.__stderr__.flush()\n"
        "    leave(code)\n"
        "os._exit = tell\n"
        f"sys.argv = ['vkmapctl', *{list(arguments)!r}]\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    lines = [line for line in done.stderr.splitlines() if line.startswith("IMPORTED ")]
    assert lines, done.stderr
    return set(lines[0].split()[1:])


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_looking_at_the_command_line(flag):
    loaded = imported(flag)
    assert not {name for name in loaded if name.split(".")[0] in ("vulkan", "rich", "msgspec")}
    assert not loaded & DRIVER_SIDE


def test_a_probe_keeps_the_driver_and_the_loop_out_of_its_own_process():
    assert not imported("probe") & DRIVER_SIDE


@pytest.mark.parametrize("arguments", [["probe"], ["probe", "--json"], ["stress", "--size", "4K", "--duration", "1ms"]])
def test_without_a_terminal_nothing_imports_rich(arguments):
    assert not {name for name in imported(*arguments) if name.split(".")[0] == "rich"}


def test_a_probe_forks_before_it_imports_anything_that_takes_time():
    code = (
        "import sys; from vkmapctl.driver import early\n"
        "def fork():\n"
        "    print(*sys.modules); sys.exit(0)\n"
        "early.fork = fork; early.begin(['probe'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "vkmapctl.driver.early" in loaded
    heavy = {"click", "ctypes", "enum", "msgspec", "rich", "signal", "typing", "vulkan", "_cffi_backend"}
    assert not {name for name in loaded if name.split(".")[0] in heavy}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--version"],
        ["stress"],
        ["probe", "--help"],
        ["probe", "--emulate", "placed"],
        ["probe", "--inject=x"],
        ["probe", "--device", "1"],
    ],
)
def test_only_an_ordinary_probe_forks_early(arguments, monkeypatch):
    monkeypatch.setattr(early, "fork", lambda: pytest.fail("forked"))
    early.begin(arguments)
    assert early.take() is None


def test_an_early_child_ends_with_a_parent_that_has_no_use_for_it():
    """A usage error: the command is over before the child is asked for anything."""
    read, write = os.pipe()
    done = subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", "probe", "--no-such-flag"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    assert done.wait(timeout=60) == 2
    with os.fdopen(read) as pipe:
        assert pipe.read() == ""  # returns when the last process that holds the other end is gone
