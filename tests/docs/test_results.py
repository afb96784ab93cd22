"""The saved runs that the pages stand on can be read, also on a narrow terminal; all are listed, and cited."""

import io
import subprocess
import sys

import pytest
from pages import PAGES, ROOT
from rich.console import Console

from vkmapctl.commands import console
from vkmapctl.model.documents import indented
from vkmapctl.report import view
from vkmapctl.reports.drawing import drawn
from vkmapctl.reports.elements import Block, Fitted, Table, Text
from vkmapctl.saved.files import load

RESULTS = ROOT / "docs/results"
RUNS = sorted(RESULTS.glob("*.json"))
KEPT = sorted(path for path in RESULTS.iterdir() if path.suffix in (".html", ".txt"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_saved_run_is_shown(path, capsys):
    console.print_view(view(load(path)))
    assert len(capsys.readouterr().out.splitlines()) > 10


def figures(element, width):
    """The texts of an element's cells that may not break."""
    match element:
        case Table():
            for row in element.rows:
                for cell, column in zip(row.cells, element.columns, strict=True):
                    if not column.folds:
                        yield cell.plain if isinstance(cell, Text) else cell
        case Block():
            yield from figures(element.content, width - element.indent)
        case Fitted():
            for one in element.made_for(width):
                yield from figures(one, width)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_no_figure_is_cut_at_80_columns(path):
    screen = Console(file=io.StringIO(), width=80, no_color=True, highlight=False, markup=False, emoji=False)
    elements = list(view(load(path)))
    for element in elements:
        for part in drawn(element, 80):
            screen.print(part)
    shown = screen.file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert [figure for element in elements for figure in figures(element, 80) if figure not in shown] == []


def test_every_file_is_listed():
    listed = (RESULTS / "README.md").read_text()
    assert [path.name for path in [*RUNS, *KEPT] if f"({path.name})" not in listed] == []


def test_every_run_is_cited_by_a_page():
    text = "\n".join(page.read_text() for page in PAGES)
    assert [path.name for path in RUNS if f"results/{path.name})" not in text] == []


def test_a_histogram_is_one_line():
    for path in RUNS:
        assert indented(path.read_bytes()) == path.read_bytes()


def test_kept_pages_are_current(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts/make-pages", tmp_path], check=True)
    for path in KEPT:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), f"{path.name}: run make pages"
