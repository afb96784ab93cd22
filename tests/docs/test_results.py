"""The saved runs that the pages stand on can be read, and are all listed."""

import pytest
from pages import ROOT

from vkmapctl.commandline import console
from vkmapctl.reports.views import view
from vkmapctl.results.runfile import load

RESULTS = ROOT / "docs/results"
RUNS = sorted(RESULTS.glob("*.json"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_saved_run_is_shown(path, capsys):
    console.print_view(view(load(path)))
    assert len(capsys.readouterr().out.splitlines()) > 10


def test_every_file_is_listed():
    listed = (RESULTS / "README.md").read_text()
    files = [path.name for path in RESULTS.iterdir() if path.suffix in (".json", ".html")]
    assert [name for name in files if f"({name})" not in listed] == []
