"""Tables laid out without rich: the same lines as rich draws, for what this program puts into tables."""

import io

import pytest
from builders import a_busy_row, a_floor, a_probe, a_probe_report, a_row, a_run
from hypothesis import given
from hypothesis import strategies as st
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vkmapctl import report
from vkmapctl.commandline import console
from vkmapctl.reports import plain


def a_screen(width=10_000):
    return Console(file=io.StringIO(), width=width, no_color=True, highlight=False, markup=False, emoji=False)


def by_rich(part):
    screen = a_screen()
    screen.print(part)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


def by_us(part):
    return [line.rstrip() for line in plain.lines_of(part, a_screen())]


def a_table(rows, *, box=SIMPLE_HEAD, titles=("size", "api", "\nper pair")):
    table = Table(box=box, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if i else "left", no_wrap=bool(i), overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


words = st.text(st.sampled_from("ab ~-19.µ漢"), max_size=8).map(str.strip)


@given(st.lists(st.tuples(words, words, words), max_size=6))
def test_any_text_is_laid_out_as_rich_does(rows):
    table = a_table([(first, Text(second), third) for first, second, third in rows])
    assert plain.table_lines(table) == by_rich(table)


def test_cells_of_several_lines():
    table = a_table([("a\nb", "c", "d"), ("e", Text("f\ng\nh"), "")])
    assert plain.table_lines(table) == by_rich(table)


def test_a_grid():
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in [("apiVersion", "1.4.305"), ("driver", Text("llvmpipe"))]:
        grid.add_row(*row)
    assert plain.table_lines(grid) == by_rich(grid)


def test_a_table_in_a_cell_is_left_to_rich():
    grid = Table.grid()
    grid.add_row(a_table([("a", "b", "c")]))
    assert plain.table_lines(grid) is None
    assert by_us(grid) == by_rich(grid)
    with pytest.raises(ValueError, match="more than text"):
        plain.least_width(grid)


@pytest.mark.parametrize(
    "view",
    [
        report.run_view(a_run(a_row(), a_busy_row(), floor=a_floor())),
        report.probe_view(a_probe_report(a_probe())),
    ],
    ids=["run", "probe"],
)
def test_whole_views(view):
    for part in view:
        assert by_us(part) == by_rich(part)


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=6))
def test_least_width(rows):
    table = a_table([[cell.replace("漢", "x") for cell in row] for row in rows])
    assert plain.least_width(table) == Measurement.get(a_screen(), a_screen().options, table).minimum


def test_ten_thousand_rows_are_large_and_all_printed(capsys):
    run = a_run(*[a_row(allocation_size=4096 * (i + 1)) for i in range(10_000)])
    tables = report.ResultTables(run)
    assert plain.is_large(tables)
    assert not plain.is_large(report.ResultTables(a_run(a_row())))
    console.print_view([tables])
    assert len(capsys.readouterr().out.splitlines()) > 30_000
