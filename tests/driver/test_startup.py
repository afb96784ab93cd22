"""What the start of a command pays for, by what is imported and not by seconds."""

import subprocess
import sys

import pytest

DRIVER_SIDE = {"vulkan", "cffi", "_cffi_backend", "vkmapctl._loop", "vkmapctl.native", "vkmapctl.inside.vkapi"}


@pytest.fixture
def imported(tmp_path):
    """Runs a command: the modules that its own process has imported at its end, and those at each fork of it."""

    def run(*arguments):
        log = tmp_path / "log"
        code = (
            "import os, sys\n"
            "from vkmapctl import __main__ as main\n"
            "parent, leave, fork = os.getpid(), os._exit, os.fork\n"
            "def note():\n"
            f"    with open({str(log)!r}, 'a') as file:\n"
            "        print(*sys.modules, file=file)\n"
            "def tell(code):\n"
            "    if os.getpid() == parent:\n"
            "        note()\n"
            "    leave(code)\n"
            "os._exit, os.fork = tell, lambda: (note(), fork())[1]\n"
            f"sys.argv = ['vkmapctl', *{list(arguments)!r}]\n"
            "main.main()\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert log.exists(), done.stderr
        *forks, end = (set(line.split()) for line in log.read_text().splitlines())
        return end, forks

    return run


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_looking_at_the_command_line(flag, imported):
    loaded, forks = imported(flag)
    assert not forks
    assert not {name for name in loaded if name.split(".")[0] in ("vulkan", "rich", "msgspec")}
    assert not loaded & DRIVER_SIDE


def test_a_probe_keeps_the_driver_and_the_loop_out_of_its_own_process(imported):
    assert not imported("probe")[0] & DRIVER_SIDE


def test_a_probe_lets_the_driver_load_before_it_imports_what_it_draws_with(imported):
    """The driver's process is forked once, with the command line read and little else."""
    (at_fork,) = imported("probe")[1]
    assert "click" in at_fork
    heavy = {"msgspec", "vkmapctl.probe", "vkmapctl.reports", "vkmapctl.machine.host"}
    assert not at_fork & (heavy | DRIVER_SIDE)


def test_a_probe_does_not_pay_for_the_flags_of_other_commands(imported):
    assert not imported("probe")[0] & {f"vkmapctl.commands.{name}" for name in ("stress", "report", "workloads")}


@pytest.mark.parametrize("arguments", [["probe"], ["probe", "--json"], ["stress", "--size", "4K", "--duration", "1ms"]])
def test_without_a_terminal_nothing_imports_rich(arguments, imported):
    assert not {name for name in imported(*arguments)[0] if name.split(".")[0] == "rich"}
