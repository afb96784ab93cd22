"""`vkmapctl probe`."""

from functools import partial
from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands import params
from vkmapctl.commands.options import (
    common_options,
    gate_options,
    junit_option,
    layer_options,
    test_layer,
    timeout_option,
)
from vkmapctl.commands.output import command_line, conclude, junit_of, kept, printer, sink_of
from vkmapctl.inside import fork, server


@click.command(cls=params.Command)
@junit_option
@gate_options
@timeout_option
@layer_options
@common_options
def probe(
    requirements: tuple[str, ...],
    expect_driver: str | None,
    timeout: float | None,
    emulate: str | None,
    inject: str | None,
    validate: bool,
    device: str | None,
    **output: Any,
) -> int:
    """Show each device's mapping features, and prove them live."""
    junit_sink, junit = junit_of(output)
    sink = sink_of(output)
    layer = test_layer(emulate, inject, validate)
    started = fork.start(partial(server.serve, layer=layer))  # the driver loads while the rest is imported
    from vkmapctl.probe import probe as probe_devices

    if printer(output):
        from vkmapctl.reports import plain, probe  # noqa: F401
    with kept(output, sink, junit) as run:
        report = probe_devices(
            selector=device,
            requirements=requirements,
            expected_driver=expect_driver,
            timeout=timeout,
            layer=layer,
            command=command_line(),
            version=__version__,
            started=started,
            begin=run.begin,
        )
    if sink:
        sink.save(report)
    junit(report)
    return conclude(report, output, sink, junit_sink)
