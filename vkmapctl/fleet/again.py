"""Which hosts a run is repeated on: those whose GPUs did not end well, or stand out, and each once."""

from collections.abc import Sequence
from typing import NamedTuple

from vkmapctl import hostlist
from vkmapctl.errors import UsageProblem
from vkmapctl.fleet import ledger
from vkmapctl.fleet.index import Index
from vkmapctl.fleet.store import Store
from vkmapctl.model.fleet import FleetRun


class Wanted(NamedTuple):
    """A run, and the hosts to repeat it on."""

    run: FleetRun
    hosts: tuple[str, ...]


def to_repeat(to: Store, run: str | None, only: Sequence[str], suspects: Sequence[str] = ()) -> Wanted:
    """run: its id; None: the latest that repeats none itself. only: states. suspects: hosts that stand out.

    Raises UsageProblem where there is no such run, where it repeats another, or where all of these hosts have had
    their second turn.
    """
    index = Index(to)
    try:
        run = run or _latest(index)
        if run is None or run not in index.runs():
            raise UsageProblem(
                f"{to.path} has no run{f' {run}' if run else ''} to repeat", "vkmapctl fleet run makes one"
            )
        known = ledger.known(index, run, to.roster())
        if known.run.again:
            raise UsageProblem(
                f"run {run} repeats {known.run.again} itself", "a host gets one second turn: then it is yours"
            )
        found = {entry.host for entry in ledger.made(known).entries if entry.state in only} | {*suspects}
        hosts = [host for host in hostlist.expand(known.run.hosts) if host in found]
        repeats = [asked for one in index.repeats(run) if (asked := index.run(one))]
        had = {host for asked in repeats for host in hostlist.expand(asked.hosts)}
    finally:
        index.close()
    left = tuple(host for host in hosts if host not in had)
    if hosts and not left:
        raise UsageProblem(
            f"{hostlist.fold(hosts)} had a second turn in run {repeats[-1].id}",
            "a host that fails twice wants a person; vkmapctl fleet run begins a new run",
        )
    return Wanted(known.run, left)


def _latest(index: Index) -> str | None:
    return next((run for run in reversed(index.runs()) if not ((asked := index.run(run)) and asked.again)), None)
