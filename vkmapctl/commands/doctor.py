"""`vkmapctl doctor`."""

from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands.options import common_options, layer_options, test_layer, timeout_option
from vkmapctl.commands.output import command_line, conclude, kept, progress, saved, sink_of
from vkmapctl.commands.params import Command
from vkmapctl.errors import UsageProblem


@click.command(cls=Command)
@click.option("--markdown", is_flag=True, help="Print Markdown, for a bug report.")
@timeout_option
@layer_options
@common_options
def doctor(
    markdown: bool,
    timeout: float | None,
    emulate: str | None,
    inject: str | None,
    validate: bool,
    device: str | None,
    **output: Any,
) -> int:
    """Say in ten seconds whether mapping works, and what it costs."""
    from vkmapctl.doctor import examine

    if markdown and output["as_json"]:
        raise UsageProblem("--markdown and --json exclude each other", "give one of them")
    sink = sink_of(output)
    with kept(output, sink) as run:
        report = examine(
            selector=device,
            timeout=timeout,
            layer=test_layer(emulate, inject, validate),
            command=command_line(),
            version=__version__,
            on_step=progress(str, output),
            begin=run.begin,
            save=run.save,
        )
    if sink:
        sink.save(report)
    if not markdown:
        return conclude(report, output, sink)
    from vkmapctl.commands import console
    from vkmapctl.reports.doctor import doctor_markdown

    console.write_bytes(doctor_markdown(report))
    return saved(report, sink)
