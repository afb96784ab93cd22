"""Views as plain lines are what rich draws on a terminal that is wide enough."""

import io

import pytest
from builders import a_busy_row, a_floor, a_probe, a_probe_report, a_row, a_run
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.measure import Measurement

from vkmapctl.commands import console
from vkmapctl.reports import plain, probe
from vkmapctl.reports import stress as report
from vkmapctl.reports.drawing import drawn
from vkmapctl.reports.elements import Block, Column, Table, Text, grid, table


def a_screen(width=10_000):
    return Console(file=io.StringIO(), width=width, no_color=True, highlight=False, markup=False, emoji=False)


def by_rich(element, width=10_000):
    screen = a_screen(width)
    for part in drawn(element, screen.width):
        screen.print(part)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


def by_us(element):
    return list(plain.lines_of(element, 10_000))


def a_table(rows, *titles):
    made = table(*(titles or ("size", "api", "\nper pair")))
    for row in rows:
        made.add(*row)
    return made


words = st.text(st.sampled_from("ab ~-19.µ漢"), max_size=8).map(str.strip)


@given(st.lists(st.tuples(words, words, words), max_size=6))
def test_any_text_is_laid_out_as_rich_does(rows):
    one = a_table([(first, Text(second), third) for first, second, third in rows])
    assert by_us(one) == by_rich(one)


def test_cells_of_several_lines():
    one = a_table([("a\nb", "c", "d"), ("e", Text("f\ng\nh"), "")])
    assert by_us(one) == by_rich(one)


def test_a_grid():
    one = grid(2)
    for row in [("apiVersion", "1.4.305"), ("driver", Text("llvmpipe"))]:
        one.add(*row)
    assert by_us(one) == by_rich(one)


@pytest.mark.parametrize("above", [0, 1])
def test_a_block(above):
    block = Block(a_table([("a", "b", "c")]), above)
    assert by_us(block) == by_rich(block)


@pytest.mark.parametrize(
    "view",
    [
        report.run_view(a_run(a_row(), a_busy_row(), floor=a_floor())),
        probe.probe_view(a_probe_report(a_probe())),
    ],
    ids=["run", "probe"],
)
def test_whole_views(view):
    for part in view:
        assert by_us(part) == by_rich(part)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6))
def test_least_width_of_what_folds(rows):
    """A column that folds needs its longest word alone."""
    one = Table([Column("size"), Column("api")])
    for row in rows:
        one.add(*(cell.replace("漢", "x") for cell in row))
    assert plain.least_width(one) == Measurement.get(a_screen(), a_screen().options, *drawn(one, 80)).minimum


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=6))
def test_at_its_least_width_no_figure_is_cut(rows):
    """As rich would cut `22.1 us` to `22.1 u` where the column is narrower."""
    one = a_table([(first, second.replace("漢", "x"), third.replace("漢", "x")) for first, second, third in rows])
    shown = "\n".join(by_rich(one, plain.least_width(one)))
    assert all(figure in shown for row in one.rows for figure in row.cells[1:])


def test_ten_thousand_rows_are_large_and_all_printed(capsys):
    run = a_run(*[a_row(allocation_size=4096 * (i + 1)) for i in range(10_000)])
    tables = report.result_tables(run)
    assert plain.is_large(tables)
    assert not plain.is_large(report.result_tables(a_run(a_row())))
    console.print_view([tables])
    assert len(capsys.readouterr().out.splitlines()) > 30_000
