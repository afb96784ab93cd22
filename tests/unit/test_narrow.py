"""On a narrow terminal nothing is lost: values stay whole, and where they cannot, no character is cut away."""

import re
from pathlib import Path

import pytest

from vkmapctl.cli import main
from vkmapctl.commands import console
from vkmapctl.reports.elements import Column, Table

RESULTS = Path(__file__).parents[2] / "docs/results"
LOW4G = RESULTS / "h100-low4g.json"
PLACED = RESULTS / "h100-placed-low4g-reserve.json"
ANSI = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture(autouse=True)
def color_as_before():
    yield
    console.choose_color("auto")


def drawn(width, monkeypatch, capsys, *arguments):
    """What a command draws on a terminal of so many columns, line by line."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([*arguments, "--color", "always"]) == 0
    lines = ANSI.sub("", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    return lines


def compared(width, monkeypatch, capsys, run=LOW4G):
    return drawn(width, monkeypatch, capsys, "report", "compare", str(run), str(run))


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_comparison_keeps_every_value_in_one_piece(width, monkeypatch, capsys):
    main(["report", "compare", str(LOW4G), str(LOW4G)])
    plain = capsys.readouterr().out
    shown = "\n".join(compared(width, monkeypatch, capsys))
    figures = re.compile(r"\w+\.p\d+ .*same\)?$|ns_per_pair .*same$", re.MULTILINE)
    wanted = [line.split() for line in figures.findall(plain)]
    assert len(wanted) > 50
    assert [line.split() for line in re.sub(r" +$", "", shown, flags=re.MULTILINE).split("\n") if line][-1]
    assert [found.split() for found in figures.findall(re.sub(r" +$", "", shown, flags=re.MULTILINE))] == wanted


def test_a_comparison_on_sixty_columns_keeps_metrics_and_verdicts(monkeypatch, capsys):
    """Of a run of maps and unmaps alone: `invalidate.p999` has no room there."""
    lines = compared(60, monkeypatch, capsys, PLACED)
    shown = " ".join(" ".join(lines).split())
    for word in ("ns_per_pair", "unmap.p999", "(same)", "1.53 ms", "-46.0%", "+85.2%", "256 MiB, #4 De Vi Co"):
        assert word in shown, word


def test_a_table_without_room_cuts_nothing_away(monkeypatch, capsys):
    table = Table([Column("name", folds=False), Column("value", right=True, folds=False)])
    table.add("abcdefghijklmnopqrstuvwxyz", "0123456789")
    monkeypatch.setenv("COLUMNS", "16")
    console.choose_color("always")
    console.print_view([table])
    shown = ANSI.sub("", capsys.readouterr().out)
    assert "".join(re.findall("[a-z]", shown.replace("name", "").replace("value", ""))) == "abcdefghijklmnopqrstuvwxyz"
    assert "".join(re.findall("[0-9]", shown)) == "0123456789"


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("command", [("verify", "--list"), ("selftest", "--list")])
def test_lists_break_no_words(command, width, monkeypatch, capsys):
    main([*command])
    words = set(capsys.readouterr().out.split())
    shown = {word for line in drawn(width, monkeypatch, capsys, *command) for word in line.split()}
    assert {word for word in shown - words if not set(word) <= {"─"}} == set()
