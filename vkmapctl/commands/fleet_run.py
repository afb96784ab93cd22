"""`vkmapctl fleet run`, `rerun`, and `here`, which is what runs on a host."""

import shlex
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vkmapctl import __version__
from vkmapctl.commands import console, params
from vkmapctl.commands.fleet_shared import RUN_ID, conclude, exit_style_option, store_argument, styled
from vkmapctl.commands.options import color_options
from vkmapctl.errors import ExitCode, UsageProblem

if TYPE_CHECKING:
    from vkmapctl.fleet.store import Store
    from vkmapctl.model.fleet import FleetRun

VIA = ("local", "slurm", "ssh")
ONLY = ("missing", "failed", "interrupted", "suspect")
OPTIONS = ("partition", "account", "reservation", "qos", "gres", "time", "fanout")
_OURS = ("device", "save", "junit", "as_json")  # flags of a command that a fleet gives itself, or has no place for
words_argument = click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")


def _only(text: str) -> tuple[str, ...]:
    found = tuple(word.strip() for word in text.split(","))
    if unknown := [word for word in found if word not in ONLY]:
        raise ValueError(f"'{unknown[0]}' is none of {', '.join(ONLY)}")
    return found


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a run is started."""
    for option in (
        color_options,
        exit_style_option,
        click.option("--quiet", is_flag=True, help="Print the ledger alone: no progress."),
        click.option("--json", "as_json", is_flag=True, help="Print the ledger as one JSON document on stdout."),
        click.option("--fetch", is_flag=True, help="ssh: hosts do not share the store; fetch what they answer."),
        click.option("--fanout", type=click.IntRange(1, 4096), help="ssh: hosts at a time, 64 by default."),
        click.option("--time", metavar="LIMIT", help="Slurm: the job's time limit."),
        click.option("--gres", metavar="LIST", help="Slurm: resources of each node, such as gpu:8."),
        click.option("--qos", metavar="NAME", help="Slurm: quality of service."),
        click.option("--reservation", metavar="NAME", help="Slurm: the reservation to run in."),
        click.option("--account", metavar="NAME", help="Slurm: the account to charge."),
        click.option("--partition", metavar="NAME", help="Slurm: the partition to run in."),
        click.option(
            "--program",
            metavar="COMMAND",
            help="What vkmapctl is called on the hosts; the one that runs now by default.",
        ),
        click.option(
            "--wait",
            type=params.DURATION,
            default="1h",
            show_default=True,
            help="Give up where no host has begun after so long.",
        ),
        click.option(
            "--timeout", type=params.DURATION, default="1h", show_default=True, help="Time of each host for its part."
        ),
    ):
        command = option(command)
    return command


@click.command(cls=params.Command)
@store_argument
@click.option("--via", type=click.Choice(VIA), required=True, help="What starts it on the hosts.")
@click.option("--hosts", type=params.HOSTS, help="Some of the roster's hosts; all by default.")
@click.option("--run", "run_id", type=RUN_ID, metavar="ID", help="What the run is called; a new name by default.")
@words_argument
@engine_options
def run(
    store: Path, via: str, hosts: tuple[str, ...] | None, run_id: str | None, words: tuple[str, ...], **given: Any
) -> int:
    """Run probe, stress or verify once on every GPU of the roster, and show who did not answer.

    fleet run STORE --via slurm --partition gpu -- stress size-sweep
    """
    from vkmapctl.fleet.store import Store
    from vkmapctl.fleet.sweep import planned

    _check_words(words)
    to = Store(store)
    if via == "local":
        hosts = _this_machine(to, hosts)
    return _sweep(to, planned(to.roster(), words, via, _taken(given), hosts or (), run_id or ""), **given)


def _taken(given: dict[str, Any]) -> dict[str, str]:
    """Takes the engine's options out of what was given."""
    found = {name: given.pop(name) for name in OPTIONS}
    return {name: str(value) for name, value in found.items() if value is not None}


def _this_machine(to: "Store", hosts: Sequence[str] | None) -> tuple[str, ...]:
    """The one host of a local run. A store without a roster gets one of this machine alone.

    Raises UsageProblem where the roster does not have it.
    """
    from vkmapctl import hostlist
    from vkmapctl.fleet import here
    from vkmapctl.fleet import store as stores
    from vkmapctl.model.fleet import Roster

    if not to.has_roster():
        name = here.own_name()
        to.write_roster(Roster((name if hostlist.is_host(name) else "localhost",), made=stores.now(), software=True))
    roster = to.roster()
    if hosts and len(hosts) > 1:
        raise UsageProblem(f"--via local is one host, and --hosts names {len(hosts)}", "--via ssh runs on others")
    name = hosts[0] if hosts else roster.hosts[0] if len(roster.hosts) == 1 else here.own_name(roster.hosts)
    if name not in roster.hosts:
        raise UsageProblem(
            f"this machine, {name}, is not in the roster", "--hosts NAME says which of its hosts this machine is"
        )
    return (name,)


