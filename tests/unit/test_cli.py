"""Wrong flags and values: exit code 2, one line that says what, hints, and never a traceback."""

import sys
from importlib import import_module

import click
import pytest
from msgspec.structs import replace

from vkmapctl import __version__
from vkmapctl.cli import cli, main
from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.plans.options import FLAGS
from vkmapctl.plans.workload_file import load, read

WRONG = [
    ["--bogus"],
    ["bogus"],
    ["stress", "--bogus"],
    ["stress", "surplus", "more"],
    ["stress", "--size"],
    ["stress", "--size", "0"],
    ["stress", "--size", "-1"],
    ["stress", "--size", "lots"],
    ["stress", "--size", "9" * 5000],
    ["stress", "--size", "1\n2"],
    ["stress", "--size", "64K,128K"],
    ["stress", "--offset", "-5"],
    ["stress", "--offset", "somewhere"],
    ["stress", "--map-size", "part"],
    ["stress", "--map-size", "1.5"],
    ["stress", "--api", "v2"],
    ["stress", "--api", ""],
    ["stress", "--placed=low8g"],
    ["stress", "--placed=4096"],
    ["stress", "--touch", "lick"],
    ["stress", "--threads", "0"],
    ["stress", "--threads", "many"],
    ["stress", "--threads", "99999999999"],
    ["stress", "--threads", "1..5000"],
    ["stress", "--rate", "nan"],
    ["stress", "--rate", "1e-300"],
    ["stress", "--rate", "1e10"],
    ["stress", "--live", "0"],
    ["stress", "--duration", "0s"],
    ["stress", "--duration", "0"],
    ["stress", "--duration", "5"],
    ["stress", "--duration", "-5s"],
    ["stress", "--duration", "5\u017f"],
    ["stress", "--duration", "9" * 400 + "s"],
    ["stress", "--warmup", "soon"],
    ["stress", "--gap", "10.1s"],
    ["stress", "--gap", "1ms", "--rate", "5"],
    ["stress", "--iterations", "0"],
    ["stress", "--iterations", "1e6"],
    ["stress", "--iterations", "9" * 30],
    ["stress", "--seed", "-1"],
    ["stress", "--seed", str(1 << 63)],
    ["stress", "--fail-if", "map.p99"],
    ["stress", "--fail-if", "map.p99>50"],
    ["stress", "--fail-if", "nonsense>1"],
    ["stress", "--timeout", "0s"],
    ["stress", "--timeout", "never"],
    ["probe", "--require", "everything"],
    ["probe", "--require", "api>=4"],
    ["probe", "--timeout", "5\u017f"],
    ["probe", "--reserve"],
]


def shown(arguments):
    return " ".join(word if len(word) < 40 else f"{word[:8]}..." for word in arguments)


@pytest.fixture(autouse=True)
def no_driver(monkeypatch):
    """A wrong command line must be refused before any driver is looked for."""

    def forked(*_):
        raise AssertionError("went on to start the driver")

    monkeypatch.setattr("os.fork", forked)


def outcome(arguments, capsys):
    code = main(arguments)
    out, err = capsys.readouterr()
    return int(code), out, err


@pytest.mark.parametrize("arguments", WRONG, ids=shown)
def test_wrong_arguments(arguments, capsys):
    code, out, err = outcome(arguments, capsys)
    lines = err.splitlines()
    assert code == ExitCode.USAGE
    assert out == ""
    assert lines[0].startswith("Error: ")
    assert len(lines[0]) > len("Error: ")
    assert [line for line in lines[1:] if not line.startswith("Hint: ")] == []


