"""`vkmapctl record`: what a program's mapping costs."""

from pathlib import Path

import click

from vkmapctl.commands import params
from vkmapctl.commands.opening import opened
from vkmapctl.commands.options import color_options
from vkmapctl.commands.record_run import run
from vkmapctl.commands.record_workload import workload
from vkmapctl.errors import ExitCode, UsageProblem

DEFAULT = "run"
_HELP = ("-h", "--help")


class _Record(params.Group):
    """What names no command of its own is a program to record, with its arguments: `record -- vkcube --c 300`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and DEFAULT in self.commands and args[0] not in (*self.commands, *_HELP):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Record)
def record() -> None:
    """Record what a program maps, and say where its mapping time goes: vkmapctl record -- PROGRAM [ARG]...

    What comes before the -- are options of `run`: vkmapctl record run --help.
    """


record.add_command(run)
record.add_command(workload)


@record.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="A saved run of the same device, such as one of the preset memory-types: what reads and pages cost there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else on stdout.")
@click.option("--markdown", is_flag=True, help="Print Markdown, for an issue.")
@click.option("--plot", is_flag=True, help="Draw what there was over time larger.")
@color_options
def show(file: Path, figures: Path | None, as_json: bool, markdown: bool, plot: bool, no_color: bool) -> int:
    """Show what a recording says, or the JSON document of one."""
    from vkmapctl.commands import console
    from vkmapctl.commands.output import check_plots, show_plots
    from vkmapctl.model.documents import Run, to_json
    from vkmapctl.model.recorded import RecordReport
    from vkmapctl.report import export, view
    from vkmapctl.saved.files import load

    if markdown and as_json:
        raise UsageProblem("--markdown and --json exclude each other", "give one of them")
    if plot:
        check_plots()
    run = load(figures) if figures else None
    if run is not None and not isinstance(run, Run):
        raise UsageProblem(f"{figures} is no stress run", "vkmapctl stress memory-types --save RUN makes one")
    document = opened(file, run)
    if not isinstance(document, RecordReport):
        raise UsageProblem(f"{file} is no recording", f"vkmapctl report show {file}")
    if as_json:
        console.write_bytes(to_json(document))
    elif markdown:
        console.write_bytes(export(document, "md"))
    else:
        console.print_view(view(document), color=not no_color)
    if plot:
        show_plots(document, color=not no_color, stderr=as_json or markdown)
    return ExitCode.OK
