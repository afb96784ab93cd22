"""The command line's root: which commands there are, and the one place that prints errors.

A command's module is imported when it is asked for: a probe does not pay for the flags of `stress`.
"""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

import click

from vkmapctl import __version__
from vkmapctl.commands import console
from vkmapctl.commands.params import Group, NoCommand
from vkmapctl.errors import ExitCode, UsageProblem, VkmapError, of_exception

COMMANDS = {
    "doctor": "doctor",
    "fleet": "fleet",
    "probe": "probe",
    "record": "record",
    "report": "report",
    "selftest": "selftest",
    "stress": "stress",
    "verify": "verify",
    "workloads": "workloads",
}
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(Mapping[str, click.Command]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        command: click.Command = getattr(import_module(f"vkmapctl.commands.{COMMANDS[name]}"), name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@click.group(cls=Group, commands=Commands(), context_settings=CONTEXT)
@click.version_option(__version__, prog_name="vkmapctl")
def cli() -> None:
    """Inspect, verify and measure Vulkan memory mapping. Not sure where to begin? vkmapctl doctor

    Exit codes: 0 ok, 1 internal error, 2 usage or bad file, 3 unsupported here, 4 a check or call failed,
    5 a threshold was missed, 6 the driver crashed, hung or was lost, 130 interrupted.
    """


def _usage_problem(error: click.ClickException) -> UsageProblem:
    """click's errors in this program's form."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "vkmapctl"
    return UsageProblem(error.format_message(), f"{path} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code: the only place that prints errors."""
    try:
        result = cli.main(args=arguments, prog_name="vkmapctl", standalone_mode=False)
        console.flush()
        return int(result or 0)
    except NoCommand as error:
        console.say(error.format_message())
        return ExitCode.USAGE
    except click.ClickException as error:
        console.print_error(_usage_problem(error))
        return ExitCode.USAGE
    except VkmapError as error:
        console.print_error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        console.say("Error: interrupted")
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, SystemExit) as end:  # click turns the one into the other, and ends a completion so
        if isinstance(end, SystemExit) and (_completes() or not end.code):
            return ExitCode.USAGE if end.code else ExitCode.OK
        console.discard()
        return ExitCode.INTERRUPTED
    except Exception as error:  # the last resort: whatever was measured has been saved and shown by then
        told = _unexpected(error)
        console.print_error(told)
        return told.exit_code


def _completes() -> bool:
    """Whether it is a shell that asks how a line may go on."""
    return "_VKMAPCTL_COMPLETE" in os.environ


def _unexpected(error: Exception) -> VkmapError:
    """What is told of an error that no command knows of."""
    if _completes():
        return UsageProblem(f"no completion can be made of what the shell asks: {error}")
    if isinstance(error, OSError) and error.filename is None and error.errno in _CANNOT_WRITE:
        return UsageProblem(f"cannot write the output: {error.strerror}")  # click prints help and version itself
    return of_exception(error)