@pytest.mark.parametrize("arguments", [["stress", "--plot"], ["report", "show", "--plot", "nowhere.json"]])
def test_plots_without_plotext_are_refused_before_anything_is_done(arguments, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotext", None)  # as if it was not installed
    assert outcome(arguments, capsys) == (
        ExitCode.USAGE, "", "Error: --plot needs plotext\nHint: pip install 'vkmapctl[plot]'\n",
    )  # fmt: skip


def test_zero_is_a_duration_where_there_may_be_none():
    for option in FLAGS:
        if option.name in ("warmup", "gap"):
            assert option.kind.values("0") == option.kind.values("0s") == [0.0]


def commands(group=cli, path=()):
    """Every command that does something, with its path."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


TAKES_A_VALUE = [
    (path, command, parameter)
    for path, command in commands()
    for parameter in command.params
    if not getattr(parameter, "is_flag", False)
]


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    ("path", "command", "parameter"),
    TAKES_A_VALUE,
    ids=[f"{' '.join(path)} {one.opts[0]}" for path, _, one in TAKES_A_VALUE],
)
def test_an_empty_value_is_refused_by_its_name(path, command, parameter, empty, capsys):
    """`--expect-driver "$UNSET"` must not pass the gate, nor `stress "$UNSET"` run something else."""
    words = [empty if one is parameter else "x" for one in command.params if isinstance(one, click.Argument)]
    for one in command.params:
        if isinstance(one, click.Option) and (one is parameter or one.required):
            value = empty if one is parameter else getattr(one.type, "choices", ["x"])[0]
            own = not command.context_settings.get("allow_interspersed_args", True)  # the rest is a program's
            words.insert(0 if own else len(words), f"{one.opts[0]}={value}")
    code, out, err = outcome([*path, *words], capsys)
    assert (code, out) == (ExitCode.USAGE, "")
    name = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
    assert f"Error: Invalid value for '{name}': " in err


def test_a_misspelt_command_is_answered_with_the_likeliest(capsys):
    told = outcome(["stres"], capsys)[2]
    assert "No such command 'stres'" in told
    assert "stress" in told or not hasattr(click.exceptions, "NoSuchCommand")  # whose message that is, and not before


@pytest.mark.parametrize("kind", ["exists", "folder", "under a file", "empty", "name too long"])
@pytest.mark.parametrize("command", ["probe", "stress"])
def test_a_save_that_cannot_work_is_refused_first(command, kind, tmp_path, capsys):
    (tmp_path / "file").write_text("precious")
    path = {
        "exists": tmp_path / "file",
        "folder": tmp_path,
        "under a file": tmp_path / "file" / "x",
        "empty": "",
        "name too long": tmp_path / ("x" * 300),
    }[kind]
    code, out, err = outcome([command, "--save", str(path)], capsys)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("Error: ")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_misspelt_value_shows_what_there_is(capsys):
    _, _, err = outcome(["stress", "--api", "cor"], capsys)
    assert all(name in err for name in ("auto", "core", "khr", "v1", "all"))


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["probe", "--help"], ["stress", "-h"]])
def test_help(arguments, capsys):
    code, out, err = outcome(arguments, capsys)
    assert (code, err) == (ExitCode.OK, "")
    assert "Usage: vkmapctl" in out


def test_version(capsys):
    code, out, _ = outcome(["--version"], capsys)
    assert code == ExitCode.OK
    assert __version__ in out


def test_no_command_shows_the_help_rather_than_an_error(capsys):
    code, out, err = outcome([], capsys)
    assert code == ExitCode.USAGE
    assert "Commands:" in out + err
    assert "Error:" not in out + err


@pytest.fixture
def wanted(monkeypatch):
    """The workload that a command line asks for; nothing is measured."""

    def asked(*arguments):
        workloads = []

        def measure(workload, *, thresholds, **_):
            workloads.append((workload, [one.text for one in thresholds]))
            raise UsageProblem("not measured")

        monkeypatch.setattr(import_module("vkmapctl.stress"), "Stress", measure)
        assert main(["stress", *arguments]) == ExitCode.USAGE
        ((workload, thresholds),) = workloads
        return workload, thresholds

    return asked


SAME = [
    (["--size", "64K", "--size", "4K..8K"], 'size = ["64K", 4096, "8K"]'),
    (["--offset", "random", "--offset", "4K"], 'offset = ["random", 4096]'),
    (["--map-size", "whole"], 'map_size = "whole"'),
    (["--map-size", "4K"], "map_size = 4096"),
    (["--api", "all"], 'api = "all"'),
    (["--memory-type", "3"], "memory_type = 3"),
    (["--memory-type", "De,Vi"], 'memory_type = "De,Vi"'),
    (["--placed"], "placed = true"),
    (["--placed=low4g"], 'placed = "low4g"'),
    (["--reserve"], "reserve = true"),
    (["--allocation", "export"], 'allocation = "export"'),
    (["--pressure", "90%"], 'pressure = "90 %"'),
    (["--pressure", "90"], "pressure = 90"),
    (["--import"], 'import = "host"'),
    (["--import=none"], 'import = "none"'),
    (["--touch", "read"], 'touch = "read"'),
    (["--width", "1..4"], "width = [1, 2, 4]"),
    (["--width", "stream"], 'width = "stream"'),
    (["--access", "strided"], 'access = "strided"'),
    (["--threads", "1..4"], "threads = [1, 2, 4]"),
    (["--live", "7"], "live = 7"),
    (["--unmap-order", "reverse"], 'unmap_order = "reverse"'),
    (["--rate", "1e3"], "rate = 1000"),
    (["--rate", "0"], "rate = 0.0"),
    (["--gap", "1ms"], 'gap = "1ms"'),
    (["--gap", "0"], "gap = 0"),
    (["--gpu-load", "copy"], 'gpu_load = "copy"'),
    (["--gpu-load", "fill", "--gpu-on", "mapped"], 'gpu_load = "fill"\ngpu_on = "mapped"'),
    (["--duration", "250ms"], 'duration = "250ms"'),
    (["--iterations", "5"], "iterations = 5"),
    (["--warmup", "0"], "warmup = 0"),
    (["--warmup", "0"], 'warmup = "0s"'),
    (["--seed", "0"], "seed = 0"),
]


@pytest.mark.parametrize(("arguments", "line"), SAME, ids=lambda one: one if isinstance(one, str) else " ".join(one))
def test_a_flag_asks_for_what_the_key_of_its_name_does(arguments, line, wanted):
    quick = load("quick")
    expected = replace(read(f"[[job]]\n{line}", name="quick.toml"), question=quick.question)
    assert wanted(*arguments) == (expected, [])


def test_every_flag_of_a_workload_is_among_them():
    flags = {word.partition("=")[0] for arguments, _ in SAME for word in arguments if word.startswith("--")}
    assert flags == {option.typed for option in FLAGS} - {"--fail-if", "--pace"}


def test_conditions_that_are_typed_are_for_every_row(wanted):
    workload, thresholds = wanted("--fail-if", "map.p99>50us", "--fail-if", "errors>0")
    assert thresholds == ["map.p99>50us", "errors>0"]
    assert workload.fail_if == ()


def test_a_flag_that_is_not_typed_leaves_the_file_as_it_is(wanted, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('[[job]]\nsize = "4K"\nwarmup = "1s"\n')
    assert wanted(str(path))[0] == load(str(path))


def test_one_form_is_printed(capsys):
    assert main(["doctor", "--markdown", "--json"]) == 2
    assert "exclude each other" in capsys.readouterr().err
