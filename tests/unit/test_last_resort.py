"""What nobody foresaw: what was measured is saved and shown, one line says what happened, and the exit code is 1."""

import builtins
import errno
import json
import os
import sys
from importlib import import_module

import pytest
from builders import a_run
from fake_driver import FakeDriver

from vkmapctl import units
from vkmapctl.cli import main
from vkmapctl.commands import console
from vkmapctl.errors import ExitCode, Unsupported, UsageProblem, of_exception
from vkmapctl.figures import trust
from vkmapctl.model.documents import to_json

TWO_SIZES = ("stress", "--size", "4K", "--size", "8K", "--duration", "50ms")


@pytest.fixture
def fake(monkeypatch):
    """Commands on a driver of answers."""
    for module in ("stress", "probe", "verify", "driver.listing"):
        monkeypatch.setattr(import_module(f"vkmapctl.{module}"), "DriverProcess", FakeDriver)
    monkeypatch.setattr("vkmapctl.inside.fork.start", lambda serve: None)
    monkeypatch.delenv("VKMAPCTL_TRACEBACK", raising=False)


def errors(text):
    return [line for line in text.splitlines() if line.startswith("Error: ")]


@pytest.fixture
def breaks_in_the_second_row(monkeypatch):
    """A mistake of ours where the second row is judged."""
    notes, seen = trust.row_notes, []

    def break_(row):
        seen.append(row)
        if len(seen) == 2:
            raise ZeroDivisionError("for example")
        return notes(row)

    monkeypatch.setattr(trust, "row_notes", break_)


def test_what_was_measured_before_a_mistake_of_ours_is_saved_and_shown(
    fake, breaks_in_the_second_row, tmp_path, capsys
):
    path = tmp_path / "run.json"
    assert main([*TWO_SIZES, "--json", "--save", str(path)]) == ExitCode.INTERNAL
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed == json.loads(path.read_text())
    assert [row["status"] for row in printed["results"]] == ["ok"]
    assert (printed["outcome"], printed["exit_code"]) == ("failed", 1)
    assert printed["warnings"][-1]["code"] == "internal-error"
    (line,) = errors(err)
    assert line.startswith("Error: internal error: ZeroDivisionError: for example (test_last_resort.py:")
    assert "report" in err
    assert "Traceback" not in err


def test_the_traceback_is_shown_where_it_is_asked_for(fake, breaks_in_the_second_row, monkeypatch, capsys):
    monkeypatch.setenv("VKMAPCTL_TRACEBACK", "1")
    assert main([*TWO_SIZES]) == ExitCode.INTERNAL
    _, err = capsys.readouterr()
    assert "Traceback" in err
    assert "row_notes" in err


def test_a_mistake_before_anything_was_measured(fake, monkeypatch, tmp_path, capsys):
    def broken(*_):
        raise KeyError("x")

    monkeypatch.setattr("vkmapctl.plans.workload.resolve", broken)
    assert main([*TWO_SIZES, "--save", str(tmp_path / "it.json")]) == ExitCode.INTERNAL
    out, err = capsys.readouterr()
    assert out == ""
    assert len(errors(err)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_a_selftest_keeps_its_trials(fake, monkeypatch, tmp_path, capsys):
    from vkmapctl import selftest

    path = tmp_path / "it.json"
    seen = []

    def one_then_none(self, fault, by):
        seen.append(fault)
        if len(seen) > 60:
            raise ZeroDivisionError
        return selftest.Seen("pass", "")

    monkeypatch.setattr(selftest.Selftest, "_try", one_then_none)
    assert main(["selftest", "--quiet", "--device", "2", "--save", str(path)]) == ExitCode.INTERNAL
    saved = json.loads(path.read_text())
    assert saved["trials"]
    assert saved["exit_code"] == 1


def test_a_document_that_cannot_be_drawn_is_saved_all_the_same(fake, monkeypatch, tmp_path, capsys):
    def broken(*_):
        raise IndexError("no such column")

    monkeypatch.setattr("vkmapctl.reports.stress.run_view", broken)
    path = tmp_path / "run.json"
    assert main([*TWO_SIZES, "--save", str(path)]) == ExitCode.INTERNAL
    saved = json.loads(path.read_text())
    assert [row["status"] for row in saved["results"]] == ["ok", "ok"]
    assert len(errors(capsys.readouterr().err)) == 1


@pytest.mark.parametrize("command", [TWO_SIZES, ("verify",), ("probe",), ("selftest", "--device", "2")])
def test_a_file_that_appears_while_the_devices_are_listed_is_kept(fake, command, monkeypatch, tmp_path, capsys):
    """Another run's, say: then nothing is measured in vain where that can be known."""
    path = tmp_path / "run.json"
    describe = FakeDriver.describe

    def meanwhile(self):
        path.write_text("precious")
        return describe(self)

    monkeypatch.setattr(FakeDriver, "describe", meanwhile)
    assert main([*command, "--save", str(path)]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert path.read_text() == "precious"
    assert "exists" in errors(err)[0]
    assert (out != "") == (command == ("probe",)), "a probe measures nothing that would take long"


def test_an_export_that_the_disk_refuses_is_told(monkeypatch, tmp_path, capsys):
    run, page = tmp_path / "run.json", tmp_path / "page.html"
    run.write_bytes(to_json(a_run()))
    real = os.link

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    assert main(["report", "export", str(run), "--format", "html", "--output", str(page)]) == ExitCode.USAGE
    assert errors(capsys.readouterr().err) == [f"Error: cannot write {page}: No space left on device"]
    assert list(tmp_path.iterdir()) == [run]
    monkeypatch.setattr(os, "link", real)
    assert main(["report", "export", str(run), "--format", "html", "--output", str(page)]) == ExitCode.OK


def test_save_and_junit_are_two_files(fake, tmp_path, capsys):
    path, other = tmp_path / "it", tmp_path / "." / "it"
    assert main(["verify", "--save", str(path), "--junit", str(other)]) == ExitCode.USAGE
    assert "--save and --junit" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- what this machine lacks ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "no more files can be opened"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no more processes can be started"),
        (RuntimeError("can't start new thread"), "no more threads can be started"),
        (MemoryError(), "not enough memory"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/self/maps"),
            "cannot open /proc/self/maps",
        ),
    ],
)
def test_what_this_machine_lacks_is_no_mistake_of_ours(error, words):
    told = of_exception(error)
    assert isinstance(told, Unsupported)
    assert words in told.message
    assert told.hints


