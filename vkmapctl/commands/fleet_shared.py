"""What the commands of `vkmapctl fleet` have in common."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vkmapctl.commands import console
from vkmapctl.commands.params import Parsed
from vkmapctl.errors import ExitCode

if TYPE_CHECKING:
    from vkmapctl.fleet.store import Store
    from vkmapctl.model.fleet import Ledger

NPD_OK, NPD_BAD, NPD_UNKNOWN = 0, 1, 2  # of node-problem-detector's custom plugins
_BAD = (ExitCode.FAILED, ExitCode.MISSED, ExitCode.DRIVER_DIED)


def _run_id(text: str) -> str:
    from vkmapctl.fleet.store import check_id

    return check_id(text)


RUN_ID = Parsed("id", _run_id)
store_argument = click.argument("store", type=click.Path(path_type=Path))
exit_style_option = click.option(
    "--exit-style",
    type=click.Choice(["vkmapctl", "npd"]),
    default="vkmapctl",
    show_default=True,
    help="npd, as node-problem-detector has it: 0 all is well, 1 something is bad, 2 it is not known.",
)


def styled(code: int, exit_style: str) -> int:
    """The exit code in that style."""
    if exit_style != "npd":
        return code
    return NPD_OK if code == ExitCode.OK else NPD_BAD if code in _BAD else NPD_UNKNOWN


def latest(store: "Store") -> str | None:
    """The run that began last, None where there is none."""
    from vkmapctl.fleet.index import Index

    index = Index(store)
    try:
        return next(reversed(index.runs()), None)
    finally:
        index.close()


def conclude(ledger: "Ledger", output: dict[str, Any], exit_style: str) -> int:
    """Shows a ledger and returns its exit code."""
    from vkmapctl.model.documents import to_json
    from vkmapctl.reports.ledger import ledger_view

    if output["as_json"]:
        console.write_bytes(to_json(ledger))
    if not (output["as_json"] and output.get("quiet", True)):
        console.print_view(ledger_view(ledger), stderr=output["as_json"], color=not output["no_color"])
    return styled(ledger.exit_code, exit_style)
