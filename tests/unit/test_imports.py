"""What is loaded when, and which module may know which: the shape of the program."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vkmapctl

PACKAGE = Path(vkmapctl.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
HEAVY = {"vulkan", "_cffi_backend", "cffi", "rich", "msgspec", "vkmapctl._loop", "vkmapctl._layer"}


def loaded_by(*arguments):
    """Modules that a fresh interpreter has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": ""},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments",
    [("-c", "import vkmapctl.cli"), ("-m", "vkmapctl", "--version"), ("-m", "vkmapctl", "--help")],
    ids=["import", "version", "help"],
)
def test_looking_at_the_command_line_loads_nothing_heavy(arguments):
    assert loaded_by(*arguments) & HEAVY == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ("vkapi", "__main__")])
def test_only_using_a_driver_loads_vulkan(module):
    """Importing it without a loader raises OSError."""
    assert not {name for name in imports_of(module, lazy=False) if name.split(".")[0] == "vulkan"}


def imports_of(module, *, lazy=True):
    """Full names that a module imports; lazy: also those inside functions and under TYPE_CHECKING."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    found = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def importers_of(name):
    return [
        module for module in MODULES if any(one == name or one.startswith(f"{name}.") for one in imports_of(module))
    ]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("vulkan", ["vkapi"]),
        ("vkmapctl._loop", ["native"]),
        ("cffi", []),
        ("click", ["cli", "cli_report", "cli_workloads", "options", "params"]),
    ],
)
def test_one_module_knows_it(name, allowed):
    assert importers_of(name) == allowed


@pytest.mark.parametrize(
    ("module", "unknown"),
    [
        ("report", {"native", "vkapi", "child", "worker", "stress", "runfile"}),
        ("cli", {"native", "vkapi", "worker", "proof"}),
        ("model", {"native", "vkapi", "report"}),
        ("stats", {"native", "vkapi", "report"}),
        ("workload", {"vkapi", "child", "report"}),
        ("probe", {"vkapi"}),
        ("stress", {"vkapi"}),
    ],
)
def test_what_a_module_does_not_know(module, unknown):
    assert imports_of(module) & {f"vkmapctl.{name}" for name in unknown} == set()


def test_imports_go_downward():
    """A circle among the imports at the top of modules would make the order of importing matter."""
    below = {
        module: {name.split(".")[1] for name in imports_of(module, lazy=False) if name.startswith("vkmapctl.")}
        & set(MODULES)
        for module in MODULES
    }
    settled = set()
    while len(settled) < len(below):
        free = {module for module, needs in below.items() if module not in settled and needs <= settled}
        assert free, f"a circle among {sorted(set(below) - settled)}"
        settled |= free
