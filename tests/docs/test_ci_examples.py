"""The pipelines of examples/ci, as far as a shell can run them: every command, in its order, in a workspace."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from cli_runner import LAVAPIPE, environment
from pages import ROOT

EXAMPLES = ROOT / "examples/ci"
INSTALL = "python3 -m venv venv && venv/bin/pip install ."
NO_GPU = {"EXPECTED_DRIVER": "llvmpipe", "FORCE_COLOR": ""}
OUT_OF_TEST = r"sudo apt-get "  # what a test must not do to its machine


def pipeline(name):
    return yaml.safe_load((EXAMPLES / name).read_text())


def github():
    (job,) = pipeline("github-actions.yml")["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab():
    return pipeline("gitlab-hardware.yml")["vulkan-mapping"]["script"]


def jenkins():
    text = (EXAMPLES / "Jenkinsfile").read_text()
    found = re.findall(r"""sh (?:'([^'\n]*)'|"((?:[^"\\\n]|\\.)*)")""", text)
    return [single or re.sub(r"\\(.)", r"\1", double) for single, double in found]


def buildkite():
    return [line.replace("$$", "$") for line in pipeline("buildkite.yml")["steps"][0]["commands"]]


@pytest.fixture
def workspace(tmp_path):
    """A folder where vkmapctl is installed in `venv` as it is for the tests."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/bin").symlink_to(Path(sys.executable).parent)
    return tmp_path


def run_here(line, folder):
    """On lavapipe with placed maps by the test layer, 50 ms a row. Figures of a busy machine may miss a threshold."""
    if line.startswith("venv/bin/vkmapctl stress"):
        line += " --duration 50ms --warmup 0s"
    if "--require placed" in line or "--placed" in line:
        line += " --emulate placed"
    variables = {**LAVAPIPE, **NO_GPU, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment(variables), capture_output=True, text=True, timeout=120
    )
    assert done.returncode in ({0, 5} if "--fail-if" in line else {0}), f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("commands", [github, gitlab, jenkins, buildkite])
def test_a_pipeline(commands, workspace):
    lines = [line for line in commands() if not re.match(OUT_OF_TEST, line)]
    assert lines[0] == INSTALL
    assert [line.split()[1] for line in lines[1:4]] == ["probe", "verify", "stress"]
    for line in lines[1:]:
        run_here(line, workspace)
    for report in ("probe.xml", "verify.xml", "stress.xml"):
        assert ET.parse(workspace / report).find(".//testcase") is not None
    run_here(lines[3], workspace)  # where the workspace was kept


def test_every_pipeline_is_named_on_the_page():
    page = (ROOT / "docs/ci.md").read_text()
    assert [path.name for path in EXAMPLES.iterdir() if f"../examples/ci/{path.name}" not in page] == []
