"""`vkmapctl fleet`: the same work on every GPU of many hosts, and who is missing."""

from pathlib import Path
from typing import Any

import click

from vkmapctl.commands import params
from vkmapctl.commands.fleet_export import export
from vkmapctl.commands.fleet_outliers import outliers
from vkmapctl.commands.fleet_run import here, rerun, run
from vkmapctl.commands.fleet_shared import RUN_ID, conclude, exit_style_option, store_argument
from vkmapctl.commands.options import color_options
from vkmapctl.errors import ExitCode, UsageProblem


@click.group(cls=params.Group)
def fleet() -> None:
    """Run the same on every GPU of many hosts, and tell which did not answer.

    Exit codes: 0 every expected GPU ended well, 4 some did not, 3 no host has answered or the engine is not here.
    """


for command in (run, here, rerun, outliers, export):
    fleet.add_command(command)


@fleet.command()
@store_argument
@click.option(
    "--hosts",
    type=params.HOSTS,
    required=True,
    help="Who is expected, as Slurm and ClusterShell write it: 'gpu[0001-1250],login'.",
)
@click.option("--gpus", type=click.IntRange(0, 256), default=0, help="GPUs of each host; as many as it ever had.")
@click.option("--software", is_flag=True, help="Let a host without a GPU answer with its software driver.")
@click.option("--name", default="", help="What the fleet is called.")
@click.option("--force", is_flag=True, help="Replace the roster of a store; its runs keep theirs.")
def init(store: Path, hosts: tuple[str, ...], gpus: int, software: bool, name: str, force: bool) -> int:
    """Make a store, and say who is expected."""
    from vkmapctl.commands import console
    from vkmapctl.fleet import store as stores
    from vkmapctl.model.fleet import Roster
    from vkmapctl.text import LONGEST_NAME, clean

    roster = Roster(hosts, gpus, clean(name, LONGEST_NAME), stores.now(), software)
    stores.Store(store).write_roster(roster, force=force)
    each = f", {gpus} GPUs each" if gpus else ""
    console.say(f"{len(hosts)} {'host' if len(hosts) == 1 else 'hosts'}{each}: {store / stores.ROSTER}")
    return ExitCode.OK


@fleet.command()
@store_argument
@click.option("--run", "run_id", type=RUN_ID, metavar="ID", help="Which run; the latest by default.")
@click.option("--reindex", is_flag=True, help="Make the index anew from the documents first.")
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as one JSON document.")
@exit_style_option
@color_options
def status(store: Path, run_id: str | None, reindex: bool, exit_style: str, **output: Any) -> int:
    """Show how every expected GPU of a run ended: ok, failed, interrupted, missing."""
    from vkmapctl.commands import console
    from vkmapctl.commands.fleet_shared import latest
    from vkmapctl.fleet.store import Store
    from vkmapctl.fleet.sweep import judged

    to = Store(store)
    run_id = run_id or latest(to)
    if run_id is None:
        raise UsageProblem(f"{store} has no run", "vkmapctl fleet run STORE --via local -- probe makes one")
    found = judged(to, run_id, again=reindex, progress=lambda read: console.say(f"{read} documents indexed"))
    return conclude(found, output, exit_style)
