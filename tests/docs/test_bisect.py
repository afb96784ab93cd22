"""The script of docs/bisect.md, with commands that only have exit codes: what is no verdict is 125."""

import os
import subprocess
from pathlib import Path

import pytest
from pages import DOCS, FENCE

MISSED = "a.json: versus>1.05: it is 1.100"
UNCLEAR = "64 MiB: versus could not be judged: its interval, 1.01 to 1.09, holds the limit"


def script() -> str:
    (text,) = [text for language, text in FENCE.findall((DOCS / "bisect.md").read_text()) if language == "bash"]
    return text


def judged(folder: Path, *, code: int = 0, saved: str = "", build: str = "true") -> tuple[int, str]:
    """The script's exit code, and what it asked vkmapctl for."""
    fake = folder / "vkmapctl"
    fake.write_text(
        f"""#!/bin/bash
echo "$VK_DRIVER_FILES $*" >{folder}/asked
while [ "$1" != --save ]; do shift; done
echo '{saved}' >"$2"
exit {code}
"""
    )
    run = folder / "run.sh"
    run.write_text(script())
    for one in (fake, run):
        one.chmod(0o755)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    done = subprocess.run(
        [run, "/good.json", "/this.json"], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "BUILD": build},
    )  # fmt: skip
    asked = folder / "asked"
    return done.returncode, asked.read_text() if asked.exists() else ""


@pytest.mark.parametrize(
    ("code", "saved", "expected"),
    [
        (0, "", 0),
        (5, MISSED, 1),
        (5, UNCLEAR, 125),
        (1, "", 125),
        (2, "", 125),
        (3, "", 125),
        (4, "", 125),
        (6, "", 125),
        (130, "", 125),
        (139, "", 125),
    ],
)
def test_only_a_verdict_is_good_or_bad(tmp_path: Path, code: int, saved: str, expected: int) -> None:
    found, asked = judged(tmp_path, code=code, saved=saved)
    assert found == expected
    assert asked.startswith("/good.json stress quick --versus VK_DRIVER_FILES=/this.json --fail-if versus>1.05 --save ")


def test_a_build_that_fails_is_no_verdict(tmp_path: Path) -> None:
    assert judged(tmp_path, build="false") == (125, "")


def test_git_bisect_finds_the_commit(tmp_path: Path) -> None:
    """Ten commits; from the seventh on the driver is slow, the third does not build, of the fifth nothing is known."""
    folder = tmp_path / "source"
    folder.mkdir()

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "BUILD": "test ! -e broken"},
        ).stdout  # fmt: skip

    git("init", "-q")
    for number in range(1, 11):
        (folder / "number").write_text(str(number))
        (folder / "broken").unlink(missing_ok=True)
        if number == 3:
            (folder / "broken").write_text("")
        git("add", "-A")
        git("commit", "-q", "-m", f"commit {number}")
    fake, run = tmp_path / "vkmapctl", tmp_path / "run.sh"
    fake.write_text(
        f"""#!/bin/bash
while [ "$1" != --save ]; do shift; done
number=$(cat {folder}/number)
[ $number = 5 ] && echo '{UNCLEAR}' >"$2" && exit 5
[ $number -ge 7 ] && echo '{MISSED}' >"$2" && exit 5
exit 0
"""
    )
    run.write_text(script())
    for one in (fake, run):
        one.chmod(0o755)
    git("bisect", "start", "HEAD", "HEAD~9")
    assert "commit 7" in git("bisect", "run", str(run), "/good.json", "/this.json").split("is the first bad commit")[1]
