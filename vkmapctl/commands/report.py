"""`vkmapctl report`: saved documents shown again, compared, and exported."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vkmapctl.commands import params
from vkmapctl.commands.options import color_options, verbose_option
from vkmapctl.commands.output import check_plots, show_plots
from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.reports import FORMATS

if TYPE_CHECKING:
    from vkmapctl.saved.files import Sink

GROUPS = ("device", "driver", "layers", "machine", "settings", "all")
OF_RUNS = ("news", "metrics", "threshold", "absolute", "tail_threshold", "allow", "output", "force")


@click.group(cls=params.Group)
def report() -> None:
    """Show, compare and export saved runs."""


@report.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the document as JSON.")
@click.option("--plot", is_flag=True, help="Draw the distributions and size sweeps too.")
@verbose_option
@color_options
def show(run: Path, as_json: bool, plot: bool, verbose: bool, no_color: bool) -> int:
    """Show a saved document as it was first shown, or what a recording says."""
    from vkmapctl import report as reports
    from vkmapctl.commands import console
    from vkmapctl.commands.opening import opened
    from vkmapctl.model.documents import to_json

    if plot:
        check_plots()
    document = opened(run)
    if as_json:
        console.write_bytes(to_json(document))
        return ExitCode.OK
    console.print_view(reports.view(_explained(document), verbose=verbose), color=not no_color)
    if plot:
        show_plots(document, color=not no_color)
    return ExitCode.OK


class _Compare(params.Command):
    """`--with B1 B2 …` is `--with B1 --with B2 …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        open_ended = False
        for word in args:
            if open_ended and not word.startswith("-") and spread[-1] != "--with":
                spread.append("--with")
            elif word.startswith("-"):
                open_ended = word == "--with" or word.startswith("--with=")
            spread.append(word)
        return super().parse_args(ctx, spread)


@report.command(cls=_Compare)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("others", metavar="NEW [MORE]...", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--with",
    "news",
    metavar="NEW [MORE]...",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Runs of another build, pooled, against all runs that stand before it, pooled too.",
)
@click.option(
    "--metric",
    "metrics",
    type=params.METRIC,
    multiple=True,
    help="What judges, such as map.p50; without it ns_per_pair and each call's p50. Repeatable.",
)
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
    help="Whether something slower, failed or missing, or a check that newly fails, exits with 5.",
)
@click.option("--allow", type=click.Choice(GROUPS), multiple=True, help="Compare although this differs. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write one HTML page as well.")
@click.option("--force", is_flag=True, help="Let --output overwrite a file.")
@color_options
def compare(
    base: Path,
    others: tuple[Path, ...],
    news: tuple[Path, ...],
    metrics: tuple[str, ...],
    threshold: float,
    absolute: float,
    tail_threshold: float,
    gate: Any,
    allow: tuple[str, ...],
    as_json: bool,
    output: Path | None,
    force: bool,
    no_color: bool,
) -> int:
    """Compare BASE with each other run, row by row.

    With `--with`, all runs before it are taken for repetitions of one build, and all behind it of another. Verify runs
    are compared by what newly fails or passes, whatever their devices and drivers; probes by what differs; recordings
    by what is newly found, or gone.

    Runs of different devices, drivers, machines or settings are refused, with what differs, unless --allow names it;
    another build of the same driver is none of these. With BASE alone, its devices are put side by side.
    """
    from vkmapctl.commands.opening import kind_of

    paths = (base, *others)
    kinds = {kind_of(path) for path in paths}
    if other := sorted(kinds - {"stress", ""}):
        _refuse_options_of_runs(other[0])
    if "record" in kinds:
        return _compare_recordings(paths, gate, as_json=as_json, color=not no_color)
    if other:
        return _compare_documents(paths, gate, as_json=as_json, color=not no_color)
    from vkmapctl.commands import comparing, console
    from vkmapctl.figures.compare import Limits, devices_side_by_side
    from vkmapctl.model.documents import to_json
    from vkmapctl.reports import compare as tables
    from vkmapctl.saved.files import Sink

    runs = [comparing.load_run(path) for path in (base, *others)]
    side_by_side = devices_side_by_side(runs)
    if not others and not news and not side_by_side:
        raise UsageProblem(f"{base} holds one device: nothing to compare", "name a second run: report compare BASE NEW")
    limits = Limits(threshold, absolute * 1e9, tail_threshold, metrics)
    runs_each = 1
    if news:
        runs_each = min(len(runs), len(news))
        runs = [comparing.pooled(runs, allow), comparing.pooled([comparing.load_run(path) for path in news], allow)]
    found = comparing.compared(runs, limits, gate, allow, runs_each=runs_each)
    view = [*tables.compare_view(found)] if found.comparisons else []
    view += [*tables.devices_view(side_by_side)] if side_by_side else []
    if output:
        from vkmapctl.reports.compare_page import to_html

        _write(Sink(output, force=force, form="html"), to_html(found, view, runs))
    if as_json:
        console.write_bytes(to_json(found))
    else:
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
    from vkmapctl.commands.opening import opened
    from vkmapctl.report import export as exported
    from vkmapctl.saved.files import Sink

    document = opened(run)
    sink = Sink(output, force=force, form=wanted) if output else None
    data = exported(_explained(document), wanted)
    if sink:
        _write(sink, data)
    else:
        console.write_bytes(data)
    return ExitCode.OK


def _refuse_options_of_runs(kind: str) -> None:
    """Raises UsageProblem where an option was typed that says something of stress runs alone."""
    context = click.get_current_context()
    for option in context.command.params:
        if option.name in OF_RUNS and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise UsageProblem(
                f"{option.opts[0]} is for stress runs, and this compares {kind} documents",
                "for these there are --gate and --json",
            )


def _compare_documents(paths: Sequence[Path], gate: Any, *, as_json: bool, color: bool) -> int:
    """Verify runs and probes."""
    from vkmapctl.commands import console
    from vkmapctl.commands.comparing_documents import compared_documents
    from vkmapctl.model.documents import to_json
    from vkmapctl.reports.compare_documents import documents_view

    found = compared_documents(paths, gate, _explained)
    if as_json:
        console.write_bytes(to_json(found))
    else:
        console.print_view(documents_view(found), color=color)
    return found.exit_code


def _compare_recordings(paths: Sequence[Path], gate: Any, *, as_json: bool, color: bool) -> int:
    """Recordings, or their JSON documents."""
    from vkmapctl.commands import console
    from vkmapctl.commands.comparing_recordings import compared_recordings
    from vkmapctl.model.documents import to_json
    from vkmapctl.reports.compare_recordings import recordings_view

    found = compared_recordings(paths, gate)
    if as_json:
        console.write_bytes(to_json(found))
    else:
        console.print_view(recordings_view(found), color=color)
    return found.exit_code


def _explained(document: Any) -> Any:
    """With what a document of an older version does not tell of its checks."""
    from vkmapctl.model.documents import VerifyReport

    if not isinstance(document, VerifyReport) or all(row.breaks for row in document.results):
        return document
    from vkmapctl.checks import registry

    return registry.explained(document)


def _write(sink: "Sink", data: bytes) -> None:
    sink.write(data)
    if sink.error:
        raise sink.error


@report.command()
@click.argument("kind", required=False, metavar="[KIND]")
def schema(kind: str | None) -> int:
    """Print the JSON Schema of saved documents: of one KIND, such as stress or probe, or of all."""
    import msgspec

    from vkmapctl.commands import console
    from vkmapctl.reports.schema import schema as made

    console.write_bytes(msgspec.json.format(msgspec.json.encode(made(kind)), indent=1) + b"\n")
    return ExitCode.OK
