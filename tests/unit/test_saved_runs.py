"""Files of schema 1, as earlier versions wrote them: they stay readable, and look as they looked.

`VKMAPCTL_UPDATE_GOLDEN=1 pytest tests/unit/test_saved_runs.py` rewrites what they look like.
"""

import json
import os
from pathlib import Path

import pytest

from vkmapctl import cli
from vkmapctl.errors import UsageProblem
from vkmapctl.saved.files import load

GOLDEN = Path(__file__).parents[1] / "golden" / "schema-1"
NAMES = ("probe", "stress", "placed", "workload")
RUNS = ("stress", "placed", "workload")


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


@pytest.mark.parametrize("name", NAMES)
def test_show(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", "show", str(GOLDEN / f"{name}.json")) == 0
    shown = capsys.readouterr().out
    expected = GOLDEN / f"{name}.txt"
    if os.environ.get("VKMAPCTL_UPDATE_GOLDEN"):
        expected.write_text(shown)
    assert shown == expected.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_keys_of_the_future_are_ignored(name: str, tmp_path: Path) -> None:
    path = GOLDEN / f"{name}.json"
    newer = json.loads(path.read_text()) | {"new_key": {"a": 1}}
    (tmp_path / "newer.json").write_text(json.dumps(newer))
    assert load(tmp_path / "newer.json") == load(path)


@pytest.mark.parametrize("devices", [5, [5], [{"proofs": 5}], [{"proofs": [5]}], {"a": 1}, None])
def test_a_probe_with_other_things_where_proofs_belong_is_no_saved_run(devices: object, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(json.loads((GOLDEN / "probe.json").read_text()) | {"devices": devices}))
    with pytest.raises(UsageProblem, match="not a saved run"):
        load(path)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("wanted", ["md", "csv", "junit", "html"])
def test_export(name: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert run("report", "export", str(GOLDEN / f"{name}.json"), "--format", wanted, "--output", str(path)) == 0
    assert path.stat().st_size > 400


@pytest.mark.parametrize("name", RUNS)
def test_a_run_compared_with_itself_is_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(GOLDEN / f"{name}.json")
    assert run("report", "compare", path, path) == 0
    assert "nothing is slower" in capsys.readouterr().out


def test_different_settings_are_refused_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = json.loads((GOLDEN / "stress.json").read_text())
    saved["workload"]["seconds"] = 0.6
    other = tmp_path / "shorter.json"
    other.write_text(json.dumps(saved))
    paths = [str(GOLDEN / "stress.json"), str(other)]
    assert run("report", "compare", *paths) == 2
    assert "duration_seconds: 2.0 and 0.6" in capsys.readouterr().err
    assert run("report", "compare", *paths, "--allow", "settings") == 0


def test_plot_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", "show", str(GOLDEN / "placed.json"), "--plot") == 0
    shown = capsys.readouterr().out
    assert "p50 of map by size" in shown
    assert "% of unmap calls by time" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "/nowhere.json"),
        ("show", __file__),
        ("compare", str(GOLDEN / "probe.json"), str(GOLDEN / "stress.json")),
        ("compare", str(GOLDEN / "stress.json")),
        ("export", str(GOLDEN / "probe.json"), "--format", "csv"),
        ("export", str(GOLDEN / "stress.json"), "--format", "csv", "--output", __file__),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", *arguments) == 2
    assert capsys.readouterr().err.count("Error: ") == 1
