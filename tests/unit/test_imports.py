"""Which room may know which: the table of docs/architecture.md, held against every import, lazy ones too."""

import ast
import re
import sys
from pathlib import Path

import pytest

import vkmapctl

PACKAGE = Path(vkmapctl.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.parent.name != "_native" and path.name != "__init__.py"
)
PLAIN = ("model", "figures", "saved", "plans", "reports", "report")
BEYOND = {"native", "capture", "machine", "inside", "driver", "checks", "worker", "runner", "vulkan", "_loop"}


def room_of(module):
    return module.split(".")[0]


def may_import():
    """The rooms of the table, in its order, with what each may import."""
    found = {}
    for rooms, imports in re.findall(r"^\| (`[^|]+) \| [^|]* \| ?([^|]*)\|$", PAGE.read_text(), re.MULTILINE):
        allowed = {one.strip() for one in imports.split(",") if one.strip()}
        for room in re.findall(r"`(\w+)/?`", rooms):
            found[room] = allowed
    return found


TABLE = may_import()


def imports_of(module, *, lazy=True):
    """Modules of this program, without its name, and the roots of others: everything but the standard library."""
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())
    found = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    own = {name.removeprefix("vkmapctl.") for name in found if name.startswith("vkmapctl.")} - {"__version__"}
    others = {name.split(".")[0] for name in found if not name.startswith("vkmapctl")}
    return own | (others - sys.stdlib_module_names)


def test_every_room_is_in_the_table():
    assert {room_of(module) for module in MODULES} == set(TABLE)


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_what_its_row_names(module):
    known = {room_of(name) for name in imports_of(module)} - {room_of(module)}
    assert known <= TABLE[room_of(module)]


def test_a_row_names_nothing_that_its_room_does_not_import():
    """So that the table says what is, and not what might be."""
    for room, allowed in TABLE.items():
        used = {room_of(name) for module in MODULES if room_of(module) == room for name in imports_of(module)}
        rows = [one for one in TABLE if TABLE[one] is allowed]
        if len(rows) == 1:
            assert allowed <= used, room


def test_imports_go_downward():
    """A row names rows above it, and its neighbours within the row's own cell."""
    order = list(TABLE)
    for i, room in enumerate(order):
        for name in TABLE[room] & set(order):
            assert order.index(name) < i, f"{room} imports {name}"


def reached_from(room):
    found, waiting = set(), [room]
    while waiting:
        for name in TABLE.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


@pytest.mark.parametrize("room", PLAIN)
def test_plans_figures_and_reports_reach_neither_the_driver_nor_the_loop_nor_the_machine(room):
    assert reached_from(room) & BEYOND == set()


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("vulkan", {"inside.vkapi"}), ("_loop", {"native", "capture"}), ("cffi", set()), ("jinja2", {"reports.html"})],
)
def test_one_module_knows_it(name, allowed):
    assert {m for m in MODULES if any(room_of(one) == name for one in imports_of(m))} == allowed


def test_no_circle():
    """A circle among the imports at the top of modules would make the order of importing matter."""
    below = {module: imports_of(module, lazy=False) & set(MODULES) for module in MODULES}
    settled = set()
    while len(settled) < len(below):
        free = {module for module, needs in below.items() if module not in settled and needs <= settled}
        assert free, f"a circle among {sorted(set(below) - settled)}"
        settled |= free