@click.command(cls=params.Command)
@store_argument
@click.option("--run", "run_id", type=RUN_ID, metavar="ID", help="The run to repeat; the latest by default.")
@click.option(
    "--only",
    type=params.Parsed("states", _only),
    default="missing,failed,interrupted",
    show_default=True,
    metavar="STATES",
    help=f"Hosts with GPUs that ended so: {', '.join(ONLY)}.",
)
@click.option("--via", type=click.Choice(VIA), help="What starts it; as the run was by default.")
@engine_options
def rerun(store: Path, run_id: str | None, only: tuple[str, ...], via: str | None, **given: Any) -> int:
    """Repeat a run on the hosts whose GPUs did not end well, once: the same hosts, as a run of its own."""
    from vkmapctl.commands.fleet_outliers import odd_hosts
    from vkmapctl.fleet.again import to_repeat
    from vkmapctl.fleet.store import Store
    from vkmapctl.fleet.sweep import planned

    to = Store(store)
    wanted = to_repeat(to, run_id, only, odd_hosts(store, run_id) if "suspect" in only else ())
    if not wanted.hosts:
        console.say(f"run {wanted.run.id}: no GPU is {' or '.join(only)}, so that there is nothing to repeat")
        return styled(ExitCode.OK, given["exit_style"])
    old = wanted.run
    options = old.options | _taken(given)
    again = planned(to.roster(), old.command, via or old.engine, options, wanted.hosts, again=old.id)
    return _sweep(to, again, **given)


def _sweep(
    to: "Store",
    asked: "FleetRun",
    *,
    program: str | None,
    timeout: float,
    wait: float,
    fetch: bool,
    exit_style: str,
    quiet: bool,
    **output: Any,
) -> int:
    from msgspec.structs import replace

    from vkmapctl.fleet.here import PROGRAM
    from vkmapctl.fleet.sweep import sweep

    if fetch and asked.engine != "ssh":
        raise UsageProblem("--fetch is of --via ssh: the others share the store", "leave it out")
    swept = sweep(
        to,
        asked,
        program=tuple(shlex.split(program)) if program else PROGRAM,
        seconds=timeout,
        wait_seconds=wait,
        fetch=fetch,
        progress=(lambda line: None) if quiet else console.say,
    )
    found = swept.ledger
    if swept.stopped:
        found = replace(found, exit_code=ExitCode.INTERRUPTED)
    return conclude(found, {**output, "quiet": quiet}, exit_style)


@click.command(cls=params.Command)
@click.argument("store")
@click.option("--run", "run_id", type=RUN_ID, required=True, metavar="ID", help="The run that this is a part of.")
@click.option("--host", help="What the roster calls this host; Slurm's or the machine's own name by default.")
@click.option("--gpus", type=click.IntRange(0, 256), help="GPUs that are expected; the roster's number by default.")
@click.option("--software", is_flag=True, help="Answer with a software driver where there is no GPU.")
@click.option("--engine", default="", help="What has started this.")
@click.option("--timeout", type=params.DURATION, default="1h", show_default=True, help="Time for all GPUs together.")
@exit_style_option
@words_argument
def here(
    store: str,
    run_id: str,
    host: str | None,
    gpus: int | None,
    software: bool,
    engine: str,
    timeout: float,
    exit_style: str,
    words: tuple[str, ...],
) -> int:
    """Run a host's part: the command on each GPU of this machine, one after another, whatever starts it.

    An envelope is always left in the store, also without a driver. The exit code is the worst of the GPUs'. With - for
    STORE the answer goes to standard output, as text.
    """
    from vkmapctl import hostlist
    from vkmapctl.fleet import parcel
    from vkmapctl.fleet.here import Part, answer, own_name
    from vkmapctl.fleet.store import Store

    _check_words(words)
    to = None if store == parcel.OUT else Store(Path(store))
    roster = to.roster() if to and to.has_roster() else None
    name = host or own_name(roster.hosts if roster else ())
    if not hostlist.is_host(name):
        raise UsageProblem(f"'{name}' is no host's name", "--host says what the roster calls this machine")
    part = Part(
        run_id,
        name,
        words,
        gpus if gpus is not None else roster.gpus if roster else 0,
        software or bool(roster and roster.software),
        timeout,
        engine,
    )
    envelope = answer(part, to, __version__) if to else _sent(part)
    if envelope.reason:
        console.say(f"{name}: {envelope.reason}")
    return styled(envelope.exit_code, exit_style)


def _sent(part: Any) -> Any:
    """The same with a store of its own, whose files go to standard output."""
    import tempfile

    from vkmapctl.fleet import parcel
    from vkmapctl.fleet.here import answer
    from vkmapctl.fleet.store import RUNS, Store

    with tempfile.TemporaryDirectory(prefix="vkmapctl-fleet-") as folder:
        to = Store(Path(folder))
        (to.path / RUNS).mkdir()
        envelope = answer(part, to, __version__)
        for line in parcel.packed(to.host_folder(part.run, part.name)):
            console.write_bytes(line)
    return envelope


def _check_words(words: Sequence[str]) -> None:
    """Before many hosts find out. Raises UsageProblem, or click's own error, for what no host could run."""
    from vkmapctl.fleet.here import KINDS

    kind = words[0]
    if kind not in KINDS:
        raise UsageProblem(f"a fleet does not run '{kind}'", f"it runs {', '.join(KINDS)}: fleet run … -- probe")
    command: click.Command = getattr(import_module(f"vkmapctl.commands.{kind}"), kind)
    context = command.make_context(f"vkmapctl fleet run … -- {kind}", list(words[1:]))
    given = [name for name in _OURS if context.params.get(name)]
    if given:
        flag = "--json" if given[0] == "as_json" else f"--{given[0]}"
        raise UsageProblem(
            f"{flag} is the fleet's own: it gives each GPU's turn its device and its file", "leave it out"
        )
