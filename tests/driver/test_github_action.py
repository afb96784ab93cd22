"""action.yml on lavapipe: its own shell, in the environment that GitHub gives it."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cli_runner import LAVAPIPE, environment

ROOT = Path(__file__).parents[2]
BRIEF = "--size 64K --touch verify --duration 50ms --warmup 0s"
REPORTS = ("probe", "verify", "stress")


class Done(NamedTuple):
    code: int
    log: str
    outputs: dict[str, str]
    summary: str
    folder: Path

    def has(self) -> list[str]:
        """The reports that are there and can be read."""
        found = [verb for verb in REPORTS if (self.folder / f"{verb}.xml").exists()]
        assert all(ET.parse(self.folder / f"{verb}.xml").find(".//testcase") is not None for verb in found)
        return found


@pytest.fixture
def action(tmp_path: Path) -> Any:
    described = yaml.safe_load((ROOT / "action.yml").read_text())
    defaults = {name: one["default"] for name, one in described["inputs"].items()}
    (step,) = described["runs"]["steps"]
    installed = str(Path(sys.executable).parent / "vkmapctl")

    def run(**given: str) -> Done:
        inputs = {**defaults, "command": installed, "verify": "--check M1", "stress": BRIEF}
        inputs |= {name.replace("_", "-"): value for name, value in given.items()}
        assert set(inputs) == set(defaults)
        variables = {
            name: re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)[1]  # type: ignore[index]
            for name, value in step["env"].items()
        }
        (tmp_path / "work").mkdir(exist_ok=True)
        (tmp_path / "step.sh").write_text(step["run"])
        for name in ("output", "summary"):
            (tmp_path / name).write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", tmp_path / "step.sh"],
            env={
                **environment(LAVAPIPE),
                **{name: inputs[of] for name, of in variables.items()},
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(tmp_path / "output"),
                "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
                "RUNNER_TEMP": str(tmp_path),
            },
            cwd=tmp_path / "work", capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        lines = (tmp_path / "output").read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        assert set(outputs) <= set(described["outputs"])
        summary = (tmp_path / "summary").read_text()
        return Done(done.returncode, done.stdout + done.stderr, outputs, summary, tmp_path / "work" / inputs["folder"])

    return run


def test_all_is_well(action: Any) -> None:
    done = action(expect_driver="llvmpipe", verify="")
    assert done.code == 0, done.log
    assert done.has() == [*REPORTS]
    codes = {f"{verb}-exit-code": "0" for verb in REPORTS}
    assert done.outputs == {**codes, "exit-code": "0", "folder": "vkmapctl-reports"}
    for verb in REPORTS:
        assert f"| vkmapctl {verb} | 0 |" in done.summary
        assert f"# vkmapctl {verb}" in done.summary
    assert (done.folder / "summary.md").read_text() == done.summary


def test_a_threshold_that_is_missed_still_leaves_every_report(action: Any) -> None:
    done = action(fail_if="mismatches>0\nmap.max>0ns\n", folder="two words")
    assert done.code == 5, done.log
    assert done.outputs["exit-code"] == done.outputs["stress-exit-code"] == "5"
    assert done.outputs["folder"] == "two words"
    assert done.has() == [*REPORTS]
    assert "| vkmapctl stress | 5 |" in done.summary
    assert "map.max\\>0ns" in done.summary
    assert "::error title=vkmapctl stress::exit code 5" in done.log


def test_a_driver_that_breaks_a_rule(action: Any) -> None:
    done = action(verify="--inject shared-address --check M6")
    assert done.code == 4, done.log
    assert (done.outputs["verify-exit-code"], done.outputs["stress-exit-code"]) == ("4", "0")
    assert done.has() == [*REPORTS]


@pytest.mark.parametrize("gate", [{"require": "map2 placed"}, {"expect_driver": "NVIDIA"}])
def test_nothing_is_measured_behind_a_gate_that_does_not_hold(action: Any, gate: dict[str, str]) -> None:
    done = action(**gate)
    assert done.code == 3, done.log
    assert done.outputs == {"probe-exit-code": "3", "exit-code": "3", "folder": "vkmapctl-reports"}
    assert done.has() == ["probe"]
    assert "| vkmapctl probe | 3 |" in done.summary


def test_reports_of_an_earlier_run_do_not_pass_for_this_ones(action: Any) -> None:
    assert action().code == 0
    done = action(verify="no", stress="no")
    assert done.code == 0, done.log
    assert done.has() == ["probe"]
    assert "vkmapctl stress" not in done.summary


def test_an_input_is_never_a_command(action: Any, tmp_path: Path) -> None:
    poison = f"$(touch {tmp_path}/struck) `touch {tmp_path}/struck`; touch {tmp_path}/struck *"
    for name in ("require", "expect_driver", "verify", "stress", "fail_if"):
        assert action(**{name: poison}).code in (2, 3)
    assert action(folder="a\nexit-code=0").code == 2
    assert action(folder="").code == 2
    assert not os.path.exists(tmp_path / "struck")
