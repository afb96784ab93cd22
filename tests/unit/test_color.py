"""Whether output has colours: a flag wins over the environment, NO_COLOR over FORCE_COLOR, and a pipe has none."""

from pathlib import Path

import pytest
from rich.text import Text

from vkmapctl.cli import main
from vkmapctl.commands import console

RUN = str(Path(__file__).parents[1] / "golden" / "schema-1" / "stress.json")
ALWAYS, NEVER = ("--color", "always"), ("--color", "never")
FORCED, REFUSED = {"FORCE_COLOR": "1"}, {"NO_COLOR": "1"}


@pytest.fixture(autouse=True)
def ask_again():
    yield
    console.choose_color("auto")


def shown(capsys, *flags):
    assert main(["report", "show", RUN, *flags]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "variables", "colored"),
    [
        ((), {}, False),
        (ALWAYS, {}, True),
        ((), FORCED, True),
        ((), {"FORCE_COLOR": ""}, False),
        ((), FORCED | REFUSED, False),
        ((), FORCED | {"NO_COLOR": ""}, True),
        (ALWAYS, REFUSED, True),
        (NEVER, FORCED, False),
        (("--no-color",), FORCED, False),
        ((*ALWAYS, "--no-color"), {}, False),
        (("--color", "auto"), FORCED, True),
    ],
)
def test_what_wins(flags, variables, colored, monkeypatch, capsys):
    for name, value in ({"TERM": "dumb"} | variables).items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in shown(capsys, *flags)) is colored


def test_what_is_forced_is_as_wide_as_columns_says(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, console_lines(shown(capsys, *ALWAYS)))) <= 80


def console_lines(text):
    return [Text.from_ansi(line).plain for line in text.splitlines()]


def test_json_has_no_colours(capsys):
    assert "\x1b[" not in shown(capsys, "--json", *ALWAYS)
