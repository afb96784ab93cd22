"""What is loaded when, and which module may know which: the shape of the program."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vkmapctl

PACKAGE = Path(vkmapctl.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.parent.name != "_native" and path.name != "__init__.py"
)
# From the ground up: a module imports from its own level and those before it. A package's modules share its level.
LEVELS = (
    {"errors", "rules", "units"},
    {"model", "native"},
    {"saved", "figures", "machine"},
    {"plans"},
    {"inside"},
    {"driver"},
    {"checks"},
    {"worker"},
    {"probe", "stress", "verify", "preview", "selftest"},
    {"report", "reports"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
NO_FLAGS = {f"commands.{name}" for name in ("comparing", "console", "progress")}
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


def imports_of(module, *, lazy=True):
    """This program's modules, and the names of others, that a module imports; lazy: also inside functions."""
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())
    found = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("vkmapctl.") for name in found}


def importers_of(name):
    return {
        module for module in MODULES if any(one == name or one.startswith(f"{name}.") for one in imports_of(module))
    }


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("vulkan", {"inside.vkapi"}),
        ("_loop", {"native"}),
        ("cffi", set()),
        ("click", {"cli"} | {module for module in MODULES if module.startswith("commands.")} - NO_FLAGS),
        ("jinja2", {"reports.html"}),
    ],
)
def test_one_module_knows_it(name, allowed):
    assert importers_of(name) == allowed


@pytest.mark.parametrize(
    "room", ["cli", "commands", "report", "reports", "figures", "saved", "plans", "model", "preview"]
)
def test_who_knows_no_vulkan(room):
    """No figure, table, file or flag depends on a driver; importing the binding without a loader raises OSError."""
    border = {f"inside.{name}" for name in ("vkapi", "device", "opened", "session", "proof", "validation")}
    for module in MODULES:
        if module.split(".")[0] == room:
            assert imports_of(module) & (border | {"checks.transfer", "checks.calls"}) == set()


@pytest.mark.parametrize("room", ["report", "reports", "model"])
def test_tables_see_plain_data_only(room):
    for module in MODULES:
        if module.split(".")[0] == room:
            known = {name.split(".")[0] for name in imports_of(module)}
            assert (
                known & {"native", "machine", "driver", "inside", "checks", "worker", "stress", "probe", "verify"}
                == set()
            )


def level_of(module):
    (level,) = (i for i, rooms in enumerate(LEVELS) if module.split(".")[0] in rooms)
    return level


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward(module):
    """At the top of a module, and inside its functions."""
    for name in imports_of(module, lazy=False) & set(MODULES):
        assert level_of(name) <= level_of(module), f"{module} imports {name}"
    assert not {name for name in imports_of(module) & set(MODULES) if level_of(name) > level_of(module)}


def test_no_circle():
    """A circle among the imports at the top of modules would make the order of importing matter."""
    below = {module: imports_of(module, lazy=False) & set(MODULES) for module in MODULES}
    settled = set()
    while len(settled) < len(below):
        free = {module for module, needs in below.items() if module not in settled and needs <= settled}
        assert free, f"a circle among {sorted(set(below) - settled)}"
        settled |= free
