"""The workflows, the action and the forms of .github: what they may do, and that nothing of others' runs unpinned."""

import re

import pytest
import yaml
from pages import ROOT

import vkmapctl

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
WITH_ACTIONS = [*WORKFLOWS, ROOT / "examples/ci/github-actions.yml", ROOT / "action.yml"]
FORMS = [ROOT / f".github/ISSUE_TEMPLATE/{name}.yml" for name in ("bug", "feature")]
# The jobs that may do more than read, each beside others that may not.
MORE = {
    "docs.yml": {"publish": {"pages": "write", "id-token": "write"}},
    "github-actions.yml": {"lavapipe": {"contents": "read"}},
    "wheels.yml": {"publish": {"id-token": "write"}},
}
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def read(path):
    return yaml.safe_load(path.read_text())


def steps(path):
    """Each step of a workflow's jobs, or of an action."""
    found = read(path)
    jobs = found["jobs"].values() if "jobs" in found else [found["runs"]]
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", WITH_ACTIONS, ids=lambda path: path.name)
def test_each_action_is_pinned_by_commit_with_its_version(path):
    used = [one for one in re.findall(r"uses: (.+)", path.read_text()) if one != "./"]
    assert len(used) == sum(step.get("uses", "./") != "./" for step in steps(path))
    assert [one for one in used if not PINNED.fullmatch(one)] == []


def test_an_action_has_one_pin_everywhere():
    pins = {}
    for path in [*WITH_ACTIONS, ROOT / "docs/ci.md"]:
        for name, pin in re.findall(r"uses: (\S+)@(.+)", path.read_text()):
            pins.setdefault(name, set()).add(pin)
    assert [name for name, found in pins.items() if len(found) > 1] == []


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "examples/ci/github-actions.yml"], ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more(path):
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more == MORE.get(path.name, {})
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WITH_ACTIONS, ids=lambda path: path.name)
def test_no_text_of_others_becomes_a_command(path):
    """A matrix is written in the file itself; all else reaches a shell as a variable."""
    for step in steps(path):
        assert re.findall(r"\$\{\{(?! *matrix\.)", step.get("run", "")) == []


def test_only_a_tag_is_published_and_only_what_was_tested():
    workflow = read(ROOT / ".github/workflows/wheels.yml")
    publish = workflow["jobs"]["publish"]
    assert publish["if"] == "github.event_name == 'push' && github.ref_type == 'tag'"
    assert workflow[True] == {"push": {"tags": ["v*"]}, "workflow_dispatch": None}  # YAML 1.1 reads `on` so
    assert publish["needs"] == ["sdist", "wheels", "installed"]
    assert publish["environment"] == "pypi"
    assert "password" not in str(publish)
    assert [name for name, job in workflow["jobs"].items() if "environment" in job] == ["publish"]


def test_the_page_shows_the_action_as_it_is():
    action, page = read(ROOT / "action.yml"), (ROOT / "docs/ci.md").read_text()
    shown = {
        name: default.strip().strip("`") for name, default in re.findall(r"^\| `([\w-]+)` \| (.*?) ?\| ", page, re.M)
    }
    defaults = {name: one["default"] for name, one in action["inputs"].items()}
    assert shown == defaults | {"version": "this folder's"}
    (example,) = re.findall(r"^```yaml\n(- uses: \./.*?)^```", page, re.M | re.S)
    given, _ = yaml.safe_load(example)
    assert set(given["with"]) <= set(defaults)
    assert [name for name in action["outputs"] if f"`{name}`" not in page] == []


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_is_one_that_github_shows(path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)


def test_a_bug_report_asks_for_what_doctor_says():
    (doctor,) = [field for field in read(FORMS[0])["body"] if field.get("id") == "doctor"]
    assert "`vkmapctl doctor --markdown`" in doctor["attributes"]["description"]
    assert doctor["validations"] == {"required": True}


def test_a_citation_is_of_this_version():
    assert read(ROOT / "CITATION.cff")["version"] == vkmapctl.__version__
