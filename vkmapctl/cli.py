"""Flags to typed calls to tables. Knows no Vulkan; every error a user can meet is printed in `main`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from vkmapctl import __version__
from vkmapctl.commandline import params, reports, workloads
from vkmapctl.commandline.options import common_options, layer_options, test_layer, timeout_option
from vkmapctl.errors import ExitCode, UsageProblem, VkmapError
from vkmapctl.plans.choices import APIS, TOUCHES, UNMAP_ORDERS

OUTPUT_OPTIONS = ("as_json", "save", "force", "quiet", "no_color")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="vkmapctl")
def cli() -> None:
    """Inspect, verify and measure Vulkan memory mapping.

    Exit codes: 0 ok, 1 internal error, 2 usage or bad file, 3 unsupported here, 4 a check or call failed,
    5 a threshold was missed, 6 the driver crashed, hung or was lost, 130 interrupted.
    """


@cli.command()
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

    sink = _sink(output)
    with prober.probe(
        selector=device,
        requirements=requirements,
        expected_driver=expect_driver,
        timeout=timeout,
        layer=test_layer(emulate, inject, validate),
        command=sys.argv[1:],
        version=__version__,
        meanwhile=lambda: _printer(output),
    ) as report:
        if sink:
            sink.save(report)
        return _conclude(report, output, sink)


@cli.command()
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
    from vkmapctl.commandline.progress import watcher
    from vkmapctl.plans import workload_file
    from vkmapctl.stress import Stress

    output = {name: others.pop(name) for name in OUTPUT_OPTIONS}
    wanted = workload_file.load(workload or "quick", explicit_flags(context, others))
    sink = _sink(output)
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
    code = _conclude(run, output, sink)
    if plot:
        reports.show_plots(run, color=not output["no_color"], stderr=output["as_json"])
    return code


def explicit_flags(context: click.Context, flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were typed, as keys of a workload file."""
    typed = click.core.ParameterSource.COMMANDLINE
    return {name: value for name, value in flags.items() if context.get_parameter_source(name) is typed}


@cli.command()
@click.option("--list", "list_checks", is_flag=True, help="List the checks and run none.")
@click.option("--check", "identifiers", multiple=True, metavar="ID", help="Run this check only. Repeatable.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML too.")
@click.option(
    "--quirk",
    "quirks",
    type=click.Choice(["unaligned-placed"]),
    multiple=True,
    help="Also try usage that the specification forbids but programs rely on.",
)
@click.option(
    "--known-failure",
    "known_failures",
    multiple=True,
    metavar="ID",
    help="Do not fail the run when this check breaks. Repeatable.",
)
@timeout_option
@layer_options
@common_options
def verify(
    list_checks: bool,
    identifiers: tuple[str, ...],
    junit: Path | None,
    quirks: tuple[str, ...],
    known_failures: tuple[str, ...],
    timeout: float | None,
    emulate: str | None,
    inject: str | None,
    validate: bool,
    device: str | None,
    **output: Any,
) -> int:
    """Check the driver against the specification, rule by rule."""
    from vkmapctl import verify as verifier
    from vkmapctl.reports import verification

    if list_checks:
        return _list_checks(output)
    junit_sink = _sink({**output, "save": junit})
    sink = _sink(output)
    report = verifier.verify(
        selector=device,
        identifiers=identifiers,
        quirks=quirks,
        known_failures=known_failures,
        timeout=timeout,
        layer=test_layer(emulate, inject, validate),
        command=sys.argv[1:],
        version=__version__,
        on_row=_progress(verification.check_line, output),
        save=sink.save if sink else lambda report: None,
    )
    if junit_sink:
        from vkmapctl.reports.export import verify_junit

        junit_sink.write(verify_junit(report))
    return _conclude(report, output, sink, junit_sink)


@cli.command()
@click.option("--list", "list_faults", is_flag=True, help="List the faults and inject none.")
@common_options
def selftest(list_faults: bool, device: str | None, **output: Any) -> int:
    """Break the local driver on purpose, and show that it is noticed."""
    from vkmapctl import selftest as tester
    from vkmapctl.driver import catalogue

    if list_faults:
        for name, description in catalogue.faults().items():
            click.echo(f"{name}: {description}")
        return ExitCode.OK
    sink = _sink(output)
    report = tester.selftest(
        selector=device,
        version=__version__,
        on_trial=_progress(
            lambda trial: f"{trial.fault}, {trial.by}: {'NOT CAUGHT' if trial.caught is False else 'ok'}", output
        ),
    )
    if sink:
        sink.save(report)
    return _conclude(report, output, sink)


def _list_checks(output: dict[str, Any]) -> int:
    from vkmapctl.checks import registry
    from vkmapctl.commandline import console
    from vkmapctl.reports import verification

    rows = [
        (one.id, one.level if one.quirk is None else f"quirk {one.quirk}", " ".join(one.needs), one.title, one.rule)
        for one in registry.load().values()
    ]
    if output["as_json"]:
        import json

        keys = ("id", "level", "needs", "title", "rule")
        click.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
    else:
        console.print_view(verification.catalogue_view(rows), color=not output["no_color"])
    return ExitCode.OK


def _progress(line: Callable[[Any], str], output: dict[str, Any]) -> Callable[[Any], None]:
    """Prints a line on stderr for each finished part, unless --quiet."""
    if output["quiet"]:
        return lambda part: None
    return lambda part: click.echo(line(part), err=True)


def _sink(output: dict[str, Any]) -> Any:
    """The file of --save, checked before anything is measured."""
    if output["save"] is None:
        return None
    from vkmapctl.results.runfile import Sink

    return Sink(output["save"], force=output["force"])


def _printer(output: dict[str, Any]) -> Any:
    """What makes a document's tables, None where nobody wants them."""
    if output["as_json"] and output["quiet"]:
        return None
    from vkmapctl.reports.views import view

    return view


def _conclude(document: Any, output: dict[str, Any], *sinks: Any) -> int:
    """Shows the document and returns its exit code; only then raises what kept it from being saved."""
    _show(document, output)
    for sink in sinks:
        if sink and sink.error:
            sink.error.exit_code = ExitCode(document.exit_code or sink.error.exit_code)
            raise sink.error
    return int(document.exit_code)


def _show(document: Any, output: dict[str, Any]) -> None:
    """The document as tables, or as JSON on stdout with the tables on stderr."""
    from vkmapctl.commandline import console

    if output["as_json"]:
        from vkmapctl.documents import to_json

        console.write_bytes(to_json(document))
    view = _printer(output)
    if view is None:
        return

    console.print_view(view(document), stderr=output["as_json"], color=not output["no_color"])


def _usage_problem(error: click.ClickException) -> UsageProblem:
    """click's errors in this program's form."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "vkmapctl"
    return UsageProblem(error.format_message(), f"{path} --help")


cli.add_command(workloads.workloads)
cli.add_command(reports.report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code: the only place that prints errors."""
    from vkmapctl.commandline import console

    try:
        result = cli.main(args=arguments, prog_name="vkmapctl", standalone_mode=False)
        console.flush()
        return int(result or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        console.say(error.format_message())
        return ExitCode.USAGE
    except click.ClickException as error:
        console.print_error(_usage_problem(error))
        return ExitCode.USAGE
    except VkmapError as error:
        console.print_error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        console.say("Error: interrupted")
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, SystemExit) as end:  # click turns the one into the other, and ends a completion so
        if isinstance(end, SystemExit) and not end.code:
            return ExitCode.OK
        console.discard()
        return ExitCode.INTERRUPTED
