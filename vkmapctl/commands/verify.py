"""`vkmapctl verify`."""

from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands import completing
from vkmapctl.commands.checking import trials
from vkmapctl.commands.options import (
    common_options,
    gate_options,
    junit_option,
    layer_options,
    test_layer,
    timeout_option,
    verbose_option,
)
from vkmapctl.commands.output import command_line, conclude, junit_of, kept, sink_of
from vkmapctl.commands.params import Command
from vkmapctl.errors import ExitCode


@click.command(cls=Command)
@click.option("--list", "list_checks", is_flag=True, help="List the checks and run none.")
@click.option(
    "--check",
    "identifiers",
    multiple=True,
    metavar="ID",
    shell_complete=completing.checks,
    help="Run this check only. Repeatable.",
)
@junit_option
@click.option(
    "--quirk",
    "quirks",
    type=click.Choice(["unaligned-placed"]),
    multiple=True,
    help="Also try usage that the specification forbids but programs rely on.",
)
@click.option(
    "--known-failure",
    "known_failures",
    multiple=True,
    metavar="ID",
    shell_complete=completing.checks,
    help="Do not fail the run when this check breaks. Repeatable.",
)
@click.option(
    "--known-failures",
    "known_failures_file",
    type=click.Path(),
    metavar="FILE",
    help="The same for each entry of a TOML file: check, memory type, driver, versions, reason.",
)
@verbose_option
@gate_options
@timeout_option
@layer_options
@common_options
def verify(
    list_checks: bool,
    identifiers: tuple[str, ...],
    quirks: tuple[str, ...],
    known_failures: tuple[str, ...],
    known_failures_file: str | None,
    requirements: tuple[str, ...],
    expect_driver: str | None,
    timeout: float | None,
    emulate: str | None,
    inject: str | None,
    validate: bool,
    device: str | None,
    **output: Any,
) -> int:
    """Check the driver against the specification, rule by rule."""
    from vkmapctl.verify import verify as verify_driver

    if list_checks:
        return _list_checks(output)
    junit_sink, junit = junit_of(output)
    sink = sink_of(output)
    with kept(output, sink, junit) as run, trials(_ran, output) as on_row:
        report = verify_driver(
            selector=device,
            identifiers=identifiers,
            quirks=quirks,
            known_failures=known_failures,
            known_failures_file=known_failures_file,
            requirements=requirements,
            expected_driver=expect_driver,
            timeout=timeout,
            layer=test_layer(emulate, inject, validate),
            command=command_line(),
            version=__version__,
            on_row=on_row,
            begin=run.begin,
            save=run.save,
        )
    junit(report)
    return conclude(report, output, sink, junit_sink)


def _ran(row: Any) -> tuple[str, str]:
    """A row's check, and its verdict where it ran at all."""
    return row.id, "" if row.status == "skip" else row.status


def _list_checks(output: dict[str, Any]) -> int:
    from vkmapctl.checks import registry
    from vkmapctl.commands import console
    from vkmapctl.reports import verify as tables

    rows = [
        (
            one.id,
            one.level if one.quirk is None else f"quirk {one.quirk}",
            " ".join(one.needs),
            one.title,
            one.rule,
            one.breaks,
        )
        for one in registry.load().values()
    ]
    if output["as_json"]:
        import json

        keys = ("id", "level", "needs", "title", "rule", "breaks")
        console.write(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1) + "\n")
    else:
        console.print_view(tables.catalogue_view(rows), color=not output["no_color"])
    return ExitCode.OK
