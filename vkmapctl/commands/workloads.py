"""`vkmapctl workloads`: the presets, their TOML, the schema of workload files, and a file checked without a run."""

from typing import Any

import click

from vkmapctl.commands import completing, console
from vkmapctl.commands.options import color_options, layer_options, test_layer, timeout_option
from vkmapctl.commands.params import Group
from vkmapctl.errors import ExitCode


@click.group(cls=Group)
def workloads() -> None:
    """Show the presets, and check workload files."""


@workloads.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of names and questions.")
def list_presets(as_json: bool) -> int:
    """List the presets, each with the question that it answers."""
    from vkmapctl.plans import workload_file
    from vkmapctl.reports.elements import grid

    found = {name: workload_file.question_of(path.read_text()) for name, path in workload_file.presets().items()}
    if as_json:
        import json

        listed = [{"name": name, "question": question} for name, question in found.items()]
        console.write(json.dumps(listed, indent=1) + "\n")
        return ExitCode.OK
    shown = grid(2)
    for name, question in found.items():
        shown.add(name, question)
    console.print_view([shown])
    return ExitCode.OK


@workloads.command()
@click.argument("workload", shell_complete=completing.workloads)
def show(workload: str) -> int:
    """Print a preset's TOML, to read or to start a file from."""
    from vkmapctl.plans import workload_file

    console.write(workload_file.text_of(workload))
    return ExitCode.OK


@workloads.command()
def schema() -> int:
    """Print the JSON schema of workload files, for editors."""
    from vkmapctl.plans import workload_file

    console.write_bytes(workload_file.schema())
    return ExitCode.OK


@workloads.command()
@click.argument("workload", shell_complete=completing.workloads)
@click.option("--device", metavar="SELECTOR", help="Index, part of the name, UUID prefix, driver name, or 'all'.")
@click.option("--offline", is_flag=True, help="Check the file alone, without a driver: sizes and types stay open.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON document.")
@color_options
@timeout_option
@layer_options
def check(
    workload: str,
    device: str | None,
    offline: bool,
    as_json: bool,
    no_color: bool,
    timeout: float | None,
    emulate: str | None,
    inject: str | None,
    validate: bool,
) -> int:
    """Print the plan, memory and time of a file or preset; run nothing."""
    from vkmapctl import preview as planning
    from vkmapctl.model.documents import to_json
    from vkmapctl.plans import workload_file
    from vkmapctl.reports.plan import plan_view

    wanted = workload_file.load(workload)
    if offline and as_json:
        console.write_bytes(to_json(wanted))
        return ExitCode.OK
    if offline:
        parts = len(wanted.parts())
        console.write(f"{workload}: {parts} parts, sound as far as a file can be checked without a device\n")
        return ExitCode.OK
    report: Any = planning.plan(wanted, selector=device, timeout=timeout, layer=test_layer(emulate, inject, validate))
    if as_json:
        console.write_bytes(to_json(report))
        return int(report.exit_code)
    console.print_view(plan_view(report), color=not no_color)
    return int(report.exit_code)
