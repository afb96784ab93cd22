"""The room of the driver's process: what it may import, and where it looks for manifests."""

import ast
import sys
from pathlib import Path

import vkmapctl
from vkmapctl.inside import search_path

PACKAGE = Path(vkmapctl.__file__).parent
BINDING = {"vulkan"}
ALLOWED = {
    "errors",
    "rules",
    "text",
    "units",
    "machine.addresses",
    "machine.place",
    "machine.ranges",
    "machine.reading",
}


def imports_of(module):
    """Modules that one names anywhere in it, also in a function or for the type checker alone."""
    path = PACKAGE.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            submodules = (f"{node.module}.{alias.name}" for alias in node.names)
            found = [name for name in submodules if is_own(name)]
            yield from found or [node.module]


def is_own(name):
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_the_room_imports_the_standard_library_and_the_binding_only():
    """Transitively: what it may import of this program is held to the same."""
    todo = {f"inside.{path.stem}" for path in (PACKAGE / "inside").glob("*.py") if path.stem != "__init__"}
    seen = set()
    while todo:
        module = todo.pop()
        seen.add(module)
        for name in imports_of(module):
            top, _, rest = name.partition(".")
            if top != "vkmapctl":
                assert top in sys.stdlib_module_names | BINDING, f"{module} imports {name}"
            elif rest not in seen:
                assert rest in ALLOWED or rest.split(".")[0] == "inside", f"{module} imports {name}"
                todo |= {rest} - {"inside"}
    assert seen >= ALLOWED


def test_manifests_are_looked_for_in_the_loader_s_order():
    """As `VK_LOADER_DEBUG=all vulkaninfo` prints it, and LoaderLayerInterface.md's example."""
    assert search_path.folders({"HOME": "/home/me"}, "vulkan/icd.d") == [
        "/home/me/.config/vulkan/icd.d",
        "/etc/xdg/vulkan/icd.d",
        "/usr/local/etc/vulkan/icd.d",
        "/etc/vulkan/icd.d",
        "/home/me/.local/share/vulkan/icd.d",
        "/usr/local/share/vulkan/icd.d",
        "/usr/share/vulkan/icd.d",
    ]
    chosen = {"XDG_CONFIG_HOME": "/c", "XDG_CONFIG_DIRS": "/d:/e", "XDG_DATA_HOME": "/f", "XDG_DATA_DIRS": "/g"}
    assert search_path.folders(chosen, "x") == [
        "/c/x", "/d/x", "/e/x", "/usr/local/etc/x", "/etc/x", "/f/x", "/g/x",
    ]  # fmt: skip
