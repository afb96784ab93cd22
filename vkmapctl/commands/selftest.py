"""`vkmapctl selftest`."""

from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands import console
from vkmapctl.commands.options import common_options
from vkmapctl.commands.output import conclude, kept, progress, sink_of
from vkmapctl.commands.params import Command
from vkmapctl.errors import ExitCode


@click.command(cls=Command)
@click.option("--list", "list_faults", is_flag=True, help="List the faults and inject none.")
@common_options
def selftest(list_faults: bool, device: str | None, **output: Any) -> int:
    """Break the local driver on purpose, and show that it is noticed."""
    from vkmapctl import selftest as tester
    from vkmapctl.driver import injection as catalogue

    if list_faults:
        console.write("".join(f"{name}: {description}\n" for name, description in catalogue.faults().items()))
        return ExitCode.OK
    sink = sink_of(output)
    with kept(output, sink) as run:
        report = tester.selftest(
            selector=device,
            version=__version__,
            on_trial=progress(
                lambda trial: f"{trial.fault}, {trial.by}: {'NOT CAUGHT' if trial.caught is False else 'ok'}", output
            ),
            save=run.save,
        )
    if sink:
        sink.save(report)
    return conclude(report, output, sink)
