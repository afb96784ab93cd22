"""`vkmapctl report`: saved documents shown again, compared, and exported."""

from pathlib import Path
from typing import Any

import click

from vkmapctl.commands import params
from vkmapctl.commands.options import color_options
from vkmapctl.commands.output import show_plots
from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.reports import FORMATS

GROUPS = ("device", "driver", "layers", "machine", "settings", "all")


@click.group(cls=params.Group)
def report() -> None:
    """Show, compare and export saved runs."""


@report.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the document as JSON.")
@click.option("--plot", is_flag=True, help="Draw the distributions and size sweeps too.")
@color_options
def show(run: Path, as_json: bool, plot: bool, no_color: bool) -> int:
    """Show a saved document as it was first shown."""
    from vkmapctl import report as reports
    from vkmapctl.commands import console
    from vkmapctl.model.documents import to_json
    from vkmapctl.saved.files import load

    document = load(run)
    if as_json:
        console.write_bytes(to_json(document))
        return ExitCode.OK
    console.print_view(reports.view(document), color=not no_color)
    if plot:
        show_plots(document, color=not no_color)
    return ExitCode.OK


@report.command()
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("others", metavar="NEW [MORE]...", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--threshold", type=params.SHARE, default="10%", show_default=True, help="Smallest relative change that counts."
)
@click.option(
    "--absolute", type=params.SPAN, default="20ns", show_default=True, help="Smallest absolute change that counts."
)
@click.option(
    "--tail-threshold",
    type=params.SHARE,
    default="25%",
    show_default=True,
    help="The same as --threshold, for p99 and p99.9.",
)
@click.option(
    "--gate",
    type=click.Choice(["warn", "fail"]),
    default="fail",
    show_default=True,
    help="Whether something slower, failed or missing exits with 5.",
)
@click.option("--allow", type=click.Choice(GROUPS), multiple=True, help="Compare although this differs. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@color_options
def compare(
    base: Path,
    others: tuple[Path, ...],
    threshold: float,
    absolute: float,
    tail_threshold: float,
    gate: Any,
    allow: tuple[str, ...],
    as_json: bool,
    no_color: bool,
) -> int:
    """Compare BASE with each other run, row by row.

    Runs of different devices, drivers, machines or settings are refused, with what differs, unless --allow names it.
    With BASE alone, its devices are put side by side.
    """
    from vkmapctl.commands import comparing, console
    from vkmapctl.figures.compare import Limits, devices_side_by_side
    from vkmapctl.model.documents import to_json
    from vkmapctl.reports import compare as tables

    runs = [comparing.load_run(path) for path in (base, *others)]
    side_by_side = devices_side_by_side(runs)
    if not others and not side_by_side:
        raise UsageProblem(f"{base} holds one device: nothing to compare", "name a second run: report compare BASE NEW")
    limits = Limits(threshold, absolute * 1e9, tail_threshold)
    found = comparing.compared(runs, limits, gate, allow)
    if as_json:
        console.write_bytes(to_json(found))
        return found.exit_code
    view = [*tables.compare_view(found)] if others else []
    view += [*tables.devices_view(side_by_side)] if side_by_side else []
    console.print_view(view, color=not no_color)
    return found.exit_code


@report.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "wanted", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file instead of stdout.")
@click.option("--force", is_flag=True, help="Let --output overwrite a file.")
def export(run: Path, wanted: str, output: Path | None, force: bool) -> int:
    """Write a saved run as Markdown, CSV, JUnit, one HTML page, or for programs that follow figures over time."""
    from vkmapctl.commands import console
    from vkmapctl.report import export as exported
    from vkmapctl.saved.files import Sink, load

    document = load(run)
    sink = Sink(output, force=force, form=wanted) if output else None
    data = exported(document, wanted)
    if sink:
        sink.write(data)
        if sink.error:
            raise sink.error
    else:
        console.write_bytes(data)
    return ExitCode.OK


@report.command()
@click.argument("kind", required=False, metavar="[KIND]")
def schema(kind: str | None) -> int:
    """Print the JSON Schema of saved documents: of one KIND (stress, probe, verify, …), or of all."""
    import msgspec

    from vkmapctl.commands import console
    from vkmapctl.reports.schema import schema as made

    console.write_bytes(msgspec.json.format(msgspec.json.encode(made(kind)), indent=1) + b"\n")
    return ExitCode.OK
