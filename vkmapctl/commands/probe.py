"""`vkmapctl probe`."""

import sys
from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands import params
from vkmapctl.commands.options import common_options, layer_options, test_layer, timeout_option
from vkmapctl.commands.output import conclude, printer, sink_of


@click.command(cls=params.Command)
@click.option(
    "--require",
    "requirements",
    type=params.REQUIREMENT,
    multiple=True,
    metavar="WHAT",
    help="Exit 3 unless a device has it: map2, core14, placed, range-placed, reserve, api>=1.4. Repeatable.",
)
@click.option("--expect-driver", metavar="NAME", help="Exit 3 unless the device's driver is this one.")
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
    from vkmapctl import probe as prober

    sink = sink_of(output)
    with prober.probe(
        selector=device,
        requirements=requirements,
        expected_driver=expect_driver,
        timeout=timeout,
        layer=test_layer(emulate, inject, validate),
        command=sys.argv[1:],
        version=__version__,
        meanwhile=lambda: _import_tables(output),
    ) as report:
        if sink:
            sink.save(report)
        return conclude(report, output, sink)


def _import_tables(output: dict[str, Any]) -> None:
    """What the report will be drawn with, while the driver is loading."""
    if printer(output):
        from vkmapctl.reports import plain, probing  # noqa: F401
