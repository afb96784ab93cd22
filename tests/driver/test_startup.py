"""What the start of a command pays for, by what is imported and not by seconds."""

import subprocess
import sys

import pytest

DRIVER_SIDE = {"vulkan", "cffi", "_cffi_backend", "vkmapctl._loop", "vkmapctl.native", "vkmapctl.inside.vkapi"}


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


def test_a_probe_does_not_pay_for_the_flags_of_other_commands(imported):
    assert not imported("probe")[0] & {f"vkmapctl.commands.{name}" for name in ("stress", "report", "workloads")}


@pytest.mark.parametrize("arguments", [["probe"], ["probe", "--json"], ["stress", "--size", "4K", "--duration", "1ms"]])
def test_without_a_terminal_nothing_imports_rich(arguments, imported):
    assert not {name for name in imported(*arguments)[0] if name.split(".")[0] == "rich"}
