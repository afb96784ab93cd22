"""What the start of a command pays for, by what is imported and not by seconds."""

import os
import subprocess
import sys

import pytest

from vkmapctl.driver import early

DRIVER_SIDE = {"vulkan", "cffi", "_cffi_backend", "vkmapctl._loop", "vkmapctl.native", "vkmapctl.driver.vkapi"}


@pytest.fixture
def imported(tmp_path):
    """Runs a command: the modules that its own process has imported at its end, and those of its children."""

    def run(*arguments):
        code = (
            "import os, sys\n"
            "from vkmapctl import __main__ as main\n"
            "parent, leave = os.getpid(), os._exit\n"
            "def tell(code):\n"
            "    name = 'parent' if os.getpid() == parent else f'child-{os.getpid()}'\n"
            f"    with open({str(tmp_path)!r} + '/' + name, 'w') as file:\n"
            "        file.write(' '.join(sys.modules))\n"
            "    leave(code)\n"
            "os._exit = tell\n"
            f"sys.argv = ['vkmapctl', *{list(arguments)!r}]\n"
            "main.main()\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (tmp_path / "parent").exists(), done.stderr
        own = set((tmp_path / "parent").read_text().split())
        return own, [set(path.read_text().split()) for path in tmp_path.glob("child-*")]

    return run


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_looking_at_the_command_line(flag, imported):
    loaded, children = imported(flag)
    assert not children
    assert not {name for name in loaded if name.split(".")[0] in ("vulkan", "rich", "msgspec")}
    assert not loaded & DRIVER_SIDE


def test_a_probe_keeps_the_driver_and_the_loop_out_of_its_own_process(imported):
    assert not imported("probe")[0] & DRIVER_SIDE


def test_the_child_of_a_probe_imports_no_more_than_the_driver_needs(imported):
    _, (child,) = imported("probe")
    assert "vkmapctl.driver.proof" in child, "the driver was not proved ahead"
    slow = {"click", "contextlib", "enum", "msgspec", "re", "rich", "signal", "typing", "vkmapctl.model"}
    assert child & slow == set()


def test_a_probe_does_not_pay_for_the_flags_of_other_commands(imported):
    assert not imported("probe")[0] & {f"vkmapctl.commandline.{name}" for name in ("stressing", "reports", "workloads")}


@pytest.mark.parametrize("arguments", [["probe"], ["probe", "--json"], ["stress", "--size", "4K", "--duration", "1ms"]])
def test_without_a_terminal_nothing_imports_rich(arguments, imported):
    assert not {name for name in imported(*arguments)[0] if name.split(".")[0] == "rich"}


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
