"""The Python that docs/python.md shows runs as it stands there, on lavapipe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, environment
from pages import DOCS, FENCE

EXAMPLES = [text for language, text in FENCE.findall((DOCS / "python.md").read_text()) if language == "python"]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(example: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(example)
    program = ("-m", "pytest", "-q") if "def test_" in example else ()
    done = subprocess.run(
        [sys.executable, *program, "test_it.py"],
        cwd=tmp_path, env=environment(LAVAPIPE), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_types(tmp_path: Path) -> None:
    """As a checker of types sees the package from outside: functions, documents, and what is in them."""
    (tmp_path / "uses.py").write_text(
        "import vkmapctl\n"
        "run: vkmapctl.Run = vkmapctl.stress('quick', size='64K')\n"
        "probes = vkmapctl.probe().devices\n"
        "reveal_type(vkmapctl.verify('M1').results[0].status)\n"
        "p50: float | None = run.results[0].map.p50_ns if run.results[0].map else None\n"
        "vkmapctl.probe(device=1.5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "uses.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 1, done.stdout
    assert 'Argument "device" to "probe" has incompatible type "float"' in errors[0]
    assert "Literal['pass'" in done.stdout
