"""`vkmapctl stress`."""

from collections.abc import Callable
from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commands import completing, params
from vkmapctl.commands.options import (
    common_options,
    gate_options,
    junit_option,
    layer_options,
    test_layer,
    timeout_option,
)
from vkmapctl.commands.output import check_plots, command_line, conclude, junit_of, kept, show_plots, sink_of
from vkmapctl.commands.params import Command, Parsed
from vkmapctl.plans.options import FLAGS, KEYS, Option


def _flag(option: Option) -> Any:
    """An option of a workload as click knows it: its default is shown, and only what is typed counts."""
    kind = option.kind
    if kind.bare is True:
        how: dict[str, Any] = {"is_flag": True}
    elif kind.choices:
        how = {"type": click.Choice(kind.choices)}
        if kind.bare:
            how |= {"is_flag": False, "flag_value": kind.bare}
    else:
        how = {"type": Parsed(option.name, kind.values), "metavar": kind.metavar, "multiple": option.repeatable}
        if kind.bare:
            how |= {"is_flag": False, "flag_value": kind.bare}
    if option.default is not None and kind.bare is not True:
        default = str(option.default)
        how |= {"default": [default] if option.repeatable else default, "show_default": True}
    words = [option.help[0].upper() + option.help[1:], *([kind.limits] if kind.limits else [])]
    return click.option(option.typed, help="; ".join(words) + "." + " Repeatable." * option.repeatable, **how)


def workload_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that are keys of a workload file too, in the table's order."""
    for option in reversed(FLAGS):
        command = _flag(option)(command)
    return command


def typed(context: click.Context) -> dict[str, list[Any]]:
    """The values of the workload's flags that were typed."""
    found: dict[str, list[Any]] = {}
    for option in FLAGS:
        if context.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE:
            value = context.params[option.name]
            given = value if option.repeatable else [value]
            found[option.name] = [one for each in given for one in (each if isinstance(each, list) else [each])]
    return found


@click.command(cls=Command)
@click.argument("workload", required=False, metavar="[WORKLOAD]", shell_complete=completing.workloads)
@workload_options
@click.option("--plot", is_flag=True, help="Draw the distributions and size sweeps below the tables.")
@click.option(
    "--together",
    is_flag=True,
    help="With several devices: measure each alone, then all at once, and show what sharing costs.",
)
@junit_option
@click.option(
    "--repeat",
    type=click.IntRange(1, 1000),
    metavar="N",
    default=1,
    show_default=True,
    help="Measure all rows so often, each time in a fresh process of the driver: figures that can be compared.",
)
@click.option(
    "--versus",
    type=params.ENVIRONMENT,
    metavar="NAME=VALUE",
    multiple=True,
    help="Measure each row also with this variable changed (NAME=: without it), by a second process in turns with the "
    "first, and show the ratio. Repeatable: all of them together are the one other side.",
)
@gate_options
@timeout_option
@layer_options
@common_options
@click.pass_context
def stress(
    context: click.Context,
    /,
    workload: str | None,
    requirements: tuple[str, ...],
    expect_driver: str | None,
    timeout: float | None,
    emulate: str | None,
    inject: str | None,
    together: bool,
    repeat: int,
    versus: tuple[tuple[str, str | None], ...],
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

    if plot:
        check_plots()
    output = {name: value for name, value in others.items() if name not in KEYS}
    asked = typed(context)
    thresholds = asked.pop("fail_if", [])
    wanted = workload_file.load(workload or "quick", asked)
    junit_sink, junit = junit_of(output)
    sink = sink_of(output)
    with kept(output, sink, junit) as keeper:
        run = Stress(
            wanted,
            selector="all" if together and device is None else device,
            requirements=requirements,
            expected_driver=expect_driver,
            thresholds=thresholds,
            timeout=timeout,
            layer=test_layer(emulate, inject, validate),
            command=command_line(),
            begin=keeper.begin,
            save=keeper.save,
            watcher=watcher(quiet=output["quiet"], color=not output["no_color"]),
            version=__version__,
            together=together,
            repeat=repeat,
            versus=dict(versus),
        ).run()
    junit(run)
    code = conclude(run, output, sink, junit_sink)
    if plot:
        show_plots(run, color=not output["no_color"], stderr=output["as_json"])
    return code
