"""`vkmapctl stress`."""

import sys
from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands import params
from vkmapctl.commands.options import common_options, layer_options, test_layer, timeout_option
from vkmapctl.commands.output import conclude, show_plots, sink_of
from vkmapctl.plans.choices import APIS, TOUCHES, UNMAP_ORDERS

OUTPUT_OPTIONS = ("as_json", "save", "force", "quiet", "no_color")


@click.command()
@click.argument("workload", required=False, metavar="[WORKLOAD]")
@click.option(
    "--size",
    type=params.SIZE,
    multiple=True,
    help="Allocation size, such as 64K or 256M, or a sweep such as 4K..1G*4. Repeatable.",
)
@click.option(
    "--offset",
    type=params.OFFSET,
    multiple=True,
    help="Map offset in bytes or units, or 'random'. Repeatable.",
)
@click.option(
    "--map-size",
    type=params.MAP_SIZE,
    default="whole",
    show_default=True,
    help="Bytes to map; 'whole' passes VK_WHOLE_SIZE.",
)
@click.option(
    "--api",
    type=click.Choice(APIS),
    default="auto",
    show_default=True,
    help="Which functions; 'all' takes turns and prints ratios.",
)
@click.option(
    "--memory-type",
    default="auto",
    show_default=True,
    metavar="INDEX|FLAGS|all",
    help="Index, flags such as De,Vi,Co, or 'all' host-visible ones.",
)
@click.option(
    "--placed",
    type=params.PLACED,
    is_flag=False,
    flag_value="any",
    metavar="[any|low4g|low2g|ADDRESS]",
    help="Place each map: anywhere (without a value), below 4 or 2 GiB, or at an address.",
)
@click.option("--reserve", is_flag=True, help="Unmap with the reserve flag, and check that the range stays taken.")
@click.option(
    "--touch",
    type=click.Choice(TOUCHES),
    default="none",
    show_default=True,
    help="What is done to the mapped bytes.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    default=1,
    show_default=True,
    help="Threads, each with its own objects.",
)
@click.option(
    "--live",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=1,
    show_default=True,
    help="Objects mapped at once by each thread.",
)
@click.option(
    "--unmap-order",
    type=click.Choice(UNMAP_ORDERS),
    default="same",
    show_default=True,
    help="In which order live objects are unmapped.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1e9),
    metavar="N",
    help="Cycles per second of each thread; each is counted from the moment it was due.",
)
@click.option("--duration", type=params.DURATION, default="2s", show_default=True, help="Time for each row.")
@click.option(
    "--iterations",
    type=click.IntRange(1, (1 << 63) - 1),
    metavar="N",
    help="Cycles for each pass instead of a time.",
)
@click.option(
    "--warmup",
    type=params.SPAN,
    default="100ms",
    show_default=True,
    help="Time before each row that is not counted.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, (1 << 63) - 1),
    metavar="N",
    default=1,
    show_default=True,
    help="Seed of random offsets and patterns.",
)
@click.option(
    "--fail-if",
    "thresholds",
    type=params.THRESHOLD,
    multiple=True,
    metavar="CONDITION",
    help="Exit 5 if a row meets it, such as 'map.p99>50us'. Repeatable.",
)
@click.option("--plot", is_flag=True, help="Draw the distributions and size sweeps below the tables.")
@click.option(
    "--together",
    is_flag=True,
    help="With several devices: measure each alone, then all at once, and show what sharing costs.",
)
@timeout_option
@layer_options
@common_options
@click.pass_context
def stress(
    context: click.Context,
    /,
    workload: str | None,
    thresholds: tuple[Any, ...],
    timeout: float | None,
    emulate: str | None,
    inject: str | None,
    together: bool,
    plot: bool,
    validate: bool,
    device: str | None,
    **others: Any,
) -> int:
    """Measure throughput and latency of map and unmap.

    WORKLOAD is a preset's name or a TOML file ('vkmapctl workloads list' shows the presets; without one it is quick).
    Flags given here win over what it says.
    """
    from vkmapctl.commands.progress import watcher
    from vkmapctl.plans import workload_file
    from vkmapctl.stress import Stress

    output = {name: others.pop(name) for name in OUTPUT_OPTIONS}
    wanted = workload_file.load(workload or "quick", explicit_flags(context, others))
    sink = sink_of(output)
    run = Stress(
        wanted,
        selector="all" if together and device is None else device,
        thresholds=thresholds,
        timeout=timeout,
        layer=test_layer(emulate, inject, validate),
        command=sys.argv[1:],
        save=sink.save if sink else lambda run: None,
        watcher=watcher(quiet=output["quiet"], color=not output["no_color"]),
        version=__version__,
        together=together,
    ).run()
    code = conclude(run, output, sink)
    if plot:
        show_plots(run, color=not output["no_color"], stderr=output["as_json"])
    return code


def explicit_flags(context: click.Context, flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were typed, as keys of a workload file."""
    typed = click.core.ParameterSource.COMMANDLINE
    return {name: value for name, value in flags.items() if context.get_parameter_source(name) is typed}
