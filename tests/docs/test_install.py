"""Shell completion, the man page and the pictures are made from the program, and are sound."""

import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from pages import ROOT


def made(*command: str | Path, **variables: str) -> str:
    """What a command prints; it must succeed."""
    done = run(*command, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command in the repository, with more in its environment."""
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    script = made(sys.executable, "-m", "vkmapctl", _VKMAPCTL_COMPLETE=f"{shell}_source")
    assert "_VKMAPCTL_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_completion_answers() -> None:
    ask = {"_VKMAPCTL_COMPLETE": "bash_complete", "COMP_WORDS": "vkmapctl stress --api ", "COMP_CWORD": "3"}
    assert "plain,khr" in made(sys.executable, "-m", "vkmapctl", **ask).splitlines()


@pytest.mark.parametrize(
    ("typed", "offered", "others"),
    [
        (["stress", ""], {"quick", "low4g", "busy-gpu"}, set()),
        (["stress", "lo"], {"low4g"}, {"quick"}),
        (["workloads", "show", "re"], {"readback", "reserve-churn"}, {"quick"}),
        (["verify", "--check", ""], {"M1", "P1", "R1"}, set()),
        (["verify", "--known-failure", "r"], {"R1", "R8"}, {"M1"}),
        (["stress", "--inject", "map-"], {"map-fails", "map-hangs"}, {"place-elsewhere"}),
        (["verify", "--inject", "place-"], {"place-elsewhere"}, {"map-fails"}),
    ],
)
def test_what_bash_offers(typed: list[str], offered: set[str], others: set[str]) -> None:
    words = " ".join(f"'{word}'" for word in ["vkmapctl", *typed])
    script = ROOT / "share/bash-completion/completions/vkmapctl"
    asked = f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _vkmapctl_completion vkmapctl"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = set(made("bash", "-c", f'{asked}; printf "%s\\n" "${{COMPREPLY[@]}}"', PATH=path).split())
    assert offered <= found
    assert not others & found


def test_files_are_offered_where_no_preset_begins_so() -> None:
    ask = {"_VKMAPCTL_COMPLETE": "bash_complete", "COMP_WORDS": "vkmapctl stress ./my", "COMP_CWORD": "2"}
    assert made(sys.executable, "-m", "vkmapctl", **ask).splitlines() == ["file,./my"]


def test_what_the_wheel_installs_is_current(tmp_path: Path) -> None:
    made(sys.executable, ROOT / "scripts/make-share", tmp_path)
    made_now = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {str(path.relative_to(ROOT / "share")) for path in (ROOT / "share").rglob("*") if path.is_file()}
    assert kept == set(made_now)
    for name, text in made_now.items():
        assert (ROOT / "share" / name).read_text() == text, f"{name}: run make man"


def test_man_page() -> None:
    page = made(sys.executable, ROOT / "scripts/make-man")
    for section in ("NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "EXAMPLES"):
        assert f"\n.SH {section}\n" in page
    for command in ("probe", "stress", "verify", "selftest", "report compare", "workloads check"):
        assert f'\n.SS "{command}"\n' in page
    for option in ("--memory-type", "--known-failure", "--tail-threshold"):
        assert option.replace("-", "\\-") in page
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_pictures_are_current(tmp_path: Path) -> None:
    made(sys.executable, ROOT / "scripts/make-pictures", tmp_path)

    def words(picture: Path) -> list[str]:
        return unescape(re.sub(r"<style.*?</style>|<[^>]*>", "", picture.read_text(), flags=re.S)).split()

    kept = sorted((ROOT / "docs/images").glob("*.svg"))
    assert [path.name for path in kept] == sorted(path.name for path in tmp_path.glob("*.svg"))
    for picture in kept:
        assert words(picture) == words(tmp_path / picture.name), f"{picture.name}: run scripts/make-pictures"


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_installing_on_another_system_stops_before_anything_is_compiled(platform: str) -> None:
    """setuptools is there when a package is built, and need not be here."""
    code = (
        "import runpy, sys, types; sys.modules['setuptools'] = types.SimpleNamespace(Extension=None, setup=None); "
        f"sys.platform = {platform!r}; runpy.run_path('setup.py')"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: vkmapctl works on Linux alone")
    assert "WSL 2" in line
