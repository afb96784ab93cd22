"""`vkmapctl fleet export`: a run of a fleet for dashboards, tables, CI and people."""

from pathlib import Path

import click

from vkmapctl.commands import params
from vkmapctl.commands.fleet_outliers import compared, history_option, latest_sweep
from vkmapctl.commands.fleet_shared import RUN_ID, store_argument
from vkmapctl.errors import ExitCode
from vkmapctl.reports import FLEET_FORMATS


@click.command(cls=params.Command)
@store_argument
@click.option("--format", "wanted", type=click.Choice(FLEET_FORMATS), required=True, help="What to write.")
@click.option(
    "--run", "run_id", type=RUN_ID, metavar="ID", help="Which run; the latest that repeats no other by default."
)
@history_option
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file instead of stdout.")
@click.option("--force", is_flag=True, help="Let --output overwrite a file.")
def export(store: Path, wanted: str, run_id: str | None, history: int, output: Path | None, force: bool) -> int:
    """Write a run as OpenMetrics for a textfile collector, a line for each GPU, JUnit, or one HTML page.

    With --output the file appears whole, by rename, as a textfile collector needs it.
    """
    from vkmapctl.commands import console
    from vkmapctl.figures.outliers import histories, judge
    from vkmapctl.fleet.store import Store
    from vkmapctl.fleet.sweep import judged
    from vkmapctl.reports import fleet
    from vkmapctl.saved.files import Sink

    run_id = run_id or latest_sweep(store)
    sink = Sink(output, force=force, form=wanted) if output else None
    found = compared(store, run_id, history)
    sweep = fleet.Sweep(judged(Store(store), run_id), judge(found, history), histories(found, history + 2))
    data = fleet.export(sweep, wanted)
    if sink:
        sink.write(data)
        if sink.error:
            raise sink.error
    else:
        console.write_bytes(data)
    return ExitCode.OK
