"""`vkmapctl fleet outliers`: which GPU is not like its peers, or not what it was."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vkmapctl.commands import params
from vkmapctl.commands.fleet_shared import RUN_ID, exit_style_option, store_argument, styled
from vkmapctl.commands.options import color_options
from vkmapctl.errors import UsageProblem

if TYPE_CHECKING:
    from vkmapctl.figures.fleet_scores import Family
    from vkmapctl.fleet.index import Index
    from vkmapctl.model.outliers import Outliers

MOST_HISTORY, HISTORY = 50, 5
history_option = click.option(
    "--history",
    type=click.IntRange(3, MOST_HISTORY),
    default=HISTORY,
    show_default=True,
    metavar="RUNS",
    help="Earlier runs that each GPU is held against.",
)


@click.command(cls=params.Command)
@store_argument
@click.option("--run", "run_id", type=RUN_ID, metavar="ID", help="As of this run; the latest by default.")
@history_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@exit_style_option
@color_options
def outliers(store: Path, run_id: str | None, history: int, as_json: bool, exit_style: str, no_color: bool) -> int:
    """Name the GPUs that are not like their peers, and those that are not what they were.

    Peers have the same model, driver, kernel, CPU and workload. A GPU is held against them, less what its whole host
    has; a host against other hosts; single rows against the same host's GPUs, which is weaker; and each GPU against
    its own earlier runs. It is a suspect once two runs agree, and then the exit code is 5.
    """
    from vkmapctl.commands import console
    from vkmapctl.model.documents import to_json
    from vkmapctl.reports.outliers import outliers_view

    found = judged(store, run_id, history)
    if as_json:
        console.write_bytes(to_json(found))
    else:
        console.print_view(outliers_view(found), color=not no_color)
    return styled(found.exit_code, exit_style)


def judged(store: Path, run_id: str | None, history: int) -> "Outliers":
    """What is odd as of a run, or of the latest. Raises UsageProblem."""
    from vkmapctl.figures.outliers import judge

    return judge(compared(store, run_id, history), history)


def odd_hosts(store: Path, run_id: str | None) -> list[str]:
    """The hosts of whatever is slower than it should be: what a second run is for. Raises UsageProblem."""
    found = judged(store, run_id, HISTORY).found
    return sorted({one.host for one in found if one.verdict != "cleared" and one.slower})


def compared(store: Path, run_id: str | None, history: int) -> "list[Family]":
    """The figures of a run, of those that repeat it, and of earlier ones of the same command. Raises UsageProblem."""
    from vkmapctl.figures.outliers import families
    from vkmapctl.fleet.index import Index
    from vkmapctl.fleet.store import Store

    index = Index(Store(store))
    try:
        if run_id is not None and run_id not in index.runs():
            raise UsageProblem(f"{store} has no run {run_id}", "vkmapctl fleet status STORE shows the latest")
        runs = _runs(index, run_id, history)
        return families(index.observations(runs), runs)
    finally:
        index.close()


def latest_sweep(store: Path) -> str:
    """The run that began last of those that repeat no other. Raises UsageProblem where there is none."""
    from vkmapctl.fleet.index import Index
    from vkmapctl.fleet.store import Store

    index = Index(Store(store))
    try:
        for run in reversed(index.runs()):
            asked = index.run(run)
            if not (asked and asked.again):
                return run
    finally:
        index.close()
    raise UsageProblem(f"{store} has no run", "vkmapctl fleet run STORE --via local -- probe makes one")


def _runs(index: "Index", run_id: str | None, history: int) -> list[str]:
    """Newest first: two, as many earlier ones as are asked for, and those that repeat some of them."""
    asked = {run: index.run(run) for run in index.runs()}
    commands = {run: one.command if one else () for run, one in asked.items()}
    again = {run: one.again for run, one in asked.items() if one and one.again}
    sweeps = [run for run in asked if run not in again and commands[run][:1] in ((), ("stress",))]
    if run_id is not None:
        run_id = again.get(run_id, run_id)
        sweeps = sweeps[: sweeps.index(run_id) + 1] if run_id in sweeps else []
    if not sweeps:
        return []
    kept = {run for run in sweeps if commands[run] == commands[sweeps[-1]]}
    kept = set([run for run in sweeps if run in kept][-2 - history :])
    return [run for run in reversed(asked) if run in kept or again.get(run) in kept]
