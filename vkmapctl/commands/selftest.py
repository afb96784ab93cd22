"""`vkmapctl selftest`."""

from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands import console
from vkmapctl.commands.checking import trials
from vkmapctl.commands.options import common_options, verbose_option
from vkmapctl.commands.output import conclude, kept, sink_of
from vkmapctl.commands.params import Command
from vkmapctl.errors import ExitCode


@click.command(cls=Command)
@click.option("--list", "list_faults", is_flag=True, help="List the faults and inject none.")
@verbose_option
@common_options
def selftest(list_faults: bool, device: str | None, **output: Any) -> int:
    """Break the local driver on purpose, and show that it is noticed."""
    from vkmapctl import selftest as tester
    from vkmapctl.driver import injection as catalogue

    if list_faults:
        from vkmapctl.reports.elements import Text

        listed = [Text(f"{name}: {description}") for name, description in catalogue.faults().items()]
        console.print_view(listed, color=not output["no_color"])
        return ExitCode.OK
    sink = sink_of(output)
    words = {True: "noticed", False: "NOT NOTICED", None: "not to be had here"}
    with kept(output, sink) as run, trials(lambda one: (one.fault, words[one.caught]), output) as on_trial:
        report = tester.selftest(
            selector=device,
            version=__version__,
            on_trial=on_trial,
            save=run.save,
        )
    if sink:
        sink.save(report)
    return conclude(report, output, sink)
