"""Flags that several commands share."""

from collections.abc import Callable
from typing import Any

import click

from vkmapctl.commands import completing, console, params


def color_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--color and --no-color, of all that prints tables."""
    no_color = click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
    color = click.option(
        "--color",
        type=click.Choice(["always", "never", "auto"]),
        default="auto",
        expose_value=False,
        callback=lambda context, option, value: console.choose_color(value),
        help="Colours: on a terminal (auto), or wherever the output goes, as FORCE_COLOR has it.",
    )
    return no_color(color(command))


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that every command has."""
    for option in (
        color_options,
        click.option("--quiet", is_flag=True, help="Print the result alone: no progress."),
        click.option("--force", is_flag=True, help="Overwrite a file that is already there."),
        click.option(
            "--save",
            type=click.Path(),
            metavar="FILE",
            help="Save the JSON document.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else on stdout."),
        click.option(
            "--device",
            metavar="SELECTOR",
            help="Index, part of the name, UUID prefix, driver name, or 'all'.",
        ),
    ):
        command = option(command)
    return command


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that say which device and driver there must be, of the commands that use one."""
    for option in (
        click.option(
            "--expect-driver", metavar="NAME", help="Exit 3 unless the driver of the device in use is this one."
        ),
        click.option(
            "--require",
            "requirements",
            type=params.REQUIREMENT,
            multiple=True,
            metavar="WHAT",
            help="Exit 3 unless the device in use has it, proved live: map2, core14, placed, range-placed, reserve, "
            "api>=1.4. Repeatable.",
        ),
    ):
        command = option(command)
    return command


junit_option = click.option("--junit", type=click.Path(), metavar="FILE", help="Write JUnit XML too.")
timeout_option = click.option(
    "--timeout",
    type=params.DURATION,
    help="Take a driver for hung after so long without progress: 30 s, and more for large workloads.",
)

verbose_option = click.option("--verbose", is_flag=True, help="Show every check and trial, not only what stands out.")


def layer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of the commands that can run through the project's own layer."""
    for option in (
        click.option(
            "--inject",
            metavar="FAULT[:PERIOD]",
            shell_complete=completing.faults,
            help="Let the test layer inject a fault; 'vkmapctl selftest --list' names them.",
        ),
        click.option(
            "--emulate",
            type=click.Choice(["placed", "range"]),
            help="Let the test layer emulate placed maps and reserve; results are labelled.",
        ),
        click.option(
            "--validate",
            is_flag=True,
            help="Run through the Khronos validation layer; any error it reports fails the run.",
        ),
    ):
        command = option(command)
    return command


def test_layer(emulate: str | None, inject: str | None, validate: bool) -> Any:
    """What --emulate, --inject and --validate ask for, None for no layer. Raises UsageProblem for no such fault."""
    if not emulate and not inject and not validate:
        return None
    from vkmapctl.driver.injection import chosen

    return chosen(emulate, inject, validate)
