"""`vkmapctl record -- PROGRAM ARG…`."""

import itertools
import os
from pathlib import Path

import click

from vkmapctl import __version__
from vkmapctl.commands import console
from vkmapctl.commands.opening import opened
from vkmapctl.commands.output import command_line
from vkmapctl.commands.params import DURATION, Command
from vkmapctl.errors import Unsupported, UsageProblem


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@click.option(
    "--out", metavar="FILE", help="The recording's file; PROGRAM.vkrec here, or PROGRAM-2.vkrec, … by default."
)
@click.option("--force", is_flag=True, help="Overwrite the file of --out.")
@click.option("--for", "seconds", type=DURATION, metavar="TIME", help="End the program after so long, such as 30s.")
@click.option("--no-faults", is_flag=True, help="Do not record page faults.")
@click.option("--quiet", is_flag=True, help="Print nothing but the program's own output, and errors.")
@click.option("--no-color", is_flag=True, help="Print the answer without colours.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARG]...")
def run(
    out: str | None,
    force: bool,
    seconds: float | None,
    no_faults: bool,
    quiet: bool,
    no_color: bool,
    program: tuple[str, ...],
) -> int:
    """Run a program, record what it maps, and say where its mapping time goes.

    The answer goes to standard error, after the program's own output. The exit code is 0 where something was recorded,
    however the program ended, which is said, and 3 where nothing came.
    """
    from vkmapctl.record import Record
    from vkmapctl.saved.files import Sink

    path = Path(out) if out else _free_name(program[0])
    sink = Sink(path, force=force, form="recording")
    record = Record(program, seconds=seconds, faults=not no_faults, command=command_line(), version=__version__)
    head = record.run(sink.write_by)
    if sink.error:
        raise UsageProblem(sink.error.message, *sink.error.hints)
    if head.exit_code:
        raise Unsupported(f"nothing was recorded: {head.reason}", *(note.message for note in head.warnings))
    if not quiet:
        _show(path, no_color)
        console.say(f"\nSaved to {path}: vkmapctl record show {path} shows this again")
    return int(head.exit_code)


def _show(path: Path, no_color: bool) -> None:
    from vkmapctl.report import view

    console.print_view(view(opened(path)), stderr=True, color=not no_color)


def _free_name(program: str) -> Path:
    """A name in this folder that no file has yet."""
    base = os.path.basename(program)
    names = itertools.chain([f"{base}.vkrec"], (f"{base}-{number}.vkrec" for number in itertools.count(2)))
    return next(Path(name) for name in names if not os.path.lexists(name))
