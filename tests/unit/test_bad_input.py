"""Whatever a user or a file says: success or one clear error line, no traceback, no hang, nothing overwritten.

Every option and argument of every command is tried, found by walking the command line itself. The number of cases is
ten thousand in all; VKMAPCTL_CASES multiplies it.
"""

import errno
import functools
import io
import itertools
import json
import os
import shutil
import signal
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import click
import pytest
from builders import a_room
from damage import DOCUMENTS, edited_json, saved_runs, words, workload_files
from everywhere import made_of
from fake_driver import FakeDriver
from hypothesis import given, settings
from hypothesis import strategies as st

from vkmapctl.checks import registry
from vkmapctl.cli import cli, main
from vkmapctl.commands import console
from vkmapctl.errors import UsageProblem
from vkmapctl.fleet import child
from vkmapctl.fleet.store import Store
from vkmapctl.model.fleet import EngineEnd
from vkmapctl.report import view
from vkmapctl.saved.files import Sink, load

IN_A_STORE = {"roster.toml", "runs", "index.db", "index.lock"}
TIMES = int(os.environ.get("VKMAPCTL_CASES", "1"))
SLOWEST_SECONDS = 20
PRECIOUS = b"precious"
# Sound values by the option's name, so that many command lines get past the first look.
GOOD = {
    "size": ["4096", "64K", "1M", "1.5G", "256GiB", "0"],
    "offset": ["0", "17", "4K", "random"],
    "map_size": ["whole", "1", "4096", "64K"],
    "memory_type": ["auto", "all", "0", "3", "De,Vi", "host-visible+cached", "Pr"],
    "placed": ["any", "low4g", "low2g", "0x10000000", "0x0", "0xffffffffffffffffff"],
    "duration": ["1s", "1ns", "250ms"],
    "warmup": ["0s", "1s"],
    "timeout": ["5s", "1h"],
    "iterations": ["1", "1000", str(1 << 62)],
    "threads": ["1", "2", "5"],
    "live": ["1", "7", "1000000"],
    "seed": ["0", "7"],
    "rate": ["0", "10", "1e9"],
    "fail_if": ["map.p99>50us", "pairs_per_second<1e6", "write<5GB/s", "mismatches>0", "map.p50>1e400us"],
    "requirements": ["map2", "core14", "placed", "reserve", "api>=1.4", "api>=99999999999999999999.1"],
    "expect_driver": ["llvmpipe", "NVIDIA"],
    "device": ["0", "1", "2", "3", "4", "5", "all", "llvm", "Example", "0ce0", "-", "99999999"],
    "identifiers": ["M1", "P1", "R1"],
    "known_failures": ["M1", "P2"],
    "inject": ["map-fails", "map-fails:3", "none:0"],
    "workload": ["quick", "size-sweep"],
    "words": ["probe", "verify"],
    "hosts": ["gpu[1-2]", "localhost", "x[1-999999999]"],
    "run_id": ["one", "../one"],
    "only": ["missing,suspect", "failed"],
    "store": ["fresh", "-"],
}  # fmt: skip
ALIASES = {"sizes": "size", "offsets": "offset", "thresholds": "fail_if"}
junk = st.one_of(
    words,
    st.integers().map(str),
    st.floats().map(str),
    st.text("0123456789.kKmMgGtTiBsunh-+eExX><=, ", max_size=12),
    st.sampled_from(["9" * 5000, "9" * 400 + "T", "--", "-", "--help", "\ud800", "1\n2", "9" * 400 + "s", "٣K"]),
)


def as_passed(word):
    """The word as Python shows what the system passed: bytes that are no UTF-8 escaped, and no NUL."""
    return os.fsdecode(word.encode("utf-8", "surrogatepass").replace(b"\0", b""))