def test_without_proc(fake, monkeypatch, capsys):
    real = builtins.open

    def without(path, *rest, **more):
        if str(path).startswith("/proc/"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(builtins, "open", without)
    for command in (TWO_SIZES, ("probe",)):
        assert main([*command]) == ExitCode.UNSUPPORTED
        assert errors(capsys.readouterr().err) == ["Error: cannot open /proc/meminfo: No such file or directory"]


# --- output ---------------------------------------------------------------------------------------


class Full:
    """A standard error on a full disk, or a terminal that is gone."""

    encoding, errors, closed = "utf-8", "strict", False

    def __init__(self, terminal):
        self._terminal = terminal

    def isatty(self):
        return self._terminal

    def write(self, *_):
        raise OSError(errno.EIO, "Input/output error")

    fileno = flush = writelines = write


@pytest.mark.parametrize("command", [TWO_SIZES, ("verify",), ("probe",)])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_standard_error_that_cannot_be_written_costs_the_progress_alone(
    fake, command, terminal, monkeypatch, tmp_path, capsys
):
    path = tmp_path / "it.json"
    monkeypatch.setattr(sys, "stderr", Full(terminal))
    code = main([*command, "--json", "--save", str(path)])
    document = json.loads(capsys.readouterr().out)
    assert (code, document["exit_code"]) == (document["exit_code"], code)
    assert document == json.loads(path.read_text())
    assert document.get("results") or document["devices"]


def test_a_long_error_is_cut(capsys):
    console.print_error(UsageProblem("x" * 1_000_000, "y" * 1_000_000))
    _, err = capsys.readouterr()
    assert "(1000000 characters)" in err
    assert len(err) < 3 * console.LONGEST_LINE


def test_a_row_is_saved_before_it_is_told(fake, monkeypatch, tmp_path):
    path, found = tmp_path / "it.json", []
    monkeypatch.setattr(
        "vkmapctl.commands.console.say", lambda line: found.append(len(json.loads(path.read_text())["results"]))
    )
    main(["verify", "--check", "M1", "--save", str(path)])
    main([*TWO_SIZES, "--save", str(path), "--force"])
    assert found[:2] == [3, 1]  # a line for the three rows of the check, and one for the first row of the other run


# --- near misses ----------------------------------------------------------------------------------


def test_a_run_without_rows_is_not_compared(tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_bytes(to_json(a_run()))
    assert main(["report", "compare", str(path), str(path)]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert errors(err) == [f"Error: {path} has no rows to compare"]


def test_the_largest_sizes_have_units():
    assert units.size(1 << 62) == "4 EiB"


@pytest.mark.parametrize("limit", ["inf", "nan", "-inf", "1e999"])
def test_a_limit_that_nothing_reaches_is_refused(limit, capsys):
    assert main(["stress", "--fail-if", f"errors>{limit}"]) == ExitCode.USAGE


def test_the_hint_is_of_the_command_that_was_typed(capsys):
    assert main(["stress", "--size"]) == ExitCode.USAGE
    assert capsys.readouterr().err.splitlines()[1] == "Hint: vkmapctl stress --help"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"_VKMAPCTL_COMPLETE": "bash_complete", "COMP_WORDS": "vkmapctl str", "COMP_CWORD": "1"}, 0),
        ({"_VKMAPCTL_COMPLETE": "bash_complete", "COMP_WORDS": "vkmapctl str", "COMP_CWORD": "nonsense"}, 2),
        ({"_VKMAPCTL_COMPLETE": "bash_complete"}, 2),
        ({"_VKMAPCTL_COMPLETE": "nonsense"}, 2),
        ({"_VKMAPCTL_COMPLETE": "bash_complete", "COMP_WORDS": "'\\", "COMP_CWORD": "-9999999999999999999"}, 0),
    ],
)
def test_what_a_shell_asks_for_a_completion(asked, code, monkeypatch, capsys):
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    assert main([]) == code
    assert len(errors(capsys.readouterr().err)) <= 1
