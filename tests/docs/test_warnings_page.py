"""The page of warnings names every code that there is, and no other."""

import ast
import importlib
import re
from pathlib import Path

from pages import DOCS, ROOT

OF_RUNS_THAT_BROKE = {"broken-off", "refused", "internal-error"}  # figures/outcomes.broken_off is given them


def codes(path: Path) -> set[str]:
    """First arguments of Note(…): words as they stand, and constants by their value."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "Note" or not node.args:
            continue
        code = node.args[0]
        if isinstance(code, ast.Constant):
            found.add(code.value)
        elif isinstance(code, ast.Name) and code.id.isupper():
            found.add(getattr(importlib.import_module(module), code.id))
    return found


def test_the_page_names_every_code() -> None:
    made = {code for path in (ROOT / "vkmapctl").rglob("*.py") for code in codes(path)}
    lines = [line for line in (DOCS / "warnings.md").read_text().splitlines() if line.startswith("| `")]
    told = [code for line in lines for code in re.findall(r"`([a-z-]+)`", line.split("|")[1])]
    assert sorted(told) == sorted(made | OF_RUNS_THAT_BROKE)