def leaves(command, path=()):
    """Every command of the tree with its path."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from leaves(command.get_command(context, name), (*path, name))
    else:
        yield path, command


COMMANDS = [(path, command) for path, command in leaves(cli) if path != ("selftest",)]


class World:
    """A folder with a file that must survive, one to read, and names that cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.precious, self.fresh, self.input = folder / "precious", folder / "fresh", folder / "input"
        self.reset()

    def reset(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.precious.write_bytes(PRECIOUS)

    def paths(self):
        names = [self.precious, self.fresh, self.fresh, self.input, self.folder, self.folder / "none" / "x"]
        return st.sampled_from([*map(str, names), "", "/dev/full", str(self.folder / ("x" * 300)), "/proc/x/y"])


@functools.cache  # building and checking a strategy costs as much as a command line
def a_value(parameter, world):
    name = ALIASES.get(parameter.name, parameter.name)
    if isinstance(parameter.type, click.Path) or (isinstance(parameter, click.Argument) and name != "name"):
        return st.one_of(world.paths(), st.just(str(world.input)), st.sampled_from(GOOD.get(name, ["x"])), junk)
    if isinstance(parameter.type, click.Choice):
        return st.one_of(st.sampled_from([str(one) for one in parameter.type.choices]), junk)
    return st.one_of(st.sampled_from(GOOD.get(name, ["1"])), junk) if parameter.nargs == 1 else junk


def one_word(word):
    return [word]


@functools.cache
def words_of(path, command, world):
    """A command with some of its options, most of them sound, in any order, as lists of words."""
    options = [
        st.sampled_from(one.opts).map(one_word)
        if one.is_flag
        else st.tuples(st.sampled_from(one.opts), a_value(one, world)).map(list)
        for one in command.params
        if isinstance(one, click.Option)
    ]
    some = [st.lists(st.one_of(options), max_size=5)] if options else []
    for argument in (one for one in command.params if isinstance(one, click.Argument)):
        some.append(st.one_of(st.just([]), a_value(argument, world).map(lambda value: [[value]])))
    return st.tuples(*some).map(lambda parts: [*path, *itertools.chain(*itertools.chain(*parts))])


def with_one_more(line, word, at):
    return [*line[: at % (len(line) + 1)], word, *line[at % (len(line) + 1) :]]


def command_lines(world):
    """Every command; to a tenth of the lines a word is added that belongs nowhere."""
    sound = st.sampled_from(COMMANDS).flatmap(lambda one: words_of(*one, world))
    odd = st.builds(with_one_more, sound, junk, st.integers(0, 20))
    lines = st.integers(0, 9).flatmap(lambda one: sound if one else odd)
    return lines.map(lambda line: [as_passed(word) for word in line])


@contextmanager
def no_longer_than(seconds):
    """A hang is a failure with a stack."""

    def hung(*_):
        raise AssertionError("hung")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(arguments):
    """Exit code, stdout and stderr of a command line in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        with no_longer_than(SLOWEST_SECONDS):
            code = main(arguments)
    finally:
        sys.stdout, sys.stderr = before
    out.flush()
    err.flush()
    return int(code), out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


MAY_BE_SILENT = ["workloads", "show"], ["report", "export"]  # of an empty file, and into a file


def is_sound(code, out, err, may_be_silent=False, verdicts=(0, 3, 5)):
    """Success, a verdict with its report, or exactly one error line with hints; stdout may hold a document."""
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in out + err
    if errors:
        assert code in (2, 3), err
        assert len(errors) == 1, err
        assert errors[0] != "Error: "
        if out:  # a refusal is a document too
            document = json.loads(out)
            assert (code, document["exit_code"], document["outcome"]) == (3, 3, "unsupported")
            assert document["reason"]
        rest = err.splitlines()[err.splitlines().index(errors[0]) + 1 :]
        assert [line for line in rest if not line.startswith("Hint: ")] == []
    else:
        assert code in verdicts, err
        assert out or err or may_be_silent, "neither a result nor an error"


def seldom(print_view):
    """Drawing tables takes most of the time: every tenth is drawn."""
    calls = itertools.count()

    def print_some(view, *, stderr=False, color=True):
        if next(calls) % 10 == 0:
            print_view(view, stderr=stderr, color=color)
        else:
            print("a table", file=sys.stderr if stderr else sys.stdout)

    return print_some


def confined_to(folder):
    """Sink's writing, which is all the writing there is, and no file outside of the folder whatever a word says."""
    write = Sink._write

    def write_inside(self, data, **options):
        if not self._path.resolve().is_relative_to(folder.resolve()):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        write(self, data, **options)

    return write_inside


def store_confined_to(folder):
    """A fleet's store, and none outside of the folder."""
    begin = Store.__init__

    def begin_inside(self, path):
        begin(self, path)
        inside = os.path.realpath(path)
        if not (Path(inside).is_relative_to(folder) or Path(inside).name.startswith("vkmapctl-fleet-")):
            raise UsageProblem(f"{path} is out of bounds")

    return begin_inside


def no_engine(name):
    """An engine that reaches no host."""
    return lambda job: EngineEnd(ended="", status=1)


def no_child(command, stop, **how):
    """A command on a host that leaves nothing."""
    return child.Ended(3, ("Error: no driver",), 0.0)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(Sink, "_write", confined_to(tmp_path))
    monkeypatch.setattr(Store, "__init__", store_confined_to(tmp_path))
    monkeypatch.setattr("vkmapctl.fleet.engines.named", no_engine)
    monkeypatch.setattr("vkmapctl.fleet.child.run", no_child)
    for module in ("stress", "probe", "verify", "driver.listing"):
        monkeypatch.setattr(import_module(f"vkmapctl.{module}"), "DriverProcess", FakeDriver)
    monkeypatch.setattr("vkmapctl.inside.fork.start", lambda serve: None)
    some = {name: one for name, one in registry.load().items() if name in ("M1", "P1", "R1")}
    monkeypatch.setattr("vkmapctl.checks.registry.REGISTRY", some)
    monkeypatch.setattr("vkmapctl.commands.console.print_view", seldom(console.print_view))
    monkeypatch.setattr("vkmapctl.machine.memory.available", lambda: a_room(32 << 30).memory)
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def test_command_lines(world):
    @settings(max_examples=5000 * TIMES)
    @given(command_lines(world), st.data())
    def test(arguments, data):
        world.reset()
        if str(world.input) in arguments:
            world.input.write_bytes(data.draw(st.one_of(saved_runs, workload_files)))
        command = [word for word in arguments if word != "--"][:2]
        verdicts = range(6) if command[:1] == ["fleet"] else (0, 3, 5)  # some of them as --exit-style npd has it
        is_sound(*outcome(arguments), may_be_silent=command in MAY_BE_SILENT, verdicts=verdicts)
        assert world.precious.read_bytes() == PRECIOUS or "--force" in arguments
        inside = [os.path.relpath(one, world.folder) if os.path.isabs(one) else one for one in arguments]
        named = {Path(one).parts[0] for one in inside if one not in ("", ".")}  # of a store, the first folder
        assert {path.name for path in world.folder.iterdir()} <= {"precious", "fresh", "input", *named, *IN_A_STORE}

    test()


@pytest.mark.parametrize("command", ["stress", "probe", "verify"])
def test_a_single_option_with_any_value(world, command):
    parameters = cli.get_command(click.Context(cli), command).params
    options = [one for one in parameters if isinstance(one, click.Option) and not one.is_flag]
    one_option = st.sampled_from(options).flatmap(
        lambda option: a_value(option, world).map(lambda value: [command, as_passed(f"{option.opts[0]}={value}")])
    )

    @settings(max_examples=800 * TIMES)
    @given(one_option)
    def test(arguments):
        world.reset()
        is_sound(*outcome(arguments))
        assert world.precious.read_bytes() == PRECIOUS

    test()


def test_saved_runs(tmp_path, capsys):
    """What loads must also show: readers of later versions trust that."""
    path = tmp_path / "run.json"

    @settings(max_examples=3000 * TIMES)
    @given(saved_runs)
    def test(data):
        path.write_bytes(data)
        with no_longer_than(SLOWEST_SECONDS):
            with suppress(UsageProblem):
                console.print_view(view(load(path)))
        capsys.readouterr()

    test()


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_what_is_damaged_was_sound(tmp_path, number):
    (tmp_path / "run.json").write_bytes(DOCUMENTS[number])
    assert made_of(load(tmp_path / "run.json"))


def test_what_loads_is_shown_everywhere(tmp_path):
    path = tmp_path / "run.json"

    @settings(max_examples=150 * TIMES)  # a third of a second each
    @given(edited_json)
    def test(data):
        path.write_bytes(data)
        with suppress(UsageProblem):
            for name, text in made_of(load(path)).items():
                assert text.replace("\r\n", "\n").replace("\n", "").isprintable(), name

    test()


def test_there_is_a_command_line_for_every_command():
    assert {"stress", "probe", "verify"} <= {path[0] for path, _ in COMMANDS}
