"""Every command that the pages show works as it stands there, on lavapipe."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, environment
from pages import PAGES, ROOT, commands, name, workloads

SHORT = "--duration 50ms --warmup 0s"

# What does not always exit with 0 on lavapipe: the exit codes, and why.
OTHER_CODES = {
    "vkmapctl probe --require map2 --require placed --expect-driver NVIDIA": ({3}, "lavapipe is not NVIDIA's"),
    "vkmapctl stress --placed low4g --reserve --memory-type all": ({3}, "lavapipe has no placed maps"),
    "vkmapctl report compare five-base.json five-new.json": ({0, 5}, "the same"),
    "vkmapctl report compare base.json five-base.json --with new.json five-new.json": ({0, 5}, "the same"),
    "vkmapctl stress --size 1M --versus VK_ICD_FILENAMES= --fail-if 'versus>1.1'": ({0, 5}, "50 ms may be too few"),
    "vkmapctl report compare base.json new.json": ({0, 5}, "runs of 50 ms on a shared machine do differ"),
}

# What a test cannot do to the machine that it runs on. Each is run as the command on the right instead.
INSTEAD = (
    (r"make ", "make --dry-run ", "the target exists; what it does is what the rest of the tests are about"),
    (r"(.*) \.venv/bin/pytest -m hardware", r"\1 pytest -q --collect-only -m hardware", "there is no GPU"),
    (r"python3 -m venv venv", "true", "make test-wheel does it, in environments of its own"),
    (r"venv/bin/pip install .*", "true", "the same"),
    (r"venv/bin/vkmapctl ", "vkmapctl ", "the same"),
    (r"man -l share/man/man1/vkmapctl.1", "true", "test_install.py reads the page"),
)


def shortened(line: str) -> str:
    """A `stress` that runs 50 ms a row: the flag that stands last wins."""
    measured = line.startswith("vkmapctl stress") and "--iterations" not in line
    return f"{line} {SHORT}" if measured else line


def instead(line: str) -> str:
    """The command that stands in for one of INSTEAD; any other as it is."""
    for pattern, replacement, _ in INSTEAD:
        if re.match(pattern, line):
            return re.sub(pattern, replacement, line, count=1)
    return line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder where a page's relative paths lead to the repository's files, and new files stay outside of it."""
    for path in ROOT.iterdir():
        if path.name not in (".git", "build", "dist"):
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands(page: Path, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for line in commands(page):
        done = subprocess.run(
            ["bash", "-c", shortened(instead(line))],
            cwd=folder,
            env=environment({**LAVAPIPE, "PATH": path}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        expected, _ = OTHER_CODES.get(line, ({0}, ""))
        assert done.returncode in expected, f"{line}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"


def test_exceptions_are_still_needed() -> None:
    lines = [line for page in PAGES for line in commands(page)]
    assert set(OTHER_CODES) <= set(lines)
    for pattern, _, _ in INSTEAD:
        assert any(re.match(pattern, line) for line in lines), f"no page shows {pattern}"


def test_extras_that_pages_name_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for page in PAGES for extra in re.findall(r"vkmapctl\[(\w+)\]", page.read_text())}
    assert named == set(extras)


@pytest.mark.parametrize("page", [page for page in PAGES if workloads(page)], ids=name)
def test_workloads(page: Path, folder: Path) -> None:
    """Every workload file that the pages show is sound."""
    for text in workloads(page):
        (folder / "shown.toml").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "vkmapctl", "workloads", "check", "shown.toml", "--offline"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{text}\n{done.stderr}"
